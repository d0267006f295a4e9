"""The one card for an image: thumbnail, similarity as a number and a bar, actions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aina_core.numbers import decimal_text, percentile_text
from ui.components._mount import component, no_callback


@dataclass(frozen=True, slots=True)
class Card:
    """One image as the grid shows it; every text is shown as text, whatever it contains.

    `id` is the image id (tooltip, and what an event names); `thumbnail` a URL; `similarity` in
    [-1, 1]; `probability` in [0, 1], shown above it; `percentile` in [0, 1], the share of random
    pairs below the similarity; `href` the full-size URL, opened in a new tab; `mark` a
    badge, where "query" also takes the query's colour; `note` stands last, on as many lines as it
    needs.
    """

    id: str
    thumbnail: str
    label: str = ""
    caption: str = ""
    similarity: float | None = None
    probability: float | None = None
    percentile: float | None = None
    href: str | None = None
    mark: str | None = None
    note: str = ""


class Action(NamedTuple):
    """A button on every card: what the event says, what people read, ":material/…:" or emoji."""

    name: str
    label: str
    icon: str


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody chose `action` on the image `id`."""

    id: str
    action: str


def cards(
    items: Sequence[Card],
    *,
    actions: Sequence[Action | tuple[str, str, str]] = (),
    key: str,
    columns: int | None = None,
) -> Event | None:
    """Draws a grid of image cards and returns what was clicked since the last run.

    Args:
        items: the cards, in order; thousands are fine, thumbnails load when scrolled to.
        actions: (name, label, icon) for each button; the first also fires on the thumbnail.
        key: names this grid within the page.
        columns: cards in a row; None fits as many as the width allows.

    Returns:
        The event, in the one run that follows a click, else None.
    """
    data = {
        "cards": [_drawn(card) for card in items],
        "actions": [dict(zip(("name", "label", "icon"), each, strict=True)) for each in actions],
        "columns": columns,
    }
    result = component("cards", shared=("thumbs",))(key=key, data=data, on_act_change=no_callback)
    return decode_event(result.get("act"), {c.id for c in items}, {name for name, *_ in actions})


def decode_event(value: Any, ids: set[str], actions: set[str]) -> Event | None:
    """The browser's value as an Event; None if it names no card or action that is shown."""
    if not isinstance(value, dict):
        return None
    id_, action = value.get("id"), value.get("action")
    if not (isinstance(id_, str) and isinstance(action, str)):
        return None
    return Event(id_, action) if id_ in ids and action in actions else None


def _drawn(card: Card) -> dict[str, Any]:
    """A card as JSON for the browser; missing values and NaN are left out."""
    drawn: dict[str, Any] = {"id": card.id, "thumbnail": card.thumbnail}
    for name in ("label", "caption", "href", "mark", "note"):
        if text := getattr(card, name):
            drawn[name] = str(text)
    if card.similarity is not None and math.isfinite(card.similarity):
        drawn["similarity"] = decimal_text(card.similarity)
        drawn["bar"] = round(min(max(float(card.similarity), 0.0), 1.0), 4)
    if card.probability is not None and math.isfinite(card.probability):
        drawn["probability"] = f"{card.probability:.1%}"
        drawn["likely"] = round(min(max(float(card.probability), 0.0), 1.0), 4)
    if card.percentile is not None and math.isfinite(card.percentile):
        drawn["percentile"] = percentile_text(card.percentile)
    return drawn
