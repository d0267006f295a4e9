"""Which originals are trained on and which are held out: split by original, never by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError

_FEWEST = 2
_VALIDATION_SHARE = 0.2  # of the families that are not held out for the end


@dataclass(frozen=True, eq=False)
class Split:
    """Places of originals, int64, ascending, each in one of three parts.

    Attributes:
        train: seen by the loss.
        validation: used by early stopping.
        test: used by the table at the end alone.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(families: np.ndarray, test_share: float, seed: int) -> Split:
    """Split originals; a family (images that a pairs file joins) stays in one part.

    Args:
        families: int64 (n,), the family of each original.
        test_share: share of the families that is held out for the end.
        seed: of the draw.

    Raises:
        InputError: a part would have fewer than two originals.
    """
    names = np.unique(families)
    drawn = np.random.default_rng(seed).permutation(names)
    held = round(len(names) * test_share)
    checked = max(round((len(names) - held) * _VALIDATION_SHARE), 1)
    parts = (drawn[held + checked :], drawn[held : held + checked], drawn[:held])
    train, validation, test = (np.flatnonzero(np.isin(families, part)) for part in parts)
    if min(map(len, (train, validation, test))) < _FEWEST:
        raise InputError(
            f"{len(families)} originals are too few to be split into those trained on "
            f"({len(train)}), those that stop the training ({len(validation)}) and those held out "
            f"({len(test)}), of each at least {_FEWEST}; give more images."
        )
    return Split(train, validation, test)


@dataclass(frozen=True, eq=False)
class Families:
    """Which originals belong together according to a file of pairs.

    Attributes:
        of: int64 (n,), the family of each original, as the place of its first member; pairs join
            originals also through images that are not among them.
        used: how many of the pairs join, or help to join, different originals.
    """

    of: np.ndarray
    used: int


def families(
    ids: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    stands_for: Mapping[str, str] | None = None,
) -> Families:
    """Join originals by pairs.

    Args:
        ids: of the originals.
        pairs: of image ids, which need not be originals.
        stands_for: for an image that is a copy or a modification of another, the other's id.
    """
    known, parent = stands_for or {}, dict[str, str]()

    def root(image_id: str) -> str:
        parent.setdefault(image_id, image_id)
        while parent[image_id] != image_id:
            parent[image_id] = image_id = parent[parent[image_id]]
        return image_id

    joined = [(known.get(one, one), known.get(other, other)) for one, other in pairs]
    for first, second in joined:
        parent[root(second)] = root(first)
    places: dict[str, int] = {}
    of = np.array([places.setdefault(root(i), place) for place, i in enumerate(ids)], np.int64)
    sizes = np.bincount(of, minlength=len(ids))
    several = {name for name, place in places.items() if sizes[place] > 1}
    return Families(of, sum(one != other and root(one) in several for one, other in joined))
