"""How long do all pairs above a threshold take, in how much memory, and are they all found?

    python -m benchmarks.duplicates [--count 100000] [--dim 1280] [--threshold 0.9] [--index]

Makes a gallery of vectors around random centres, with a long tail of directions as embeddings have,
of which one in fifty is a near-duplicate of another. The pairs are found by the same call as the
command `duplicates` makes, in a process of its own, exactly or (--index) through the index; then
2,000 rows are held against all others by plain products, and their pairs are compared with those
that were found. The vectors are written block by block, so that the benchmark's own memory does not
hide the peak; pages of the file that the system keeps in memory for a while count as shared.
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
from pathlib import Path

import numpy as np

from aina_core.duplicates import Pairs, find_pairs
from aina_core.duplicates.pairs import pair_similarities
from aina_core.gallery import open_gallery
from aina_core.models import DEFAULT as MODEL
from aina_core.progress import never
from aina_core.search.searcher import Searcher
from benchmarks.synthetic import gallery_of

SAMPLED = 2_000
GROUPS, INNER, TAIL = 400, 8, 300
ONE_IN = 50
BLOCK = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--index", action="store_true", help="through the index")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _measure(options.threshold, "annoy" if options.index else "exact")
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as home:
        os.environ["AINA_HOME"] = home
        gallery_of("many", MODEL, vectors(options.count, options.dim))
        command = [sys.executable, "-m", "benchmarks.duplicates", "--one"]
        command += ["--threshold", str(options.threshold), *(["--index"] if options.index else [])]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        _print(options, json.loads(answer))


def vectors(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Draw unit rows around random centres, with copies of them last: float32 (count, dim).

    A row is its centre, a step in few directions of its cluster's own, and a step in the directions
    that all share, which matter less and less. They are drawn a block at a time.
    """
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    centres = normal(GROUPS, dim) / np.float32(np.sqrt(dim))
    bases = normal(GROUPS, INNER, dim) / np.float32(np.sqrt(INNER * dim))
    tail = normal(TAIL, dim) / np.float32(np.sqrt(dim))
    weight = np.arange(1, TAIL + 1, dtype=np.float32) ** -0.5
    weight /= np.linalg.norm(weight)
    rows = np.empty((count, dim), np.float32)
    for start in range(0, count, BLOCK):
        block = rows[start : start + BLOCK]
        chosen = rng.integers(GROUPS, size=len(block))
        block[:] = centres[chosen] + 0.6 * (normal(len(block), TAIL) * weight) @ tail
        for group in range(GROUPS):
            members = np.flatnonzero(chosen == group)
            block[members] += 0.5 * normal(len(members), INNER) @ bases[group]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    copies = count // ONE_IN
    of = rng.choice(count - copies, copies, replace=False)
    for start in range(0, copies, BLOCK):
        part = of[start : start + BLOCK]
        noise = normal(len(part), dim) / np.float32(np.sqrt(dim))
        near = rows[part] + rng.uniform(0.05, 0.4, (len(part), 1)).astype(np.float32) * noise
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        rows[count - copies + start : count - copies + start + len(part)] = near
    return rows


def _measure(threshold: float, way: str) -> None:
    """Find the pairs, and print what it took as JSON."""
    started = time.perf_counter()
    searcher = Searcher(open_gallery("many"), MODEL)
    opened = time.perf_counter() - started
    before = resource.getrusage(resource.RUSAGE_SELF)
    peak = _Peak()
    started = time.perf_counter()
    with peak:
        found = find_pairs(searcher, threshold, way=way, stop=never)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    own = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    expected, shared = compared(searcher, found, threshold)
    print(
        json.dumps(
            {
                "opened": opened,
                "seconds": seconds,
                "cpu": own,
                "private_mb": peak.private / 1024,
                "resident_mb": after.ru_maxrss / 1024,
                "pairs": len(found),
                "expected": expected,
                "shared": shared,
            }
        )
    )


class _Peak:
    """The most memory that was this process's own, without pages of files, in kB."""

    def __enter__(self) -> _Peak:
        self.private = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.1):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    self.private = max(self.private, int(line.split()[1]))


def compared(searcher: Searcher, found: Pairs, threshold: float) -> tuple[int, int]:
    """Hold 2,000 rows against all; return how many pairs they are in, and how many were found."""
    matrix = np.asarray(searcher.matrix)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(matrix), min(SAMPLED, len(matrix)), replace=False))
    known = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    expected: set[tuple[int, int]] = set()
    for start in range(0, len(rows), 100):
        own = rows[start : start + 100]
        at, other = np.nonzero(matrix[own] @ matrix.T >= threshold - 1e-5)
        reaches = pair_similarities(matrix, own[at], other) >= np.float32(threshold)
        pairs = zip(own[at][reaches].tolist(), other[reaches].tolist(), strict=True)
        expected |= {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    return len(expected), len(expected & known)


def _print(options: argparse.Namespace, found: dict[str, float]) -> None:
    way = "through the index" if options.index else "exact"
    share = found["shared"] / found["expected"] if found["expected"] else 1.0
    print(f"{options.count:,} x {options.dim} at {options.threshold}, {way}")
    print(f"opened (and the index built where it is missing): {found['opened']:.1f} s")
    print(f"all pairs: {found['seconds']:.1f} s, {found['cpu']:.1f} s of processors")
    print(
        f"peak memory: {found['private_mb']:.0f} MB of its own, {found['resident_mb']:.0f} MB with "
        "the mapped file of vectors"
    )
    print(f"pairs: {found['pairs']:,.0f}")
    print(
        f"of {found['expected']:,.0f} pairs of {SAMPLED:,} sampled rows, {found['shared']:,.0f} "
        f"were found ({share:.4f})"
    )


if __name__ == "__main__":
    main()
