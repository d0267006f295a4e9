"""A study's figures as rows: for CSV, for reports, and to hold two studies against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

from aina_core.errors import InputError
from aina_core.studies.store import Run


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        model: full name.
        what: "all", "random pairs", "index", or the change, label or other model it is of.
        k: number of neighbours; 0 where there are none.
        figure: its name.
        value: the figure.
        low: of its 95% interval; None for what has none.
        high: of its 95% interval.
        n: how many numbers it is made of; 0 where that has no meaning.
    """

    model: str
    what: str
    k: int
    figure: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What says which figure it is."""
        return self.model, self.what, self.k, self.figure


#: The header of a table of rows.
HEADER = tuple(field.name for field in fields(Row))


def rows(results: Mapping[str, Any]) -> list[Row]:
    """Return all figures of a study, model by model."""
    found: list[Row] = []
    for model in results["models"]:
        if "overall" in results["models"][model]:
            found += _of_modifications(model, results["models"][model])
        else:
            found += _of_hits(model, results)
        cost = results["costs"][model]
        found += [
            Row(model, "cost", 0, name, cost[name])
            for name in ("dim", "bytes_per_vector", "images_per_second", "peak_memory")
            if cost.get(name) is not None
        ]
    for test in results["differences"]:
        first, second = test["models"]
        what = f"{test.get('change', 'all')} − {second}"
        k, name = test.get("k", 0), test["figure"]
        low, high = test["low"], test["high"]
        found.append(Row(first, what, k, f"difference of {name}", test["difference"], low, high))
        found.append(Row(first, what, k, f"p of {name}", test["p"]))
    return found


def _of_modifications(model: str, found: Mapping[str, Any]) -> Iterator[Row]:
    parts = {"all": found["overall"], **found["modifications"], "random pairs": found["baseline"]}
    for what, part in parts.items():
        for name in ("median", "mean", "std", "auc"):
            if name in part:
                low, high = part["intervals"][name]
                yield Row(model, what, 0, name, part[name], low, high, part["n"])
        if "percentile" in part:
            yield Row(model, what, 0, "percentile", part["percentile"], n=part["n"])


def _of_hits(model: str, results: Mapping[str, Any]) -> Iterator[Row]:
    for what, judged in (
        ("all", results["models"][model]),
        ("index", results["index"][model]["k"]),
    ):
        for k, figures in judged.items():
            for name, one in figures.items():
                yield from _with_spread(model, what, int(k), name, one)
    for k, one in results["index"][model]["loss"].items():
        yield from _with_spread(model, "index", int(k), "precision lost", one)
    recall = results["index"][model]["index_recall_at_10"]
    yield Row(model, "index", 10, "index recall", recall)
    if "r_precision" in results:
        yield from _with_spread(model, "all", 0, "r_precision", results["r_precision"][model])
    for change, one in results.get("by_change", {}).get(model, {}).items():
        yield from _with_spread(model, change, 0, "recovered", one)
    for label in results.get("labels", {}).get(model, []):
        for name in ("precision", "recall", "map"):
            yield from _with_spread(model, label["label"], label["k"], name, label[name])
        yield from _with_spread(model, label["label"], 0, "r_precision", label["r_precision"])


def _with_spread(model: str, what: str, k: int, name: str, one: Mapping[str, Any]) -> Iterator[Row]:
    yield Row(model, what, k, name, one["mean"], one["low"], one["high"], one["n"])
    low, high = one["std_interval"]
    yield Row(model, what, k, f"std of {name}", one["std"], low, high, one["n"])


def cells(row: Row) -> list[object]:
    """Return a row as a table has it; what is missing is empty."""
    return ["" if value is None else value for value in astuple(row)]


@dataclass(frozen=True)
class Comparison:
    """Two stored studies side by side.

    Attributes:
        first: id of the first.
        second: id of the second.
        notes: in words, what else than the models differs, and so how far they can be compared.
        pairs: the figures that both have.
        only_first: how many figures only the first has.
        only_second: how many only the second has.
    """

    first: str
    second: str
    notes: list[str]
    pairs: list[tuple[Row, Row]]
    only_first: int
    only_second: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values; a difference is the second minus the first."""
        return {
            "first": self.first,
            "second": self.second,
            "notes": self.notes,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "figures": [
                {
                    "model": a.model,
                    "what": a.what,
                    "k": a.k,
                    "figure": a.figure,
                    "first": a.value,
                    "second": b.value,
                    "difference": round(b.value - a.value, 6),
                    "apart": apart(a, b),
                }
                for a, b in self.pairs
            ],
        }


def apart(first: Row, second: Row) -> bool | None:
    """Return whether two figures' intervals do not touch; None where they have none."""
    if first.low is None or second.low is None or first.high is None or second.high is None:
        return None
    return first.high < second.low or second.high < first.low


def compare(first: Run, second: Run) -> Comparison:
    """Hold two studies of one kind against each other, figure by figure.

    Raises:
        InputError: they are of two kinds.
    """
    a, b = first.settings, second.settings
    if a.kind != b.kind:
        raise InputError(
            f"{first.id} is a study of {a.kind} and {second.id} one of {b.kind}; "
            "compare two of one kind."
        )
    ours, theirs = ({row.key: row for row in rows(run.results)} for run in (first, second))
    shared = [(ours[key], theirs[key]) for key in ours if key in theirs]
    return Comparison(
        first.id,
        second.id,
        _notes(first, second),
        shared,
        len(ours) - len(shared),
        len(theirs) - len(shared),
    )


def _notes(first: Run, second: Run) -> list[str]:
    notes = []
    a, b = first.settings.as_dict(), second.settings.as_dict()
    for name in a:
        if a[name] != b[name]:
            notes.append(f"The {name} differ: {_said(a[name])} and {_said(b[name])}.")
    if [i.sha256 for i in first.images] != [i.sha256 for i in second.images]:
        notes.append(
            f"They are of different images: {len(first.images):,} and {len(second.images):,}."
        )
    ours, theirs = first.summary.models, second.summary.models
    for model in ours.keys() & theirs.keys():
        if ours[model] != theirs[model]:
            notes.append(f"{model} had other weights, precision or preprocessing then.")
    versions = first.summary.versions, second.summary.versions
    if versions[0] != versions[1]:
        notes.append("The libraries that computed had other versions.")
    return notes or ["Settings, images and models are the same."]


def _said(value: Any) -> str:
    if value is None:
        return "all"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
