"""How much memory does a run over a gallery take, by the number of its images?

    python -m benchmarks.memory [--images 5000 50000 500000]

Each size in a process of its own: a folder of hard links to a small picture, a stand-in for the
model (its own memory does not depend on the gallery, see benchmarks/embedding.py) with the 1280
numbers a row of the real one, and a second run over the finished gallery in which one file is new.
What is measured is the bookkeeping: scan, catalogue, journal, rows, commit.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aina_core.embedding import Embedder

DIM = 1280
FILES_A_FOLDER = 20_000


class _Runtime:
    device, name, precision = "cpu", "stand-in", "fp32"


class _StandIn(Embedder):
    """Gives a row that depends on the file's name, without looking at it."""

    def __init__(self) -> None:
        self.model, self.dim, self.mode = "efficientnet-lite0", DIM, "exact"
        self.reduced_side = None
        self.runtime = _Runtime()  # type: ignore[assignment]

    def fingerprint(self) -> dict[str, Any]:
        return {"dim": DIM, "model": "stand-in"}

    def versions(self) -> dict[str, str]:
        return {}

    def run_with_norms(
        self,
        items: Iterable[Any],
        prepare: Callable[[Any], Any],
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[Any, Any, Any, float]]:
        rng = np.random.default_rng(0)
        for item in items:
            pixels, extra = prepare(item)
            row = rng.standard_normal(DIM, np.float32)
            norm = float(np.linalg.norm(row))
            yield item, extra, None if pixels is None else row / norm, norm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _measure(options.one)
        return
    print("images      first run            second run, one new     peak resident memory")
    for count in options.images:
        command = [sys.executable, "-m", "benchmarks.memory", "--one", str(count)]
        subprocess.run(command, check=True)


def _measure(count: int) -> None:
    from aina_core import gallery

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        base = Path(name)
        os.environ["AINA_HOME"] = str(base / "home")
        _fill(base, count)
        made = gallery.create("many", base / "images")
        times = []
        for expected in (count, 1):
            started = time.monotonic()
            report = gallery.update(made, _StandIn())
            times.append(time.monotonic() - started)
            assert report.added == expected, report
            Image.new("RGB", (9, 9)).save(base / "images" / "new.png")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:>9,}  {times[0]:8.1f} s  {times[1]:14.1f} s  {peak:22.0f} MB", flush=True)


def _fill(base: Path, count: int) -> None:
    for number in range(count):
        folder = base / "images" / f"{number // FILES_A_FOLDER:04}"
        first = folder / f"{number - number % FILES_A_FOLDER:08}.png"
        if number % FILES_A_FOLDER == 0:  # a file system allows a file so many links
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(first)
        else:
            os.link(first, folder / f"{number:08}.png")


if __name__ == "__main__":
    main()
