"""Does a gallery of a million imported vectors stay usable, and what does it cost?

    python -m benchmarks.million [--count 1000000] [--dim 128] [--queries 40] [--keep FOLDER]

Clustered vectors go into an npy file, and by the command `import` into a gallery without pictures,
with labels; then again with noise, as those of a second model. The PCA map is computed by the
command `map`. A fresh process then does what the pages do, by the pages' own functions: it opens
the gallery, searches through Annoy and exactly, filters, holds the whole gallery against a query
(the histogram), opens the map twice, and compares the two models for a query. Private memory is
what no file on the disk stands behind (RssAnon), watched every 20 ms; pages of the mapped files are
the system's to take back. Seconds of the processor are beside those of the clock, since other work
on the machine lengthens the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.synthetic import clusters

GALLERY, MODELS = "million", ("external:clustered", "external:noisy")
_GROUPS = 200
_NOISE = 0.3  # length of what is added to a unit vector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="where everything stays, and is found again")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measure(options.queries)))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        folder = options.keep or Path(temporary)
        os.environ["AINA_HOME"] = str(folder / "home")
        _make(folder, options.count, options.dim)
        command = [sys.executable, "-m", "benchmarks.million", "--one"]
        command += ["--queries", str(options.queries)]
        for visit in ("first process", "second process"):
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            _print(visit, json.loads(answer))


def _make(folder: Path, count: int, dim: int) -> None:
    """Write the vectors, and import them, unless that was done."""
    if (folder / "home" / GALLERY).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    vectors, groups = clusters(count, dim, groups=_GROUPS)
    np.save(folder / "clustered.npy", vectors)
    rng = np.random.default_rng(1)
    for start in range(0, count, 50_000):
        block = vectors[start : start + 50_000]
        noise = rng.standard_normal(block.shape, np.float32) * np.float32(_NOISE / np.sqrt(dim))
        block += noise
    np.save(folder / "noisy.npy", vectors)
    del vectors
    digits = max(7, len(str(count)))
    with (folder / "labels.csv").open("w") as file:
        file.write("id,label\n")
        file.writelines(
            f"row {row:0{digits}},group {group}\n" for row, group in enumerate(groups.tolist(), 1)
        )
    for model in MODELS:
        name = model.partition(":")[2]
        words = ["import", folder / f"{name}.npy", "--gallery", GALLERY, "--model", model]
        labels = [] if model != MODELS[0] else ["--labels", folder / "labels.csv"]
        _command(f"import {name}", [*words, *labels])
    _command("map", ["map", "--gallery", GALLERY, "--model", MODELS[0], "--method", "pca"])


def _command(name: str, words: list[Any]) -> None:
    """Run a command, and print what it took; the largest of its memory too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    command = [sys.executable, "-m", "aina_core", *map(str, words), "--json"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = json.loads(answer)
    more = {key: said[key] for key in ("seconds", "index_seconds") if key in said}
    print(f"{name}: {seconds:.0f} s, {own:.0f} s of the processor; {more}", flush=True)


class _Watch:
    """The most private memory that this process has had, in MB."""

    def __init__(self) -> None:
        self.most = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            self.most = max(self.most, private())
            time.sleep(0.02)


def private() -> float:
    """This process's memory without the pages of files, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def _measure(queries: int) -> dict[str, Any]:
    import logging

    logging.disable(logging.WARNING)  # Streamlit's, about a process that is no app
    from aina_core.projection import Settings
    from aina_core.similarity import side_by_side
    from pages.compare import cache as compare_cache
    from pages.map import cache as map_cache
    from ui import cache
    from ui.state import State

    found: dict[str, Any] = {"private at the start": f"{private():.0f} MB"}
    watch = _Watch()

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        clock, processor = time.perf_counter(), time.process_time()
        yield
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        found[name] = f"{clock:.2f} s ({processor:.2f} s of the processor)"

    model, other = MODELS
    with timed("open"):
        opened = cache.searcher(GALLERY, model)
    with timed("open again"):
        cache.searcher(GALLERY, model)
    with timed("labels and filters"):
        found["images"] = f"{opened.count:,}, {len(opened.labels)} labels, {len(opened.columns)}"
    found["private when open"] = f"{private():.0f} MB, at most {watch.most:.0f} MB"
    rows = np.random.default_rng(2).choice(len(opened.ids), queries, replace=False)
    ids = [opened.ids[row] for row in rows]
    opened.search(opened.vector(ids[0])).nearest(24)  # the files come into memory
    for exact in (False, True):
        state = State(gallery=GALLERY, model=model, exact=exact)
        found["exact search" if exact else "search through Annoy"] = _latency(
            lambda key, state=state: cache.result(_asking(state, key)).nearest(24), ids
        )
    state = State(gallery=GALLERY, model=model)
    found["histogram of all"] = _latency(
        lambda key: cache.result(_asking(state, key)).similarities, ids[:10]
    )
    found["recall"] = f"{opened.annoy.recall_at_10:.3f}"
    for visit in ("first", "second"):
        with timed(f"map, {visit} visit"):
            shown = map_cache.open_map(GALLERY, model, Settings("pca"))
            assert shown is not None
            shown.points.codes()
            map_cache.map_categories(opened, shown, "label", 8)
    with timed("open the second model"):
        cache.searcher(GALLERY, other)

    def compare(key: str) -> None:
        asked = [State(gallery=GALLERY, model=each, exact=True) for each in MODELS]
        results = {each.model: cache.result(_asking(each, key)) for each in asked}
        side_by_side(results, 24)

    found["compare two models for a query"] = _latency(compare, ids[:10])
    with timed("ask for their agreement, which is a job"):
        compare_cache.agreement(GALLERY, MODELS, 10)
    found["private at the end"] = f"{private():.0f} MB, at most {watch.most:.0f} MB"
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["resident at most"] = f"{resident:.0f} MB, with pages of the mapped files"
    return found


def _asking(state: Any, image_id: str) -> Any:
    import dataclasses

    return dataclasses.replace(state, image=image_id)


def _latency(ask: Callable[[str], object], ids: list[str]) -> str:
    clocks, processor = [], time.process_time()
    for image_id in ids:
        started = time.perf_counter()
        ask(image_id)
        clocks.append(1000 * (time.perf_counter() - started))
    each = 1000 * (time.process_time() - processor) / len(ids)
    middle, high = np.percentile(clocks, [50, 95])
    return f"p50 {middle:.0f} ms, p95 {high:.0f} ms ({each:.0f} ms of the processor)"


def _print(visit: str, measured: dict[str, Any]) -> None:
    print(f"\n{visit}:")
    for name, value in measured.items():
        print(f"  {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
