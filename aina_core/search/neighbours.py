"""Which images are near which: the neighbours of every image of a gallery, under one model.

Computed once and kept beside the model's vectors, for whatever asks::

    models/M/
      graph/full/           `Graph`: 150 neighbours of each row, with similarities, for the maps
      graph/components100/  the same of the vectors on their 100 first principal components
      agreement/            `Nearest`: the 20 nearest of each image, where models are compared

A graph is exact: up to 50,000 rows a blocked product with a partition of each of its rows is
quicker than any index, and above that the graph covers a sample of so many rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.disk import arrays
from aina_core.errors import GalleryError, InputError, StoppedError
from aina_core.gallery import Vectors
from aina_core.index.matmul import product
from aina_core.index.principal import principal_axes, sample
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Searcher

#: How many neighbours of a row the graph knows, where there are so many: t-SNE of perplexity 50.
MOST_NEIGHBOURS = 150
#: How many rows the graph covers at most.
MOST_ROWS = 50_000
#: The most principal components that vectors can be reduced to for a graph.
MAX_COMPONENTS = 1000
#: Of the choice of rows, and of those that principal components are fitted on.
SEED = 0

#: Up to so many images `nearest` compares every pair; above, the Annoy index proposes.
MOST_EXACT = 50_000
#: Up to so many images `nearest` is quick enough to be computed each time; above, it is kept.
MOST_QUICK = 10_000

_FORMAT = 1
_BLOCK_BYTES = 64 << 20
_BLOCK_ROWS = 512
_KEPT = 20  # neighbours, so that another k rarely has to be recomputed


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


def graph_of(
    vectors: Vectors,
    folder: Path,
    components: int = 0,
    progress: Progress = silent,
    stop: Stop = never,
) -> Graph:
    """Open the graph stored for a model's vectors, after verifying it; else compute and store it.

    Rows whose file has changed since are covered too: the graph is of what is stored.

    Args:
        vectors: of the model.
        folder: of the model's vectors; the graph is kept below it.
        components: of the vectors on their so many first principal components; 0 for the vectors
            as they are.
        progress: told of the phase "neighbours".
        stop: asked between blocks.

    Raises:
        GalleryError: the graph cannot be written.
        InputError: the gallery is empty.
        StoppedError: it was stopped; nothing is stored.
    """
    if not vectors.ids:
        raise InputError("The gallery is empty; add images and index them first.")
    place = folder / "graph" / ("full" if components == 0 else f"components{components}")
    identity = _graph_identity(vectors, components)
    found = arrays.load(place, identity)
    if found is not None:
        return Graph(**found.arrays)
    graph = compute(vectors.matrix, components=components, progress=progress, stop=stop)
    _keep(place, identity, vars(graph))
    return graph


def _graph_identity(vectors: Vectors, components: int) -> dict[str, Any]:
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
        components: see `graph_of`.
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
    for block in blocks(count, step, "neighbours", progress, stop):
        if k == 0:
            break
        scores = product(left[block], right)  # (b, count)
        own = np.arange(len(scores))
        scores[own, block.start + own] = -np.inf
        neighbours[block], similarities[block] = largest(scores, k)
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


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest images of every image.

    Attributes:
        neighbours: int32 (n, k), positions in the list of ids, nearest first, equally near ones by
            id; never the image itself.
        index_recall: index recall@10 of the index that found them; 1.0 for exact search.
    """

    neighbours: np.ndarray
    index_recall: float


def nearest(
    searcher: Searcher,
    ids: Sequence[str],
    k: int,
    *,
    progress: Progress = silent,
    stop: Stop = never,
) -> Nearest:
    """Find the k nearest of every image among the same images.

    Above `MOST_QUICK` images the result is kept beside the model's vectors.

    Args:
        searcher: the gallery under the model.
        ids: of images that it has, in its order; more than k.
        k: how many, at least 1.
        progress: told of the phase "neighbours under MODEL".
        stop: asked between blocks.

    Raises:
        GalleryError: the result cannot be written.
        StoppedError: it was stopped; nothing is kept.
    """
    found = stored(searcher, ids, k)
    if found is not None:
        return found
    keep = len(ids) > MOST_QUICK
    wanted = min(max(k, _KEPT), len(ids) - 1) if keep else k
    found = _nearest(searcher, ids, wanted, progress, stop)
    if keep:
        record = {"index_recall": found.index_recall}
        identity, kept = _nearest_identity(searcher, ids), {"neighbours": found.neighbours}
        _keep(_folder(searcher), identity, kept, record)
    return Nearest(found.neighbours[:, :k], found.index_recall)


def stored(searcher: Searcher, ids: Sequence[str], k: int) -> Nearest | None:
    """Return what `nearest` has stored for these images, verified; None if nothing."""
    if len(ids) <= MOST_QUICK or not _folder(searcher).is_dir():
        return None
    kept = arrays.load(_folder(searcher), _nearest_identity(searcher, ids))
    if kept is None or kept.arrays["neighbours"].shape[1] < k:
        return None
    return Nearest(kept.arrays["neighbours"][:, :k], float(kept.record["index_recall"]))


def _nearest(
    searcher: Searcher, ids: Sequence[str], k: int, progress: Progress, stop: Stop
) -> Nearest:
    rows = searcher.rows(ids)
    matrix, count = np.asarray(searcher.matrix), len(rows)
    index = searcher.exact if count <= MOST_EXACT else searcher.annoy
    allowed = None
    if count < len(matrix):
        allowed = np.zeros(len(matrix), bool)
        allowed[rows] = True
    places = np.zeros(len(matrix), np.int32)
    places[rows] = np.arange(count, dtype=np.int32)
    neighbours = np.empty((count, k), np.int32)
    for block in blocks(count, _BLOCK_ROWS, f"neighbours under {searcher.model}", progress, stop):
        own = rows[block]
        found, _ = index.search(matrix[own], k + 1, allowed=allowed)  # (b, k + 1)
        neighbours[block] = places[without_itself(found, own)]
    return Nearest(neighbours, index.recall_at_10)


def without_itself(found: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Remove each row from its own neighbours.

    Args:
        found: int64 (q, k + 1), rows in the order in which an index found them.
        own: int64 (q,), the row that each query is.

    Returns:
        int64 (q, k).
    """
    others = found != own[:, None]
    # of many equal images the k + 1 found need not include the image itself
    others[others.all(axis=1), -1] = False
    return found[others].reshape(len(own), -1)


def _folder(searcher: Searcher) -> Path:
    return searcher.gallery.store(searcher.model).folder / "agreement"


def _nearest_identity(searcher: Searcher, ids: Sequence[str]) -> dict[str, Any]:
    named = hashlib.sha256()
    for image_id in ids:
        named.update(image_id.encode(errors="surrogateescape") + b"\0")
    return {"format": _FORMAT, "vectors": searcher.checksum, "images": named.hexdigest()}


def blocks(count: int, step: int, phase: str, progress: Progress, stop: Stop) -> Iterator[slice]:
    """Yield blocks of rows, reporting progress and checking for a stop before each.

    Raises:
        StoppedError: it was stopped.
    """
    for start in range(0, count, step):
        if stop():
            raise StoppedError("Stopped before it was through; nothing was stored.")
        progress(phase, start, count)
        yield slice(start, start + step)
    progress(phase, count, count)


def _keep(
    folder: Path,
    identity: Mapping[str, Any],
    kept: Mapping[str, np.ndarray],
    record: Mapping[str, Any] | None = None,
) -> None:
    try:
        arrays.save(folder, identity, kept, record or {})
    except OSError as error:
        raise GalleryError(
            f"The neighbours cannot be written to {folder}: {error.strerror or error}; "
            "mend that first."
        ) from error
