"""Images of a gallery as cards, the same on every page."""

from __future__ import annotations

from dataclasses import replace

from aina_core.search.results import Neighbour, Recognised
from aina_core.search.searcher import Searcher
from ui import serve
from ui.components import Card


def image_card(opened: Searcher, image_id: str, *, mark: str | None = None) -> Card:
    """Return the card of an image of a gallery.

    Raises:
        InputError: the gallery has no such image.
    """
    record, note = opened.image(image_id)
    return Card(
        id=image_id,
        thumbnail=serve.thumbnail_url(opened.gallery.name, record.sha256),
        label=note.label,
        caption=note.caption,
        href=serve.image_url(opened.gallery.name, record.sha256),
        mark=mark,
    )


def hit_card(opened: Searcher, hit: Neighbour | Recognised) -> Card:
    """Return the card of a hit, with its similarity, percentile and probability."""
    card = replace(image_card(opened, hit.id), probability=hit.probability)
    if isinstance(hit, Recognised):
        return card
    return replace(card, similarity=hit.similarity, percentile=hit.percentile)
