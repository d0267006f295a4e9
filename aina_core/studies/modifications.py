"""The study of modifications: how similar an image stays to itself when it is changed.

A raw cosine says little: under some models any two images are at .98. So beside it stand the
baseline, similarities of random pairs of different originals, and the separation: the area under
the ROC curve of pairs of one original (the original, a version of it) against pairs of different
originals made the same way (an original, the same kind of version of another).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aina_core import metrics
from aina_core.changes.originals import Original
from aina_core.changes.versions import Versions, shared_originals
from aina_core.metrics import Over, estimates
from aina_core.metrics.separation import draw_pairs
from aina_core.studies.settings import Settings

_BLOCK = 4096


def study_modifications(
    settings: Settings, versions: Mapping[str, Versions]
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[Original]]:
    """Compute the study.

    Args:
        settings: what was asked for.
        versions: by model, the embeddings.

    Returns:
        The results as JSON values; the arrays "cosines", float32 (models, n, c), "placements",
        float32 (models, n, c), and "baseline", float32 (models, p); the originals.
    """
    originals, chosen = shared_originals(versions)
    baseline_pairs = draw_pairs(len(originals), settings.seed, ordered=False)
    pairs = draw_pairs(len(originals), settings.seed, ordered=True)
    found, cosines, placements, baselines = {}, [], [], []
    for model, each in versions.items():
        seen = _Seen(each, chosen[model], baseline_pairs, pairs, settings.seed)
        found[model] = seen.summary(settings.changes)
        cosines.append(seen.cosines)
        placements.append(seen.placements)
        baselines.append(seen.baseline)
    results = {"models": found, "differences": _differences(settings, cosines, placements)}
    arrays = {
        "cosines": np.stack(cosines).astype(np.float32),
        "placements": np.stack(placements).astype(np.float32),
        "baseline": np.stack(baselines).astype(np.float32),
    }
    return results, arrays, originals


class _Seen:
    """One model's similarities, and what follows from them.

    Attributes:
        cosines: float64 (n, c), of each original to each version of it.
        others: float64 (p, c), of an original to another's version, for each ordered pair.
        baseline: float64 (b,), of two different originals.
        placements: float64 (n, c), the share of `others` of all changes below each cosine.
    """

    def __init__(
        self,
        versions: Versions,
        chosen: np.ndarray,
        baseline_pairs: np.ndarray,
        pairs: np.ndarray,
        seed: int,
    ) -> None:
        self.pairs, self.baseline_pairs, self.seed = pairs, baseline_pairs, seed
        own = versions.of(0, chosen)
        self.baseline = _cosines(own, own, baseline_pairs)
        same = np.stack([np.arange(len(own))] * 2, axis=1)
        cosines, others = [], []
        for place in range(1, len(versions.changes) + 1):
            changed = versions.of(place, chosen)
            cosines.append(_cosines(own, changed, same))
            others.append(_cosines(own, changed, pairs))
        self.cosines, self.others = np.stack(cosines, axis=1), np.stack(others, axis=1)
        self.placements = metrics.placements(self.cosines, self.others.ravel())

    def summary(self, changes: Sequence[str]) -> dict[str, Any]:
        """Return what the results say of this model."""
        queries = Over(len(self.cosines))
        by_change = {
            change: self._with_separation(
                estimates.spread(self.cosines[:, place], queries, self.seed),
                slice(place, place + 1),
            )
            for place, change in enumerate(changes)
        }
        everything = estimates.spread(self.cosines, queries, self.seed)
        overall = self._with_separation(everything, slice(None))
        over = Over(len(self.cosines), self.baseline_pairs)
        return {
            "modifications": by_change,
            "baseline": estimates.spread(self.baseline, over, self.seed),
            "auc": overall["auc"],
            "auc_interval": overall["intervals"]["auc"],
            "overall": overall,
        }

    def _with_separation(self, summary: dict[str, Any], part: slice) -> dict[str, Any]:
        """Add the separation of some changes, and how many random pairs are below their median."""
        positive, negative = self.cosines[:, part], self.others[:, part]
        samples = metrics.bootstrap_auc(positive, negative, self.pairs, seed=self.seed)
        summary["auc"] = estimates.number(metrics.roc_auc(positive, negative.ravel()))
        summary["intervals"]["auc"] = estimates.ends(samples)
        below = metrics.placements(np.median(positive), self.baseline)
        summary["percentile"] = estimates.number(float(below))
        return summary


def _cosines(left: np.ndarray, right: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosines of pairs (row of left, row of right), float64 (p,), a block at a time."""
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), _BLOCK):
        i, j = pairs[start : start + _BLOCK].T
        found[start : start + _BLOCK] = np.vecdot(left[i], right[j])
    return found.clip(-1, 1)


def _differences(
    settings: Settings, cosines: Sequence[np.ndarray], placements: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    """Compare every two models, over all changes and change by change.

    The area under the curve is the mean of the placements over the originals, so it is compared
    original by original by these; the pairs of different originals are taken as given.
    """
    found = []
    for figure, values in (("auc", placements), ("mean similarity", cosines)):
        by_model = dict(zip(settings.models, values, strict=True))
        means = {model: each.mean(axis=1) for model, each in by_model.items()}
        found += estimates.differences(means, figure, settings.seed)
        if len(settings.changes) < 2:
            continue
        family = []
        for place, change in enumerate(settings.changes):
            one = {model: each[:, place] for model, each in by_model.items()}
            family += estimates.differences(one, figure, settings.seed, change=change)
        estimates.adjust(family)
        found += family
    return found
