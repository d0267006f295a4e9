"""Projections: a gallery's vectors in two or three dimensions, to be looked at.

PCA, t-SNE and UMAP, each seeded, stored beside the vectors and opened at once the next time. Each
comes with a measure of its trustworthiness, and places new vectors without moving old points.
Importing this package imports neither openTSNE nor numba nor scipy.
"""

from aina_core.projection.clusters import cluster
from aina_core.projection.points import OTHER, Categories, Points, categorise
from aina_core.projection.result import Projection, project, stored
from aina_core.projection.settings import METHODS, Settings

__all__ = [
    "METHODS",
    "OTHER",
    "Categories",
    "Points",
    "Projection",
    "Settings",
    "categorise",
    "cluster",
    "project",
    "stored",
]
