"""Registers a component from the .js and .css files beside this module, once, when first used."""

from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_HERE = Path(__file__).parent


@cache
def component(name: str) -> ComponentRenderer:
    """The function that mounts the component whose files are `name.js` and `name.css`."""
    js, css = (_HERE.joinpath(name + ext).read_text(encoding="utf-8") for ext in (".js", ".css"))
    return st.components.v2.component(f"aina.{name}", js=js, css=css)


def no_callback() -> None:
    """Streamlit returns only events that have a callback; the page reads the value instead."""
