"""Similarity matrices as heat maps, with a dendrogram beside them and lines between groups."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.figures.colours import REST, SIMILARITY
from aina_core.figures.text import literal

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: What a cell's number is multiplied by to be a similarity: two bytes a cell go to the browser.
UNIT = 1e-4

_NAMED = 40  # rows or groups that have room for their names
_TREE = 0.13  # of the width
_GAP = 0.02
#: In pixels, by the number of heat maps side by side: as high as wide in a column of the page.
_HEIGHTS = {1: 600, 2: 440, 3: 430, 4: 360}


def similarity_heatmap(
    values: np.ndarray,
    names: Sequence[str],
    *,
    titles: Sequence[str] = (),
    spans: Sequence[tuple[str, int, int]] = (),
    tree: np.ndarray | None = None,
    shared: bool = True,
) -> go.Figure:
    """Draw the similarities of images to each other, under one model or several side by side.

    Args:
        values: float32 (models, n, n), in [−1, 1].
        names: of the images, (n,).
        titles: of the models, (models,); none for one.
        spans: (name, start, stop) of groups that stand together; lines are drawn between them.
        tree: float32 (n − 1, 4, 2), the lines of a dendrogram as (place, distance).
        shared: whether all models share one scale of colours; else each has its own.

    Returns:
        The figure. Cells hold integers, similarities divided by `UNIT`; each heat map's `meta` has
        the places in `names` that its rows and columns stand for, and `UNIT` as scale.
    """
    cells = np.round(values / UNIT).astype(np.int16)
    figure = _frame(len(cells), tree)
    ticks = _ticks(names, spans)
    over = _domain(figure, "x")
    if shared:
        over = over[0], _domain(figure, f"x{_suffix(len(cells) - 1)}")[1]
    _set_scale(figure, "coloraxis", cells if shared else cells[0], UNIT, over)
    for number, block in enumerate(cells):
        axis = _suffix(number)
        title = literal(titles[number], 48) if titles else ""
        scale = "coloraxis" if shared else f"coloraxis{axis}"
        if number and not shared:
            _set_scale(figure, scale, block, UNIT, _domain(figure, f"x{axis}"))
        figure.add_heatmap(
            z=block,
            coloraxis=scale,
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            name=title,
            meta=_meta(len(names), UNIT),
            hoverinfo="none",
        )
        _add_lines(figure, axis, spans, len(names))
        _set_axes(figure, axis, ticks, len(names), title)
    shown = "\0".join(names).encode()
    figure.update_layout(uirevision=f"{zlib.crc32(shown)}-{len(cells)}")  # others are not zoomed
    return figure


def group_heatmap(
    values: np.ndarray, names: Sequence[str], *, tree: np.ndarray | None = None
) -> go.Figure:
    """Draw how similar groups of images are to each other.

    Args:
        values: float32 (g, g), a mean or a quantile of each pair of groups; NaN where there is no
            pair of images.
        names: of the groups, (g,).
        tree: float32 (g − 1, 4, 2), the lines of a dendrogram as (place, distance).

    Returns:
        The figure; its heat map's `meta` as in `similarity_heatmap`.
    """
    figure = _frame(1, tree)
    figure.add_heatmap(
        z=values, coloraxis="coloraxis", meta=_meta(len(names), 1.0), hoverinfo="none"
    )
    _set_axes(figure, "", _ticks(names, ()), len(names), "")
    _set_scale(figure, "coloraxis", values, 1.0, _domain(figure, "x"))
    return figure


def _meta(count: int, scale: float) -> dict[str, Any]:
    """Say which row of the input each row and column stands for, and what a cell's number is."""
    rows = list(range(count))
    return {"rows": rows, "columns": rows, "scale": scale, "digits": 3}


def _suffix(number: int) -> str:
    return "" if number == 0 else str(number + 1)


def _domain(figure: go.Figure, axis: str) -> tuple[float, float]:
    return figure.layout[axis.replace("x", "xaxis")].domain


def _frame(count: int, tree: np.ndarray | None) -> go.Figure:
    """Return a figure with places for the heat maps side by side, and the dendrogram drawn."""
    import plotly.graph_objects as go

    figure = go.Figure()
    left = 0.0 if tree is None else _TREE
    width = (1 - left - _GAP * (count - 1)) / count
    for number in range(count):
        start = left + number * (width + _GAP)
        figure.update_layout({f"xaxis{_suffix(number)}": {"domain": [start, start + width]}})
    if tree is not None:
        ends = np.full((len(tree), 1, 2), np.nan, np.float32)  # a gap between two lines
        points = np.concatenate([tree, ends], axis=1).reshape(-1, 2)
        figure.add_scatter(
            x=points[:, 1],
            y=points[:, 0],
            xaxis="x9",
            mode="lines",
            line={"color": REST, "width": 1},
            hoverinfo="skip",
        )
        figure.update_layout(
            xaxis9={
                "domain": [0, _TREE - _GAP / 2],
                "autorange": "reversed",
                "rangemode": "tozero",
                "showgrid": False,
                "zeroline": False,
                "nticks": 3,
                "title": {"text": "distance", "standoff": 4},
            }
        )
    figure.update_layout(
        height=_HEIGHTS.get(count, _HEIGHTS[4]),
        margin={"l": 8, "r": 8, "t": 56, "b": 24},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
    )
    return figure


def _ticks(names: Sequence[str], spans: Sequence[tuple[str, int, int]]) -> dict[str, Any]:
    """Names beside the rows: the images' if there is room, else the groups'."""
    if len(names) <= _NAMED:
        places: list[float] = list(range(len(names)))
        texts = list(names)
    elif len(spans) <= _NAMED:
        places = [(start + stop - 1) / 2 for _, start, stop in spans]
        texts = [name for name, _, _ in spans]
    else:
        places, texts = [], []
    return {"tickvals": places, "ticktext": [literal(text or "no label", 26) for text in texts]}


def _set_axes(figure: go.Figure, axis: str, ticks: dict[str, Any], count: int, title: str) -> None:
    """Make a heat map square, with its first row on top, and pan it with those beside it."""
    first = axis == ""
    both = {"showgrid": False, "zeroline": False, "ticks": "", "constrain": "domain"}
    figure.update_layout(
        {
            f"xaxis{axis}": {
                **both,
                "anchor": f"y{axis}",
                "range": [-0.5, count - 0.5],
                "constraintoward": "left",
                # A tick stays under a square that has shrunk, a title does not.
                "tickvals": [(count - 1) / 2] if title else [],
                "ticktext": [title] if title else [],
                "tickangle": 0,
                **({} if first else {"matches": "x"}),
            },
            f"yaxis{axis}": {
                **both,
                **ticks,
                "anchor": "x9" if first and "xaxis9" in figure.layout else f"x{axis}",
                "range": [count - 0.5, -0.5],
                "constraintoward": "top",
                "showticklabels": first,
                "automargin": True,
                "scaleanchor": f"x{axis}",
                **({} if first else {"matches": "y"}),
            },
        }
    )


def _add_lines(
    figure: go.Figure, axis: str, spans: Sequence[tuple[str, int, int]], count: int
) -> None:
    """Draw the lines between groups, as one trace: hundreds of shapes would be slow."""
    cuts = np.array([start - 0.5 for _, start, _ in spans[1:]], np.float32)
    if not len(cuts):
        return
    ends = np.tile(np.array([-0.5, count - 0.5, np.nan], np.float32), len(cuts))
    at = np.repeat(cuts, 3)
    figure.add_scatter(
        x=np.concatenate([at, ends]),
        y=np.concatenate([ends, at]),
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        mode="lines",
        line={"color": "#FFFFFF", "width": 1.5 if len(cuts) <= _NAMED else 0.5},
        hoverinfo="skip",
    )


def _set_scale(
    figure: go.Figure, name: str, cells: np.ndarray, unit: float, over: tuple[float, float]
) -> None:
    """Set a scale of colours from the least similarity to 1, its bar over a part of the width."""
    least = float(np.nanmin(cells)) * unit if np.isfinite(cells).any() else 0.0
    low = math.floor(min(least, 0.95) * 20) / 20
    step = 0.05 if low >= 0.7 else 0.1 if low >= 0.2 else 0.2
    steps = 1 - step * np.arange(math.floor((1 - low) / step + 1e-6), -1, -1)
    bar = {
        "orientation": "h",
        "x": over[0],
        "xanchor": "left",
        "len": over[1] - over[0],
        "y": 1,
        "yanchor": "bottom",
        "ticklabelposition": "outside top",
        "tickvals": (steps / unit).tolist(),
        "ticktext": [f"{at:.2f}" for at in steps],
        "thickness": 10,
        "outlinewidth": 0,
    }
    figure.update_layout(
        {name: {"colorscale": SIMILARITY, "cmin": low / unit, "cmax": 1 / unit, "colorbar": bar}}
    )
