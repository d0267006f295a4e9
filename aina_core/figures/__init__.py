"""Arrays to plotly figures; nothing here knows of a screen. One file a figure."""

from aina_core.figures.colours import BASELINE, CATEGORIES, HIT, QUERY, REST
from aina_core.figures.histogram import similarity_histogram

__all__ = ["BASELINE", "CATEGORIES", "HIT", "QUERY", "REST", "similarity_histogram"]
