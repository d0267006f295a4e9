"""The pairs of rows that are near enough, by the neighbours that an index finds of each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aina_core.embedding.runtimes import cores
from aina_core.errors import InputError, StoppedError
from aina_core.index import Index
from aina_core.work import Progress, Stop

_QUERIES = 512
_FIRST_K = 8


def proposals(
    index: Index,
    vectors: np.ndarray,
    rows: np.ndarray,
    allowed: np.ndarray | None,
    floor: float,
    most: int,
    progress: Progress,
    stop: Stop,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of each row with the neighbours that an index finds.

    The index searches on all cores, a block of rows at a time. A pair comes once from each of its
    rows that finds the other.

    Args:
        index: over the vectors.
        vectors: float32 (n, dim), unit rows; may be a memory map.
        rows: int64 (m,): those that are looked at.
        allowed: bool (n,), the same rows; None for all.
        floor: the least cosine.
        most: more pairs than this are absurd.
        progress: told of the phase "pairs".
        stop: asked between blocks.

    Yields:
        Rows int64 (p,) and int64 (p,), the first below the second.

    Raises:
        StoppedError: it was stopped.
        InputError: there are absurdly many pairs.
    """

    def near(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _neighbours(index, vectors, block, allowed, floor, most)

    blocks = [rows[start : start + _QUERIES] for start in range(0, len(rows), _QUERIES)]
    width = 2 * cores()
    with ThreadPoolExecutor(cores(), "pairs") as pool:
        for start in range(0, len(blocks), width):
            if stop():
                raise StoppedError("Stopped before all pairs were found; nothing was stored.")
            progress("pairs", start * _QUERIES, len(rows))
            for own, found in pool.map(near, blocks[start : start + width]):
                yield np.minimum(own, found), np.maximum(own, found)
    progress("pairs", len(rows), len(rows))


def _neighbours(
    index: Index,
    vectors: np.ndarray,
    own: np.ndarray,
    allowed: np.ndarray | None,
    floor: float,
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and their neighbours that reach a floor: more are asked for until one does not.

    Raises:
        InputError: there are absurdly many.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    k = _FIRST_K
    while len(own):
        if len(own) * (k // 4) > most:  # so many each has, from the round before
            raise too_many(floor, most)
        others, near = index.search(np.asarray(vectors[own]), k + 1, allowed=allowed)
        through = (near[:, -1] < floor) | (others.shape[1] <= k)
        reaches = (near >= floor) & (others != own[:, None]) & through[:, None]
        queries, places = np.nonzero(reaches)
        found.append((own[queries], others[queries, places]))
        own, k = own[~through], 4 * k
    none = np.empty(0, np.int64)
    return (
        np.concatenate([none, *(one for one, _ in found)]),
        np.concatenate([none, *(other for _, other in found)]),
    )


def too_many(floor: float, most: int) -> InputError:
    """The error of a threshold at which there would be absurdly many pairs."""
    return InputError(
        f"More than {most:,} pairs reach {floor:.3f}, which are no duplicates; give a higher "
        "threshold."
    )
