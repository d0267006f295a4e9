"""Sets of images to be compared: of labels, of an original, or any others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from aina_core.changes.modifications import MODIFICATIONS
from aina_core.changes.originals import MODIFICATION, ORIGINAL
from aina_core.search.searcher import Searcher

_RANKS = {name: rank for rank, name in enumerate([ORIGINAL, *MODIFICATIONS])}


@dataclass(frozen=True)
class Chosen:
    """Images in the order in which they were chosen.

    Attributes:
        ids: image ids, each once.
        groups: the name of the group that each belongs to; empty for none.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]


def originals(searcher: Searcher) -> list[str]:
    """Return the images that the gallery's labels call originals and that can be found."""
    chosen = searcher.annotations.words(MODIFICATION).among([ORIGINAL]) & searcher.shown
    return [searcher.ids[row] for row in np.flatnonzero(chosen).tolist()]


def with_modifications(searcher: Searcher, original: str) -> Chosen:
    """Choose an original and its modifications: the images of its label that name a modification.

    They come in the order of the source's tables; their groups are those of the modifications.

    Raises:
        InputError: the gallery has no such image under this model.
    """
    label = searcher.image(original)[1].label
    rows = _rows(searcher, [label])
    found = []
    for row, name in zip(rows, _modifications(searcher, rows), strict=True):
        if name:
            rank = _RANKS.get(name, len(_RANKS))
            found.append((rank, searcher.ids[row], name.partition("/")[0]))
    found.sort()
    return Chosen(tuple(i for _, i, _ in found), tuple(group for _, _, group in found))


def of_labels(searcher: Searcher, labels: Collection[str]) -> Chosen:
    """Choose the images of some labels, label by label in the order given; none for all labels.

    Modifications stand in the order of the source's tables, other images by their ids.
    """
    ranks = {label: rank for rank, label in enumerate(labels or searcher.labels)}
    rows = _rows(searcher, ranks)
    named = searcher.annotations.labels.texts(rows)
    found = []
    for row, label, name in zip(rows, named, _modifications(searcher, rows), strict=True):
        place = (ranks[label], _RANKS.get(name, len(_RANKS)))
        found.append((place, searcher.ids[row], label))
    found.sort()
    return Chosen(tuple(i for _, i, _ in found), tuple(label for _, _, label in found))


def of_images(searcher: Searcher, ids: Iterable[str]) -> Chosen:
    """Choose images as they are given, by labels; those that cannot be found are left out."""
    known = tuple(image_id for image_id in dict.fromkeys(ids) if searcher.has(image_id))
    return Chosen(known, tuple(searcher.image(image_id)[1].label for image_id in known))


def _rows(searcher: Searcher, labels: Collection[str]) -> np.ndarray:
    """The rows of some labels that can be found, int64 (m,)."""
    return np.flatnonzero(searcher.annotations.labels.among(labels) & searcher.shown)


def _modifications(searcher: Searcher, rows: np.ndarray) -> list[str]:
    """What was done to the images of rows; empty where that is not said."""
    return searcher.annotations.words(MODIFICATION).texts(rows)
