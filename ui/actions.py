"""What can be done with the card of an image, the same wherever it stands."""

from __future__ import annotations

import streamlit as st

from ui import query, state
from ui.components import Action, Event

SEARCH = Action("search", "Search with this", ":material/image_search:")
MAP = Action("map", "Show it on the map", ":material/scatter_plot:")
COMPARE = Action("compare", "Compare it with the query", ":material/compare:")
#: Of an image that was found by the query.
OF_A_HIT = (SEARCH, MAP, COMPARE)

_PAGES = {
    SEARCH.name: "pages/explore/search.py",
    MAP.name: "pages/explore/map.py",
    COMPARE.name: "pages/explore/compare.py",
}


def follow(event: Event | None, *, stay: bool = False) -> None:
    """Do what somebody has chosen on a card, and go where it shows.

    Args:
        event: what was chosen; None for nothing.
        stay: whether a new query is shown on this page too.
    """
    if event is None or event.action not in _PAGES:
        return
    if event.action == SEARCH.name:
        query.use_image(event.id)
        if stay:
            st.rerun()
    else:
        state.change(reference=event.id)
    st.switch_page(_PAGES[event.action])
