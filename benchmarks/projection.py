"""How long does a first map take, how fast is a new point placed, and how good are both?

    python -m benchmarks.projection [--count 20000] [--dim 50] [--dims 2] [--reference]

Makes a gallery of vectors around random centres. Each method runs by the command line in a process
of its own, so that imports and compilation count; the first one computes the neighbour graph that
the next one finds. Then 500 vectors that no method saw are placed: how long one takes, and how many
of their ten nearest are among their ten nearest on the map, beside the same share for the images
that were fitted. `--reference` runs umap-learn on the same graph, with an empty compilation cache.
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

import numpy as np

from aina_core.gallery import Gallery
from aina_core.models import DEFAULT as MODEL
from aina_core.projection import METHODS, Projection, Settings, stored
from aina_core.projection.quality import measure
from aina_core.search.neighbours import graph_of
from aina_core.search.searcher import Searcher
from benchmarks.synthetic import clusters, gallery_of

HELD_OUT, NEAREST, TIMED = 500, 10, 50
_REFERENCE = """
import sys, time
started = time.perf_counter()
import numpy as np
from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding
folder = sys.argv[1]
vectors, near, far = (np.load(f"{folder}/{name}.npy") for name in ("vectors", "near", "far"))
state = np.random.RandomState(0)
graph, _, _ = fuzzy_simplicial_set(
    vectors, near.shape[1], state, "euclidean", knn_indices=near, knn_dists=far
)
points, _ = simplicial_set_embedding(
    vectors, graph, int(sys.argv[2]), 1.0, *find_ab_params(1.0, 0.1), 1.0, 5, None, "spectral",
    state, "euclidean", {}, False, {}, False,
)
np.save(f"{folder}/points.npy", points.astype(np.float32))
print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=50)
    parser.add_argument("--dims", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--reference", action="store_true", help="umap-learn too")
    options = parser.parse_args()
    drawn, _ = clusters(options.count + HELD_OUT, options.dim)
    vectors, queries = drawn[:-HELD_OUT], drawn[-HELD_OUT:]
    with tempfile.TemporaryDirectory() as home:
        os.environ["AINA_HOME"] = home
        gallery = gallery_of("synthetic", MODEL, vectors)
        Searcher(gallery, MODEL)  # builds the index, as indexing does
        print(f"{options.count} x {options.dim} to {options.dims} dimensions; seconds of a process")
        print("method      first  again  trustworthiness  kept  placed kept  one placed, ms")
        for method in options.methods:
            settings = Settings(method, dims=options.dims)
            seconds = [run(settings), run(settings)]
            made = stored(gallery, MODEL, settings)
            assert made is not None
            print_row(made, seconds, vectors, queries)
        if options.reference:
            print_reference(gallery, vectors, options.dims)


def run(settings: Settings) -> float:
    """Return the seconds that the command line takes, with its phases on stderr."""
    words = ["--gallery", "synthetic", "--model", MODEL, "--method", settings.method]
    command = [sys.executable, "-m", "aina_core", "map", *words, "--dims", str(settings.dims)]
    started = time.perf_counter()
    subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def print_row(
    made: Projection, seconds: list[float], vectors: np.ndarray, queries: np.ndarray
) -> None:
    placed = made.place(queries)
    times = []
    for query in queries[:TIMED]:
        started = time.perf_counter()
        made.place(query[None])
        times.append(time.perf_counter() - started)
    shares = f"{made.preservation:.3f}  {kept(vectors, queries, made.coordinates, placed):11.3f}"
    print(
        f"{made.settings.method:10} {seconds[0]:6.1f} {seconds[1]:6.1f}  "
        f"{made.trustworthiness:15.4f} {shares}  {statistics.median(times) * 1000:14.1f}",
        flush=True,
    )


def kept(
    vectors: np.ndarray, queries: np.ndarray, coordinates: np.ndarray, placed: np.ndarray
) -> float:
    """The share of the queries' ten nearest that are among their ten nearest on the map."""
    near = np.argsort(-(queries @ vectors.T), axis=1)[:, :NEAREST]
    apart = ((placed[:, None] - coordinates) ** 2).sum(axis=2)
    shown = np.argsort(apart, axis=1)[:, :NEAREST]
    return float(np.mean([len(np.intersect1d(*pair)) / NEAREST for pair in zip(near, shown)]))  # noqa: B905


def print_reference(gallery: Gallery, vectors: np.ndarray, dims: int) -> None:
    """Lay the same graph out by umap-learn, and print its row."""
    graph = graph_of(gallery.vectors(MODEL), gallery.store(MODEL).folder)
    k = Settings().neighbours - 1
    near = np.hstack([np.arange(len(vectors))[:, None], graph.neighbours[:, :k]])
    far = np.sqrt(np.maximum(2 - 2 * graph.similarities[:, :k], 0))
    far = np.hstack([np.zeros((len(vectors), 1)), far])
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"vectors": vectors, "near": near.astype(np.int32), "far": far.astype(np.float32)}
        for name, array in arrays.items():
            np.save(Path(folder, f"{name}.npy"), array)
        seconds = json.loads(
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", _REFERENCE, folder, str(dims)],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
        )
        found = measure(vectors, np.load(Path(folder, "points.npy")))
    print(
        f"umap-learn {seconds:6.1f}         {found.trustworthiness:14.4f} {found.preservation:.3f}"
    )


if __name__ == "__main__":
    main()
