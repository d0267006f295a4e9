"""Quality of lists of neighbours: precision, recall, F1, average precision, R-precision.

Every function takes `relevant`, bool (q, K): for each of q queries, whether the hit at rank 1 … K
is relevant, the query itself left out. A list may be shorter than k, when there is nothing more to
find; the missing ranks count as not relevant. Where a figure needs it, `totals`, int (q,), is how
many relevant images there are in all, at least 1 for each query. All return float64 (q,), one
number a query, so that means, intervals and tests are over queries.
"""

from __future__ import annotations

import numpy as np


def precision(relevant: np.ndarray, k: int) -> np.ndarray:
    """Return precision@k: relevant hits among the first k, divided by k.

    P@k = Σ_{i ≤ k} rel_i / k
    """
    return relevant[:, :k].sum(axis=1) / k


def recall(relevant: np.ndarray, totals: np.ndarray, k: int) -> np.ndarray:
    """Return recall@k: relevant hits among the first k, divided by all that are relevant.

    R@k = Σ_{i ≤ k} rel_i / total
    """
    return relevant[:, :k].sum(axis=1) / totals


def f1(relevant: np.ndarray, totals: np.ndarray, k: int) -> np.ndarray:
    """Return F1@k, the harmonic mean of a query's precision@k and recall@k; 0 where both are 0.

    F1@k = 2 · P@k · R@k / (P@k + R@k) = 2 · hits / (k + total)
    """
    return 2 * relevant[:, :k].sum(axis=1) / (k + np.asarray(totals))


def average_precision(relevant: np.ndarray, k: int) -> np.ndarray:
    """Return AP@k: the mean of precision@i over the ranks i ≤ k that hold a relevant image.

    AP@k = Σ_{i ≤ k} rel_i · P@i / Σ_{i ≤ k} rel_i, and 0 where no rank does.

    The denominator is the number of relevant hits among the first k, not the number of relevant
    images in all, nor min(k, total): AP@k says how early the hits come; how many are missed is left
    to recall@k. The mean of AP@k over all queries is MAP@k. (torchmetrics' `RetrievalMAP` with
    `top_k` divides likewise.)
    """
    first = relevant[:, :k]
    hits = first.sum(axis=1)
    at = np.arange(1, first.shape[1] + 1)
    precisions = np.where(first, first.cumsum(axis=1) / at, 0.0)  # (q, k)
    return precisions.sum(axis=1) / np.maximum(hits, 1)


def r_precision(hits: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return R-precision: precision@R, where R is how many images are relevant to the query.

    Args:
        hits: int (q,), relevant images among each query's first R; R = `totals`.
        totals: int (q,), at least 1.
    """
    return np.asarray(hits) / np.asarray(totals)


def ideal_hits(totals: np.ndarray, k: int) -> np.ndarray:
    """Return how many of the first k hits can be relevant at best: min(k, total), int (q,)."""
    return np.minimum(k, totals)
