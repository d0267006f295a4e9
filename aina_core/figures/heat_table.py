"""Tables of numbers as heat maps, with the numbers in the cells if there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aina_core.figures.colours import SIMILARITY
from aina_core.figures.text import literal

if TYPE_CHECKING:
    import plotly.graph_objects as go

_WRITTEN = 400  # cells that have room for their number


def heat_table(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    low: float,
    high: float,
    texts: Sequence[Sequence[str]] = (),
    notes: Sequence[str] = (),
) -> go.Figure:
    """Draw a table of numbers as a heat map, with the numbers in the cells if there is room.

    Args:
        values: (r, c), NaN for none.
        rows: names, (r,).
        columns: names, (c,).
        low: the number of the darkest colour.
        high: the number of the brightest colour.
        texts: what stands in the cells, (r, c); none for none.
        notes: what stands below each row's name, (r,); none for none.

    Returns:
        The figure; its heat map's `meta` has places of the rows, 0 … r − 1, and of the columns,
        r … r + c − 1, in a list of both.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    written = len(texts) > 0 and values.size <= _WRITTEN
    figure.add_heatmap(
        z=values,
        x=np.arange(len(columns)),
        y=np.arange(len(rows)),
        text=[list(line) for line in texts] if written else None,
        texttemplate="%{text}" if written else None,
        textfont={"size": 11},
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
        hoverinfo="none",
        meta={
            "rows": list(range(len(rows))),
            "columns": list(range(len(rows), len(rows) + len(columns))),
            "digits": 3,
        },
    )
    _lay_out(figure, rows, columns, notes, low, high)
    return figure


def _lay_out(
    figure: go.Figure,
    rows: Sequence[str],
    columns: Sequence[str],
    notes: Sequence[str],
    low: float,
    high: float,
) -> None:
    """Name rows and columns, and set the scale of colours."""
    line = 40 if len(rows) <= 12 else 20
    figure.update_layout(
        height=max(170 + line * len(rows), 240),
        margin={"l": 8, "r": 8, "t": 32, "b": 8},
        xaxis={
            "tickvals": list(range(len(columns))),
            "ticktext": [literal(name, 28) for name in columns],
            "tickangle": -45 if len(columns) > 6 else 0,
            "side": "bottom",
            "showgrid": False,
            "automargin": True,
        },
        yaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": [
                f"{literal(name, 32)}<br><sub>{literal(note, 60)}</sub>"
                if note
                else literal(name, 32)
                for name, note in zip(rows, notes or [""] * len(rows), strict=True)
            ],
            "autorange": "reversed",
            "showgrid": False,
            "automargin": True,
        },
        coloraxis={
            "colorscale": SIMILARITY,
            "cmin": low,
            "cmax": high,
            "colorbar": {"thickness": 10, "nticks": 5},
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
