"""How a score falls while what a map marks is hidden, and rises while it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aina_core.figures.colours import HIT, REST

if TYPE_CHECKING:
    import plotly.graph_objects as go

_TITLES = ("hidden, the marked first", "shown, the marked first")


def faithfulness_curves(
    fractions: np.ndarray,
    deletion: np.ndarray,
    insertion: np.ndarray,
    deletion_random: np.ndarray,
    insertion_random: np.ndarray,
) -> go.Figure:
    """Draw deletion and insertion curves beside those of a random order.

    Args:
        fractions: float32 (steps + 1,), shares of the picture, from 0 to 1.
        deletion: float32 (steps + 1,), the score with so much blurred, the marked parts first.
        insertion: float32 (steps + 1,), the score with only so much left sharp, the marked first.
        deletion_random: float32 (steps + 1,), the same in a random order.
        insertion_random: float32 (steps + 1,), the same in a random order.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=list(_TITLES)
    )
    percent = 100 * np.asarray(fractions, np.float32)
    for column, (marked, random) in enumerate(
        ((deletion, deletion_random), (insertion, insertion_random)), start=1
    ):
        for values, name, line in (
            (random, "at random", {"color": REST, "width": 2, "dash": "dot"}),
            (marked, "by the map", {"color": HIT, "width": 3}),
        ):
            figure.add_scatter(
                x=percent,
                y=np.asarray(values, np.float32),
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                line=line,
                hovertemplate="%{x:.0f}%: %{y:.3f}<extra>" + name + "</extra>",
                row=1,
                col=column,
            )
    axis = {"ticksuffix": "%", "range": [0, 100], "automargin": True, "showgrid": False}
    figure.update_xaxes(**axis)
    figure.update_yaxes(automargin=True)
    figure.update_yaxes(title="score", col=1)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(
        height=230,
        margin={"l": 8, "r": 8, "t": 28, "b": 8},
        legend={"orientation": "h", "x": 0, "y": -0.18, "yanchor": "top"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure
