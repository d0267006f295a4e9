"""What "similar" is held against: the similarities of random pairs of a gallery."""

from __future__ import annotations

import numpy as np

_BLOCK_ROWS = 4096
_BASELINE_ROWS = 2000
_BASELINE_PAIRS = 20_000


def random_pairs(matrix: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the similarities of random pairs of different rows: what "similar" is held against.

    Args:
        matrix: float32 (n, dim), unit rows.
        seed: of the choice of pairs; below about 200 rows all pairs are taken.

    Returns:
        float32 (m,), ascending, m ≤ 20,000; empty below two rows.
    """
    rng = np.random.default_rng(seed)
    count = len(matrix)
    chosen = np.sort(rng.choice(count, min(count, _BASELINE_ROWS), replace=False))
    rows = np.asarray(matrix[chosen])
    first, second = np.triu_indices(len(rows), 1)
    if len(first) > _BASELINE_PAIRS:
        drawn = np.sort(rng.choice(len(first), _BASELINE_PAIRS, replace=False))
        first, second = first[drawn], second[drawn]
    similarities = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        similarities[part] = np.einsum("ij,ij->i", rows[first[part]], rows[second[part]])
    return np.sort(similarities)
