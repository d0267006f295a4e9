"""How many hits are right: curves over k, and bars by kind, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.figures.colours import CATEGORIES, REST
from aina_core.figures.text import literal

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Lines of several models differ in more than their colour; black is not to be seen on dark.
_COLOURS = CATEGORIES[:7]
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "pentagon")
_NAME = 40  # letters of a model's name

#: A figure with its interval: "mean", "low", "high".
Estimate = Mapping[str, float]


def hit_curves(
    models: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
    figures: Sequence[str],
    titles: Sequence[str],
    *,
    ideal: Mapping[str, Mapping[str, float]] | None = None,
) -> go.Figure:
    """Draw figures at several k, one panel per figure, one line per model, with intervals.

    Args:
        models: {model: {k: {figure: estimate}}}.
        figures: which, in their order.
        titles: what stands below each panel.
        ideal: {k: {figure: value}}, drawn dashed; None for none.
    """
    import plotly.graph_objects as go

    made = go.Figure()
    ks = [int(k) for k in next(iter(models.values()))]
    for panel, name in enumerate(figures):
        axis = "" if panel == 0 else str(panel + 1)
        if ideal is not None:
            _add_ideal(made, axis, ks, [ideal[str(k)][name] for k in ks])
        for place, (model, found) in enumerate(models.items()):
            _add_line(made, axis, ks, [found[str(k)][name] for k in ks], model, place)
        share = 1 / len(figures)
        made.update_layout(
            {
                f"xaxis{axis}": {
                    "domain": [panel * share + 0.03, (panel + 1) * share - 0.02],
                    "anchor": f"y{axis}",
                    "tickvals": ks,
                    "title": titles[panel],
                    "showgrid": False,
                },
                f"yaxis{axis}": {"anchor": f"x{axis}", "range": [0, 1.05], "automargin": True},
            }
        )
    made.update_layout(
        height=320,
        margin={"l": 8, "r": 8, "t": 8, "b": 40},
        legend={"orientation": "h", "x": 0, "y": 1.04, "yanchor": "bottom"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return made


def _add_ideal(figure: go.Figure, axis: str, ks: Sequence[int], values: Sequence[float]) -> None:
    figure.add_scatter(
        x=ks,
        y=values,
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        mode="lines",
        line={"color": REST, "dash": "dash", "width": 1.5},
        name="ideal",
        legendgroup="ideal",
        showlegend=axis == "",
        hovertemplate="ideal %{y:.3f}<extra></extra>",
    )


def _add_line(
    figure: go.Figure,
    axis: str,
    ks: Sequence[int],
    points: Sequence[Estimate],
    model: str,
    place: int,
) -> None:
    figure.add_scatter(
        x=ks,
        y=[one["mean"] for one in points],
        error_y=_intervals(points),
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        mode="lines+markers",
        line={
            "color": _COLOURS[place % len(_COLOURS)],
            "dash": _DASHES[place % len(_DASHES)],
        },
        marker={"symbol": _SYMBOLS[place % len(_SYMBOLS)], "size": 8},
        name=literal(model, _NAME),
        legendgroup=model,
        showlegend=axis == "",
        hovertemplate=f"%{{y:.3f}} at k = %{{x}}<extra>{literal(model, _NAME)}</extra>",
    )


def share_bars(
    values: Mapping[str, Sequence[Estimate]], names: Sequence[str], title: str
) -> go.Figure:
    """Draw a share of each of several things, one bar per model, with intervals.

    Args:
        values: {model: an estimate for each name}.
        names: of the things, (c,).
        title: what the share is of.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, (model, found) in enumerate(values.items()):
        figure.add_bar(
            x=np.arange(len(names)),
            y=[one["mean"] for one in found],
            error_y=_intervals(found),
            name=literal(model, _NAME),
            marker={"color": _COLOURS[place % len(_COLOURS)]},
            hovertemplate="%{y:.1%}<extra>" + literal(model, _NAME) + "</extra>",
        )
    figure.update_layout(
        height=300,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        bargap=0.3,
        showlegend=len(values) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.04, "yanchor": "bottom"},
        xaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [literal(name, 24) for name in names],
            "showgrid": False,
            "automargin": True,
        },
        yaxis={"title": title, "range": [0, 1.05], "tickformat": ".0%", "automargin": True},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _intervals(points: Sequence[Estimate]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [one["high"] - one["mean"] for one in points],
        "arrayminus": [one["mean"] - one["low"] for one in points],
        "thickness": 1,
        "width": 4,
    }
