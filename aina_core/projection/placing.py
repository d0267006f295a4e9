"""Placing new vectors on a fitted projection without moving its points."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from aina_core.index.principal import PrincipalAxes
from aina_core.search.neighbours import largest

#: On how many principal components neighbours are looked for.
AXES = 128

_NEAREST = 10
_EQUAL = 1e-10  # squared distance of vectors that are the same but for rounding
_STEPS = 20
_LEAST_STEP = 1e-3
_BLOCK_BYTES = 64 << 20


class Placing(Protocol):
    """Gives points to vectors."""

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Place vectors (q, dim) float32: (q, dims) float32."""
        ...


class OnAxes:
    """The coordinates are the principal components themselves."""

    def __init__(self, axes: PrincipalAxes) -> None:
        self._axes = axes

    def place(self, vectors: np.ndarray) -> np.ndarray:
        return self._axes.reduce(vectors)


class AmongNeighbours:
    """Places a vector at the weighted geometric median of its nearest fitted neighbours' points.

    Their mean would lie in the empty space between two groups that neighbours belong to; the median
    lies in the group that has more of them. Placed so, images that were held out keep almost as
    many of their nearest on the map as fitted ones do (`benchmarks/projection.py`).

    Args:
        axes: by which vectors are reduced before they are compared.
        landmarks: float32 (m, a), the fitted vectors, reduced.
        points: float32 (m, dims), their coordinates.
    """

    def __init__(self, axes: PrincipalAxes, landmarks: np.ndarray, points: np.ndarray) -> None:
        self._axes, self._landmarks, self._points = axes, landmarks, points
        self._squares = np.vecdot(landmarks, landmarks)

    def place(self, vectors: np.ndarray) -> np.ndarray:
        placed = np.empty((len(vectors), self._points.shape[1]), np.float32)
        step = max(1, _BLOCK_BYTES // (4 * len(self._landmarks)))
        for start in range(0, len(vectors), step):
            placed[start : start + step] = self._place(vectors[start : start + step])
        return placed

    def _place(self, vectors: np.ndarray) -> np.ndarray:
        reduced = self._axes.reduce(vectors)  # (b, a)
        # nearness x·y − |y|²/2 orders as the distance does
        scores = reduced @ self._landmarks.T - self._squares / 2  # (b, m)
        near, _ = largest(scores, min(_NEAREST, len(self._landmarks)))  # (b, k)
        apart = reduced[:, None] - self._landmarks[near]  # (b, k, a)
        distances = np.vecdot(apart, apart)  # (b, k), squared, without the rounding of the above
        return _median(self._points[near], _weights(distances))


def _weights(squares: np.ndarray) -> np.ndarray:
    """Weights of neighbours at squared distances (b, k): a Gaussian as wide as the nearest is far.

    So a neighbour equal to the new vector takes all the weight.
    """
    least = squares.min(axis=1, keepdims=True)
    weights = np.exp((least - squares) / np.maximum(least, _EQUAL))
    return weights / weights.sum(axis=1, keepdims=True)


def _median(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the points (b, dims) from which weighted distances to `points` (b, k, dims) are least.

    Weiszfeld, Sur le point pour lequel la somme des distances de n points donnés est minimum (1937)
    """
    median = np.einsum("bk,bkd->bd", weights, points)
    scale = np.abs(points - median[:, None]).max(axis=(1, 2))  # (b,)
    least = np.maximum(scale * _LEAST_STEP, np.finfo(np.float32).tiny)[:, None]
    for _ in range(_STEPS):
        apart = np.linalg.norm(points - median[:, None], axis=2)  # (b, k)
        pulls = weights / np.maximum(apart, least)
        pulls /= pulls.sum(axis=1, keepdims=True)
        median = np.einsum("bk,bkd->bd", pulls, points)
    return median
