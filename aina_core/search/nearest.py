"""The nearest images of every image of a gallery, under one model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.disk import arrays
from aina_core.errors import GalleryError, StoppedError
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Searcher

#: Up to so many images every pair is compared; above, the Annoy index proposes.
MOST_EXACT = 50_000
#: Up to so many images it is quick enough to be computed each time; above, it is kept.
MOST_QUICK = 10_000

_FORMAT = 1
_KEPT = 20  # neighbours, so that another k need not be computed anew
_BLOCK_ROWS = 512


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
    found = _compute(searcher, ids, wanted, progress, stop)
    if keep:
        folder = _folder(searcher)
        record = {"index_recall": found.index_recall}
        try:
            arrays.save(folder, _identity(searcher, ids), {"neighbours": found.neighbours}, record)
        except OSError as error:
            raise GalleryError(
                f"The neighbours cannot be written to {folder}: {error.strerror}; mend that first."
            ) from error
    return Nearest(found.neighbours[:, :k], found.index_recall)


def stored(searcher: Searcher, ids: Sequence[str], k: int) -> Nearest | None:
    """Return what `nearest` has kept of these images, verified; None where it has not."""
    if len(ids) <= MOST_QUICK or not _folder(searcher).is_dir():
        return None
    kept = arrays.load(_folder(searcher), _identity(searcher, ids))
    if kept is None or kept.arrays["neighbours"].shape[1] < k:
        return None
    return Nearest(kept.arrays["neighbours"][:, :k], float(kept.record["index_recall"]))


def _compute(
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
    for start in range(0, count, _BLOCK_ROWS):
        if stop():
            raise StoppedError("Stopped before the neighbours of all images were found.")
        progress(f"neighbours under {searcher.model}", start, count)
        own = rows[start : start + _BLOCK_ROWS]
        found, _ = index.search(matrix[own], k + 1, allowed=allowed)  # (b, k + 1)
        neighbours[start : start + _BLOCK_ROWS] = places[without_itself(found, own)]
    progress(f"neighbours under {searcher.model}", count, count)
    return Nearest(neighbours, index.recall_at_10)


def without_itself(found: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Leave each row out of what was found for it.

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


def _identity(searcher: Searcher, ids: Sequence[str]) -> dict[str, Any]:
    named = hashlib.sha256()
    for image_id in ids:
        named.update(image_id.encode(errors="surrogateescape") + b"\0")
    return {"format": _FORMAT, "vectors": searcher.checksum, "images": named.hexdigest()}
