"""How much of an index to search for pairs: measured on a sample against exact search.

Near-duplicates fall into the same leaf of most of Annoy's trees, so a fraction of the usual effort
finds them. A sample of rows whose pairs are known exactly says which fraction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aina_core.errors import StoppedError
from aina_core.progress import Progress, Stop

#: The most and the fewest rows of the sample, and how many multiply-adds its pairs may cost.
SAMPLED = (10_000, 1_000)
PRODUCTS = 10_000 * 1_000_000 * 128
#: The shares of the usual effort that are tried, and the share of the pairs that is enough.
EFFORTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
ENOUGH = 0.995

# With fewer pairs at the threshold, the nearest below it are added: they are harder to find.
_LEAST_PAIRS = 100
_COLUMNS = 2048
_MARGIN = 1e-5  # products differ in the last bits from the similarities that count
_SEED = 0

#: Finds rows and their neighbours down to a floor: (block of rows, effort, floor).
Finder = Callable[[np.ndarray, float, float], tuple[np.ndarray, np.ndarray]]


def choose_effort(
    find: Finder,
    vectors: np.ndarray,
    rows: np.ndarray,
    floor: float,
    progress: Progress,
    stop: Stop,
) -> tuple[float, float]:
    """Return the least effort that finds a sample's pairs, and the share of them it finds.

    Args:
        find: the search through the index.
        vectors: float32 (n, dim), unit rows; may be a memory map.
        rows: int64 (m,), ascending: those that are compared.
        floor: the least cosine.
        progress: told of the phase "sample".
        stop: asked between blocks.

    Returns:
        One of `EFFORTS`, and the share that it finds of the sample's pairs down to the floor; where
        those are few, the 100 nearest pairs below it count too.

    Raises:
        StoppedError: it was stopped.
    """
    if len(rows) < 2:
        return 1.0, 1.0
    rng = np.random.default_rng(_SEED)
    count = int(np.clip(PRODUCTS // max(1, vectors.size), *SAMPLED[::-1]))
    sample = np.sort(rng.choice(rows, min(count, len(rows)), replace=False))
    own, others, lowest = exact_pairs(vectors, rows, sample, floor, progress, stop)
    truth = _codes(own, others, len(vectors))
    for effort in EFFORTS:
        if stop():
            raise _stopped()
        found = _codes(*find(sample, effort, lowest), len(vectors))
        share = float(np.isin(truth, found).mean())
        if share >= ENOUGH:
            break
    return effort, share


def exact_pairs(
    vectors: np.ndarray,
    rows: np.ndarray,
    sample: np.ndarray,
    floor: float,
    progress: Progress,
    stop: Stop,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the pairs of sampled rows with all rows, and the lowest cosine that counts.

    Returns:
        Rows of the sample, int64 (p,), and their partners, int64 (p,); the floor, or a lower one
        where few pairs reach it.

    Raises:
        StoppedError: it was stopped.
    """
    queries = np.asarray(vectors[sample])  # (s, dim)
    best = np.full(len(sample), -np.inf, np.float32)
    nearest = np.zeros(len(sample), np.int64)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, len(rows), _COLUMNS):
        if stop():
            raise _stopped()
        progress("sample", start, len(rows))
        block = rows[start : start + _COLUMNS]
        near = queries @ np.asarray(vectors[block]).T  # (s, b)
        near[sample[:, None] == block] = -np.inf
        at, column = np.nonzero(near >= floor + _MARGIN)
        found.append((sample[at], block[column]))
        top = near.argmax(axis=1)
        higher = near[np.arange(len(sample)), top]
        nearest = np.where(higher > best, block[top], nearest)
        best = np.maximum(best, higher)
    own, others = (
        np.concatenate([np.empty(0, np.int64), *part]) for part in zip(*found, strict=True)
    )
    if len(own) >= _LEAST_PAIRS:
        return own, others, floor
    chosen = np.argsort(-best, kind="stable")[:_LEAST_PAIRS]
    lowest = min(floor, float(best[chosen[-1]]) - _MARGIN)
    return np.append(own, sample[chosen]), np.append(others, nearest[chosen]), lowest


def _codes(own: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """A number for each pair of rows, each once."""
    return np.unique(own * count + others)


def _stopped() -> StoppedError:
    return StoppedError("Stopped before all pairs were found; nothing was stored.")
