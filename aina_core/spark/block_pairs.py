"""Rows of two blocks held against each other: the work of one task of a join, without Spark.

A product of matrices proposes, and `pair_similarities` decides, as in a gallery: so a pair has the
same similarity to the last bit whatever block it is found in, and ties fall as they do there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aina_core.duplicates.indexed import too_many
from aina_core.duplicates.pairs import pair_similarities
from aina_core.index import Index
from aina_core.index.matmul import reaching

#: So many proposals wait to be decided, or a tile's worth more: 80 MB of them.
MOST_WAITING = 4_000_000
# A tile of scores stays in the processor's cache while it is looked through.
_LEFT, _RIGHT = 1024, 4096
# Products of matrices differ in the last bits from the similarities that count; see index/exact.py.
_MARGIN = 1e-5
_FIRST_K = 8


@dataclass(frozen=True, eq=False)
class Found:
    """The k nearest of each of m rows, nearest first, equally near ones by number.

    Attributes:
        numbers: int64 (m, k), −1 where there are fewer.
        near: float32 (m, k), descending, −inf where there are fewer.
    """

    numbers: np.ndarray
    near: np.ndarray

    @classmethod
    def nothing(cls, count: int, k: int) -> Found:
        """An empty set of neighbours."""
        return cls(np.full((count, k), -1, np.int64), np.full((count, k), -np.inf, np.float32))

    def merged(self, own: np.ndarray, others: np.ndarray, near: np.ndarray) -> Found:
        """Merge with the neighbours from disjoint rows.

        Args:
            own: int64 (p,), places of rows.
            others: int64 (p,), numbers of what they are near to.
            near: float32 (p,).
        """
        count, k = self.numbers.shape
        known = self.numbers >= 0
        rows = np.concatenate([np.nonzero(known)[0], own])
        numbers = np.concatenate([self.numbers[known], others])
        nears = np.concatenate([self.near[known], near])
        order = np.lexsort((numbers, -nears, rows))
        rows = rows[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)  # within its row
        first = rank < k
        kept, rows, rank = order[first], rows[first], rank[first]
        found = Found.nothing(count, k)
        found.numbers[rows, rank], found.near[rows, rank] = numbers[kept], nears[kept]
        return found

    def with_part(self, start: int, part: Found) -> Found:
        """Return the nearest of these and of those that a part of the rows has found elsewhere."""
        own, places = np.nonzero(part.numbers >= 0)
        return self.merged(own + start, part.numbers[own, places], part.near[own, places])


class _Side:
    """One block's rows, which gather what is near to them tile by tile.

    Of every tile those are kept that are as near as the k-th by all scores so far; they are decided
    at the end, or when too many wait, as they do where thousands of rows are equal.
    """

    def __init__(self, vectors: np.ndarray, others: np.ndarray, first: int, k: int) -> None:
        self._vectors, self._others, self._first, self._k = vectors, others, first, k
        self._top = np.full((len(vectors), k), -np.inf, np.float32)
        self._waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._count = 0
        self._found = Found.nothing(len(vectors), k)

    def take(self, scores: np.ndarray, axis: int, row: int, column: int) -> None:
        """Process a tile of scores.

        Args:
            scores: float32; −inf is nothing.
            axis: along which the own rows lie; along the other lie the other block's.
            row: the first of the own rows.
            column: the first of the others.
        """
        top = self._top[row : row + scores.shape[axis]]
        begun = not np.isneginf(top[:, 0]).any()
        if not begun:  # fewer than k have been seen
            _raise(top, scores if axis == 0 else np.ascontiguousarray(scores.T))
        places = np.flatnonzero(scores >= np.expand_dims(_cut(top), 1 - axis))
        both = np.divmod(places, scores.shape[1])
        own, others, near = both[axis], both[1 - axis], scores.reshape(-1)[places]
        if begun:
            _raise_some(top, own, near)
            still = near >= _cut(top)[own]
            own, others, near = own[still], others[still], near[still]
        self._waiting.append((own + row, others + column, near))
        self._count += len(own)
        if self._count > MOST_WAITING:
            self._decide()

    def found(self) -> Found:
        """Return the nearest."""
        self._decide()
        return self._found

    def _decide(self) -> None:
        if not self._waiting:
            return
        own, others, scores = (np.concatenate(part) for part in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        still = scores >= _cut(self._top)[own]
        own, others = own[still], others[still]
        near = pair_similarities(self._vectors, own, others, self._others)
        self._found = self._found.merged(own, others + self._first, near)


def _cut(top: np.ndarray) -> np.ndarray:
    """Rows are considered from this score on, (m,): the k-th best, first in `top`, less a bit."""
    return np.maximum(top[:, 0] - np.float32(_MARGIN), np.finfo(np.float32).min)


def _raise(top: np.ndarray, scores: np.ndarray) -> None:
    """Put the k best of what is in `top` (m, k) and of scores (m, c) into `top`, the k-th first."""
    k = top.shape[1]
    both = np.concatenate([top, scores], axis=1)
    both.partition(both.shape[1] - k, axis=1)
    top[:] = both[:, -k:]


def _raise_some(top: np.ndarray, own: np.ndarray, near: np.ndarray) -> None:
    """As `_raise`, of single scores (p,) and the rows that they are of (p,)."""
    if not len(own):
        return
    order = np.argsort(own, kind="stable")
    own, near = own[order], near[order]
    rank = np.arange(len(own)) - np.searchsorted(own, own)
    rows = own[rank == 0]
    scores = np.full((len(rows), rank.max() + 1), -np.inf, np.float32)
    scores[np.cumsum(rank == 0) - 1, rank] = near
    raised = top[rows]
    _raise(raised, scores)
    top[rows] = raised


def nearest_between(
    left: np.ndarray, right: np.ndarray, firsts: tuple[int, int], k: int
) -> tuple[Found, Found]:
    """Find the k nearest in `right` of each row of `left`, and the other way round.

    Beside the blocks it takes a tile of scores and at most `MOST_WAITING` proposals.

    Args:
        left: float32 (m, dim), unit rows.
        right: float32 (n, dim), unit rows.
        firsts: the numbers of both blocks' first rows.
        k: how many.
    """
    one, other = _Side(left, right, firsts[1], k), _Side(right, left, firsts[0], k)
    for top, start, scores in _tiles(left, right):
        one.take(scores, 0, top, start)
        other.take(scores, 1, start, top)
    return one.found(), other.found()


def nearest_within(block: np.ndarray, first: int, k: int) -> Found:
    """Find the k nearest of each row in its own block, itself left out; as `nearest_between`."""
    side = _Side(block, block, first, k)
    for top, start, scores in _tiles(block, block):
        own = np.arange(max(top, start), min(top + len(scores), start + scores.shape[1]))
        scores[own - top, own - start] = -np.inf
        side.take(scores, 0, top, start)
    return side.found()


def nearest_among(queries: np.ndarray, block: np.ndarray, first: int, k: int) -> Found:
    """Find the k nearest rows of a block for queries; one that is among them finds itself too."""
    side = _Side(queries, block, first, k)
    for top, start, scores in _tiles(queries, block):
        side.take(scores, 0, top, start)
    return side.found()


def _tiles(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    for top in range(0, len(left), _LEFT):
        for start in range(0, len(right), _RIGHT):
            yield top, start, left[top : top + _LEFT] @ right[start : start + _RIGHT].T


def pairs_between(
    left: np.ndarray, right: np.ndarray | None, threshold: float, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs of rows of two blocks that reach a threshold.

    Args:
        left: float32 (m, dim), unit rows.
        right: float32 (n, dim), unit rows; None for the pairs within `left`, each once.
        threshold: the least cosine.
        most: more pairs than so many are absurd.

    Returns:
        Places in `left` and `right`, int64 (p,) each, and similarities float32 (p,).

    Raises:
        InputError: there are more.
    """
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    kept, count = [none], 0
    other = left if right is None else right
    for top in range(0, len(left), _LEFT):
        for start in range(top if right is None else 0, len(other), _RIGHT):
            part = left[top : top + _LEFT], other[start : start + _RIGHT]
            first, second = reaching(*part, threshold - _MARGIN)
            first, second = first + top, second + start
            if right is None:
                above = first < second
                first, second = first[above], second[above]
            near = pair_similarities(left, first, second, other)
            there = near >= np.float32(threshold)
            kept.append((first[there], second[there], near[there]))
            count += int(there.sum())
            if count > most:
                raise too_many(threshold, most)
    first, second, near = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return first, second, near


def pairs_by_index(
    index: Index, queries: np.ndarray, threshold: float, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the rows of an index that reach a threshold: more are asked for until one does not.

    Args:
        index: over some rows.
        queries: float32 (q, dim), unit rows; one that is in the index finds itself too.
        threshold: the least cosine.
        most: more pairs than so many are absurd.

    Returns:
        Places in the queries and rows of the index, int64 (p,) each, and similarities float32 (p,).

    Raises:
        InputError: there are more.
    """
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    kept, own, k = [none], np.arange(len(queries)), _FIRST_K
    while len(own):
        if len(own) * (k // 4) > most:  # so many each has, from the round before
            raise too_many(threshold, most)
        others, near = index.search(queries[own], k)
        through = (near[:, -1] < np.float32(threshold)) | (others.shape[1] < k)
        rows, places = np.nonzero((near >= np.float32(threshold)) & through[:, None])
        kept.append((own[rows], others[rows, places], near[rows, places]))
        own, k = own[~through], 4 * k
    first, second, found = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return first, second, found
