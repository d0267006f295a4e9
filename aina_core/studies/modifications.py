"""The study of modifications: how similar an image stays to itself when it is changed.

A raw cosine says little: under some models any two images are at 0.98. So it is reported with the
baseline, similarities of random pairs of different originals, and the separation: the area under
the ROC curve of pairs of one original (the original, a version of it) against pairs of different
originals made the same way (an original, the same kind of version of another).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core import figures, metrics
from aina_core.changes.versions import Versions, shared_originals
from aina_core.metrics import Over, estimates
from aina_core.numbers import decimal_text, interval_text
from aina_core.studies.kind import Found, Kind, Row, Run, Section, Settings, Table
from aina_core.studies.shown import cost_line, lead_text, spread_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BLOCK = 4096


def study_modifications(settings: Settings, versions: Mapping[str, Versions]) -> Found:
    """Compute the study.

    Args:
        settings: of the study.
        versions: by model, the embeddings.

    Returns:
        The arrays are "cosines", float32 (models, n, c), "placements", float32 (models, n, c), and
        "baseline", float32 (models, p); the images are the originals.
    """
    originals, chosen = shared_originals(versions)
    baseline_pairs = metrics.draw_pairs(len(originals), settings.seed, ordered=False)
    pairs = metrics.draw_pairs(len(originals), settings.seed, ordered=True)
    models, cosines, placements, baselines = {}, [], [], []
    for model, each in versions.items():
        seen = _Seen(each, chosen[model], baseline_pairs, pairs, settings.seed)
        models[model] = seen.summary(settings.changes)
        cosines.append(seen.cosines)
        placements.append(seen.placements)
        baselines.append(seen.baseline)
    results = {"models": models, "differences": _differences(settings, cosines, placements)}
    arrays = {
        "cosines": np.stack(cosines).astype(np.float32),
        "placements": np.stack(placements).astype(np.float32),
        "baseline": np.stack(baselines).astype(np.float32),
    }
    return Found(results, arrays, originals)


class _Seen:
    """One model's similarities, and the figures computed from them.

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
        """Return the results of this model, as JSON values."""
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
        """Add the separation of some changes, and the percentile of their median."""
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

    The area under the curve is the mean of the placements over the originals, so models are
    compared by these, original by original; the pairs of different originals are taken as given.
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


# ── how it is shown ──────────────────────────────────────────────────────────────────────────────

#: What the heat table can show, with what it means.
SHOWN = {
    "auc": "separation (ROC AUC)",
    "median": "median cosine",
    "mean": "mean cosine",
    "percentile": "percentile of the median",
}


def by_separation(results: Mapping[str, Any]) -> list[str]:
    """Return the models, the one that separates best first."""
    models = results["models"]
    return sorted(models, key=lambda m: (-models[m]["auc"], -models[m]["overall"]["mean"], m))


def by_mean(results: Mapping[str, Any]) -> list[str]:
    """Return the models by their mean similarity, highest first."""
    models = results["models"]
    return sorted(models, key=lambda m: (-models[m]["overall"]["mean"], -models[m]["auc"], m))


def heat_table(run: Run, shown: str) -> go.Figure:
    """Draw models × modifications as heat, models in the order of their separation.

    Args:
        run: the study.
        shown: one of `SHOWN`.
    """
    models = by_separation(run.results)
    parts = [run.results["models"][model]["modifications"] for model in models]
    values = np.array([[part[c][shown] for c in run.settings.changes] for part in parts])
    return figures.heat_table(
        values,
        models,
        run.settings.changes,
        low=min(float(values.min()), 0.9),  # so that hundredths do not look like a gulf
        high=1.0,
        texts=[[decimal_text(value) for value in line] for line in values.tolist()],
        notes=[cost_line(run.results["costs"][model]) for model in models],
    )


def multiples(run: Run, model: str) -> go.Figure:
    """Draw the similarities of every modification under a model, beside its random pairs."""
    place = run.settings.models.index(model)
    return figures.similarity_multiples(
        run.arrays["cosines"][place], run.arrays["baseline"][place], run.settings.changes
    )


def change_table(run: Run, model: str) -> Table:
    """Return every figure of every modification under a model, beside its random pairs."""
    found = run.results["models"][model]
    names = ("median", "mean", "std")
    lines = [
        [
            change,
            *(spread_text(part, name) for name in names),
            f"{part['percentile']:.1%}",
            spread_text(part, "auc"),
            f"{part['n']:,}",
        ]
        for change, part in {**found["modifications"], "all": found["overall"]}.items()
    ]
    base = found["baseline"]
    spread = (spread_text(base, name) for name in names)
    lines.append(["random pairs", *spread, "", "", f"{base['n']:,}"])
    header = ["modification", "median cosine", "mean", "std", "percentile of the median"]
    return [*header, "ROC AUC", "n"], lines


def _table(run: Run) -> Table:
    separating, similar = by_separation(run.results), by_mean(run.results)
    lines = []
    for rank, model in enumerate(separating, start=1):
        one = run.results["models"][model]
        overall, base = one["overall"], one["baseline"]
        lines.append(
            [
                model,
                str(rank),
                spread_text(overall, "auc"),
                str(similar.index(model) + 1),
                *(spread_text(overall, name) for name in ("mean", "median", "std")),
                spread_text(base, "mean"),
                f"{decimal_text(base['median'])} ± {decimal_text(base['std'])}",
            ]
        )
    header = ["model", "rank by separation", "ROC AUC", "rank by mean cosine", "mean cosine"]
    header += ["median cosine", "spread (std)", "random pairs: mean", "random pairs: median ± std"]
    return header, lines


def _rows(model: str, results: Mapping[str, Any]) -> Iterator[Row]:
    found = results["models"][model]
    parts = {"all": found["overall"], **found["modifications"], "random pairs": found["baseline"]}
    for what, part in parts.items():
        for name in ("median", "mean", "std", "auc"):
            if name in part:
                low, high = part["intervals"][name]
                yield Row(model, what, 0, name, part[name], low, high, part["n"])
        if "percentile" in part:
            yield Row(model, what, 0, "percentile", part["percentile"], n=part["n"])


def _sections(run: Run) -> Iterator[Section]:
    for shown, title in (("auc", "Separation"), ("median", "Median cosine")):
        yield Section(f"{title} of every modification", heat_table(run, shown), shown)
    for number, model in enumerate(by_separation(run.results)):
        yield Section(
            f"Similarities under {model}",
            multiples(run, model),
            f"multiples-{number}",
            change_table(run, model),
        )


def _verdict(results: Mapping[str, Any]) -> str:
    models = results["models"]
    separating, similar = by_separation(results), by_mean(results)
    best, leader = separating[0], similar[0]
    text = (
        f"{best} {'separates best:' if len(models) > 1 else 'separates with'} "
        f"AUC {decimal_text(models[best]['auc'])} {interval_text(models[best]['auc_interval'])}"
    )
    mean = decimal_text(models[leader]["overall"]["mean"])
    base = decimal_text(models[leader]["baseline"]["mean"])
    if leader != best:
        text += f"; by mean similarity {leader} would lead ({mean})"
        text += f", but its random pairs lie at {base}"
    else:
        same = ", and leads by mean similarity too" if len(models) > 1 else ""
        text += f"{same}: versions lie at {mean} on average, random pairs at {base}"
    if len(models) > 1:
        text += f". {lead_text(results, best, separating[1], 'auc')}"
        if separating != similar:
            text += (
                f" The two rankings disagree: by separation {' > '.join(separating)}; by mean "
                f"similarity {' > '.join(similar)}; trust the first."
            )
    return text if text.endswith(".") else f"{text}."


KIND = Kind(
    name="modifications",
    title="Modifications",
    question="How similar does an image stay to itself when it is changed?",
    about="Hold every image against its modifications, beside random pairs.",
    table=_table,
    rows=_rows,
    sections=_sections,
    verdict=_verdict,
    of_versions=lambda settings, versions, folder, **_: study_modifications(settings, versions),
    changes="modifications",
)
