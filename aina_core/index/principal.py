"""Principal component analysis of a model's vectors, fitted on a sample where they are many.

Pearson, On lines and planes of closest fit to systems of points in space (1901).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: On how many rows axes are fitted at most.
FIT_ROWS = 20_000

_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """The directions in which vectors differ most.

    Attributes:
        mean: float32 (dim,).
        directions: float32 (dim, a), orthonormal columns, the largest variance first; columns of
            zeros where more were asked for than there are dimensions.
    """

    mean: np.ndarray
    directions: np.ndarray

    def reduce(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors (n, dim) float32 on the axes: (n, a) float32.

        A vector's result does not depend on the others but for rounding.
        """
        reduced = np.empty((len(vectors), self.directions.shape[1]), np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            reduced[block] = (np.asarray(vectors[block]) - self.mean) @ self.directions
        return reduced


def sample(count: int, size: int, seed: int) -> np.ndarray:
    """Return at most `size` of `count` rows, chosen by the seed: ascending, int64."""
    if count <= size:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield rows[start : start + _BLOCK_ROWS]


def spectrum(
    vectors: np.ndarray, rows: np.ndarray, mean: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Decompose the second moments of some rows.

    Args:
        vectors: float32 (n, dim); may be a memory map.
        rows: int64 (m,), those that are looked at.
        mean: float64 (dim,), about which moments are taken; None for the origin.

    Returns:
        Variances float64 (dim,), ascending, times m, and directions float64 (dim, dim), a column
        for each.
    """
    dim = vectors.shape[1]
    moments = np.zeros((dim, dim))
    for block in _blocks(rows):
        part = vectors[block]  # (b, dim)
        if mean is not None:
            part = (part - mean).astype(np.float32)
        moments += part.T @ part
    variances, directions = np.linalg.eigh(moments)
    return variances, directions


def principal_axes(vectors: np.ndarray, count: int, *, seed: int = 0) -> PrincipalAxes:
    """Fit principal axes, on 20,000 of the rows where there are more.

    Args:
        vectors: float32 (n, dim), n ≥ 1; may be a memory map.
        count: how many axes.
        seed: of the choice of rows.
    """
    dim = vectors.shape[1]
    rows = sample(len(vectors), FIT_ROWS, seed)
    parts = (vectors[block].sum(axis=0, dtype=np.float64) for block in _blocks(rows))
    mean = sum(parts) / len(rows)
    _, found = spectrum(vectors, rows, mean)  # variances ascending
    found = found[:, ::-1][:, :count]  # (dim, a)
    # an axis has no sign of its own: its largest entry is made positive
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], axis=0)
    directions = np.zeros((dim, count), np.float32)
    directions[:, : found.shape[1]] = found * np.sign(largest)
    return PrincipalAxes(mean.astype(np.float32), directions)
