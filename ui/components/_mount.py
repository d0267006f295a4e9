"""Registers a component from the .js and .css files beside this module, once, when first used."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_HERE = Path(__file__).parent


@cache
def component(name: str, shared: tuple[str, ...] = ()) -> ComponentRenderer:
    """The function that mounts the component whose files are `name.js` and `name.css`.

    Args:
        name: of the component.
        shared: names of files that stand before its own: a module in the page cannot import one.
    """
    files = (*shared, name)
    js, css = ("\n".join(_read(each, ending) for each in files) for ending in (".js", ".css"))
    return st.components.v2.component(f"aina.{name}", js=js, css=css)


def _read(name: str, ending: str) -> str:
    path = _HERE / f"{name}{ending}"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def plotly_library() -> str:
    """The address of the plotly.js that comes in the plotly package; `ui.serve` answers it."""
    return f"/library/plotly-{version('plotly')}.min.js"


def no_callback() -> None:
    """Streamlit returns only events that have a callback; the page reads the value instead."""
