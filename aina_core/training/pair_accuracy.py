"""How often a head for pairs is right about held-out pairs, half of which are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core import metrics
from aina_core.metrics import Over
from aina_core.studies import estimates
from aina_core.training.batches import able
from aina_core.training.evaluation import Logits, Rows
from aina_core.training.material import Plan

_MOST_PARTNERS = 20  # of one query: a label of thousands would have millions of pairs


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Pairs of a querying original, as it is, and a partner.

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


def held_out_pairs(made: Plan, seed: int) -> HeldOut | None:
    """Draw pairs of test originals, alike in the way that was trained on.

    By labels, or groups of a pairs file, alike are two originals of one label, up to 20 partners a
    query, and unlike two of different labels. Else alike are a judged original and each of its
    changed versions, and unlike it and the same kind of version of another.

    Returns:
        The pairs; None where there are none of both.
    """
    rng = np.random.default_rng(seed)
    return _of_codes(made, rng) if made.by_code else _of_versions(made, rng)


def _of_codes(made: Plan, rng: np.random.Generator) -> HeldOut | None:
    places = made.split.test[made.codes[made.split.test] >= 0]
    codes = made.codes[places]
    queries, partners, alike = [], [], []
    for query in able(codes):
        same = np.setdiff1d(np.flatnonzero(codes == codes[query]), query)
        other = np.flatnonzero(codes != codes[query])
        count = min(len(same), len(other), _MOST_PARTNERS)
        drawn = [places[rng.choice(part, count, replace=False)] for part in (same, other)]
        queries.append(np.full(2 * count, places[query]))
        partners += drawn
        alike.append(np.arange(2 * count) < count)
    if not sum(map(len, queries)):
        return None
    found = np.concatenate(partners)
    return HeldOut(np.concatenate(queries), found, np.zeros_like(found), np.concatenate(alike))


def _of_versions(made: Plan, rng: np.random.Generator) -> HeldOut | None:
    places, columns = made.judged, np.arange(1, 1 + len(made.changes))
    if len(places) < 2:
        return None
    own, column = np.repeat(np.arange(len(places)), len(columns)), np.tile(columns, len(places))
    others = (own + rng.integers(1, len(places), len(own))) % len(places)
    return HeldOut(
        np.tile(places[own], 2),
        places[np.concatenate([own, others])],
        np.tile(column, 2),
        np.repeat([True, False], len(own)),
    )


def pair_accuracy(logits: Logits, rows: Rows, pairs: HeldOut, seed: int) -> dict[str, Any]:
    """Return how often a head for pairs is right: the mean over queries of the share of theirs.

    Args:
        logits: the head.
        rows: gives unit rows.
        pairs: what is asked.
        seed: of the bootstrap over queries.

    Returns:
        {"accuracy", "interval", "n"}, the last the number of pairs.
    """
    own = rows(pairs.queries, np.zeros_like(pairs.queries))
    right = (logits(own, rows(pairs.places, pairs.columns)) >= 0) == pairs.alike
    _, inverse, counts = np.unique(pairs.queries, return_inverse=True, return_counts=True)
    shares = np.bincount(inverse, right) / counts
    samples = metrics.bootstrap_mean(shares, Over(len(shares)), seed=seed)
    return {
        "accuracy": estimates.number(float(shares.mean())),
        "interval": estimates.ends(samples),
        "n": right.size,
    }
