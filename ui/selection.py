"""The images that a person has picked out, on the map or elsewhere, for other pages to take up."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from ui import state

_KEY = "aina.selection"


def chosen() -> tuple[str, ...]:
    """Return the image ids picked out in the current gallery, in the order they were given."""
    gallery, ids = st.session_state.get(_KEY, ("", ()))
    return ids if gallery == state.current().gallery else ()


def choose(ids: Iterable[str]) -> None:
    """Pick out images of the current gallery, in place of those before; none to forget them."""
    st.session_state[_KEY] = (state.current().gallery, tuple(dict.fromkeys(ids)))
