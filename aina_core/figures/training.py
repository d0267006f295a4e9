"""How a training goes: its loss and its retrieval score, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aina_core.figures.colours import CATEGORIES

if TYPE_CHECKING:
    import plotly.graph_objects as go


def training_curves(
    losses: Sequence[float | None], scores: Sequence[float], best: int
) -> go.Figure:
    """Draw loss and retrieval score side by side, the best epoch marked.

    Args:
        losses: of each epoch; None for epoch 0, before the first step.
        scores: of each epoch, in [0, 1].
        best: the epoch of the best score.
    """
    import plotly.graph_objects as go

    epochs = list(range(len(scores)))
    figure = go.Figure()
    look: dict[str, Any] = {"mode": "lines+markers", "marker": {"size": 5}, "showlegend": False}
    figure.add_scatter(
        x=epochs[1:],
        y=list(losses[1:]),
        line={"color": CATEGORIES[0]},
        hovertemplate="epoch %{x}: loss %{y:.4f}<extra></extra>",
        **look,
    )
    figure.add_scatter(
        x=epochs,
        y=list(scores),
        xaxis="x2",
        yaxis="y2",
        line={"color": CATEGORIES[2]},
        hovertemplate="epoch %{x}: score %{y:.3f}<extra></extra>",
        **look,
    )
    if epochs:
        figure.add_scatter(
            x=[best],
            y=[scores[best]],
            xaxis="x2",
            yaxis="y2",
            mode="markers",
            marker={"size": 11, "color": CATEGORIES[1], "symbol": "star"},
            name="kept",
            hovertemplate="kept: epoch %{x}, score %{y:.3f}<extra></extra>",
        )
    axis = {"title": "epoch", "showgrid": False, "rangemode": "tozero"}
    figure.update_layout(
        height=280,
        margin={"l": 56, "r": 8, "t": 8, "b": 40},
        xaxis={**axis, "domain": [0.03, 0.47]},
        xaxis2={**axis, "domain": [0.56, 1.0], "anchor": "y2"},
        yaxis2={
            "title": "retrieval score",
            "anchor": "x2",
            "automargin": True,
        },
        legend={"x": 0.55, "y": 1.08, "orientation": "h"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure
