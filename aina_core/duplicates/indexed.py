"""The pairs of rows that are near enough, from the neighbours that an index finds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aina_core.duplicates.effort import choose_effort
from aina_core.embedding.runtimes import cores
from aina_core.errors import InputError, StoppedError
from aina_core.index import Index
from aina_core.progress import Progress, Stop, silent

_QUERIES = 512
_FIRST_K = 8


class IndexedPairs:
    """Pairs of each row with the neighbours that an index finds.

    The index searches on all cores, a block of rows at a time.

    Args:
        index: over the vectors.
        vectors: float32 (n, dim), unit rows; may be a memory map.
        rows: int64 (m,), ascending: those that are compared.
        allowed: bool (n,), the same rows; None for all.
        floor: the least cosine.
        most: more pairs than this are an error.
        progress: told of the phases "sample" and "pairs".
        stop: asked between blocks.
    """

    def __init__(
        self,
        index: Index,
        vectors: np.ndarray,
        rows: np.ndarray,
        allowed: np.ndarray | None,
        floor: float,
        most: int,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._index, self._vectors, self._rows, self._allowed = index, vectors, rows, allowed
        self._floor, self._most, self._progress, self._stop = floor, most, progress, stop

    def chosen_effort(self) -> tuple[float, float]:
        """Return the least effort that finds a sample's pairs, and the share of them it finds.

        Raises:
            StoppedError: it was stopped.
            InputError: there are too many pairs.
        """

        def find(sample: np.ndarray, effort: float, floor: float) -> tuple[np.ndarray, np.ndarray]:
            own, found = zip(*self._all(sample, effort, floor, silent), strict=True)
            return np.concatenate(own), np.concatenate(found)

        return choose_effort(
            find, self._vectors, self._rows, self._floor, self._progress, self._stop
        )

    def proposals(self, effort: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield pairs, each once from each of its rows that finds the other.

        Yields:
            Rows int64 (p,) and int64 (p,), the first below the second.

        Raises:
            StoppedError: it was stopped.
            InputError: there are too many pairs.
        """
        for own, found in self._all(self._rows, effort, self._floor, self._progress):
            yield np.minimum(own, found), np.maximum(own, found)

    def _all(
        self, rows: np.ndarray, effort: float, floor: float, progress: Progress
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        def near(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self._neighbours(block, floor, effort)

        blocks = [rows[start : start + _QUERIES] for start in range(0, len(rows), _QUERIES)]
        width = 2 * cores()
        yield near(rows[:0])
        with ThreadPoolExecutor(cores(), "pairs") as pool:
            for start in range(0, len(blocks), width):
                if self._stop():
                    raise StoppedError("Stopped before all pairs were found; nothing was stored.")
                progress("pairs", start * _QUERIES, len(rows))
                yield from pool.map(near, blocks[start : start + width])
        progress("pairs", len(rows), len(rows))

    def _neighbours(
        self, own: np.ndarray, lowest: float, effort: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and their neighbours down to the floor: it asks for more until one is below.

        Neighbours below the floor but not below `lowest` are returned too.

        Raises:
            InputError: there are too many.
        """
        found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        k = _FIRST_K
        while len(own):
            if len(own) * (k // 4) > self._most:  # so many each has, by the round before
                raise too_many(self._floor, self._most)
            queries = np.asarray(self._vectors[own])
            others, near = self._index.search(queries, k + 1, allowed=self._allowed, effort=effort)
            through = (near[:, -1] < self._floor) | (others.shape[1] <= k)
            reaches = (near >= lowest) & (others != own[:, None]) & through[:, None]
            at, places = np.nonzero(reaches)
            found.append((own[at], others[at, places]))
            own, k = own[~through], 4 * k
        first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return first, second


def too_many(floor: float, most: int) -> InputError:
    """The error of a threshold that far too many pairs reach."""
    return InputError(
        f"More than {most:,} pairs reach {floor:.3f}, which are no duplicates; give a higher "
        "threshold."
    )
