"""What a study found, in a line of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aina_core.numbers import decimal_text, estimate_text, interval_text, p_value_text


def verdict(kind: str, results: Mapping[str, Any]) -> str:
    """Return one or two sentences that say which model to trust, and how sure that is.

    Args:
        kind: of the study.
        results: as the study returned them.
    """
    if kind == "modifications":
        return _of_modifications(results)
    return _of_hits(kind, results)


def by_separation(results: Mapping[str, Any]) -> list[str]:
    """Return the models of a study of modifications, that which separates best first."""
    models = results["models"]
    return sorted(models, key=lambda m: (-models[m]["auc"], -models[m]["overall"]["mean"], m))


def by_mean(results: Mapping[str, Any]) -> list[str]:
    """Return the models of a study of modifications by their mean similarity, highest first."""
    models = results["models"]
    return sorted(models, key=lambda m: (-models[m]["overall"]["mean"], -models[m]["auc"], m))


def _of_modifications(results: Mapping[str, Any]) -> str:
    models = results["models"]
    separating, similar = by_separation(results), by_mean(results)
    best, leader = separating[0], similar[0]
    text = (
        f"{best} {'separates best' if len(models) > 1 else 'separates with'}"
        f"{':' if len(models) > 1 else ''} AUC {decimal_text(models[best]['auc'])} "
        f"{interval_text(models[best]['auc_interval'])}"
    )
    if leader != best:
        text += (
            f"; by mean similarity {leader} would lead "
            f"({decimal_text(models[leader]['overall']['mean'])})"
            f", but its random pairs lie at {decimal_text(models[leader]['baseline']['mean'])}"
        )
    else:
        level = decimal_text(models[best]["baseline"]["mean"])
        mean = decimal_text(models[best]["overall"]["mean"])
        same = ", and leads by mean similarity too" if len(models) > 1 else ""
        text += f"{same}: versions lie at {mean} on average, random pairs at {level}"
    if len(models) > 1:
        text += f". {_sure(results, best, separating[1], 'auc')}"
        if separating != similar:
            text += (
                f" The two rankings disagree: by separation {_ranking(separating)}; by mean "
                f"similarity {_ranking(similar)}; trust the first."
            )
    return text if text.endswith(".") else f"{text}."


def _of_hits(kind: str, results: Mapping[str, Any]) -> str:
    models = results["models"]
    k = max(next(iter(models.values())), key=int)

    def value(model: str) -> float:
        return models[model][k]["precision"]["mean"]

    order = sorted(models, key=lambda m: (-value(m), m))
    best = models[order[0]][k]["precision"]
    what = "finds most versions again" if kind == "recovery" else "finds most of the same label"
    if len(order) == 1:
        what = "finds versions again" if kind == "recovery" else "finds the same label"
    text = (
        f"{order[0]} {what}: precision@{k} "
        f"{estimate_text(best['mean'], (best['low'], best['high']))}, "
        f"by chance it would be {decimal_text(results['chance'])}"
    )
    if len(order) > 1:
        text += f". {_sure(results, order[0], order[1], 'precision', int(k))}"
    return text if text.endswith(".") else f"{text}."


def _sure(
    results: Mapping[str, Any], best: str, second: str, figure: str, k: int | None = None
) -> str:
    """Say whether the best two can be told apart."""
    for one in results["differences"]:
        here = one["figure"] == figure and one.get("k") == k and "change" not in one
        if here and set(one["models"]) == {best, second}:
            turned = one["models"][0] != best
            gap = -one["difference"] if turned else one["difference"]
            low, high = (-one["high"], -one["low"]) if turned else (one["low"], one["high"])
            inside = f"{estimate_text(gap, [low, high])}, p {p_value_text(one['p'])}"
            if one["p"] < 0.05:
                return f"It is ahead of {second} by {inside}."
            return f"Its lead over {second} may be chance: {inside}."
    return ""


def _ranking(models: Sequence[str]) -> str:
    return " > ".join(models)
