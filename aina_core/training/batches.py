"""Batches of originals in their versions, with what belongs together; seeded for each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Batch:
    """The input of a step.

    Attributes:
        places: int64 (b,), of originals.
        columns: int64 (b,), of their versions; 0 for the unchanged original.
        groups: int64 (b,): images of one group are positives of each other.
    """

    places: np.ndarray
    columns: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws batches of some groups with some members each.

    Attributes:
        pools: for each group its members, int64 (m, 2): place and column.
        groups: in a batch.
        members: of each group in a batch, or all where it has fewer.
        repeat: whether a group with fewer members repeats some (as each is augmented at random).
        rounds: how often an epoch goes through all groups.
    """

    pools: tuple[np.ndarray, ...]
    groups: int
    members: int
    repeat: bool = False
    rounds: int = 1

    def steps(self) -> int:
        """Return how many batches an epoch has."""
        return self.rounds * -(-len(self.pools) // self.groups)

    def originals(self) -> np.ndarray:
        """Return the places of all originals that it draws from, int64, ascending."""
        return np.unique(np.concatenate(self.pools)[:, 0])

    def epoch(self, seed: int, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch: the same for the same seed and number."""
        rng = np.random.default_rng([seed, number])
        for _ in range(self.rounds):
            order = rng.permutation(len(self.pools))
            for start in range(0, len(order), self.groups):
                chosen = order[start : start + self.groups]
                if len(chosen) < 2:  # a last single group would have no negatives
                    chosen = np.append(chosen, order[: 2 - len(chosen)])
                yield self._batch(chosen, rng)

    def _batch(self, chosen: np.ndarray, rng: np.random.Generator) -> Batch:
        members, groups = [], []
        for group in chosen:
            pool = self.pools[group]
            count = self.members if self.repeat else min(self.members, len(pool))
            members.append(pool[rng.choice(len(pool), count, replace=len(pool) < count)])
            groups.append(np.full(count, group))
        drawn = np.concatenate(members)
        return Batch(drawn[:, 0], drawn[:, 1], np.concatenate(groups))


def by_version(places: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return a pool for each original: its versions in the given columns."""
    return tuple(
        np.stack([np.full(len(columns), place), columns], axis=1).astype(np.int64)
        for place in places
    )


def by_code(places: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return a pool for each code that at least two originals have: these originals, unchanged.

    Args:
        places: int64 (n,).
        codes: int64 (n,), of each place; a negative code has no pool.
    """
    pools = []
    for code in np.unique(codes[codes >= 0]):
        mine = places[codes == code]
        if len(mine) > 1:
            pools.append(np.stack([mine, np.zeros(len(mine), np.int64)], axis=1))
    return tuple(pools)


def able(codes: np.ndarray) -> np.ndarray:
    """Return the places of those whose label another one has too, int64."""
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return np.flatnonzero((codes >= 0) & (counts[inverse] > 1))
