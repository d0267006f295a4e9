"""The neighbour graph of one model over one gallery: the nearest rows of every row, computed once.

It is kept beside the vectors and shared by t-SNE, UMAP and whatever else asks who is near whom.
It is exact: up to 50,000 rows a blocked product with a partition of each row of it is quicker than
any index, and above that the graph covers a sample of so many rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.disk import arrays
from aina_core.errors import GalleryError, InputError, StoppedError
from aina_core.gallery import Gallery, Vectors
from aina_core.index.matmul import product
from aina_core.index.principal import principal_axes, sample
from aina_core.progress import Progress, Stop, never, silent

#: How many neighbours of a row the graph knows, where there are so many: t-SNE of perplexity 50.
MOST_NEIGHBOURS = 150
#: How many rows it covers at most.
MOST_ROWS = 50_000
#: How many principal components vectors can be reduced to before.
MAX_COMPONENTS = 1000

#: Of the choice of rows, and of those that principal components are fitted on.
SEED = 0

_FORMAT = 1
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Graph:
    """The nearest neighbours of rows among each other.

    Attributes:
        rows: int64 (m,), ascending: rows of the gallery that it covers, all of them up to 50,000.
        neighbours: int32 (m, k), positions within `rows`, nearest first; never the row itself.
            k is 150, or m − 1 where that is less.
        similarities: float32 (m, k), descending, in [−1, 1]: cosine; with components,
            1 − d²/2 for the Euclidean distance d of the reduced vectors, which for vectors of unit
            length is the cosine.
    """

    rows: np.ndarray
    neighbours: np.ndarray
    similarities: np.ndarray


def open_graph(
    gallery: Gallery,
    model: str,
    *,
    components: int = 0,
    progress: Progress = silent,
    stop: Stop = never,
) -> Graph:
    """Open the graph stored for a gallery's vectors, after verifying it; else compute and store it.

    Rows whose file has changed since are covered too: the graph is of what is stored.

    Args:
        gallery: the gallery.
        model: the model's full name.
        components: of the vectors on their so many first principal components; 0 for the vectors
            as they are.
        progress: told of the phase "neighbours".
        stop: asked between blocks.

    Raises:
        GalleryError: the model has no vectors here, or the graph cannot be written.
        InputError: the gallery is empty.
        StoppedError: it was stopped; nothing is stored.
    """
    vectors = gallery.vectors(model)
    return graph_of(vectors, gallery.store(model).folder, components, progress, stop)


def graph_of(
    vectors: Vectors, folder: Path, components: int, progress: Progress, stop: Stop
) -> Graph:
    """As `open_graph`, for vectors that are open already; `folder` is the model's."""
    if not vectors.ids:
        raise InputError("The gallery is empty; add images and index them first.")
    place = folder / "graph" / ("full" if components == 0 else f"components{components}")
    identity = _identity(vectors, components)
    found = arrays.load(place, identity)
    if found is not None:
        return Graph(**found.arrays)
    graph = compute(vectors.matrix, components=components, progress=progress, stop=stop)
    try:
        arrays.save(place, identity, vars(graph))
    except OSError as error:
        raise GalleryError(f"The neighbour graph cannot be written to {place}: {error}") from error
    return graph


def _identity(vectors: Vectors, components: int) -> dict[str, Any]:
    count, dim = vectors.matrix.shape
    return {
        "format": _FORMAT,
        "vectors": vectors.checksum,
        "count": count,
        "dim": dim,
        "components": components,
        "neighbours": MOST_NEIGHBOURS,
        "rows": MOST_ROWS,
        "seed": SEED,
    }


def compute(
    vectors: np.ndarray,
    *,
    components: int = 0,
    progress: Progress = silent,
    stop: Stop = never,
) -> Graph:
    """Compute a graph.

    Args:
        vectors: float32 (n, dim), unit rows, n ≥ 1; may be a memory map. At most 50,000 rows of it
            are in memory at once.
        components: see `open_graph`.
        progress: told of the phase "neighbours".
        stop: asked between blocks.

    Raises:
        StoppedError: it was stopped.
    """
    rows = sample(len(vectors), MOST_ROWS, SEED)
    left, right = _factors(vectors, rows, components)
    count = len(rows)
    k = min(MOST_NEIGHBOURS, count - 1)
    neighbours, similarities = np.empty((count, k), np.int32), np.empty((count, k), np.float32)
    step = max(1, _BLOCK_BYTES // (4 * count))
    for start in range(0, count if k else 0, step):
        if stop():
            raise StoppedError("Stopped while neighbours were computed; nothing was stored.")
        progress("neighbours", start, count)
        scores = product(left[start : start + step], right)  # (b, count)
        own = np.arange(len(scores))
        scores[own, start + own] = -np.inf
        block = slice(start, start + step)
        neighbours[block], similarities[block] = largest(scores, k)
    progress("neighbours", count, count)
    return Graph(rows, neighbours, similarities.clip(-1, 1, out=similarities))


def largest(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k largest of each row, descending, equal ones by column.

    Args:
        scores: float32 (b, n), n ≥ k ≥ 1.
        k: how many.

    Returns:
        Columns int32 (b, k) and scores float32 (b, k).
    """
    last = scores.shape[1] - k
    columns, values = np.empty((len(scores), k), np.int32), np.empty((len(scores), k), np.float32)
    # numpy partitions values several times as fast as it partitions their indices
    cuts = np.partition(scores, last, axis=1)[:, last]
    for i, (row, cut) in enumerate(zip(scores, cuts, strict=True)):
        near = np.flatnonzero(row >= cut)
        columns[i] = near[np.argsort(-row[near], kind="stable")[:k]]
        values[i] = row[columns[i]]
    return columns, values


def _factors(
    vectors: np.ndarray, rows: np.ndarray, components: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return two matrices, float32 (m, ·), whose product holds all similarities."""
    if components == 0:
        taken = np.asarray(vectors) if len(rows) == len(vectors) else vectors[rows]
        return taken, taken
    reduced = principal_axes(vectors, components, seed=SEED).reduce(
        vectors[rows]
    )  # (m, components)
    # x·y + (1 − |x|²)/2 + (1 − |y|²)/2 = 1 − |x − y|²/2, as one product
    rest = (1 - np.vecdot(reduced, reduced)[:, None]) / 2  # (m, 1)
    ones = np.ones_like(rest)
    return np.hstack([reduced, rest, ones]), np.hstack([reduced, ones, rest])
