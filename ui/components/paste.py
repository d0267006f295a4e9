"""A place to paste a picture from the clipboard, which Streamlit's uploader cannot take."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from ui.components._mount import component, no_callback

MAX_BYTES = 18_000_000
"""Largest pasted picture: base64 of it stays under Streamlit's 25 MB for what a widget sends."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """A pasted file: its name and its bytes, not yet checked."""

    name: str
    data: bytes = field(repr=False)


def paste_zone(key: str) -> Pasted | None:
    """Draws a zone that takes a picture by Ctrl+V (or a click) and returns it once, then None."""
    result = component("paste")(
        key=key, data={"max_bytes": MAX_BYTES}, on_pasted_change=no_callback
    )
    return decode_pasted(result.get("pasted"))


def decode_pasted(value: Any) -> Pasted | None:
    """The browser's value as a Pasted, or None when it is not whole."""
    if not isinstance(value, dict):
        return None
    name, encoded = value.get("name"), value.get("base64")
    if not (isinstance(name, str) and isinstance(encoded, str)):
        return None
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Pasted(name[:200] or "pasted", data) if 0 < len(data) <= MAX_BYTES else None
