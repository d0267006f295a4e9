"""Exact search, and the one function by which every index computes similarities."""

from __future__ import annotations

import numpy as np

from aina_core.errors import InputError
from aina_core.index.matmul import product

_BLOCK_BYTES = 256 << 20
# Scores of a matrix product differ in the last bits from `similarities`; rows nearer to the k-th
# than this are compared again. Worst seen for unit rows: 4e-7.
_MARGIN = np.float32(1e-5)
_UNIT = 1e-3  # how far a query's squared length may be from 1


class ExactIndex:
    """Compares a query with every row; stores nothing."""

    kind = "exact"
    recall_at_10 = 1.0

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = np.asarray(vectors)  # the plain array under a memmap, which slices faster

    def search(
        self, queries: np.ndarray, k: int, *, allowed: np.ndarray | None = None, effort: float = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        queries = check_search(self._vectors, queries, k, allowed)
        return search(self._vectors, queries, k, allowed)


def check_search(
    vectors: np.ndarray, queries: np.ndarray, k: int, allowed: np.ndarray | None
) -> np.ndarray:
    """Check the arguments of a search, and return the queries as float32.

    Raises:
        InputError: it cannot; see `Index.search`.
    """
    count, dim = vectors.shape
    queries = np.asarray(queries)
    if queries.ndim != 2 or queries.shape[1] != dim or queries.dtype.kind != "f":
        raise InputError(
            f"Queries of shape {queries.shape} and type {queries.dtype} were given; "
            f"rows of {dim} float32 numbers were expected, embedded by the gallery's own model."
        )
    queries = np.ascontiguousarray(queries, np.float32)
    if not (abs(np.vecdot(queries, queries) - 1) < _UNIT).all():  # not so for NaN either
        raise InputError(
            "A query was given that is not a finite vector of unit length; normalise it first."
        )
    if k < 1:
        raise InputError(f"{k} neighbours were asked for; ask for at least 1.")
    if allowed is not None and (allowed.shape != (count,) or allowed.dtype != np.bool_):
        raise InputError(
            f"A mask of shape {allowed.shape} and type {allowed.dtype} was given; "
            f"one bool for each of the {count} rows was expected."
        )
    return queries


def search(
    vectors: np.ndarray, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Search exactly; as `Index.search`, with arguments already checked."""
    rows = None if allowed is None else np.flatnonzero(allowed)
    count = len(vectors) if rows is None else len(rows)
    k = min(k, count)
    found = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    if k == 0:
        return found
    step = max(1, _BLOCK_BYTES // (8 * len(vectors)))  # the scores, and their partitioned copy
    for start in range(0, len(queries), step):
        scores = _scores(vectors, queries[start : start + step], rows)  # (step, count)
        cuts = np.partition(scores, count - k, axis=1)[:, count - k] - _MARGIN
        for i, (row_scores, cut) in enumerate(zip(scores, cuts, strict=True), start):
            near = np.flatnonzero(row_scores >= cut)
            candidates = near if rows is None else rows[near]
            found[0][i], found[1][i] = nearest(vectors, candidates, queries[i], k)
    return found


def nearest(
    vectors: np.ndarray, candidates: np.ndarray, query: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the k nearest of some rows, nearest first, equally near ones by row.

    Args:
        vectors: (n, dim) float32, unit rows.
        candidates: (c,) int64, rows without repetition, c >= k.
        query: (dim,) float32, of unit length.
        k: how many.

    Returns:
        Rows (k,) int64 and similarities (k,) float32, descending.
    """
    near = similarities(vectors, candidates, query)
    order = np.lexsort((candidates, -near))[:k]
    return candidates[order], near[order]


def similarities(vectors: np.ndarray, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Compute cosine similarities: a pair's is the same to the last bit in any batch.

    Args:
        vectors: (n, dim) float32, unit rows.
        rows: (c,) int64.
        query: (dim,) float32, of unit length.

    Returns:
        (c,) float32 in [-1, 1].
    """
    result = np.empty(len(rows), np.float32)
    step = _rows_in_a_block(vectors)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        np.vecdot(vectors[rows[block]], query, out=result[block])  # one dot product for each pair
    return result.clip(-1, 1, out=result)


def all_similarities(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Compute `similarities` to every row, without a copy of the rows.

    Args:
        vectors: (n, dim) float32, unit rows; may be a memory map.
        query: (dim,) float32, of unit length.

    Returns:
        (n,) float32 in [-1, 1].
    """
    result = np.empty(len(vectors), np.float32)
    np.vecdot(vectors, query, out=result)
    return result.clip(-1, 1, out=result)


def _scores(vectors: np.ndarray, queries: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """Similarities to within a few bits, (q, n) float32, or (q, len(rows)) of those rows."""
    if rows is None:
        return product(queries, vectors)
    if 4 * len(rows) > len(vectors):  # then gathering costs more than computing all
        return product(queries, vectors)[:, rows]
    scores = np.empty((len(queries), len(rows)), np.float32)
    step = _rows_in_a_block(vectors)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        scores[:, block] = product(queries, vectors[rows[block]])
    return scores


def _rows_in_a_block(vectors: np.ndarray) -> int:
    return max(1, _BLOCK_BYTES // (4 * max(1, vectors.shape[1])))
