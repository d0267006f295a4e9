"""Arrays to plotly figures; nothing here knows of a screen. One file a figure."""

from aina_core.figures.agreement import agreement_bars
from aina_core.figures.colours import BASELINE, CATEGORIES, HIT, QUERY, REST, SHARED
from aina_core.figures.distribution import similarity_distribution
from aina_core.figures.heatmap import group_heatmap, similarity_heatmap
from aina_core.figures.histogram import similarity_histogram
from aina_core.figures.projection import projection_map, relative_distances

__all__ = [
    "BASELINE",
    "CATEGORIES",
    "HIT",
    "QUERY",
    "REST",
    "SHARED",
    "agreement_bars",
    "group_heatmap",
    "projection_map",
    "relative_distances",
    "similarity_distribution",
    "similarity_heatmap",
    "similarity_histogram",
]
