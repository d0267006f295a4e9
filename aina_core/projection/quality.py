"""How far a projection can be trusted: trustworthiness and the neighbours that it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aina_core.index.matmul import product
from aina_core.index.principal import sample
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.neighbours import blocks, without_itself

#: How many nearest are looked at, where there are enough.
NEAREST = 10

_MOST_ASKED = 5_000
_MOST_AMONG = 20_000
_BLOCK_ROWS = 500
_EQUAL = np.float32(1e-6)  # similarities nearer to each other than this are the same


@dataclass(frozen=True)
class Quality:
    """How far nearness on the map agrees with nearness under the model.

    Attributes:
        trustworthiness: in [0, 1]; 1: whatever is among an image's k nearest on the map is among
            its k nearest under the model. What is not costs more the farther it is.
        preservation: in [0, 1], the share of an image's k nearest under the model that are among
            its k nearest on the map.
        sample: how many images were measured: all, or 5,000 where there are more.
        k: 10, or fewer in a gallery of fewer than 21.
    """

    trustworthiness: float
    preservation: float
    sample: int
    k: int


def measure(
    vectors: np.ndarray,
    coordinates: np.ndarray,
    *,
    seed: int = 0,
    progress: Progress = silent,
    stop: Stop = never,
) -> Quality:
    """Measure a projection.

    Neighbours are sought among all images, or among 20,000 where there are more. Trustworthiness
    is that of Venna and Kaski, Neighborhood preservation in nonlinear projection methods (2001)::

        T(k) = 1 − 2 / (N k (2n − 3k − 1)) · Σᵢ Σ_{j ∈ Uᵢ} max(0, r(i, j) − k)

    for N images asked among n, where Uᵢ are the k nearest of i on the map and r(i, j) is the rank
    of j by similarity to i. Equal similarities have the rank of the first of them.

    Args:
        vectors: float32 (n, dim), unit rows; may be a memory map.
        coordinates: float32 (n, dims).
        seed: of the choice of images.
        progress: told of the phase "measuring".
        stop: asked between blocks.

    Raises:
        StoppedError: it was stopped.
    """
    from scipy.spatial import cKDTree

    among = sample(len(vectors), _MOST_AMONG, seed)
    asked = sample(len(among), _MOST_ASKED, seed)  # positions within `among`
    count, k = len(among), min(NEAREST, (len(among) - 1) // 2)
    if k == 0:
        return Quality(1.0, 1.0, len(asked), k)
    near = _nearest(cKDTree(coordinates[among]), coordinates[among[asked]], asked, k)
    taken = np.asarray(vectors) if len(among) == len(vectors) else vectors[among]
    excess = kept = 0
    for block in blocks(len(asked), _BLOCK_ROWS, "measuring", progress, stop):
        own = asked[block]
        scores = product(taken[own], taken)  # (b, count)
        scores[np.arange(len(own)), own] = -np.inf
        for column in near[block].T:  # (b,), of each its j-th on the map
            own_score = np.take_along_axis(scores, column[:, None], axis=1)
            ranks = 1 + (scores > own_score + _EQUAL).sum(axis=1)
            excess += int(np.maximum(ranks - k, 0).sum())
            kept += int((ranks <= k).sum())
    pairs = len(asked) * k
    return Quality(1 - 2 * excess / (pairs * (2 * count - 3 * k - 1)), kept / pairs, len(asked), k)


def _nearest(tree: object, points: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest of each point on the map, itself left out: int64 (N, k)."""
    _, found = tree.query(points, k + 1)  # type: ignore[attr-defined]
    return without_itself(found, own)
