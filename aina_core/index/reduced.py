"""What Annoy and usearch share: rows reduced to their principal axes, and an exact re-rank.

A native index over full embeddings spends its time on memory: 1280 numbers a row. Here it holds
the rows on their first 96 principal axes and only proposes candidates, among which the full
vectors decide. How many candidates that takes depends on the gallery, so it is measured when
the index is built, and stored with it.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aina_core.disk import files
from aina_core.errors import GalleryError
from aina_core.index import exact
from aina_core.index.principal import FIT_ROWS, sample, spectrum
from aina_core.progress import Progress

_FORMAT = 1
_SEED = 0
_AXES = 96
# An axis is scaled by its variance to this power. Random splits follow the few largest axes, which
# part subjects rather than neighbours; damped, they find more at equal effort. Uncentred axes keep
# inner products best, and those are the similarities; centring them first changed nothing.
_DAMPING = -0.2
_LEAST_VARIANCE = 1e-6  # relative to the largest: damping must not raise rounding to a signal
_BLOCK_ROWS = 4096
_SAMPLE_ROWS = 200
_TARGET = 0.99
_K = 10
_FIRST_CANDIDATES = 40
_ROWS_PER_PROPOSAL = 5  # a proposal costs about as much time as comparing so many rows


class Proposer(Protocol):
    """An open native index over reduced rows."""

    def propose(self, query: np.ndarray, wanted: int) -> Sequence[int] | np.ndarray:
        """Propose about `wanted` different rows for a reduced query (axes,) float32."""
        ...


class Backend(Protocol):
    """A library of nearest neighbours.

    Attributes:
        kind: the index's kind.
        package: the library's name on PyPI, and in Python; its version is part of an index's
            identity.
        settings: its parameters, JSON values.
    """

    kind: str
    package: str
    settings: dict[str, int]

    def build(
        self, blocks: Iterable[np.ndarray], count: int, dim: int, path: Path, seed: int
    ) -> None:
        """Write an index of `count` rows, given in blocks (b, dim) float32, to `path`."""
        ...

    def open(self, path: Path, count: int, dim: int) -> Proposer:
        """Open what `build` wrote; the file has been verified."""
        ...


class ReducedIndex:
    """Candidates proposed by a native index, decided by the full vectors.

    Where proposing would cost more than comparing, as with few rows, few of them allowed or many
    neighbours wanted, the search is exact.

    Args:
        kind: the index's kind.
        vectors: (n, dim) float32, unit rows.
        axes: (dim, a) float32, from rows to reduced rows.
        proposer: over the reduced rows; None when every search is exact.
        candidates: how many it is asked for when up to 11 neighbours are wanted of all rows: ten,
            and the query itself.
        recall_at_10: measured; see `Index`.
    """

    def __init__(
        self,
        kind: str,
        vectors: np.ndarray,
        axes: np.ndarray,
        proposer: Proposer | None,
        candidates: int,
        recall_at_10: float,
    ) -> None:
        self.kind = kind
        self.recall_at_10 = recall_at_10
        self._vectors = vectors
        self._axes = axes
        self._proposer = proposer
        self.candidates = candidates

    def search(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None, effort: float = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        queries = exact.check_search(self._vectors, queries, k, allowed)
        count = len(self._vectors)
        eligible = count if allowed is None else int(np.count_nonzero(allowed))
        k = min(k, eligible)
        wanted = max(k, math.ceil(self._wanted(k, eligible) * effort))
        if self._proposer is None or wanted * _ROWS_PER_PROPOSAL >= eligible:
            return exact.search(self._vectors, queries, k, allowed)
        rows = np.empty((len(queries), k), np.int64)
        near = np.empty((len(queries), k), np.float32)
        for i, reduced in enumerate(queries @ self._axes):  # (a,)
            candidates = np.asarray(self._proposer.propose(reduced, wanted), np.int64)
            if allowed is not None:
                candidates = candidates[allowed[candidates]]
            if len(candidates) < k:
                found = exact.search(self._vectors, queries[i : i + 1], k, allowed)
                rows[i], near[i] = found[0][0], found[1][0]
            else:
                rows[i], near[i] = exact.nearest(self._vectors, candidates, queries[i], k)
        return rows, near

    def _wanted(self, k: int, eligible: int) -> int:
        """How many proposals are needed to leave enough, in proportion to k, after the mask."""
        if eligible == 0:
            return 0
        share = eligible / len(self._vectors)
        return math.ceil(self.candidates * max(1.0, k / (_K + 1)) / share)


def identify(backend: Backend, shape: tuple[int, ...], checksum: str) -> dict[str, Any]:
    """Return the identity of an index that serves vectors (n, dim) of a checksum."""
    count, dim = shape
    try:
        version = importlib.metadata.version(backend.package)
    except importlib.metadata.PackageNotFoundError:
        version = "none installed"
    return {
        "format": _FORMAT,
        "kind": backend.kind,
        "checksum": checksum,
        "count": count,
        "dim": dim,
        "metric": "cosine",
        "seed": _SEED,
        "settings": {**backend.settings, "axes": _AXES, "damping": _DAMPING},
        "versions": {backend.package: version},
        "names": list(_names(backend.kind)) if _needs_proposals(count) else [],
    }


def load(backend: Backend, vectors: np.ndarray, folder: Path) -> ReducedIndex:
    """Open a stored index in which `files.find_problem` found no problem."""
    vectors = np.asarray(vectors)
    manifest = files.read_manifest(folder, backend.kind)
    axes, proposer = _open_files(backend, vectors, folder)
    measured = manifest["candidates"], manifest["recall_at_10"]
    return ReducedIndex(backend.kind, vectors, axes, proposer, *measured)


def build(
    backend: Backend,
    vectors: np.ndarray,
    folder: Path,
    identity: dict[str, Any],
    progress: Progress | None,
) -> ReducedIndex:
    """Build and store an index, and find the number of candidates it needs.

    Raises:
        GalleryError: the folder cannot be written to.
    """
    vectors = np.asarray(vectors)
    report = progress or (lambda phase, done, total: None)
    try:
        with files.writing(folder, identity) as (aside, measured):
            if identity["names"]:
                _write_files(backend, vectors, aside, report)
            index = _tune(backend.kind, vectors, *_open_files(backend, vectors, aside), report)
            measured.update(candidates=index.candidates, recall_at_10=index.recall_at_10)
    except OSError as error:
        raise GalleryError(
            f"The {backend.kind} index cannot be written to {folder}: {error}"
        ) from error
    return index


def damped_axes(vectors: np.ndarray) -> np.ndarray:
    """Fit the damped principal axes, uncentred, on a sample of the rows.

    Args:
        vectors: (n, dim) float32.

    Returns:
        (dim, a) float32, where a is 96, or dim if that is less.
    """
    count, dim = vectors.shape
    variances, directions = spectrum(vectors, sample(count, FIT_ROWS, _SEED))  # ascending
    kept = slice(None, -min(_AXES, dim) - 1, -1)
    variance = np.maximum(variances[kept], variances[-1] * _LEAST_VARIANCE)
    scale = (variance / variances[-1]) ** _DAMPING  # (a,)
    return np.ascontiguousarray(directions[:, kept] * scale, np.float32)


def _names(kind: str) -> tuple[str, str]:
    """The files of an index: the native one and the axes."""
    return f"{kind}.index", f"{kind}.axes.npy"


def _needs_proposals(count: int) -> bool:
    """A gallery so small that every search is exact stores only a manifest."""
    return count > _FIRST_CANDIDATES * _ROWS_PER_PROPOSAL


def _write_files(backend: Backend, vectors: np.ndarray, aside: Path, report: Progress) -> None:
    native, axes_name = (aside / name for name in _names(backend.kind))
    report("axes", 0, 1)
    axes = damped_axes(vectors)
    report("axes", 1, 1)
    np.save(axes_name, axes, allow_pickle=False)
    blocks = _reduced(vectors, axes, report)
    backend.build(blocks, len(vectors), axes.shape[1], native, _SEED)


def _reduced(vectors: np.ndarray, axes: np.ndarray, report: Progress) -> Iterator[np.ndarray]:
    """Yield the reduced rows in blocks (b, a) float32."""
    count = len(vectors)
    for start in range(0, count, _BLOCK_ROWS):
        yield vectors[start : start + _BLOCK_ROWS] @ axes
        report("rows", min(start + _BLOCK_ROWS, count), count)


def _open_files(
    backend: Backend, vectors: np.ndarray, folder: Path
) -> tuple[np.ndarray, Proposer | None]:
    count, dim = vectors.shape
    if not _needs_proposals(count):
        return np.empty((dim, 0), np.float32), None
    native, axes_name = (folder / name for name in _names(backend.kind))
    axes = np.load(axes_name, allow_pickle=False)
    return axes, backend.open(native, count, axes.shape[1])


def _tune(
    kind: str, vectors: np.ndarray, axes: np.ndarray, proposer: Proposer | None, report: Progress
) -> ReducedIndex:
    """Increase the candidates by half until index recall@10 reaches the target.

    That ends: with enough candidates the search is exact.
    """
    index = ReducedIndex(kind, vectors, axes, proposer, _FIRST_CANDIDATES, 1.0)
    if proposer is None:
        return index
    rows = sample(len(vectors), _SAMPLE_ROWS, _SEED)
    queries = vectors[rows]
    truth = exact.search(vectors, queries, _K + 1)
    while True:
        report("recall", 0, 1)
        index.recall_at_10 = _recall(rows, truth, index.search(queries, _K + 1))
        report("recall", 1, 1)
        if index.recall_at_10 >= _TARGET:
            return index
        index.candidates += index.candidates // 2


def _recall(
    own: np.ndarray,
    truth: tuple[np.ndarray, np.ndarray],
    found: tuple[np.ndarray, np.ndarray],
) -> float:
    """Mean share of found rows that are as near as the exact tenth; each query's own row left out.

    By similarity, so that any of several equal rows is a hit.
    """
    hits = 0
    for row, *pairs in zip(own, *truth, *found, strict=True):
        exact_rows, exact_near, found_rows, found_near = pairs
        tenth = exact_near[exact_rows != row][_K - 1]
        hits += int((found_near[found_rows != row][:_K] >= tenth - 1e-6).sum())
    return hits / (_K * len(own))
