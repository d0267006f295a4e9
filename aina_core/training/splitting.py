"""Who is trained on and who is held out: by original, never by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.training.settings import VALIDATION_SHARE

_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Split:
    """Places of originals, int64, ascending, each in one of the three.

    Attributes:
        train: what the loss sees.
        validation: what early stopping looks at.
        test: what only the table at the end looks at.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(families: np.ndarray, test_share: float, seed: int) -> Split:
    """Split originals; a family (images that a pairs file joins) is never torn.

    Args:
        families: int64 (n,), the family of each original.
        test_share: of the families that is held out for the end.
        seed: of the draw.

    Raises:
        InputError: a part would have fewer than two originals.
    """
    names = np.unique(families)
    drawn = np.random.default_rng(seed).permutation(names)
    held = round(len(names) * test_share)
    checked = max(round((len(names) - held) * VALIDATION_SHARE), 1)
    parts = (drawn[held + checked :], drawn[held : held + checked], drawn[:held])
    train, validation, test = (np.flatnonzero(np.isin(families, part)) for part in parts)
    if min(map(len, (train, validation, test))) < _FEWEST:
        raise InputError(
            f"{len(families)} originals are too few to be split into those trained on "
            f"({len(train)}), those that stop the training ({len(validation)}) and those held out "
            f"({len(test)}), of each at least {_FEWEST}; give more images."
        )
    return Split(train, validation, test)


def families(ids: Sequence[str], pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return a number for each image that is equal for those that pairs join, also by way of
    others: int64 (n,).

    Args:
        ids: image ids.
        pairs: of image ids; those of other images are passed over.
    """
    parent = np.arange(len(ids))
    places: Mapping[str, int] = {image_id: place for place, image_id in enumerate(ids)}

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = int(parent[parent[place]])
        return place

    for first, second in pairs:
        if first in places and second in places:
            low, high = sorted((root(places[first]), root(places[second])))
            parent[high] = low
    return np.array([root(place) for place in range(len(ids))], np.int64)
