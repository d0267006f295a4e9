"""How far two lists of neighbours agree: how many they share, and at which ranks."""

from __future__ import annotations

import numpy as np

#: How much a rank counts against the one before it in rank-biased overlap.
PERSISTENCE = 0.9

_BLOCK_CELLS = 1 << 22


def overlaps(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare rankings row by row.

    Rank-biased overlap (Webber, Moffat and Zobel, "A similarity measure for indefinite rankings",
    ACM TOIS 28(4), 2010) is the mean of the overlaps X_d / d at every depth d, the depth d weighing
    p^(d − 1). The rankings are cut at depth k, and what lies below is taken to agree as well as
    they do there: the paper's RBO_EXT of two lists of one length (equation 32 with l = s = k),

        RBO = X_k / k · p^k + (1 − p) / p · Σ_{d = 1 … k} X_d / d · p^d

    where X_d counts the images that both have among their first d, and p is 0.9.

    Args:
        left: int (n, k), k ≥ 1: the k nearest of n images by one model, nearest first; no image
            twice in a row.
        right: int (n, k), by the other model.

    Returns:
        How many images each two rows share, int64 (n,) in [0, k]; and their rank-biased overlap,
        float64 (n,) in [0, 1], where 1 means the same images at the same ranks.
    """
    count, k = left.shape
    shared, overlap = np.empty(count, np.int64), np.empty(count)
    depths = np.arange(1, k + 1)
    weights = PERSISTENCE**depths * (1 - PERSISTENCE) / PERSISTENCE / depths
    weights[-1] += PERSISTENCE**k / k
    step = max(1, _BLOCK_CELLS // (k * k))
    for start in range(0, count, step):
        block = slice(start, start + step)
        equal = left[block, :, None] == right[block, None, :]  # (b, k, k)
        # an image counts from the depth on at which both lists have it
        from_depth = np.maximum(depths[:, None], depths) * equal
        at = from_depth.max(axis=2)  # (b, k), 0 where the other list has it nowhere
        common = ((at[:, :, None] <= depths) & (at > 0)[:, :, None]).sum(axis=1)  # X_d: (b, k)
        shared[block], overlap[block] = common[:, -1], common @ weights
    # sums differ in their last bits with the block they are in; equal rankings must be equal
    return shared, overlap.clip(0, 1).round(12)


def shared_by_all(lists: np.ndarray) -> np.ndarray:
    """Count the images that every list has.

    Args:
        lists: int (m, n, k), m ≥ 1: the k nearest of n images by each of m models.

    Returns:
        int64 (n,) in [0, k].
    """
    _, count, k = lists.shape
    shared = np.empty(count, np.int64)
    step = max(1, _BLOCK_CELLS // (k * k))
    for start in range(0, count, step):
        block = slice(start, start + step)
        first = lists[0, block]  # (b, k)
        everywhere = np.ones(first.shape, bool)
        for other in lists[1:, block]:
            everywhere &= (first[:, :, None] == other[:, None, :]).any(axis=2)
        shared[block] = everywhere.sum(axis=1)
    return shared
