"""What can be done with the card of an image, the same wherever it stands."""

from __future__ import annotations

import streamlit as st

from aina_core.search.query import IMAGE, Term
from ui import navigation, query, state
from ui.components import Action, Event

SEARCH = Action("search", "Search with this", ":material/image_search:")
EXPLAIN = Action("explain", "Explain why it is similar", ":material/visibility:")
MAP = Action("map", "Show it on the map", ":material/scatter_plot:")
COMPARE = Action("compare", "Compare it with the query", ":material/compare:")
MORE = Action("more", "More like this", ":material/add:")
LESS = Action("less", "Less like this", ":material/remove:")
#: Of an image that was found by the query.
OF_A_HIT = (SEARCH, EXPLAIN, MORE, LESS, MAP, COMPARE)

#: What a click on "more" or "less" weighs against the picture's 1 (Rocchio's weights are such).
_WEIGHTS = {MORE.name: 1.0, LESS.name: -0.5}

#: The page on which each shows.
_PAGES = {
    **{action.name: action.name for action in (SEARCH, EXPLAIN, MAP, COMPARE)},
    **dict.fromkeys(_WEIGHTS, SEARCH.name),
}


def follow(event: Event | None, *, stay: bool = False) -> None:
    """Do what somebody has chosen on a card, and go where it shows.

    Args:
        event: what was chosen; None for nothing.
        stay: whether a new query is shown on this page too.
    """
    if event is None or event.action not in _PAGES:
        return
    if event.action in (SEARCH.name, *_WEIGHTS):
        if event.action == SEARCH.name:
            query.use_image(event.id)
        else:
            query.add_term(Term(IMAGE, event.id, _WEIGHTS[event.action]))
        if stay:
            st.rerun()
    elif event.action == EXPLAIN.name:
        explain(event.id)
    else:
        state.change(reference=event.id)
    navigation.go(_PAGES[event.action])


def explain(image_id: str) -> None:
    """Hold the query against an image on the Explain page, which then asks why they are alike."""
    others = {name: kept for name, kept in state.current().view.items() if name != "explain.of"}
    state.change(reference=image_id, view=others)
