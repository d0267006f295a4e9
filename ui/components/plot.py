"""A plotly figure with pictures in its tooltip, a click that names them, and downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ui.components._mount import component, no_callback, plotly_library

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MOST_PICTURES = 2  # of one point


@dataclass(frozen=True, slots=True)
class Picture:
    """What the tooltip shows of an image; every text is shown as text.

    `thumbnail` is a URL; `label` stands first, then `text`, then the `id`.
    """

    id: str
    thumbnail: str
    label: str = ""
    text: str = ""


def plot(
    figure: go.Figure, *, key: str, name: str, pictures: Sequence[Picture] = ()
) -> tuple[int, ...] | None:
    """Draw a figure, in the app's theme, and return what was clicked since the last run.

    A trace stands for pictures when its `customdata`, integers (n,) or (n, 2), gives for each point
    places in `pictures`; a heat map when its `meta` is {"rows": [place…], "columns": [place…]}. A
    heat map of integer codes gives "scale" and "offset" in `meta`, from codes to the number shown.
    The tooltip of such a point shows the pictures and the point's `text` or number.

    Args:
        figure: as `aina_core.figures` builds it; `layout.height` in pixels, 450 by default.
        key: names this figure within the page.
        name: of downloaded files, without an ending; a figure of the same name keeps its zoom.
        pictures: see above.

    Returns:
        In the one run that follows a click: the places in `pictures` of the point clicked.
    """
    spec = figure.to_dict()
    spec["layout"].pop("template", None)
    text = to_json(spec)
    data = {
        "library": plotly_library(),
        "name": name,
        "figure": text,
        "token": hashlib.sha256(text.encode()).hexdigest()[:16],
        "pictures": [
            {"id": p.id, "thumbnail": p.thumbnail, "label": p.label, "text": p.text}
            for p in pictures
        ],
    }
    mounted = component("plot", shared=("plotting",))
    result = mounted(key=key, data=data, on_click_change=no_callback)
    return decode_click(result.get("click"), len(pictures))


def to_json(spec: dict[str, Any]) -> str:
    """Return a figure as JSON; arrays are in it as base64."""
    from plotly.io.json import to_json_plotly

    return to_json_plotly(spec)


def decode_click(value: Any, count: int) -> tuple[int, ...] | None:
    """The browser's value as places in a list of `count` pictures; None when it is none."""
    places = value.get("pictures") if isinstance(value, dict) else None
    if not isinstance(places, list) or not 1 <= len(places) <= _MOST_PICTURES:
        return None
    if not all(type(place) is int and 0 <= place < count for place in places):
        return None
    return tuple(places)
