"""Arrays to plotly figures, without a screen. One file per figure."""

from aina_core.figures.agreement import agreement_bars
from aina_core.figures.colours import BASELINE, CATEGORIES, HIT, QUERY, REST, SHARED
from aina_core.figures.distribution import similarity_distribution
from aina_core.figures.faithfulness import faithfulness_curves
from aina_core.figures.heat_table import heat_table
from aina_core.figures.heatmap import group_heatmap, similarity_heatmap
from aina_core.figures.histogram import similarity_histogram
from aina_core.figures.hits import hit_curves, share_bars
from aina_core.figures.multiples import similarity_multiples
from aina_core.figures.projection import projection_map, relative_distances
from aina_core.figures.training import training_curves

__all__ = [
    "BASELINE",
    "CATEGORIES",
    "HIT",
    "QUERY",
    "REST",
    "SHARED",
    "agreement_bars",
    "faithfulness_curves",
    "group_heatmap",
    "heat_table",
    "hit_curves",
    "projection_map",
    "relative_distances",
    "share_bars",
    "similarity_distribution",
    "similarity_heatmap",
    "similarity_histogram",
    "similarity_multiples",
    "training_curves",
]
