"""Two stored studies side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aina_core.errors import InputError
from aina_core.studies.kind import Row, Run
from aina_core.studies.kinds import rows


@dataclass(frozen=True)
class Comparison:
    """Two stored studies side by side.

    Attributes:
        first: id of the first.
        second: id of the second.
        notes: in words, what differs besides the figures, and so how far they can be compared.
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
    """Compare two studies of one kind, figure by figure.

    Raises:
        InputError: they are of different kinds.
    """
    a, b = first.settings, second.settings
    if a.kind != b.kind:
        raise InputError(
            f"{first.id} is a study of {a.kind} and {second.id} one of {b.kind}; "
            "compare two of one kind."
        )
    ours, theirs = ({row.key: row for row in rows(run)} for run in (first, second))
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
            notes.append(f"The {name} differ: {said(a[name])} and {said(b[name])}.")
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


def said(value: Any) -> str:
    """Return a setting, or another JSON value, as people read it."""
    if value is None:
        return "all"
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
