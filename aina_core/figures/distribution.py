"""Similarities within labels and between them, beside those of random pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aina_core.figures.colours import BASELINE, CATEGORIES, HIT, QUERY

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BINS = 100


def similarity_distribution(
    within: np.ndarray,
    between: np.ndarray,
    baseline: np.ndarray,
    *,
    chosen: np.ndarray | None = None,
    marked: float | None = None,
) -> go.Figure:
    """Draw the distribution of pairs over similarities, each kind with the same area.

    Args:
        within: float32 (a,), pairs of one label.
        between: float32 (b,), pairs of two labels.
        baseline: float32 (m,), random pairs.
        chosen: float32 (c,), the pairs that a heat map shows.
        marked: a pair's similarity, drawn as a line.
    """
    import plotly.graph_objects as go

    kinds = [
        ("random pairs", baseline, BASELINE, "dash"),
        ("two labels", between, CATEGORIES[1], "solid"),
        ("one label", within, HIT, "solid"),
        ("this heat map", np.empty(0) if chosen is None else chosen, QUERY, "dot"),
    ]
    values = [given for _, given, _, _ in kinds if len(given)]
    low = min((float(np.quantile(given, 0.001)) for given in values), default=0.0)
    edges = np.linspace(min(low, 0.9), 1.0, _BINS + 1)
    figure = go.Figure()
    for name, given, colour, dash in kinds:
        if not len(given):
            continue
        counts = np.histogram(np.clip(given, edges[0], edges[-1]), edges)[0]
        figure.add_scatter(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts / len(given),
            mode="lines",
            line={"color": colour, "width": 2, "shape": "hvh", "dash": dash},
            fill="tozeroy" if dash == "solid" else None,
            name=name,
            hovertemplate=f"%{{y:.1%}} of {name} at %{{x:.2f}}<extra></extra>",
        )
    if marked is not None:
        figure.add_vline(marked, line={"color": QUERY, "width": 2, "dash": "dash"})
    left = edges[0] if marked is None else min(edges[0], marked - 0.02)
    _lay_out(figure, float(left))
    return figure


def _lay_out(figure: go.Figure, left: float) -> None:
    figure.update_layout(
        height=260,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": "similarity", "range": [left, 1.005], "automargin": True},
        yaxis={
            "title": "share of pairs",
            "rangemode": "tozero",
            "tickformat": ".0%",
            "automargin": True,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
