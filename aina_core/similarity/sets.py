"""Sets of images to be held against each other: of labels, of an original, or any others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from aina_core.modifications import MODIFICATIONS
from aina_core.search import Searcher

#: The column that says what was done to an image, and its value for one as it is.
MODIFICATION, ORIGINAL = "modification", "original"

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
    pairs = zip(searcher.ids, searcher.annotations, strict=True)
    return [i for i, a in pairs if a.columns.get(MODIFICATION) == ORIGINAL and searcher.has(i)]


def with_modifications(searcher: Searcher, original: str) -> Chosen:
    """Choose an original and its modifications: the images of its label that name a modification.

    They come in the order of the source's tables; their groups are those of the modifications.

    Raises:
        InputError: the gallery has no such image under this model.
    """
    label = searcher.image(original)[1].label
    found = []
    for image_id in _usable(searcher):
        note = searcher.image(image_id)[1]
        name = note.columns.get(MODIFICATION)
        if name and note.label == label:
            found.append((_RANKS.get(name, len(_RANKS)), image_id, name.partition("/")[0]))
    found.sort()
    return Chosen(tuple(i for _, i, _ in found), tuple(group for _, _, group in found))


def of_labels(searcher: Searcher, labels: Collection[str]) -> Chosen:
    """Choose the images of some labels, label by label in the order given; none for all labels.

    Modifications stand in the order of the source's tables, other images by their ids.
    """
    ranks = {label: rank for rank, label in enumerate(labels or searcher.labels)}
    found = []
    for image_id in _usable(searcher):
        note = searcher.image(image_id)[1]
        if note.label in ranks:
            name = note.columns.get(MODIFICATION, "")
            place = (ranks[note.label], _RANKS.get(name, len(_RANKS)))
            found.append((place, image_id, note.label))
    found.sort()
    return Chosen(tuple(i for _, i, _ in found), tuple(label for _, _, label in found))


def of_images(searcher: Searcher, ids: Iterable[str]) -> Chosen:
    """Choose images as they are given, by labels; those that cannot be found are left out."""
    known = tuple(image_id for image_id in dict.fromkeys(ids) if searcher.has(image_id))
    return Chosen(known, tuple(searcher.image(image_id)[1].label for image_id in known))


def _usable(searcher: Searcher) -> list[str]:
    return [image_id for image_id in searcher.ids if searcher.has(image_id)]
