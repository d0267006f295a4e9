"""How well embeddings of held-out originals retrieve: before and after, with paired intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from aina_core import metrics
from aina_core.metrics import Over, estimates
from aina_core.numbers import decimal_text, estimate_text
from aina_core.search.pairs import FEWEST
from aina_core.training.batches import able
from aina_core.training.plan import Plan
from aina_core.training.settings import Settings

#: The figures, in the order in which they are shown.
FIGURES = (
    "precision@5",
    "map@5",
    "recovery_precision@1",
    "recovery_precision@3",
    "recovery_precision@5",
    "auc",
)
K = 5
#: The parts of the table: all changes, and, where some are held out, those alone.
ALL, UNSEEN = "all", "unseen"
#: Places of originals and columns of versions → unit rows, float32 (b, dim).
Rows = Callable[[np.ndarray, np.ndarray], np.ndarray]
#: Two matrices of unit rows, float32 (p, dim) → logits of being alike, float32 (p,).
Logits = Callable[[np.ndarray, np.ndarray], np.ndarray]

_KS = (1, 3, 5)
_BLOCK_ROWS = 512
_MOST_PAIRS = 2000  # of different originals, each with all changes: so many negatives suffice


def nearest_others(
    queries: np.ndarray, rows: np.ndarray, own: np.ndarray, k: int, logits: Logits | None = None
) -> np.ndarray:
    """Return the k nearest rows of each query, itself left out, int64 (q, k) or fewer columns.

    Args:
        queries: float32 (q, dim), unit rows.
        rows: float32 (n, dim), unit rows.
        own: int64 (q,), the row of each query.
        k: how many.
        logits: of a head for pairs: the `FEWEST` (or k) nearest by cosine are sorted by it, the
            most likely first; ties stay in the order of the cosine.
    """
    wanted = min(k if logits is None else max(k, FEWEST), len(rows) - 1)
    found = np.empty((len(queries), wanted), np.int64)
    for start in range(0, len(queries), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        similarities = queries[part] @ rows.T  # (b, n)
        similarities[np.arange(len(similarities)), own[part]] = -np.inf
        first = np.argpartition(-similarities, wanted - 1, axis=1)[:, :wanted]
        order = np.argsort(-np.take_along_axis(similarities, first, 1), axis=1, kind="stable")
        found[part] = np.take_along_axis(first, order, 1)
    if logits is not None:
        for place, near in enumerate(found):
            likely = logits(np.repeat(queries[place : place + 1], wanted, axis=0), rows[near])
            found[place] = near[np.argsort(-likely, kind="stable")]
    return found[:, :k]


def label_hits(
    rows: np.ndarray, codes: np.ndarray, asked: np.ndarray, logits: Logits | None = None
) -> np.ndarray:
    """Return whether each of the `K` nearest has the query's label, bool (q, ≤ K).

    Args:
        rows: float32 (n, dim), unit rows of all that are searched.
        codes: int64 (n,), their labels.
        asked: int64 (q,), places of those that query.
        logits: see `nearest_others`.
    """
    found = nearest_others(rows[asked], rows, asked, K, logits)
    relevant: np.ndarray = codes[found] == codes[asked][:, None]
    return relevant


def recovery_hits(versions: np.ndarray, k: int = K, logits: Logits | None = None) -> np.ndarray:
    """Return whether each of the k nearest to an original is a version of it, bool (n, ≤ k).

    All originals and all their versions are searched, the querying original left out.

    Args:
        versions: float32 (n, 1 + c, dim), unit rows; column 0 has the originals.
        k: how many neighbours.
        logits: see `nearest_others`.
    """
    count, each, dim = versions.shape
    rows = versions.reshape(count * each, dim)
    own = np.arange(count) * each
    found = nearest_others(rows[own], rows, own, k, logits)
    relevant: np.ndarray = found // each == np.arange(count)[:, None]
    return relevant


class Judged:
    """The figures of one model on the held-out originals.

    Attributes:
        by_query: for each figure but "auc" its value for each query, float64 (q,).
        positive: float64 (n, c), similarities of originals to their own versions.
        negative: float64 (p, c), similarities to versions of other originals.
        r_precision: float64 (n,), precision@c of the search for the c versions of each original;
            finer than the others where these are near 1. Empty where it does not apply.
        figures: the figures; None for one that does not apply.

    Args:
        rows: gives unit rows.
        made: the plan, whose test originals query.
        changes: the names of those that are judged.
        seed: of the draw of pairs.
        logits: of a head for pairs that ranks the nearest (`nearest_others`); "auc" is then
            computed from them too.
    """

    def __init__(
        self,
        rows: Rows,
        made: Plan,
        changes: Sequence[str],
        seed: int,
        logits: Logits | None = None,
    ) -> None:
        self.by_query: dict[str, np.ndarray] = {}
        self.positive = self.negative = np.empty((0, 0))
        self.pairs = np.empty((0, 2), np.int64)
        self.r_precision = np.empty(0)
        self._logits = logits
        self._labels(rows, made)
        self._versions(rows, made, changes, seed)
        self.figures: dict[str, float | None] = {
            name: estimates.number(float(self.by_query[name].mean()))
            if name in self.by_query
            else None
            for name in FIGURES
        }
        if self.positive.size:
            auc = metrics.roc_auc(self.positive, self.negative.ravel())
            self.figures["auc"] = estimates.number(auc)

    def _labels(self, rows: Rows, made: Plan) -> None:
        places = made.split.test[made.codes[made.split.test] >= 0]
        codes = made.codes[places]
        asked = able(codes)
        if len(asked) >= 2:
            found = rows(places, np.zeros_like(places))
            relevant = label_hits(found, codes, asked, self._logits)
            self.by_query[f"precision@{K}"] = metrics.precision(relevant, K)
            self.by_query[f"map@{K}"] = metrics.average_precision(relevant, K)

    def _versions(self, rows: Rows, made: Plan, changes: Sequence[str], seed: int) -> None:
        columns = np.array([0, *(1 + made.changes.index(change) for change in changes)])
        places = made.judged
        if len(places) < 2 or not len(changes):
            return
        grid = np.repeat(places, len(columns)), np.tile(columns, len(places))
        versions = rows(*grid).reshape(len(places), len(columns), -1)
        relevant = recovery_hits(versions, max(K, len(changes)), self._logits)
        for k in (k for k in _KS if k <= len(changes)):  # of fewer versions no k can be found
            self.by_query[f"recovery_precision@{k}"] = metrics.precision(relevant, k)
        self.r_precision = metrics.precision(relevant, len(changes))
        self.pairs = metrics.draw_pairs(len(places), seed, ordered=True, most=_MOST_PAIRS)
        first, second = self.pairs.T
        own, changed = versions[:, 0], versions[:, 1:]
        self.positive = self._alike(own, changed)
        self.negative = self._alike(own[first], changed[second])

    def _alike(self, own: np.ndarray, changed: np.ndarray) -> np.ndarray:
        """(p, dim) and (p, c, dim) → cosines or logits, float64 (p, c)."""
        if self._logits is None:
            cosines: np.ndarray = np.vecdot(own[:, None], changed).astype(np.float64)
            return cosines
        columns = (self._logits(own, changed[:, n]) for n in range(changed.shape[1]))
        return np.stack(list(columns), axis=1).astype(np.float64)


def validation_score(rows: Rows, made: Plan, logits: Logits | None = None) -> float:
    """Return the retrieval score on validation originals that early stopping goes by.

    Where positives are labels or pairs of a file, it is their mean precision@5 in a search among
    themselves and the training originals; else their mean precision@k in a search for the k changed
    versions of each.

    A head for pairs ranks the nearest (see `nearest_others`), since that is what is trained: over a
    frozen trunk embeddings stay the same, and retrieval by them alone would never change.

    Args:
        rows: gives unit rows.
        made: the plan.
        logits: of a head for pairs; None where there is none.

    Returns:
        In [0, 1]; NaN where a row is not finite.
    """
    if made.by_code:
        places, asked = made.label_queries()
        found = rows(places, np.zeros_like(places))
        if not np.isfinite(found).all():
            return math.nan
        relevant = label_hits(found, made.codes[places], asked, logits)
        return float(metrics.precision(relevant, K).mean())
    places, columns = made.checked, made.check_columns
    grid = np.repeat(places, len(columns)), np.tile(columns, len(places))
    versions = rows(*grid).reshape(len(places), len(columns), -1)
    if not np.isfinite(versions).all():
        return math.nan
    k = len(columns) - 1
    return float(metrics.precision(recovery_hits(versions, k, logits), k).mean())


def compare(before: Judged, after: Judged, seed: int) -> dict[str, list[float] | None]:
    """Return for each figure the interval of after − before, paired over queries.

    Args:
        before: figures of the untrained network or frozen trunk.
        after: figures of the trained one, on the same originals.
        seed: of the bootstrap.
    """
    found: dict[str, list[float] | None] = dict.fromkeys(FIGURES)
    for name, values in before.by_query.items():
        gains = after.by_query[name] - values
        samples = metrics.bootstrap_mean(gains, Over(len(gains)), seed=seed)
        found[name] = estimates.ends(samples)
    if before.positive.size:
        one, other = (
            metrics.bootstrap_auc(judged.positive, judged.negative, judged.pairs, seed=seed)
            for judged in (before, after)
        )
        found["auc"] = estimates.ends(other - one)
    return found


def compare_r_precision(before: Judged, after: Judged, seed: int) -> dict[str, Any] | None:
    """Return {"before", "after", "interval"} of `Judged.r_precision`; None where none applies."""
    if not len(before.r_precision):
        return None
    gains = after.r_precision - before.r_precision
    return {
        "before": estimates.number(float(before.r_precision.mean())),
        "after": estimates.number(float(after.r_precision.mean())),
        "interval": estimates.ends(metrics.bootstrap_mean(gains, Over(len(gains)), seed=seed)),
    }


def gained(before: Judged, after: Judged, seed: int) -> dict[str, Any]:
    """Return {"before", "after", "intervals", "recovery_r_precision"}: a part of the table."""
    return {
        "before": before.figures,
        "after": after.figures,
        "intervals": compare(before, after, seed),
        "recovery_r_precision": compare_r_precision(before, after, seed),
    }


def gains(
    settings: Settings,
    before: Mapping[str, Judged],
    after: Mapping[str, Judged],
    ranked: Mapping[str, Judged],
) -> dict[str, Any]:
    """Return the parts of the table at the end.

    Args:
        settings: of the training.
        before: figures of the untrained network or the frozen trunk, by part.
        after: figures of the trained network's embeddings, by part.
        ranked: figures with neighbours ranked by a head for pairs; empty where there is none.

    Returns:
        A part with {"before", "after", "intervals", "recovery_r_precision"}, with "reranked" and
        "unseen" in it, which are such parts, where they apply.
    """
    parts = {name: gained(judged, after[name], settings.seed) for name, judged in before.items()}
    for name, judged in ranked.items():
        parts[name]["reranked"] = gained(before[name], judged, settings.seed)
    found = parts[ALL]
    if UNSEEN in parts:
        found["unseen"] = {"changes": list(settings.hold_out), **parts[UNSEEN]}
    return found


def table(part: Mapping[str, Any]) -> list[list[str]]:
    """Return the lines of the table at the end: figure, before, after, gain with its interval.

    Args:
        part: with "before", "after" and "intervals" by figure, and "recovery_r_precision".
    """
    lines = [
        _line(name, part["before"][name], part["after"][name], part["intervals"][name])
        for name in FIGURES
        if part["before"][name] is not None
    ]
    whole = part.get("recovery_r_precision")
    if whole is not None:
        name = "recovery_r_precision"
        lines.append(_line(name, whole["before"], whole["after"], whole["interval"]))
    return lines


def _line(name: str, before: float, after: float, interval: Sequence[float]) -> list[str]:
    return [
        name,
        decimal_text(before),
        decimal_text(after),
        f"{estimate_text(after - before, interval)}",
    ]
