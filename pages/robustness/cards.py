"""Originals and their changed versions as cards, and where a click on one leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import streamlit as st

from aina_core.changes.made import keep_version
from aina_core.changes.originals import Original
from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from ui import navigation, serve, state
from ui.components import Action, Card, cards
from ui.text import plain

_EXPLAIN = Action("explain", "Explain this pair", ":material/lightbulb:")
_COMPARE = Action("compare", "Compare this pair", ":material/compare:")
_SEARCH = Action("search", "Search with this", ":material/image_search:")


def original_card(gallery: Gallery, image: Original, **more: str) -> Card:
    """Return the card of an image as it is."""
    return Card(
        id=image.id,
        thumbnail=serve.thumbnail_url(gallery.name, image.sha256),
        label=image.label,
        href=serve.image_url(gallery.name, image.sha256),
        **{"caption": image.id, **more},
    )


def version_card(
    gallery: Gallery, image: Original, change: str, similarity: float | None = None, **more: str
) -> Card:
    """Return the card of a changed version, which is made when the browser asks for it."""
    url = serve.version_url(gallery.name, image.sha256, change)
    return Card(
        id=version_id(image, change),
        thumbnail=url,
        similarity=similarity,
        href=url,
        **{"label": change, **more},
    )


def version_id(image: Original, change: str) -> str:
    """Return the name of a version among cards."""
    return f"{image.id} · {change}"


class Shown(NamedTuple):
    """What a card shows: an image, under a change or ("") as it is."""

    image: Original
    change: str = ""


@dataclass(frozen=True)
class Pair:
    """What a click on a card opens.

    Attributes:
        own: what the card shows; what is searched with.
        query: what becomes the query when the pair is opened.
        reference: id of the image that it is held against.
    """

    own: Shown
    query: Shown
    reference: str


def show_pairs(
    gallery: Gallery,
    shown: Sequence[Card],
    pairs: Mapping[str, Pair],
    *,
    key: str,
    columns: int | None = None,
) -> None:
    """Draw cards in order, and go where a click leads.

    A version becomes the query as a picture that is kept, as if it had been uploaded; so the other
    pages show the pair as they show any other.

    Args:
        gallery: where the images are.
        shown: the cards.
        pairs: by card, what a click opens.
        key: names these cards within the page.
        columns: cards in a row.
    """
    event = cards(shown, actions=(_EXPLAIN, _COMPARE, _SEARCH), key=key, columns=columns)
    if event is None or event.id not in pairs:
        return
    pair = pairs[event.id]
    searching = event.action == _SEARCH.name
    query = pair.own if searching else pair.query
    try:
        named = (
            {"upload": keep_version(gallery, query.image.sha256, query.change)}
            if query.change
            else {"image": query.image.id}
        )
    except AinaError as error:
        st.error(plain(error))
        return
    state.change(**named, **({} if searching else {"reference": pair.reference}))
    navigation.go(event.action)
