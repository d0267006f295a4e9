"""UMAP on AINA's own neighbour graph.

McInnes, Healy and Melville, UMAP: uniform manifold approximation and projection (2018). The
objective and its constants are those of umap-learn; the code is not, because it starts from a
graph that is there already and is several times as fast. Each step reads the points
as the step before left them, so rows are moved on all cores with the same result on any number.
Initialised by the principal components, which keep the large shape as well as the spectral layout
does (Kobak and Linderman, Initialization is critical for preserving global data structure in both
t-SNE and UMAP, 2021) and take no time.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from aina_core.errors import StoppedError
from aina_core.progress import Progress, Stop

# Five repulsions for an attraction, in steps that attract twice as often as umap-learn's.
_PAUSE = np.float32(2 / 5)
_BISECTIONS = 64
_LEAST_WIDTH = 1e-3  # of a neighbourhood, relative to its mean distance
_SIDE = 10.0  # of the box of the first positions


def layout(
    neighbours: np.ndarray,
    similarities: np.ndarray,
    initial: np.ndarray,
    *,
    min_dist: float,
    seed: int,
    progress: Progress,
    stop: Stop,
) -> np.ndarray:
    """Lay rows out by UMAP.

    Args:
        neighbours: int32 (m, k), nearest first, without the row itself.
        similarities: float32 (m, k); distances are √(2 − 2 · similarity).
        initial: float32 (m, dims), principal components.
        min_dist: how near points may come to each other.
        seed: of the repelling points' choice.
        progress: told of the phase "umap".
        stop: asked before every step.

    Returns:
        float32 (m, dims).

    Raises:
        StoppedError: it was stopped.
    """
    count = len(neighbours)
    steps = 2 * (200 if count > 10_000 else 500)  # in each, a row moves, but not what attracts it
    progress("umap", 0, steps)
    sweep = _compiled()
    indptr, tails, weights = memberships(neighbours, similarities, steps // 2)
    points = _start(initial, seed)
    periods = (weights.max() / weights).astype(np.float32)  # steps between two attractions
    due, repelled = periods.copy(), periods * _PAUSE
    states = np.random.default_rng(seed).integers(0, 2**63, count).astype(np.uint64)
    a, b = curve(min_dist)
    workers = len(os.sched_getaffinity(0))
    bounds = np.searchsorted(indptr, np.linspace(0, indptr[-1], workers + 1))
    bounds[0], bounds[-1] = 0, count
    with ThreadPoolExecutor(workers) as pool:
        for step in range(steps):
            if stop():
                raise StoppedError("Stopped during UMAP; no projection was stored.")
            rate = np.float32(1 - step / steps)
            before = points.copy()
            shared = before, points, indptr, tails, periods, due, repelled, states
            numbers = np.float32(step), rate, np.float32(a), np.float32(b)
            parts = [pool.submit(sweep, *ends, *shared, *numbers) for ends in pairwise(bounds)]
            for part in parts:
                part.result()
            progress("umap", step + 1, steps)
    return points


def memberships(
    neighbours: np.ndarray, similarities: np.ndarray, epochs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the fuzzy neighbourhoods of all rows, united: a sparse matrix, row by row.

    A row's nearest neighbour belongs to its neighbourhood fully, the others less with distance,
    at a rate by which their sum is log₂(k + 1).

    Args:
        neighbours: as of `layout`.
        similarities: as of `layout`.
        epochs: neighbours that would attract less than once in so many are left out.

    Returns:
        indptr int64 (m + 1,), columns int32 (e,), weights float32 (e,) in (0, 1].
    """
    from scipy.sparse import csr_matrix

    count, k = neighbours.shape
    distances = np.sqrt(np.maximum(2 - 2 * similarities, 0))  # (m, k)
    apart = np.where(distances > 0, distances, np.inf).min(axis=1)
    nearest = np.where(np.isfinite(apart), apart, 0)[:, None]
    beyond = np.maximum(distances - nearest, 0)
    widths = _widths(beyond, np.log2(k + 1))
    widths = np.maximum(widths, _LEAST_WIDTH * np.maximum(distances.mean(axis=1), 1e-12))
    local = np.exp(-beyond / widths[:, None]).astype(np.float32)
    indptr = np.arange(0, count * k + 1, k)
    directed = csr_matrix((local.ravel(), neighbours.ravel(), indptr), shape=(count, count))
    united = directed + directed.T - directed.multiply(directed.T)
    united = united.tocsr()
    united.data[united.data < united.data.max() / epochs] = 0
    united.eliminate_zeros()
    united.sort_indices()
    return united.indptr.astype(np.int64), united.indices.astype(np.int32), united.data


def _widths(beyond: np.ndarray, target: float) -> np.ndarray:
    """Find the width of each row by which Σ exp(−beyond / width) is the target: (m,)."""
    low = np.zeros(len(beyond))
    high = np.full(len(beyond), np.inf)
    width = np.ones(len(beyond))
    for _ in range(_BISECTIONS):
        more = np.exp(-beyond / np.maximum(width, 1e-30)[:, None]).sum(axis=1) > target
        high = np.where(more, width, high)
        low = np.where(more, low, width)
        width = np.where(np.isinf(high), 2 * width, (low + high) / 2)
        width = np.minimum(width, 1e6)  # equal neighbours are never few enough
    return width


@functools.cache
def curve(min_dist: float) -> tuple[float, float]:
    """Fit 1 / (1 + a x²ᵇ) to what is 1 up to `min_dist` and falls exponentially from there."""
    from scipy.optimize import curve_fit

    x = np.linspace(0, 3, 300)
    wanted = np.where(x < min_dist, 1.0, np.exp(min_dist - x))
    (a, b), _ = curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), x, wanted)
    return float(a), float(b)


def _start(initial: np.ndarray, seed: int) -> np.ndarray:
    """Return the principal components in a box, equal rows a little apart."""
    noise = np.random.default_rng(seed).normal(size=initial.shape)
    spread = max(float(np.abs(initial).max()), 1e-6)
    points = initial / spread + 1e-5 * noise
    low, high = points.min(axis=0), points.max(axis=0)
    return np.ascontiguousarray(_SIDE * (points - low) / (high - low), np.float32)


@functools.cache
def _compiled() -> Callable[..., Any]:
    import numba

    return numba.njit(nogil=True, fastmath=True)(_sweep)


def _sweep(  # type: ignore[no-untyped-def]
    first, last, before, points, indptr, tails, periods, due, repelled, states, step, rate, a, b
):
    """Move the rows from first to last by one step; compiled, hence plain loops."""
    count, dims = before.shape
    for row in range(first, last):
        state = states[row]
        for edge in range(indptr[row], indptr[row + 1]):
            if due[edge] > step:
                continue
            due[edge] += periods[edge]
            other = tails[edge]
            square = np.float32(0)
            for d in range(dims):
                square += (points[row, d] - before[other, d]) ** 2
            if square > 0:
                power = square**b
                pull = -2 * a * b * power / (square * (a * power + 1))
                for d in range(dims):
                    move = pull * (points[row, d] - before[other, d])
                    points[row, d] += rate * min(max(move, np.float32(-4)), np.float32(4))
            pause = periods[edge] * _PAUSE
            times = int((step - repelled[edge]) / pause)
            repelled[edge] += times * pause
            for _ in range(times):
                state ^= state << np.uint64(13)
                state ^= state >> np.uint64(7)
                state ^= state << np.uint64(17)
                other = np.int64((state >> np.uint64(1)) % np.uint64(count))
                square = np.float32(0)
                for d in range(dims):
                    square += (points[row, d] - before[other, d]) ** 2
                if other == row or square == 0:
                    continue
                push = 2 * b / ((np.float32(0.001) + square) * (a * square**b + 1))
                for d in range(dims):
                    move = push * (points[row, d] - before[other, d])
                    points[row, d] += rate * min(max(move, np.float32(-4)), np.float32(4))
        states[row] = state
