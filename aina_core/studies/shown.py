"""The figures and the tables of a stored study, for the page and for reports alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core import figures
from aina_core.numbers import decimal_text, estimate_text, p_value_text
from aina_core.studies.store import Run
from aina_core.studies.verdict import by_mean, by_separation

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: What the heat table of a study of modifications can show, with what it means.
SHOWN = {
    "auc": "separation (ROC AUC)",
    "median": "median cosine",
    "mean": "mean cosine",
    "percentile": "percentile of the median",
}

#: Names of figures as people write them, where they are not written as they are stored.
TITLES = {"f1": "F1", "map": "MAP", "auc": "ROC AUC", "r_precision": "R-precision"}

#: A table: its header, and its rows of texts.
Table = tuple[list[str], list[list[str]]]


def modification_table(run: Run, shown: str) -> go.Figure:
    """Draw models × modifications as heat, models in the order of their separation.

    Args:
        run: a study of modifications.
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


def curves(run: Run) -> go.Figure:
    """Draw precision, recall and F1 (or MAP) at every k, for studies of recovery and retrieval."""
    names = ("precision", "recall", "map" if run.settings.kind == "retrieval" else "f1")
    titles = [f"{TITLES.get(name, name)}@k" for name in names]
    return figures.hit_curves(run.results["models"], names, titles, ideal=run.results.get("ideal"))


def recovered_bars(run: Run) -> go.Figure:
    """Draw for every change the share of its versions that were found again."""
    by_change = run.results["by_change"]
    found = {model: [one[c] for c in run.settings.changes] for model, one in by_change.items()}
    count = len(run.settings.changes)
    return figures.share_bars(
        found, run.settings.changes, f"among the {count} nearest" if count > 1 else "nearest"
    )


def model_table(run: Run) -> Table:
    """Return the table of the models: what they reach, and what they cost."""
    make = _modification_lines if run.settings.kind == "modifications" else _hit_lines
    header, lines = make(run)
    costs = [cost_cells(run.results["costs"][line[0]]) for line in lines]
    return [*header, *COST_HEADER], [[*a, *b] for a, b in zip(lines, costs, strict=True)]


COST_HEADER = ["dimension", "bytes per vector", "images/s here", "peak memory (MB)"]


def cost_cells(cost: Mapping[str, Any]) -> list[str]:
    """Return what a model costs, as a table has it."""
    if "reason" in cost:
        return ["", "", "", ""]
    rate = cost["images_per_second"]
    return [
        f"{cost['dim']:,}",
        f"{cost['bytes_per_vector']:,}",
        "" if rate is None else f"{rate:.1f}",
        f"{cost['peak_memory'] / 1e6:,.0f}",
    ]


def cost_line(cost: Mapping[str, Any]) -> str:
    """Return what a model costs in a few words."""
    if "reason" in cost:
        return "cost not measured"
    rate = cost["images_per_second"]
    speed = "" if rate is None else f" · {rate:.0f} images/s"
    return f"{cost['dim']:,}-d{speed} · {cost['peak_memory'] / 1e6:,.0f} MB"


def turned(table: Table) -> Table:
    """Return a table whose columns are another's rows: so many figures of a few models fit."""
    header, lines = table
    whole = [header, *lines]
    return [row[0] for row in whole], [[row[at] for row in whole] for at in range(1, len(header))]


def _modification_lines(run: Run) -> Table:
    separating, similar = by_separation(run.results), by_mean(run.results)
    lines = []
    for place, model in enumerate(separating, start=1):
        one = run.results["models"][model]
        overall, base = one["overall"], one["baseline"]
        lines.append(
            [
                model,
                f"{place}",
                f"{estimate_text(one['auc'], one['auc_interval'])}",
                f"{similar.index(model) + 1}",
                f"{estimate_text(overall['mean'], overall['intervals']['mean'])}",
                f"{estimate_text(overall['median'], overall['intervals']['median'])}",
                f"{estimate_text(overall['std'], overall['intervals']['std'])}",
                f"{estimate_text(base['mean'], base['intervals']['mean'])}",
                f"{decimal_text(base['median'])} ± {decimal_text(base['std'])}",
            ]
        )
    header = [
        *("model", "rank by separation", "ROC AUC", "rank by mean cosine", "mean cosine"),
        *("median cosine", "spread (std)", "random pairs: mean", "random pairs: median ± std"),
    ]
    return header, lines


def _hit_lines(run: Run) -> Table:
    names = ("precision", "recall", "map" if run.settings.kind == "retrieval" else "f1")
    lines = []
    for model, found in run.results["models"].items():
        line = [model]
        line += [_estimate(found[k][name]) for k in found for name in names]
        if "r_precision" in run.results:
            line.append(_estimate(run.results["r_precision"][model]))
        index = run.results["index"][model]
        k = str(max(run.settings.ks))
        line.append(_estimate(index["loss"][k]))
        lines.append(line)
    ks = [str(k) for k in run.settings.ks]
    header = ["model", *(f"{TITLES.get(name, name)}@{k}" for k in ks for name in names)]
    if "r_precision" in run.results:
        header.append("R-precision")
    return [*header, f"precision@{max(run.settings.ks)} lost by the index"], lines


def _estimate(one: Mapping[str, float]) -> str:
    return f"{estimate_text(one['mean'], (one['low'], one['high']))} ± {decimal_text(one['std'])}"


def change_table(run: Run, model: str) -> Table:
    """Return every figure of every modification under a model, beside its random pairs."""
    found = run.results["models"][model]
    base = found["baseline"]
    lines = []
    for name, part in {**found["modifications"], "all": found["overall"]}.items():
        ends = part["intervals"]
        lines.append(
            [
                name,
                *(f"{estimate_text(part[one], ends[one])}" for one in ("median", "mean", "std")),
                f"{part['percentile']:.1%}",
                f"{estimate_text(part['auc'], ends['auc'])}",
                f"{part['n']:,}",
            ]
        )
    spread = (f"{estimate_text(base[n], base['intervals'][n])}" for n in ("median", "mean", "std"))
    lines.append(["random pairs", *spread, "", "", f"{base['n']:,}"])
    header = ["modification", "median cosine", "mean", "std", "percentile of the median"]
    return [*header, "ROC AUC", "n"], lines


def agreement_table(run: Run) -> Table:
    """Return how many of the nearest of every image models share; no lines where not counted."""
    found = run.results.get("agreement") or {"k": 0, "pairs": []}
    k = found["k"]
    header = ["models", f"shared of the {k} nearest", "rank-biased overlap"]
    header += [f"{n} shared" for n in range(k, -1, -1)]
    return header, [
        [
            " and ".join(pair["models"]),
            f"{pair['shared']['mean']:.2f} [{pair['shared']['low']:.2f}, "
            f"{pair['shared']['high']:.2f}]",
            f"{estimate_text(pair['rbo']['mean'], (pair['rbo']['low'], pair['rbo']['high']))}",
            *(f"{count / sum(pair['counts']):.1%}" for count in reversed(pair["counts"])),
        ]
        for pair in found["pairs"]
    ]


def difference_table(run: Run) -> Table:
    """Return the paired differences of every two models, with their tests."""
    lines = []
    for test in run.results["differences"]:
        name = TITLES.get(test["figure"], test["figure"])
        name += f"@{test['k']}" if "k" in test else ""
        lines.append(
            [
                " − ".join(test["models"]),
                test.get("change", "all"),
                name,
                f"{estimate_text(test['difference'], (test['low'], test['high']))}",
                p_value_text(test["p"]),
                p_value_text(test["p_holm"]) if "p_holm" in test else "",
            ]
        )
    header = ["models", "of", "figure", "difference", "p", "p (Holm)"]
    if not any(line[-1] for line in lines):
        return header[:-1], [line[:-1] for line in lines]
    return header, lines


def published_table(run: Run) -> Table:
    """Return what the sources published of the study's models, beside ours."""
    lines = []
    for one in run.results["published"]:
        lines.append(
            [
                one["ours"],
                one["change"] or "all",
                TITLES.get(one["figure"], one["figure"]) + (f"@{one['k']}" if one["k"] else ""),
                _ours(run.results["models"][one["ours"]], one),
                decimal_text(one["value"]),
                one["source"],
                one["protocol"],
            ]
        )
    header = ["model", "of", "figure", "ours", "published", "source", "what was done otherwise"]
    return header, lines


def _ours(found: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    if one["change"]:
        part = found["modifications"].get(one["change"])
        if part is None:
            return ""
        return f"{estimate_text(part[one['figure']], part['intervals'][one['figure']])}"
    part = found.get(str(one["k"]), {}).get(one["figure"])
    return "" if part is None else f"{estimate_text(part['mean'], (part['low'], part['high']))}"


def label_table(run: Run, model: str) -> Table:
    """Return the figures of each label under a model, the worst first."""
    found = sorted(run.results["labels"][model], key=lambda one: one["precision"]["mean"])
    k = max(run.settings.ks)
    header = ["label", "queries", f"precision@{k}", f"recall@{k}", f"MAP@{k}", "R-precision"]
    return header, [
        [
            one["label"] or "no label",
            f"{one['queries']:,}",
            *(_estimate(one[name]) for name in ("precision", "recall", "map", "r_precision")),
        ]
        for one in found
    ]


def confusion(run: Run, model: str, most: int = 30) -> tuple[np.ndarray, list[int]]:
    """Return which labels the neighbours of each label's queries have, as shares.

    Args:
        run: a study of retrieval.
        model: one of its models.
        most: of more labels only those are taken that are most often taken for others.

    Returns:
        float64 (l, l), rows sum to at most 1; the places of the l labels in "label_names".
    """
    count = len(run.results["label_names"])
    triples = run.arrays[f"confusion_{run.settings.models.index(model)}"]
    sums = np.bincount(triples[:, 0], triples[:, 2], minlength=count)
    others = triples[triples[:, 0] != triples[:, 1]]
    missed = np.bincount(others[:, 0], others[:, 2], minlength=count)
    missed += np.bincount(others[:, 1], others[:, 2], minlength=count)
    order = np.lexsort((np.arange(count), -missed))[:most]
    kept = sorted(order.tolist())
    place = {label: at for at, label in enumerate(kept)}
    shares = np.zeros((len(kept), len(kept)))
    for label, neighbour, times in triples.tolist():
        if label in place and neighbour in place:
            shares[place[label], place[neighbour]] = times / sums[label]
    return shares, kept


def confusion_figure(run: Run, model: str) -> tuple[go.Figure, Sequence[int]]:
    """Draw `confusion` as heat, and return with it the places of its labels."""
    shares, kept = confusion(run, model)
    names = [run.results["label_names"][at] or "no label" for at in kept]
    return (
        figures.heat_table(shares, names, names, low=0.0, high=1.0),
        kept,
    )
