"""How long does an explanation take, with a model that is loaded?

    python -m benchmarks.explain [--models efficientnet-lite0] [--repeats 5] [--device cpu]

Times each method on one photograph of the demo against another, then the check of a map by deletion
and insertion, the links between two pictures, and the nine crops with their maps; the median of the
repeats, after one run that is not counted, and the CPU seconds of one.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import numpy as np

from aina_core import images
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding.runtimes import cores
from aina_core.explain import (
    METHODS,
    Explainer,
    explain_crops,
    load_explainer,
    nine_crops,
    overlay,
    similarity_target,
)
from aina_core.models import DEFAULT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[DEFAULT])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device")
    options = parser.parse_args()
    photographs = {p.name: np.asarray(images.read_image(p.path())) for p in PHOTOGRAPHS}
    one, other = photographs["coffee"], photographs["chelsea"]
    print(f"{cores()} cores, {one.shape[1]} x {one.shape[0]} pixels")
    for model in options.models:
        started = time.perf_counter()
        explainer = load_explainer(model, device=options.device)
        print(f"{model}: loaded in {time.perf_counter() - started:.1f} s")
        for name, job in jobs(explainer, one, other).items():
            report(name, job, options.repeats)


def jobs(
    explainer: Explainer, one: np.ndarray, other: np.ndarray
) -> dict[str, Callable[[], object]]:
    """Return the jobs to time, by name."""
    target = similarity_target(other)
    methods = [method for method in METHODS if not explainer.can(method)]
    made = explainer.explain(one, target, method=methods[0])
    boxes = list(nine_crops(*one.shape[:2]).values())
    return {
        **{m: functools.partial(explainer.explain, one, target, method=m) for m in methods},
        "deletion and insertion": lambda: explainer.faithfulness(one, target, made),
        "links of two pictures": lambda: explainer.places(one, other).strongest(10),
        "nine crops": lambda: explain_crops(explainer, one, boxes, other),
        "overlay": lambda: overlay(one, made),
    }


def report(name: str, job: Callable[[], object], repeats: int) -> None:
    """Print the median seconds of a job, and the CPU seconds of one."""
    job()
    times = []
    before = time.process_time()
    for _ in range(repeats):
        started = time.perf_counter()
        job()
        times.append(time.perf_counter() - started)
    cpu = (time.process_time() - before) / repeats
    print(f"  {name:24} {statistics.median(times):7.3f} s  (CPU {cpu:.3f} s)", flush=True)


if __name__ == "__main__":
    main()
