"""How well similarities separate pairs that belong together from pairs that do not."""

from __future__ import annotations

import numpy as np

#: Up to so many pairs of different queries are all taken; of more, so many are drawn.
MOST_PAIRS = 10_000


def placements(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Return for each positive the share of negatives below it, ties counted half.

    V(p) = (#{n < p} + #{n = p} / 2) / #n

    The area under the ROC curve is the mean of these components: one figure in [0, 1] for each
    positive, by which two models can be compared pair by pair.

    Args:
        positive: numbers of any shape.
        negative: (b,) numbers, at least one.

    Returns:
        float64, of the shape of `positive`.

    Source: DeLong, DeLong, Clarke-Pearson: Comparing the areas under two or more correlated
    receiver operating characteristic curves, Biometrics 44 (1988).
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return (below + not_above) / (2 * len(ordered))


def roc_auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the area under the ROC curve: the chance that a positive is above a negative.

    AUC = P(p > n) + P(p = n) / 2 over all pairs of a positive p and a negative n; 0.5 is chance,
    1 separates perfectly, 0 in the wrong direction.

    Args:
        positive: numbers of any shape, at least one.
        negative: (b,) numbers, at least one.

    Source: Hanley, McNeil: The meaning and use of the area under a ROC curve, Radiology 143 (1982).
    """
    return float(placements(positive, negative).mean())


def draw_pairs(count: int, seed: int, *, ordered: bool, most: int = MOST_PAIRS) -> np.ndarray:
    """Return pairs of two different queries, each once, int64 (p, 2); the same for the same seed.

    Args:
        count: how many queries, at least 2.
        seed: of the draw, where there are more than `most`.
        ordered: whether (i, j) and (j, i) are two pairs; else i < j.
        most: how many are drawn at most.
    """
    total = count * (count - 1) if ordered else count * (count - 1) // 2
    if total <= most:
        grid = np.argwhere(~np.eye(count, dtype=bool))
        return grid if ordered else grid[grid[:, 0] < grid[:, 1]]
    rng = np.random.default_rng(seed)
    codes = rng.choice(total, most, replace=False, shuffle=False) if total < 1 << 24 else None
    if codes is None:  # so many that a repetition is rare: draw until there are enough
        codes = np.unique(rng.integers(total, size=most + most // 8))
        codes = rng.permutation(codes)[:most]
    codes = np.sort(codes)
    if ordered:
        first, second = codes // (count - 1), codes % (count - 1)
        return np.stack([first, second + (second >= first)], axis=1)
    # the pairs (0, 1), (0, 2), (1, 2), (0, 3) … by number: j(j − 1)/2 + i
    high = ((1 + np.sqrt(1 + 8.0 * codes)) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > codes
    high += high * (high + 1) // 2 <= codes
    return np.stack([codes - high * (high - 1) // 2, high], axis=1)
