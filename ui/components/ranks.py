"""Neighbours under several models side by side; what they share is joined by colour and number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aina_core.figures import SHARED
from aina_core.numbers import decimal_text, percentile_text
from ui.components._mount import component, no_callback
from ui.components.cards import Action, Event, decode_event


@dataclass(frozen=True, slots=True)
class Row:
    """One neighbour in its column; every text is shown as text, whatever it contains.

    `id` is the image id (tooltip, and what an event names); `thumbnail` a URL; `similarity` in
    [-1, 1]; `percentile` in [0, 1]; `number` the same in every column that shows this image, None
    where no other does; `climb` by how many ranks it is nearer than in the first column, None where
    that is not known.
    """

    id: str
    thumbnail: str
    similarity: float
    percentile: float
    label: str = ""
    number: int | None = None
    climb: int | None = None


def ranks(
    columns: Sequence[tuple[str, Sequence[Row]]],
    *,
    notes: Mapping[str, str] | None = None,
    actions: Sequence[Action | tuple[str, str, str]] = (),
    key: str,
) -> Event | None:
    """Draws columns of neighbours in rank order and returns what was clicked since the last run.

    Args:
        columns: name of each and its rows, nearest first; the first is what others are held
            against.
        notes: what a column says instead of rows, by its name.
        actions: (name, label, icon) for each button; the first also fires on the thumbnail.
        key: names this element within the page.

    Returns:
        The event, in the one run that follows a click, else None.
    """
    data = {
        "columns": [
            {
                "name": name,
                "rows": [_drawn(row, first=not at) for row in rows],
                "note": (notes or {}).get(name, ""),
            }
            for at, (name, rows) in enumerate(columns)
        ],
        "actions": [dict(zip(("name", "label", "icon"), each, strict=True)) for each in actions],
        "colours": list(SHARED),
    }
    result = component("ranks", shared=("ink", "thumbs"))(
        key=key, data=data, on_act_change=no_callback
    )
    ids = {row.id for _, rows in columns for row in rows}
    return decode_event(result.get("act"), ids, {name for name, *_ in actions})


def climb_text(climb: int) -> str:
    """A change of rank: ▲3 is nearer than in the first column, ▼12 farther, = the same."""
    return "=" if climb == 0 else f"{'▲' if climb > 0 else '▼'}{abs(climb):,}"


def _drawn(row: Row, *, first: bool) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "id": row.id,
        "thumbnail": row.thumbnail,
        "label": row.label,
        "similarity": decimal_text(row.similarity),
        "percentile": f"{math.floor(row.percentile * 1000 + 1e-6) / 10:.1f}%",
        "words": percentile_text(row.percentile),
        "number": row.number,
    }
    if not first and row.climb is not None:
        drawn["climb"] = climb_text(row.climb)
        drawn["moved"] = (row.climb > 0) - (row.climb < 0)
    return drawn
