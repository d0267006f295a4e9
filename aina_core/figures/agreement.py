"""How many of each image's nearest neighbours the models share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from aina_core.figures.colours import CATEGORIES

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Bars of several pairs differ in more than their colour.
_PATTERNS = ("", "/", "x", ".", "\\", "-")
_EVERY_TICK = 20  # up to so many shared neighbours each bar has its number below


def agreement_bars(counts: Mapping[str, np.ndarray]) -> go.Figure:
    """Draw how many images share 0 … k of their k nearest, as shares of all images.

    Args:
        counts: for each series, such as a pair of models by its name, int (k + 1,): how many images
            share so many. All of one length and one positive total; at most six.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    k = 0
    for place, (name, found) in enumerate(counts.items()):
        k = len(found) - 1
        percent = 100 * found / found.sum()
        said = zip(range(k + 1), found, percent, strict=True)
        figure.add_bar(
            x=np.arange(k + 1),
            y=percent,
            hovertext=[f"{n} shared: {count:,} images, {share:.1f}%" for n, count, share in said],
            hoverinfo="text+name",
            name=name,
            marker={
                "color": CATEGORIES[place],
                "pattern": {"shape": _PATTERNS[place], "fillmode": "overlay", "fgopacity": 0.6},
            },
        )
    figure.update_layout(
        height=260,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        bargap=0.25,
        showlegend=len(counts) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={
            "title": f"shared of the {k} nearest",
            "dtick": 1 if k <= _EVERY_TICK else None,
            "showgrid": False,
            "automargin": True,
        },
        yaxis={
            "title": "images",
            "ticksuffix": "%",
            "rangemode": "tozero",
            "automargin": True,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure
