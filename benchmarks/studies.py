"""How fast does a study make and embed modified images, against indexing the same pictures?

    python -m benchmarks.studies [--originals 1000] [--rounds 3] [--kind modifications]

Photographs of about one megapixel (crops of those in scikit-image and scikit-learn, JPEG 90).
Indexing: the update of a gallery from the first file to the commit, with thumbnails made before.
The study: every original and its 18 modifications, made and embedded; once by the time of that
alone, once by the time of the whole study, its figures, intervals and storing included. Each
measurement is a process of its own; the rounds alternate, the medians of ratios within a round
count. Loading the model is in neither.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aina_core import models, studies
from aina_core.embedding import Embedder, load_embedder
from aina_core.gallery import create, update
from benchmarks.embedding import write_photographs

MODEL = models.DEFAULT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--originals", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=("modifications", "recovery"), default="modifications")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        os.environ["AINA_HOME"] = str(options.folder / "home")
        measure = measure_index if options.measure == "index" else measure_study
        print(json.dumps(measure(options.folder, options.kind)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder, "images"), options.originals)
        _run("index", folder, options.kind)  # makes the gallery and the thumbnails, fills caches
        rounds = [
            (_run("index", folder, options.kind), _run("study", folder, options.kind))
            for _ in range(options.rounds)
        ]
    _report(rounds, options)


def measure_index(folder: Path, kind: str) -> dict[str, float]:
    """Index the pictures once more, whose thumbnails are there."""
    embedder = load_embedder(MODEL)
    gallery = create("bench", folder / "images")
    if MODEL in gallery.models():
        gallery.delete_model(MODEL)
    report = update(gallery, embedder)
    return {"rate": report.added / report.seconds}


def measure_study(folder: Path, kind: str) -> dict[str, float]:
    """Study the pictures, and forget the study."""
    loaded = load_embedder(MODEL)

    def load(model: str) -> Embedder:
        return loaded

    started = time.perf_counter()
    run = studies.run(studies.settle(kind, "bench", (MODEL,)), load=load)
    seconds = time.perf_counter() - started
    cost = run.results["costs"][MODEL]
    studies.delete(run.id)
    return {
        "rate": cost["images_per_second"],
        "whole": cost["images"] / seconds,
        "seconds": seconds,
        "images": cost["images"],
        "peak": cost["peak_memory"],
    }


def _run(name: str, folder: str, kind: str) -> dict[str, float]:
    words = ["--measure", name, "--folder", folder, "--kind", kind]
    command = [sys.executable, "-m", "benchmarks.studies", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _report(
    rounds: list[tuple[dict[str, float], dict[str, float]]], options: argparse.Namespace
) -> None:
    cores = len(os.sched_getaffinity(0))
    images = int(rounds[0][1]["images"])
    print(
        f"{options.originals} originals of 1 megapixel, study of {options.kind}: {images} images, "
        f"{MODEL}, {cores} cores"
    )
    indexing = statistics.median(index["rate"] for index, _ in rounds)
    print(f"{'indexing':40}{indexing:8.1f} images/s")
    for key, name in (("rate", "making and embedding versions"), ("whole", "the whole study")):
        rate = statistics.median(study[key] for _, study in rounds)
        ratio = statistics.median(study[key] / index["rate"] for index, study in rounds)
        print(f"{name:40}{rate:8.1f} images/s, {ratio:.2f} of indexing")
    seconds = statistics.median(study["seconds"] for _, study in rounds)
    peak = max(study["peak"] for _, study in rounds)
    print(f"{'the whole study took':40}{seconds:8.1f} s, peak memory {peak / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
