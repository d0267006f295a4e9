"""Groups that nobody has labelled: k-means of the embeddings, HDBSCAN of the map."""

from __future__ import annotations

import numpy as np

from aina_core.errors import InputError, UnknownNameError
from aina_core.index.principal import principal_axes, sample

METHODS = ("k-means", "HDBSCAN")

_COMPONENTS = 64
_FIT_ROWS = 20_000
_BLOCK_ROWS = 4096
_SEED = 0


def cluster(
    method: str, vectors: np.ndarray, coordinates: np.ndarray, *, count: int = 8
) -> np.ndarray:
    """Group images.

    k-means (Lloyd) sees the vectors on their first 64 principal components, so its groups are the
    model's. HDBSCAN (Campello et al. 2013) sees the map, so its groups are the islands of the
    picture, with whatever the projection has torn apart or pushed together. Above 20,000 images
    either is fitted on a sample, and the others join the nearest centre or the nearest image.

    Args:
        method: one of `METHODS`.
        vectors: float32 (n, dim), unit rows; may be a memory map.
        coordinates: float32 (n, dims).
        count: 2 to 50: how many groups k-means makes, less where there are fewer images. For
            HDBSCAN a group has at least n / (8 × count) images, and at least 5.

    Returns:
        int64 (n,): the group of each image, the largest is 0; −1 for none, which only HDBSCAN
        gives.

    Raises:
        UnknownNameError: no such method.
        InputError: `count` out of range.
    """
    if method not in METHODS:
        raise UnknownNameError("clustering", method, METHODS)
    if not 2 <= count <= 50:
        raise InputError(f"The number of clusters is 2 to 50, not {count}.")
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.int64)
    if method == "k-means":
        return _by_size(_k_means(vectors, count))
    return _by_size(_hdbscan(np.asarray(coordinates), count))


def _k_means(vectors: np.ndarray, count: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    axes = principal_axes(vectors, min(_COMPONENTS, vectors.shape[1]))
    fitted = axes.reduce(vectors[sample(len(vectors), _FIT_ROWS, _SEED)])
    different = len(np.unique(fitted, axis=0))
    model = KMeans(min(count, different), n_init=4, random_state=_SEED).fit(fitted)
    groups = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        groups[block] = model.predict(axes.reduce(np.asarray(vectors[block])))
    return groups


def _hdbscan(coordinates: np.ndarray, count: int) -> np.ndarray:
    from sklearn.cluster import HDBSCAN
    from sklearn.neighbors import KDTree

    rows = sample(len(coordinates), _FIT_ROWS, _SEED)
    least = min(max(5, len(rows) // (8 * count)), len(rows))
    fitted = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(coordinates[rows])
    if len(rows) == len(coordinates):
        return fitted.astype(np.int64)
    nearest = KDTree(coordinates[rows]).query(coordinates, return_distance=False)[:, 0]
    return fitted[nearest].astype(np.int64)


def _by_size(groups: np.ndarray) -> np.ndarray:
    """Number groups from the largest on."""
    names, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), np.int64)
    real = np.flatnonzero(names >= 0)
    rank[real[np.argsort(-counts[real], kind="stable")]] = np.arange(len(real))
    rank[names < 0] = -1
    return rank[places]
