"""The settings of single pages that a link carries, checked like all that comes from outside."""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from ui import state
from ui.text import plain


def one_of(name: str, options: Collection[str], default: str) -> str:
    """Return a setting that must be one of some; say so where a link asks for another."""
    value = state.setting(name, default)
    if value in options:
        return value
    st.warning(
        plain(f"The link asks for {value!r} as {name.partition('.')[2]}, which is not here.")
    )
    return default


def number_of(name: str, default: int, low: int, high: int) -> int:
    """Return a setting that must be a whole number of a range; the default where it is none."""
    text = state.setting(name, str(default))
    if text.isascii() and text.isdecimal() and len(text) <= len(str(high)):
        return min(max(int(text), low), high)
    return default
