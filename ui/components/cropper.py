"""The query picture with a box on it: drag to crop, Escape to take the whole again."""

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from ui.components._mount import component, no_callback

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the upright image."""

MIN_SIDE = 8
"""Smallest side of a crop in pixels (or the image's side, where that is smaller)."""


def cropper(
    image_url: str,
    *,
    width: int,
    height: int,
    box: Box | None,
    key: str,
    label: str = "picture",
    drawn: Sequence[Box] = (),
) -> Box | None:
    """Draws an image with a box to crop it and returns the box as it now is.

    The page owns the box: what it passes is shown, and what comes back is that same box, or in
    the one run after a gesture the new one, for the page to store and pass from then on. Every
    gesture has its own number; the number last seen goes back to the browser, which thereby
    knows whether a box from Python is newer or older than what the person just drew.

    Args:
        image_url: the upright image; it may be a smaller copy.
        width, height: the upright image's true size in pixels, the unit of the box.
        box: the page's current box (x, y, w, h), or None for the whole picture.
        key: names this cropper within the page.
        label: what the picture is, for screen readers.
        drawn: boxes that are settled already; they are shown with their numbers, from 1.

    Returns:
        (x, y, w, h) inside the image, sides at least 8 pixels, or None for the whole picture.
    """
    memory = f"{key}:seen"
    data = {
        "url": image_url,
        "width": width,
        "height": height,
        "box": clamp_box(box, width, height),
        "min": MIN_SIDE,
        "label": label,
        "drawn": [list(each) for each in drawn],
        "seen": st.session_state.get(memory),
    }
    result = component("cropper")(key=key, data=data, on_gesture_change=no_callback)
    gesture = result.get("gesture")
    if not isinstance(gesture, dict) or gesture.get("number") == data["seen"]:
        return data["box"]
    st.session_state[memory] = gesture.get("number")
    if gesture.get("url") != image_url:  # drawn on the picture before this one
        return data["box"]
    return clamp_box(gesture.get("box"), width, height)


def clamp_box(box: Any, width: int, height: int) -> Box | None:
    """The box in whole pixels inside the image; None when it is the whole, or not a box."""
    try:
        x, y, w, h = (float(value) for value in box)
    except (TypeError, ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, (x, y, w, h))):
        return None
    left, w = _clamp_side(x, w, width)
    top, h = _clamp_side(y, h, height)
    return None if (w, h) == (width, height) else (left, top, w, h)


def _clamp_side(start: float, length: float, limit: int) -> tuple[int, int]:
    first, last = (min(max(round(edge), 0), limit) for edge in (start, start + length))
    least = min(MIN_SIDE, limit)
    first = min(first, limit - least)
    return first, max(last - first, least)
