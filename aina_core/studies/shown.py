"""How studies of all kinds are shown: costs, differences, agreement, who is ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aina_core.numbers import estimate_text, p_value_text
from aina_core.studies.kind import Run, Table

#: Names of figures as people write them, where they are not written as they are stored.
TITLES = {"f1": "F1", "map": "MAP", "auc": "ROC AUC", "r_precision": "R-precision"}

COST_HEADER = ["dimension", "bytes per vector", "images/s here", "peak memory (MB)"]


def mean_text(one: Mapping[str, float]) -> str:
    """A mean with its interval, see `metrics.estimates.mean`: 0.934 [0.910, 0.950]."""
    return estimate_text(one["mean"], (one["low"], one["high"]))


def spread_text(part: Mapping[str, Any], figure: str) -> str:
    """A figure of `metrics.estimates.spread` with its interval."""
    return estimate_text(part[figure], part["intervals"][figure])


def cost_cells(cost: Mapping[str, Any]) -> list[str]:
    """Return what a model costs, as the cells of `COST_HEADER`."""
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


def transposed(table: Table) -> Table:
    """Return a table with rows and columns exchanged: many figures of a few models fit so."""
    header, *lines = zip(table[0], *table[1], strict=True)
    return list(header), [list(line) for line in lines]


def agreement_table(run: Run) -> Table:
    """Return how many of every image's nearest the models share; no lines where not counted."""
    found = run.results.get("agreement") or {"k": 0, "pairs": []}
    k = found["k"]
    header = ["models", f"shared of the {k} nearest", "rank-biased overlap"]
    header += [f"{n} shared" for n in range(k, -1, -1)]
    return header, [
        [
            " and ".join(pair["models"]),
            "{mean:.2f} [{low:.2f}, {high:.2f}]".format(**pair["shared"]),
            mean_text(pair["rbo"]),
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
                estimate_text(test["difference"], (test["low"], test["high"])),
                p_value_text(test["p"]),
                p_value_text(test["p_holm"]) if "p_holm" in test else "",
            ]
        )
    header = ["models", "of", "figure", "difference", "p", "p (Holm)"]
    if not any(line[-1] for line in lines):
        return header[:-1], [line[:-1] for line in lines]
    return header, lines


def lead_text(
    results: Mapping[str, Any], best: str, second: str, figure: str, k: int | None = None
) -> str:
    """Say whether the best two models can be told apart; nothing where that was not tested."""
    for one in results["differences"]:
        here = one["figure"] == figure and one.get("k") == k and "change" not in one
        if here and set(one["models"]) == {best, second}:
            gap, ends = one["difference"], (one["low"], one["high"])
            if one["models"][0] != best:
                gap, ends = -gap, (-ends[1], -ends[0])
            inside = f"{estimate_text(gap, ends)}, p {p_value_text(one['p'])}"
            if one["p"] < 0.05:
                return f"It is ahead of {second} by {inside}."
            return f"Its lead over {second} may be chance: {inside}."
    return ""
