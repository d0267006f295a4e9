"""The originals of a gallery: the images that studies and trainings change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.gallery import Annotation, Gallery, ImageRecord, folder_label

#: The column of a labels file that names the change of an image, and its value for none.
MODIFICATION, ORIGINAL = "modification", "original"


@dataclass(frozen=True, slots=True)
class Original:
    """An image of the catalogue.

    Attributes:
        id: image id.
        sha256: checksum of its file.
        label: its label; empty when unknown.
    """

    id: str
    sha256: str
    label: str


def find_originals(gallery: Gallery, count: int | None, seed: int) -> list[Original]:
    """Return the originals of a gallery, or some drawn at random, in the order of their ids.

    Where the labels file marks images as modifications of others (a column "modification", as in
    the demo), the originals are those marked "original"; else all images are. Of files with the
    same bytes only the first counts: they are one picture, not two different originals.

    Args:
        gallery: where they are.
        count: how many; None for all, as are more than there are.
        seed: of the draw.

    Raises:
        InputError: the gallery has fewer than two.
    """
    annotations = gallery.catalogue.annotations()
    usable = _usable(gallery)
    named = [record for record in usable if _is_named(annotations.get(record.id))]
    found, seen = [], set()
    for record in named or usable:
        if record.sha256 not in seen:
            seen.add(record.sha256)
            note = annotations.get(record.id)
            label = folder_label(record.id) if note is None else note.label
            found.append(Original(record.id, record.sha256, label))
    if len(found) < 2:
        raise InputError(
            f"The gallery {gallery.name} has {len(found)} different images to study; "
            "a study needs at least 2."
        )
    if count is None or count >= len(found):
        return found
    rng = np.random.default_rng(seed)
    return [found[place] for place in np.sort(rng.choice(len(found), count, replace=False))]


def stand_for(gallery: Gallery) -> dict[str, str]:
    """Return the id of the original of each image that is no original itself, by image id.

    For a file with the same bytes that is the first of them; for a modification the only original
    of the same label, if there is just one. See `find_originals`.
    """
    annotations = gallery.catalogue.annotations()
    usable = _usable(gallery)
    named = [record for record in usable if _is_named(annotations.get(record.id))]
    first: dict[str, str] = {}
    by_label: dict[str, set[str]] = {}
    for record in named:
        kept = first.setdefault(record.sha256, record.id)
        by_label.setdefault(annotations[record.id].label, set()).add(kept)
    found = {}
    for record in usable:
        note = annotations.get(record.id)
        own = by_label.get(note.label, set()) if note is not None and note.label else set()
        modified = named and not _is_named(note) and len(own) == 1
        meant = next(iter(own)) if modified else first.setdefault(record.sha256, record.id)
        if meant != record.id:
            found[record.id] = meant
    return found


def _usable(gallery: Gallery) -> list[ImageRecord]:
    return [r for r in gallery.catalogue.images().values() if r.failure is None]


def _is_named(note: Annotation | None) -> bool:
    """Whether the labels file marks an image as an original."""
    return note is not None and note.columns.get(MODIFICATION) == ORIGINAL
