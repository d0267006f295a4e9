"""Where the hits of a query lie among the similarities of a gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aina_core.figures.colours import BASELINE, HIT, QUERY, REST

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BINS = 80
_MARKED_HITS = 300


def similarity_histogram(
    similarities: np.ndarray,
    hits: np.ndarray,
    *,
    baseline: np.ndarray,
    threshold: float | None = None,
) -> go.Figure:
    """Draw where the hits of a query stand among the similarities of the whole gallery.

    Args:
        similarities: float32 (n,), of the query to every image.
        hits: float32 (k,), those of the images shown; the nearest 300 are marked.
        baseline: float32 (m,), of random pairs; drawn as a line of the same area.
        threshold: drawn as a line, when given.
    """
    import plotly.graph_objects as go

    values = np.concatenate([similarities, baseline])
    low = float(np.quantile(values, 0.001)) if len(values) else 0.0
    edges = np.linspace(min(low, 0.9), 1.0, _BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    counts = _histogram(similarities, edges)
    figure = go.Figure()
    figure.add_bar(
        x=middles,
        y=counts,
        width=edges[1] - edges[0],
        marker={"color": REST, "line": {"width": 0}},
        name="this gallery",
        hovertemplate="%{y} images at %{x:.2f}<extra></extra>",
    )
    if len(baseline):
        expected = _histogram(baseline, edges) * (len(similarities) / len(baseline))
        figure.add_scatter(
            x=middles,
            y=expected,
            mode="lines",
            line={"color": BASELINE, "width": 2, "shape": "spline"},
            name="random pairs",
            hoverinfo="skip",
        )
    marked = hits[:_MARKED_HITS]
    left = min([edges[0], *marked.tolist(), *([] if threshold is None else [threshold])])
    height = float(max(counts.max(initial=1), 1))
    figure.add_scatter(
        x=marked,
        y=np.full(len(marked), height * 0.04),
        mode="markers",
        marker={"symbol": "line-ns", "size": 14, "line": {"color": HIT, "width": 2}},
        name="shown below",
        hovertemplate="similarity %{x:.3f}<extra></extra>",
    )
    if threshold is not None:
        figure.add_vline(threshold, line={"color": QUERY, "width": 2, "dash": "dash"})
    figure.update_layout(
        height=160,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        bargap=0,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "top"},
        xaxis={
            "title": "similarity to the query",
            "range": [float(left), 1.005],
            "automargin": True,
        },
        yaxis={"title": "images", "rangemode": "tozero", "automargin": True},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count values between edges; what lies outside counts in the first or the last bin."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
