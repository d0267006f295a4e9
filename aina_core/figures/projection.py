"""The map of a gallery, and how far its neighbours are from a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.figures.colours import POINTS, QUERY, REST, SIMILARITY
from aina_core.figures.text import literal

if TYPE_CHECKING:
    import plotly.graph_objects as go

_HIDDEN_AXIS = {"visible": False, "showgrid": False, "zeroline": False}
_HEIGHT = 620
_OPACITY, _RECEDING = 0.85, 0.35
_SIZES = ((1_000, 8), (10_000, 6), (100_000, 4))  # up to so many points, so large in pixels
_SMALLEST = 3


def projection_map(
    count: int,
    dims: int = 2,
    *,
    categories: Sequence[tuple[str, int]] = (),
    others: int = 0,
    scale: tuple[float, float] | None = None,
    query: np.ndarray | None = None,
    near: np.ndarray | None = None,
    similarities: np.ndarray | None = None,
    reference: np.ndarray | None = None,
) -> go.Figure:
    """Draw the layers over a map's points, and leave the points' own traces to be filled.

    Points can be a million, and only a browser knows which of them are in view: so the traces that
    show them are empty here, and say by `meta` which points belong in them: {"code": c} those of a
    category, {"code": 255} those of no category that has a colour, {"code": null} all, with
    {"similarity": true} coloured by their similarity.

    Args:
        count: of the points, for their size.
        dims: 2 or 3.
        categories: name and number of points of each, in the order of their codes.
        others: how many points have none of them.
        scale: colour the points by their similarity to the query instead, between these two.
        query: float (dims,), marked by a star.
        near: float (k, dims), its neighbours: linked to it, coloured by similarity.
        similarities: float (k,), of the neighbours.
        reference: float (dims,), marked by a ring.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    size = next((size for most, size in _SIZES if count <= most), _SMALLEST)
    linked = near is not None and len(near) > 0 and query is not None
    if dims == 3:
        size = size // 2 + 1
    for trace in _points(size, categories, others, scale, receding=linked):
        _add(figure, dims, np.empty((0, dims)), mode="markers", **trace)
    if near is not None and len(near) and query is not None:
        values = np.asarray(similarities, float)
        _links(figure, query, near, values, scale or (float(values.min()), float(values.max())))
    if reference is not None:
        marker = {"symbol": "circle-open", "size": 18, "color": QUERY, "line": {"width": 2}}
        _add(figure, dims, reference[None], mode="markers", name="second image", marker=marker)
    if query is not None:
        symbol = "star" if dims == 2 else "diamond"  # WebGL in space knows no star
        marker = {"symbol": symbol, "size": 18 if dims == 2 else 10, "color": QUERY}
        marker["line"] = {"color": "#FFFFFF", "width": 1}
        _add(figure, dims, query[None], mode="markers", name="query", marker=marker)
    layout: dict[str, Any] = {
        "height": _HEIGHT,
        "margin": {"l": 0, "r": 0, "t": 32, "b": 0},
        "legend": {"itemsizing": "constant", "orientation": "h", "y": -0.02},
        "dragmode": "lasso" if dims == 2 else "orbit",
    }
    if dims == 2:
        layout["xaxis"] = {**_HIDDEN_AXIS}
        layout["yaxis"] = {**_HIDDEN_AXIS, "scaleanchor": "x"}
    else:
        axis = {"title": "", "showticklabels": False, "showbackground": False}
        layout["scene"] = {"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "data"}
    figure.update_layout(layout)
    return figure


def _points(
    size: int,
    categories: Sequence[tuple[str, int]],
    others: int,
    scale: tuple[float, float] | None,
    *,
    receding: bool,
) -> list[dict[str, Any]]:
    """The traces that hold the points, those at the back first."""
    if scale is not None:
        bar = {"title": {"text": "similarity to the query", "side": "right"}, "thickness": 12}
        look = {"size": size, "opacity": _OPACITY, "colorscale": SIMILARITY, "colorbar": bar}
        marker = {**look, "cmin": scale[0], "cmax": scale[1]}
        meta = {"code": None, "similarity": True}
        return [{"meta": meta, "name": "images", "marker": marker, "showlegend": False}]
    opacity = _RECEDING if receding else _OPACITY
    marker = {"size": size, "color": REST, "opacity": _RECEDING if categories else opacity}
    if not categories:
        return [{"meta": {"code": None}, "name": "images", "marker": marker}]
    traces = []
    if others:
        traces.append({"meta": {"code": 255}, "name": f"other ({others:,})", "marker": marker})
    for code, (name, number) in enumerate(categories):
        colour = {"size": size, "color": POINTS[code % len(POINTS)]}
        traces.append(
            {
                "meta": {"code": code},
                "name": f"{literal(name)} ({number:,})",
                "marker": {**colour, "opacity": max(opacity, 0.6)},
            }
        )
    return traces


def _links(
    figure: go.Figure,
    query: np.ndarray,
    near: np.ndarray,
    similarities: np.ndarray,
    scale: tuple[float, float],
) -> None:
    """Lines from the query to its neighbours, those of equal distance in one trace."""
    from plotly.colors import sample_colorscale

    dims, (low, high) = len(query), scale
    share = (similarities - low) / (high - low) if high > low else np.ones(len(near))
    steps = (share * 8).astype(int).clip(0, 7)
    for step in np.unique(steps):
        ends = near[steps == step]
        gaps = np.full((len(ends), dims), np.nan)
        line = np.stack([np.broadcast_to(query, ends.shape), ends, gaps], axis=1)
        (colour,) = sample_colorscale(SIMILARITY, [(step + 0.5) / 8])
        style = {"mode": "lines", "line": {"color": colour, "width": 1.5}, "hoverinfo": "skip"}
        _add(figure, dims, line.reshape(-1, dims), showlegend=False, **style)
    marker: dict[str, Any] = {
        "color": similarities,
        "colorscale": SIMILARITY,
        "cmin": low,
        "cmax": high if high > low else low + 1e-6,
        "size": 9 if dims == 2 else 5,
        "line": {"color": "#FFFFFF", "width": 1},
    }
    _add(figure, dims, near, mode="markers", name="neighbours", marker=marker, hoverinfo="skip")


def _add(figure: go.Figure, dims: int, points: np.ndarray, **trace: Any) -> None:
    names = ("x", "y", "z")[:dims]
    places = {name: points[:, axis] for axis, name in enumerate(names)}
    if dims == 3:
        figure.add_scatter3d(**places, **trace)
    elif "meta" in trace:
        figure.add_scattergl(**places, **trace)
    else:
        figure.add_scatter(**places, **trace)


def relative_distances(
    offsets: np.ndarray, similarities: np.ndarray, *, threshold: float | None = None
) -> go.Figure:
    """Draw hits around their query: as far from it as their cosine distance says.

    After the botanical illustrations project. The angle is that on the map, from the query to the
    hit; a hit on the query's own point has no angle and goes to the right.

    Args:
        offsets: float (k, 2), from the query to each hit on the map.
        similarities: float (k,), in [−1, 1].
        threshold: the similarity from which a hit counts, drawn as a circle.

    Returns:
        A figure whose trace "hits" has `customdata` 0 … k − 1.
    """
    import plotly.graph_objects as go

    distances = np.maximum(1 - np.asarray(similarities, float), 0)
    angles = np.arctan2(offsets[:, 1], offsets[:, 0])
    figure = go.Figure()
    figure.add_scatter(
        x=distances * np.cos(angles),
        y=distances * np.sin(angles),
        mode="markers",
        name="hits",
        customdata=np.arange(len(distances)),
        text=[f"similarity {value:.3f}, distance {1 - value:.3f}" for value in similarities],
        marker={"color": similarities, "colorscale": SIMILARITY, "size": 11, "line": {"width": 0}},
    )
    figure.add_scatter(
        x=[0],
        y=[0],
        mode="markers",
        name="query",
        hoverinfo="skip",
        marker={"symbol": "star", "size": 18, "color": QUERY},
    )
    limit = 1 - threshold if threshold is not None else None
    reach = max(float(distances.max(initial=0)), limit or 0, 1e-3) * 1.08
    if limit is not None and limit > 0:
        figure.add_shape(
            type="circle", x0=-limit, x1=limit, y0=-limit, y1=limit,
            line={"color": QUERY, "width": 2, "dash": "dash"},
        )  # fmt: skip
    for radius in _rings(reach):
        figure.add_shape(
            type="circle", x0=-radius, x1=radius, y0=-radius, y1=radius, layer="below",
            line={"color": REST, "width": 0.5},
        )  # fmt: skip
        figure.add_annotation(
            x=0, y=radius, text=f"{radius:g}", showarrow=False, yshift=7, font={"size": 10}
        )
    axis = {**_HIDDEN_AXIS, "range": [-reach, reach]}
    figure.update_layout(
        height=_HEIGHT,
        showlegend=False,
        margin={"l": 0, "r": 0, "t": 32, "b": 0},
        xaxis=axis,
        yaxis={**axis, "scaleanchor": "x"},
    )
    return figure


def _rings(reach: float) -> list[float]:
    """Three or four round distances below the greatest."""
    step = next(s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if reach / s <= 5)
    return [round(step * (i + 1), 3) for i in range(int(reach / step))]
