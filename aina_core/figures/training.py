"""The course of a training: its loss and its retrieval score, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aina_core.figures.colours import CATEGORIES, HIT, REST

if TYPE_CHECKING:
    import plotly.graph_objects as go

_FOREGROUND = "#000000"  # drawn in the colour of the text, on light and dark


def training_curves(
    losses: Sequence[float | None], scores: Sequence[float], best: int
) -> go.Figure:
    """Draw loss and held-out retrieval side by side, the epoch that is kept marked.

    Args:
        losses: of each epoch; None for epoch 0, before the first step.
        scores: of each epoch, in [0, 1].
        best: the epoch of the best score.
    """
    import plotly.graph_objects as go

    epochs = list(range(len(scores)))
    figure = go.Figure()
    _add(figure, "loss, mean of an epoch", epochs[1:], losses[1:], CATEGORIES[1], ".4f")
    _add(figure, "held-out retrieval", epochs, scores, HIT, ".3f", second=True)
    if epochs:
        figure.add_scatter(
            x=[0, max(epochs[-1], 1)],
            y=[scores[0]] * 2,
            xaxis="x2",
            yaxis="y2",
            mode="lines",
            line={"color": REST, "width": 2, "dash": "dot"},
            name="before training",
            hovertemplate="before training: %{y:.3f}<extra></extra>",
        )
        figure.add_scatter(
            x=[best],
            y=[scores[best]],
            xaxis="x2",
            yaxis="y2",
            mode="markers",
            marker={"size": 12, "color": _FOREGROUND, "symbol": "star"},
            name=f"kept: epoch {best}",
            hovertemplate="kept: epoch %{x}, %{y:.3f}<extra></extra>",
        )
    figure.update_layout(
        height=310,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis=_across(len(scores), [0.0, 0.45]),
        xaxis2={**_across(len(scores), [0.56, 1.0]), "anchor": "y2"},
        yaxis={"title": "loss", "automargin": True, "exponentformat": "power"},
        yaxis2={
            "title": "held-out retrieval",
            "anchor": "x2",
            "automargin": True,
            "range": _around(scores),
        },
        legend={"orientation": "h", "x": 0, "y": -0.3, "yanchor": "top"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _add(
    figure: go.Figure,
    name: str,
    epochs: Sequence[int],
    values: Sequence[float | None],
    colour: str,
    digits: str,
    *,
    second: bool = False,
) -> None:
    """Draw one curve, in the left or the second panel."""
    figure.add_scatter(
        x=list(epochs),
        y=list(values),
        xaxis="x2" if second else "x",
        yaxis="y2" if second else "y",
        mode="lines+markers" if len(values) <= 60 else "lines",
        marker={"size": 5},
        line={"color": colour, "width": 2.5},
        name=name,
        hovertemplate=f"epoch %{{x}}: %{{y:{digits}}}<extra>{name}</extra>",
    )


def _around(scores: Sequence[float]) -> list[float] | None:
    """Return a range of shares that shows how scores differ without exaggerating it."""
    if not scores:
        return None
    low, high = min(scores), max(scores)
    room = max(0.08 * (high - low), 0.02)
    return [max(low - room, -0.02), min(high + room, 1.02)]


def _across(count: int, domain: list[float]) -> dict[str, Any]:
    """Return an axis of epochs; a short one has a tick at every epoch."""
    steps: dict[str, Any] = {"dtick": 1} if count <= 10 else {}
    return {"title": "epoch", "showgrid": False, "rangemode": "tozero", "domain": domain, **steps}
