"""Probabilities that mean what they say: two numbers fitted to the logits of a head for pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

_STEPS = 100
_ENOUGH = 1e-9
_RIDGE = 1e-6


def platt(logits: np.ndarray, alike: np.ndarray) -> tuple[float, float] | None:
    """Return a slope and an offset under which the sigmoid of logits fits what was alike.

    The minimum of the cross-entropy of sigmoid(slope · logit + offset), by Newton's method, its
    targets not quite 0 and 1. Platt: Probabilistic outputs for support vector machines (1999); Lin,
    Lin, Weng: A note on Platt's probabilistic outputs (2007).

    Args:
        logits: (p,).
        alike: bool (p,).

    Returns:
        The slope, above 0, so that no order changes, and the offset; None where there is no such
        minimum: pairs of one sort alone, or logits that say nothing of them.
    """
    x, count = np.asarray(logits, np.float64), int(alike.sum())
    if not 0 < count < len(alike) or not np.isfinite(x).all():
        return None
    targets = np.where(alike, (count + 1) / (count + 2), 1 / (len(alike) - count + 2))
    middle, scale = float(x.mean()), max(float(x.std()), 1e-12)
    design = np.stack([(x - middle) / scale, np.ones_like(x)], axis=1)  # (p, 2)
    found = np.zeros(2)
    value = _entropy(design @ found, targets)
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-design @ found))
        slope = design.T @ (chances - targets)
        curvature = (design.T * (chances * (1 - chances))) @ design + _RIDGE * np.eye(2)
        step, size = np.linalg.solve(curvature, slope), 1.0
        while (better := _entropy(design @ (found - size * step), targets)) > value:
            size /= 2
            if size < _ENOUGH:
                break
        if value - better < _ENOUGH * len(x):
            break
        found, value = found - size * step, better
    gain = float(found[0]) / scale
    return (gain, float(found[1]) - gain * middle) if gain > 0 else None


def _entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Σ of log(1 + e^logit) − target · logit."""
    return float((np.logaddexp(0, logits) - targets * logits).sum())


def calibrate(head: Any, logits: np.ndarray, alike: np.ndarray) -> None:
    """Fit the last layer of a head for pairs to pairs that it was not trained on.

    Early stopping looks at the order of neighbours alone, and may keep an epoch whose order is good
    and whose logits lie all on one side of 0. The order stays as it is.

    Args:
        head: a torch module whose last layer is linear, to one number.
        logits: what it says of the pairs, (p,).
        alike: bool (p,).
    """
    import torch

    fitted = platt(logits, alike)
    if fitted is None:
        return
    slope, offset = fitted
    with torch.no_grad():
        head[-1].weight.mul_(slope)
        head[-1].bias.mul_(slope).add_(offset)
