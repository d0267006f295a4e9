"""t-SNE by openTSNE, on AINA's own neighbour graph.

Van der Maaten and Hinton, Visualizing data using t-SNE (2008); initialised by the principal
components after Kobak and Berens, The art of using t-SNE for single-cell transcriptomics (2019);
openTSNE: Poličar, Stražar and Zupan (2024).
"""

from __future__ import annotations

import os

import numpy as np

from aina_core.errors import StoppedError
from aina_core.progress import Progress, Stop

# Iterations, exaggeration of attraction, momentum, and how coarse the grid is. The details are left
# to the last iterations: as good as a fine grid throughout, in little more than half the time.
_STAGES = ((200, 12, 0.5, 2.0), (300, 1, 0.8, 2.5), (150, 1, 0.8, 1.25))
_ITERATIONS = sum(stage[0] for stage in _STAGES)
_REPORTED_EVERY = 10
_FIRST_SPREAD = 1e-4
_WORTH_THREADS = 2_000  # rows; with fewer, threads wait for each other longer than they work
_MANY = 10_000  # rows from which a grid is quicker than a tree


def layout(
    neighbours: np.ndarray,
    similarities: np.ndarray,
    initial: np.ndarray,
    *,
    perplexity: float,
    seed: int,
    progress: Progress,
    stop: Stop,
) -> np.ndarray:
    """Lay rows out by t-SNE.

    The gradient of a row is summed by one thread, so the result does not depend on their number.

    Args:
        neighbours: int32 (m, k), nearest first, without the row itself, k ≥ 4.
        similarities: float32 (m, k); distances are √(2 − 2 · similarity).
        initial: float32 (m, dims), principal components.
        perplexity: lowered to a third of the neighbours there are.
        seed: of the little noise that parts equal rows.
        progress: told of the phase "t-SNE".
        stop: asked every ten iterations.

    Returns:
        float32 (m, dims).

    Raises:
        StoppedError: it was stopped.
    """
    from openTSNE import OptimizationInterrupt, TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    k = min(int(3 * perplexity), neighbours.shape[1])
    distances = np.sqrt(np.maximum(2 - 2 * similarities[:, :k].astype(float), 0))
    jobs = len(os.sched_getaffinity(0)) if len(initial) >= _WORTH_THREADS else 1
    progress("t-SNE", 0, _ITERATIONS)
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(np.ascontiguousarray(neighbours[:, :k]), distances),
        perplexity=min(perplexity, k / 3),
        n_jobs=jobs,
    )
    embedding = TSNEEmbedding(_start(initial, seed), affinities, n_jobs=jobs, **_gradient(initial))
    done = 0

    def report(iteration: int, error: float, current: np.ndarray) -> bool:
        progress("t-SNE", done + iteration, _ITERATIONS)
        return stop()

    try:
        for iterations, exaggeration, momentum, coarseness in _STAGES:
            embedding.optimize(
                iterations,
                exaggeration=exaggeration,
                momentum=momentum,
                ints_in_interval=coarseness,
                inplace=True,
                propagate_exception=True,
                use_callbacks=True,
                callbacks=[report],
                callbacks_every_iters=_REPORTED_EVERY,
            )
            done += iterations
    except OptimizationInterrupt:
        raise StoppedError("Stopped during t-SNE; no projection was stored.") from None
    return np.asarray(embedding, np.float32)


def _start(initial: np.ndarray, seed: int) -> np.ndarray:
    """Return the principal components, float64 and small, equal rows a little apart."""
    noise = np.random.default_rng(seed).normal(size=initial.shape)
    spread = float(initial[:, 0].std())
    if spread < 1e-6:  # all equal
        return noise * _FIRST_SPREAD
    return (initial / spread + 0.01 * noise) * _FIRST_SPREAD


def _gradient(initial: np.ndarray) -> dict[str, object]:
    """Choose how repulsion is approximated.

    By a tree (Barnes-Hut) for few rows and for three axes; by interpolation on a grid, which grows
    more slowly, for many.
    """
    count, dims = initial.shape
    if dims == 2 and count >= _MANY:
        return {"negative_gradient_method": "fft"}
    return {"negative_gradient_method": "bh", "theta": 0.5 if dims == 2 else 0.8}
