"""From vectors to coordinates: the method on the fitted rows, then the others among them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.gallery import Vectors
from aina_core.index.principal import FIT_ROWS, PrincipalAxes, principal_axes, sample
from aina_core.progress import Progress, Stop
from aina_core.projection import tsne_layout, umap_layout
from aina_core.projection.placing import AXES, AmongNeighbours, OnAxes, Placing
from aina_core.projection.settings import Settings
from aina_core.search.neighbours import SEED as GRAPH_SEED
from aina_core.search.neighbours import Graph, blocks, graph_of

_PLACED_AT_ONCE = 4096
_FEWEST = 5  # below that there is no neighbourhood to keep, and the principal axes show it all


def fit(
    vectors: Vectors, folder: Path, settings: Settings, progress: Progress, stop: Stop
) -> dict[str, np.ndarray]:
    """Compute a projection.

    Returns:
        What `open_placing` needs, and the result: `coordinates` float32 (n, dims), `rows` int64
        (m,), on which the method was fitted, `mean` and `directions` of the principal axes.

    Raises:
        StoppedError: it was stopped.
    """
    matrix = vectors.matrix
    if settings.method == "pca" or len(matrix) < _FEWEST:
        rows = sample(len(matrix), FIT_ROWS, settings.seed)
        axes = _axes(matrix, settings.dims, settings.seed, progress)
        points = np.empty((0, settings.dims), np.float32)
    else:
        graph = graph_of(vectors, folder, settings.components, progress, stop)
        rows = graph.rows
        count = settings.components or min(AXES, matrix.shape[1])
        axes = _axes(matrix, count, GRAPH_SEED, progress)  # those that the graph may be made on
        points = _by_method(graph, axes.reduce(matrix[rows]), settings, progress, stop)
    parts = {"rows": rows, "mean": axes.mean, "directions": axes.directions}
    if len(points) == len(matrix):
        return {**parts, "coordinates": points}
    placing = open_placing(settings, {**parts, "coordinates": points}, matrix, points)
    coordinates = _place_all(placing, matrix, settings.dims, progress, stop)
    coordinates[rows[: len(points)]] = points
    return {**parts, "coordinates": coordinates}


def open_placing(
    settings: Settings,
    parts: Mapping[str, np.ndarray],
    matrix: np.ndarray,
    points: np.ndarray | None = None,
) -> Placing:
    """Return what places new vectors.

    Args:
        settings: of the projection.
        parts: what `fit` returned.
        matrix: float32 (n, dim), the vectors that it was fitted on.
        points: float32 (m, dims), of the fitted rows; by default taken from the coordinates.
    """
    axes = PrincipalAxes(parts["mean"], parts["directions"])
    if settings.method == "pca" or len(matrix) < _FEWEST:
        return OnAxes(axes)
    rows = parts["rows"]
    points = parts["coordinates"][rows] if points is None else points
    return AmongNeighbours(axes, axes.reduce(matrix[rows]), points)


def _axes(matrix: np.ndarray, count: int, seed: int, progress: Progress) -> PrincipalAxes:
    progress("axes", 0, 1)
    axes = principal_axes(matrix, count, seed=seed)
    progress("axes", 1, 1)
    return axes


def _by_method(
    graph: Graph, reduced: np.ndarray, settings: Settings, progress: Progress, stop: Stop
) -> np.ndarray:
    """Lay out the graph's rows from their principal components (m, a): float32 (m, dims)."""
    given: dict[str, Any] = {"seed": settings.seed, "progress": progress, "stop": stop}
    initial = np.zeros((len(reduced), settings.dims), np.float32)
    initial[:, : reduced.shape[1]] = reduced[:, : settings.dims]
    if settings.method == "tsne":
        near = graph.neighbours, graph.similarities
        return tsne_layout.layout(*near, initial, perplexity=settings.perplexity, **given)
    k = settings.neighbours - 1  # umap-learn counts the image itself
    near = graph.neighbours[:, :k], graph.similarities[:, :k]
    return umap_layout.layout(*near, initial, min_dist=settings.min_dist, **given)


def _place_all(
    placing: Placing, matrix: np.ndarray, dims: int, progress: Progress, stop: Stop
) -> np.ndarray:
    coordinates = np.empty((len(matrix), dims), np.float32)
    for block in blocks(len(matrix), _PLACED_AT_ONCE, "placing", progress, stop):
        coordinates[block] = placing.place(np.asarray(matrix[block]))
    return coordinates
