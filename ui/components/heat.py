"""Pictures under a heat map: what a network did not see is hatched, places can be clicked."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from aina_core.figures import SHARED
from ui.components._mount import component, no_callback
from ui.components.cropper import Box

_LONGEST_SIDE = 384  # a map is smooth: the browser enlarges it as well as we could
_COLOURS = 256


@dataclass(frozen=True, slots=True)
class Mark:
    """A numbered box on a picture, in pixels of the upright image; one number, one colour.

    The boxes of one number are lit together, on all the pictures of the component.
    """

    x: float
    y: float
    width: float
    height: float
    number: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class HeatPicture:
    """One picture; every text is shown as text, whatever it contains.

    `url` is where the browser gets the upright image, `width` and `height` its true size in pixels,
    the unit of everything here; `window` the part that is shown, None for all; `heat` what
    `encode_map` made of a map of the window, None for none; `seen` is (top, left, height, width) of
    what a network saw of the image, None for all; `point` the (x, y) of a place that is marked;
    `lines` stand below the `caption`, which is cut to one line.
    """

    url: str
    width: int
    height: int
    label: str
    caption: str = ""
    lines: Sequence[str] = ()
    window: Box | None = None
    heat: str | None = None
    seen: tuple[float, float, float, float] | None = None
    marks: Sequence[Mark] = ()
    point: tuple[int, int] | None = None
    clickable: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody clicked the pixel (x, y) of the upright image of a picture, by its position."""

    picture: int
    x: int
    y: int


def heat(
    pictures: Sequence[HeatPicture],
    *,
    table: np.ndarray,
    opacity: float,
    key: str,
    columns: int | None = None,
    legend: bool = False,
    square: bool = False,
) -> Place | None:
    """Draws pictures side by side under their heat maps and returns what was clicked on them.

    Args:
        pictures: in order.
        table: uint8 (256, 3): the colours of the maps, from 0 to 1.
        opacity: of the maps, in [0, 1].
        key: names this element within the page.
        columns: pictures in a row; None fits as many as the width allows.
        legend: whether the colours are explained below.
        square: whether every picture takes the room of a square, so that rows are even.

    Returns:
        The place, in the one run that follows a click, else None.
    """
    data = {
        "pictures": [_drawn(picture) for picture in pictures],
        "table": base64.b64encode(np.ascontiguousarray(table[:_COLOURS], np.uint8)).decode(),
        "opacity": min(max(float(opacity), 0.0), 1.0),
        "columns": columns,
        "legend": legend,
        "square": square,
        "colours": list(SHARED),
    }
    result = component("heat", shared=("ink",))(key=key, data=data, on_place_change=no_callback)
    return decode_place(result.get("place"), pictures)


def encode_map(values: np.ndarray) -> str:
    """Return a map as the browser takes it: a grey PNG of at most 384 pixels a side, in base64.

    Args:
        values: float32 (height, width) in [0, 1].
    """
    grey = Image.fromarray(np.ascontiguousarray(values, np.float32))
    scale = _LONGEST_SIDE / max(grey.size)
    if scale < 1:
        size = tuple(max(round(side * scale), 1) for side in grey.size)
        grey = grey.resize((size[0], size[1]), Image.Resampling.BOX)
    levels = np.rint(np.clip(np.asarray(grey), 0, 1) * (_COLOURS - 1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def decode_place(value: Any, pictures: Sequence[HeatPicture]) -> Place | None:
    """The browser's value as a place on one of the pictures; None when it is none."""
    if not isinstance(value, dict):
        return None
    number, x, y = (value.get(name) for name in ("picture", "x", "y"))
    if type(number) is not int or not 0 <= number < len(pictures):
        return None
    picture = pictures[number]
    if not picture.clickable or not all(type(side) in (int, float) for side in (x, y)):
        return None
    left, top, width, height = picture.window or (0, 0, picture.width, picture.height)
    if not (left <= x <= left + width and top <= y <= top + height):  # NaN is no place
        return None
    return Place(
        number,
        min(math.floor(x), left + width - 1),
        min(math.floor(y), top + height - 1),
    )


def _drawn(picture: HeatPicture) -> dict[str, Any]:
    top, left, height, width = picture.seen or (0, 0, picture.height, picture.width)
    return {
        "url": picture.url,
        "width": picture.width,
        "height": picture.height,
        "label": picture.label,
        "caption": picture.caption,
        "lines": list(picture.lines),
        "window": list(picture.window or (0, 0, picture.width, picture.height)),
        "heat": picture.heat or "",
        "seen": [float(side) for side in (left, top, width, height)],
        "marks": [
            {
                "box": [float(side) for side in (mark.x, mark.y, mark.width, mark.height)],
                "number": mark.number,
                "text": mark.text,
            }
            for mark in picture.marks
        ],
        "point": list(picture.point) if picture.point else None,
        "clickable": picture.clickable,
    }
