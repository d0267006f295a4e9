"""One query under several models: their neighbours side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aina_core.errors import InputError
from aina_core.search.searcher import Neighbour, Result


@dataclass(frozen=True)
class Ranked:
    """A neighbour in its model's column.

    Attributes:
        neighbour: the hit, with similarity and percentile under this model.
        rank: 1 for the nearest.
        number: the same for an image in every column that shows it, from 1 in the order of first
            appearance; None where no other column shows it.
        first_rank: its exact rank under the first model, among all images and not only those shown;
            None where the first model does not have it.
    """

    neighbour: Neighbour
    rank: int
    number: int | None
    first_rank: int | None

    @property
    def climb(self) -> int | None:
        """How many ranks higher it is than under the first model; negative when lower."""
        return None if self.first_rank is None else self.first_rank - self.rank


def side_by_side(results: Mapping[str, Result], k: int) -> dict[str, list[Ranked]]:
    """Return the k nearest by each model, and where each ranks under the others.

    The ranking is exact under every model, so that a change of rank is never due to the index.

    Args:
        results: what one query finds, by model; the first is what the others are held against.
        k: how many, at least 1.

    Raises:
        InputError: k is below 1.
    """
    if k < 1:
        raise InputError(f"{k} neighbours were asked for; ask for at least 1.")
    hits = {model: result.above(-1.0, 0, k) for model, result in results.items()}
    times = Counter(hit.id for found in hits.values() for hit in found)
    shared = (image_id for image_id, count in times.items() if count > 1)
    numbers = {image_id: number for number, image_id in enumerate(shared, start=1)}
    first = next(iter(results.values()), None)
    return {
        model: [
            Ranked(hit, rank, numbers.get(hit.id), first.rank(hit.id) if first else None)
            for rank, hit in enumerate(found, start=1)
        ]
        for model, found in hits.items()
    }
