"""Small multiples: how similar originals stay to themselves under every change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.figures.colours import BASELINE, CATEGORIES
from aina_core.figures.text import literal

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BINS = 40
_ROW_HEIGHT = 120


def similarity_multiples(
    cosines: np.ndarray, baseline: np.ndarray, changes: Sequence[str], *, wide: int = 6
) -> go.Figure:
    """Draw the similarities of every change as a small histogram, random pairs behind each.

    Args:
        cosines: float (n, c), of originals to their versions, under one model.
        baseline: float (p,), of random pairs of different originals.
        changes: names, (c,).
        wide: how many stand side by side.
    """
    import plotly.graph_objects as go

    wide = min(wide, len(changes))
    tall = math.ceil(len(changes) / wide)
    low = min(float(cosines.min()), float(np.quantile(baseline, 0.01)), 0.9)
    edges = np.linspace(low, 1.0, _BINS + 1)
    figure = go.Figure()
    for place, change in enumerate(changes):
        axis = "" if place == 0 else str(place + 1)
        _add_histogram(figure, axis, baseline, edges, BASELINE, "random pairs")
        own = cosines[:, place]
        _add_histogram(figure, axis, own, edges, CATEGORIES[0], "original and version")
        axes = _axes(axis, place, wide, tall, change)
        axes[f"xaxis{axis}"]["range"] = [low, 1.0]
        axes[f"xaxis{axis}"]["showticklabels"] = place + wide >= len(changes)
        figure.update_layout(axes)
    figure.update_layout(
        height=60 + _ROW_HEIGHT * tall,
        margin={"l": 8, "r": 8, "t": 8, "b": 24},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _add_histogram(
    figure: go.Figure, axis: str, values: np.ndarray, edges: np.ndarray, colour: str, name: str
) -> None:
    """Draw a histogram as an outline as high as its panel."""
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    figure.add_scatter(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts / max(counts.max(), 1),
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        mode="lines",
        fill="tozeroy",
        line={"color": colour, "width": 1, "shape": "hvh"},
        name=name,
        legendgroup=name,
        showlegend=axis == "",
        hovertemplate=f"%{{x:.2f}}<extra>{name}</extra>",
    )


def _axes(axis: str, place: int, wide: int, tall: int, title: str) -> dict[str, Any]:
    """Return the axes of a panel: where it stands, and its title below."""
    row, column = divmod(place, wide)
    left, top = column / wide, 1 - row / tall
    return {
        f"xaxis{axis}": {
            "domain": [left + 0.01, left + 1 / wide - 0.01],
            "anchor": f"y{axis}",
            "showgrid": False,
            "nticks": 3,
            "title": {"text": literal(title, 24), "font": {"size": 11}, "standoff": 2},
        },
        f"yaxis{axis}": {
            "domain": [top - 1 / tall + 0.32 / tall, top - 0.02],
            "anchor": f"x{axis}",
            "range": [0, 1.05],
            "visible": False,
        },
    }
