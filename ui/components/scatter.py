"""The map: a million points to pan, zoom, hover, click and pick out with a lasso."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ui.components._mount import component, no_callback, plotly_library
from ui.components.plot import to_json

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MOST_CORNERS = 5_000
_SCRIPTS = ("plotting", "points", "points_layer", "map_traces", "map_pictures")


@dataclass(frozen=True, slots=True)
class Cloud:
    """The points of a map, as addresses from which the browser takes them.

    Attributes:
        points: uint16 (count, dims), little-endian: steps from `low` to `low + span`.
        describe: with &points=1,2 answered by a list of {"id", "label", "text", "thumbnail",
            "number"}, where the number is the similarity to the query in words.
        count: of the points.
        low: the least coordinates.
        span: from the least to the greatest.
        codes: uint8 (count,), the category of each; None for one category.
        similarities: int16 (count,), 32767 × the similarity to the query; None without a query.
        selected: a bit for each point, 1 for those picked out, the first in the lowest bit of the
            first byte, as base64 itself; None for none.
    """

    points: str
    describe: str
    count: int
    low: Sequence[float]
    span: Sequence[float]
    codes: str | None = None
    similarities: str | None = None
    selected: str | None = None


@dataclass(frozen=True, slots=True)
class Clicked:
    """Somebody chose the point at a place."""

    point: int


@dataclass(frozen=True, slots=True)
class Lassoed:
    """Somebody drew a line around points; its corners are (x, y) on the map."""

    corners: tuple[tuple[float, float], ...]


def scatter(
    figure: go.Figure,
    cloud: Cloud,
    *,
    key: str,
    name: str,
    ring: str,
    pictures: bool = False,
) -> Clicked | Lassoed | None:
    """Draw a map and return what somebody did on it since the last run.

    Args:
        figure: as `aina_core.figures.projection_map` builds it.
        cloud: what fills its empty traces.
        key: names this map within the page.
        name: of downloaded files, without an ending.
        ring: colour of those picked out.
        pictures: thumbnails at up to 250 of the points in view, where there is room for them.
    """
    spec = figure.to_dict()
    spec["layout"].pop("template", None)
    data = {
        "library": plotly_library(),
        "figure": to_json(spec),
        "name": name,
        "ring": ring,
        "pictures": pictures,
        "dims": len(cloud.low),
        "points": cloud.points,
        "describe": cloud.describe,
        "count": cloud.count,
        "low": [float(value) for value in cloud.low],
        "span": [float(value) for value in cloud.span],
        "codes": cloud.codes,
        "similarities": cloud.similarities,
        "selected": cloud.selected,
    }
    mounted = component("scatter", shared=_SCRIPTS)
    result = mounted(key=key, data=data, on_click_change=no_callback, on_select_change=no_callback)
    return decode_click(result.get("click"), cloud) or decode_lasso(result.get("select"), cloud)


def decode_click(value: Any, cloud: Cloud) -> Clicked | None:
    """The browser's value as a click on one of these points, or None."""
    if not isinstance(value, dict) or value.get("points") != cloud.points:
        return None
    point = value.get("point")
    return Clicked(point) if type(point) is int and 0 <= point < cloud.count else None


def decode_lasso(value: Any, cloud: Cloud) -> Lassoed | None:
    """The browser's value as a line around some of these points, or None."""
    if not isinstance(value, dict) or value.get("points") != cloud.points:
        return None
    corners = value.get("corners")
    if not isinstance(corners, list) or not 3 <= len(corners) <= _MOST_CORNERS:
        return None
    try:
        pairs = tuple((float(x), float(y)) for x, y in corners)
    except (TypeError, ValueError, OverflowError):
        return None
    return Lassoed(pairs) if all(map(math.isfinite, (c for p in pairs for c in p))) else None
