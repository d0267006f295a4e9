"""How well similarities tell pairs that belong together from pairs that do not."""

from __future__ import annotations

import numpy as np


def placements(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Return for each positive the share of negatives below it, ties counted half.

    V(p) = (#{n < p} + #{n = p} / 2) / #n

    These are the components of which the area under the ROC curve is the mean: one figure for each
    positive, in [0, 1], by which two models can be compared pair by pair.

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

    AUC = P(p > n) + P(p = n) / 2 over all pairs of a positive p and a negative n; 0.5 says nothing,
    1 separates, 0 separates the wrong way round.

    Args:
        positive: numbers of any shape, at least one.
        negative: (b,) numbers, at least one.

    Source: Hanley, McNeil: The meaning and use of the area under a ROC curve, Radiology 143 (1982).
    """
    return float(placements(positive, negative).mean())
