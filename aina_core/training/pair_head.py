"""A head for pairs: its logits, their calibration, and its accuracy on held-out pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core import metrics
from aina_core.metrics import Over, estimates
from aina_core.training.batches import able
from aina_core.training.evaluation import Logits, Rows
from aina_core.training.plan import Plan

# Of Newton's method: most steps, the gain a pair at which it ends, and what is added to curvature.
_STEPS, _ENOUGH, _RIDGE = 100, 1e-9, 1e-6
_MOST_PARTNERS = 20  # of one query: a label of thousands would have millions of pairs


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of an unchanged original, the query, and a partner.

    Attributes:
        queries: int64 (p,), places of the originals.
        places: int64 (p,), of the partners' originals.
        columns: int64 (p,), of the partners' versions.
        alike: bool (p,), true for half of the pairs of each query.
    """

    queries: np.ndarray
    places: np.ndarray
    columns: np.ndarray
    alike: np.ndarray


def held_out_pairs(made: Plan, seed: int) -> Pairs | None:
    """Draw pairs of test originals that are alike, or not, in the way that was trained.

    Where positives are labels or pairs of a file, two originals of one label are alike (up to 20
    partners a query), and two of different labels are not. Else a judged original is like each of
    its changed versions, and unlike the same version of another original.

    Returns:
        The pairs; None where there are none of one sort.
    """
    changes = np.arange(1, 1 + len(made.changes))
    return _pairs(made, made.split.test, made.judged, changes, seed)


def validation_pairs(made: Plan, seed: int) -> Pairs | None:
    """Draw such pairs of validation originals, by changes that training may see."""
    return _pairs(made, made.split.validation, made.checked, made.check_columns[1:], seed)


def _pairs(
    made: Plan, labelled: np.ndarray, changed: np.ndarray, columns: np.ndarray, seed: int
) -> Pairs | None:
    rng = np.random.default_rng(seed)
    if made.by_code:
        places = labelled[made.codes[labelled] >= 0]
        return _of_codes(places, made.codes[places], rng)
    return _of_versions(changed, columns, rng)


def _of_codes(places: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Pairs | None:
    queries, partners, alike = [], [], []
    for query in able(codes):
        same = np.setdiff1d(np.flatnonzero(codes == codes[query]), query)
        other = np.flatnonzero(codes != codes[query])
        count = min(len(same), len(other), _MOST_PARTNERS)
        partners += [places[rng.choice(part, count, replace=False)] for part in (same, other)]
        queries.append(np.full(2 * count, places[query]))
        alike.append(np.arange(2 * count) < count)
    if not sum(map(len, queries)):
        return None
    found = np.concatenate(partners)
    return Pairs(np.concatenate(queries), found, np.zeros_like(found), np.concatenate(alike))


def _of_versions(places: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> Pairs | None:
    if len(places) < 2:
        return None
    own, column = np.repeat(np.arange(len(places)), len(columns)), np.tile(columns, len(places))
    others = (own + rng.integers(1, len(places), len(own))) % len(places)
    return Pairs(
        np.tile(places[own], 2),
        places[np.concatenate([own, others])],
        np.tile(column, 2),
        np.repeat([True, False], len(own)),
    )


def head_logits(network: Any, device: str, combine: str) -> Logits:
    """Return the function from pairs to the logits of a network's head, the same in both orders.

    Args:
        network: a torch module with `pair_logits`.
        device: that it is on.
        combine: how its head takes two features, one of `models.encoders.COMBINATIONS`.
    """
    import torch

    def logits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            one, other = (torch.from_numpy(each).to(device) for each in (first, second))
            found = network.pair_logits(one, other)
            if combine == "concat":
                found = (found + network.pair_logits(other, one)) / 2
            result: np.ndarray = found.float().cpu().numpy()
        return result

    return logits


def logits_of(logits: Logits, rows: Rows, pairs: Pairs) -> np.ndarray:
    """Return the logits of pairs, float32 (p,)."""
    own = rows(pairs.queries, np.zeros_like(pairs.queries))
    return logits(own, rows(pairs.places, pairs.columns))


def pair_accuracy(logits: Logits, rows: Rows, pairs: Pairs, seed: int) -> dict[str, Any]:
    """Return the accuracy of a head for pairs: the mean over queries of the share it gets right.

    Args:
        logits: the head.
        rows: gives unit rows.
        pairs: half of which are alike.
        seed: of the bootstrap over queries.

    Returns:
        {"accuracy", "interval", "n"}, the last the number of pairs.
    """
    right = (logits_of(logits, rows, pairs) >= 0) == pairs.alike
    _, inverse, counts = np.unique(pairs.queries, return_inverse=True, return_counts=True)
    shares = np.bincount(inverse, right) / counts
    samples = metrics.bootstrap_mean(shares, Over(len(shares)), seed=seed)
    return {
        "accuracy": estimates.number(float(shares.mean())),
        "interval": estimates.ends(samples),
        "n": right.size,
    }


def platt(logits: np.ndarray, alike: np.ndarray) -> tuple[float, float] | None:
    """Return the slope and offset with which the sigmoid of the logits fits what is alike.

    They minimise the cross-entropy of sigmoid(slope · logit + offset), by Newton's method, with
    targets that are not quite 0 and 1.

    Platt: Probabilistic outputs for support vector machines (1999); Lin, Lin, Weng: A note on
    Platt's probabilistic outputs (2007).

    Args:
        logits: (p,).
        alike: bool (p,).

    Returns:
        The slope, above 0, so that the order stays, and the offset; None where there is no such
        minimum: all pairs are of one sort, or the logits do not tell them apart.
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
    """Calibrate the last layer of a head for pairs on pairs that it was not trained on.

    Early stopping goes by the order of neighbours alone, and may choose an epoch whose logits all
    lie on one side of 0. Calibration keeps the order.

    Args:
        head: a torch module whose last layer is linear, to one number.
        logits: its logits of the pairs, (p,).
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
