"""Finding neighbours: the index proposes, the stored vectors decide.

Three kinds, one interface. "exact" compares a query with every row. "annoy" and "hnsw" compare it
with a few rows that a stored index proposes; the similarities that they return are computed from
the stored vectors by the same function, so all kinds agree on every pair that they return.
Importing this package imports neither torch nor Annoy nor usearch.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np

from aina_core.disk import files
from aina_core.errors import DamagedError, InputError, UnknownNameError
from aina_core.index import reduced
from aina_core.index.annoy_index import AnnoyBackend
from aina_core.index.exact import ExactIndex, all_similarities, similarities
from aina_core.index.reduced import Backend
from aina_core.index.usearch_index import UsearchBackend
from aina_core.progress import Progress

__all__ = ["KINDS", "Index", "all_similarities", "check_index", "open_index", "similarities"]

_BACKENDS: dict[str, Backend] = {
    backend.kind: backend for backend in (AnnoyBackend(), UsearchBackend())
}
#: The kinds of index.
KINDS: tuple[str, ...] = tuple(sorted([ExactIndex.kind, *_BACKENDS]))


class Index(Protocol):
    """What every index offers. Safe to share between threads.

    Attributes:
        kind: one of `KINDS`.
        recall_at_10: index recall@10, the overlap of its ten nearest with the exact ten, in [0, 1];
            measured on rows of the gallery when it was built, each left out of its own neighbours.
    """

    kind: str
    recall_at_10: float

    def search(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None, effort: float = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest rows of each query, nearest first; equally near ones by row.

        Args:
            queries: (q, dim) float32, unit rows.
            k: how many, at least 1.
            allowed: (n,) bool, the rows that may appear; None for all.
            effort: how many times the usual number of rows an approximate index looks at. The
                measured recall holds for queries like the gallery's own images; a query unlike any
                of them has its neighbours scattered over the index and needs more.

        Returns:
            Rows (q, k') int64 and their similarities (q, k') float32 in [-1, 1], descending, where
            k' is k or the number of rows allowed, whichever is less.

        Raises:
            InputError: queries of another length, not of unit length or not finite; k below 1; a
                mask of another size.
        """
        ...


def open_index(
    kind: str,
    vectors: np.ndarray,
    folder: Path,
    *,
    checksum: str,
    rebuild: bool = True,
    progress: Progress | None = None,
) -> Index:
    """Open and verify the index stored in a folder; build it where it does not fit.

    Args:
        kind: one of `KINDS`.
        vectors: (n, dim) float32, unit rows; may be a memory map, and is kept.
        folder: where the index is stored.
        checksum: SHA-256 of the file of vectors: an index serves only the vectors it was built of.
        rebuild: whether to build an index that is missing, damaged or of other vectors.
        progress: called with (phase, done, total) while it is built.

    Raises:
        UnknownNameError: no such kind.
        InputError: the library of that kind is not installed.
        DamagedError: the stored index does not fit, and `rebuild` is False.
        GalleryError: the folder cannot be written to.
    """
    if kind == ExactIndex.kind:
        return ExactIndex(vectors)
    backend = _backend(kind)
    if importlib.util.find_spec(backend.package) is None:
        raise InputError(f"The {kind} index needs a package; run: pip install {backend.package}")
    identity = reduced.identify(backend, vectors.shape, checksum)
    problem = files.find_problem(folder, identity)
    if problem is None:
        return reduced.load(backend, vectors, folder)
    if not rebuild:
        raise DamagedError(f"The {kind} index cannot be used, build it again: {problem}")
    return reduced.build(backend, vectors, folder, identity, progress)


def check_index(
    kind: str, vectors_shape: tuple[int, ...], folder: Path, *, checksum: str
) -> str | None:
    """Say in one sentence why the index stored in a folder cannot be used.

    Args:
        kind: one of `KINDS`.
        vectors_shape: (n, dim) of the vectors that it is to serve.
        folder: where it is stored.
        checksum: SHA-256 of the file of vectors.

    Returns:
        The problem, or None: it fits, or no index of that kind is stored.

    Raises:
        UnknownNameError: no such kind.
    """
    if kind == ExactIndex.kind:
        return None
    backend = _backend(kind)
    if not files.exists(folder, kind):
        return None
    return files.find_problem(folder, reduced.identify(backend, vectors_shape, checksum))


def _backend(kind: str) -> Backend:
    if kind not in _BACKENDS:
        raise UnknownNameError("index", kind, KINDS)
    return _BACKENDS[kind]
