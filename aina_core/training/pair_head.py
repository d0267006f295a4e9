"""Held-out pairs, half of which are alike, and how often a head for pairs is right about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core import metrics
from aina_core.metrics import Over, estimates
from aina_core.training.batches import able
from aina_core.training.evaluation import Logits, Rows
from aina_core.training.plan import Plan

_MOST_PARTNERS = 20  # of one query: a label of thousands would have millions of pairs


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of an original that queries, as it is, and a partner.

    Attributes:
        queries: int64 (p,), places of originals.
        places: int64 (p,), of the partners.
        columns: int64 (p,), of their versions.
        alike: bool (p,), half of each query's.
    """

    queries: np.ndarray
    places: np.ndarray
    columns: np.ndarray
    alike: np.ndarray


def held_out_pairs(made: Plan, seed: int) -> Pairs | None:
    """Draw pairs of test originals, alike in the way that was trained on.

    By labels, or groups of a pairs file, alike are two originals of one label, up to 20 partners a
    query, and unlike two of different labels. Else alike are a judged original and each of its
    changed versions, and unlike it and the same kind of version of another.

    Returns:
        The pairs; None where there are none of both.
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


def logits_of(logits: Logits, rows: Rows, pairs: Pairs) -> np.ndarray:
    """Return what a head says of pairs, float32 (p,)."""
    own = rows(pairs.queries, np.zeros_like(pairs.queries))
    return logits(own, rows(pairs.places, pairs.columns))


def pair_accuracy(logits: Logits, rows: Rows, pairs: Pairs, seed: int) -> dict[str, Any]:
    """Return how often a head for pairs is right: the mean over queries of the share of theirs.

    Args:
        logits: the head.
        rows: gives unit rows.
        pairs: what is asked.
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
