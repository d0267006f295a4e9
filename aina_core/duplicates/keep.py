"""Which image of a group to keep: by a rule, or as the user has chosen. No file is ever deleted.

The user's choices are stored in `duplicates.json` in the gallery's folder, by image ids, so they
survive new vectors, other models and other thresholds.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.disk import paths
from aina_core.disk.locks import alone
from aina_core.errors import DamagedError, GalleryError, ImageError, InputError, UnknownNameError
from aina_core.gallery import Gallery, ImageRecord

_FILE = "duplicates.json"
_FORMAT = 1
_LOCK, _PATIENCE_SECONDS = ".duplicates.lock", 60.0
_SIDE = 512  # pixels


def sharpness(pixels: np.ndarray) -> float:
    """Return the variance of the Laplacian of a picture's grey levels: more edges, more of it.

    Pictures are measured at 512 pixels on the longer side, and smaller ones enlarged to that; else
    a reduced copy would seem sharper.

    Args:
        pixels: uint8 (height, width, 3), RGB.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy (2000).
    """
    image = Image.fromarray(pixels).convert("L")
    scale = _SIDE / max(image.size)
    width, height = (max(round(side * scale), 3) for side in image.size)
    grey = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.var(around - 4 * middle))


def _by_size(gallery: Gallery | None, record: ImageRecord) -> tuple[float, float]:
    return -record.width * record.height, -record.size


def _by_sharpness(gallery: Gallery | None, record: ImageRecord) -> tuple[float, float]:
    assert gallery is not None  # it is the only rule that looks at pictures
    return -_sharpness_of(gallery.name, record.id, record.sha256), 0


def _by_age(gallery: Gallery | None, record: ImageRecord) -> tuple[float, float]:
    return record.mtime_ns, 0


@functools.lru_cache(4096)
def _sharpness_of(gallery: str, image_id: str, sha256: str) -> float:
    """A picture's sharpness, cached by the checksum of its bytes; −1 for one that is gone."""
    from aina_core.gallery import open_gallery

    try:
        return sharpness(images.decode(open_gallery(gallery).read(image_id)).pixels)
    except (ImageError, InputError):
        return -1.0


#: The rules, as sort keys: the first image is kept, the first id among equals.
RULES: Mapping[str, Callable[[Gallery | None, ImageRecord], tuple[float, float]]] = {
    "largest": _by_size,
    "sharpest": _by_sharpness,
    "oldest": _by_age,
}
#: The rules that need no pictures, and so no gallery.
WITHOUT_PICTURES = ("largest", "oldest")


@dataclass(frozen=True)
class Kept:
    """The image of a group to keep.

    Attributes:
        id: image id.
        chosen: whether by the user; else by a rule.
    """

    id: str
    chosen: bool


def check_rule(rule: str) -> None:
    """Refuse an unknown rule.

    Raises:
        UnknownNameError: no such rule.
    """
    if rule not in RULES:
        raise UnknownNameError("rule for what to keep", rule, RULES)


def keep(
    gallery: Gallery,
    records: Sequence[ImageRecord],
    rule: str,
    choices: Sequence[Mapping[str, Any]],
) -> Kept:
    """Return which image of a group to keep.

    A choice applies to a group that has the chosen image and one of those it was chosen over,
    whatever else the group has; the latest such choice decides.

    Args:
        gallery: the gallery.
        records: of the images of the group.
        rule: one of `RULES`, for a group without a choice of the user.
        choices: from `read_choices`.

    Raises:
        UnknownNameError: no such rule.
    """
    check_rule(rule)
    ids = {record.id for record in records}
    for choice in reversed(choices):
        if choice["keep"] in ids and not ids.isdisjoint(choice["over"]):
            return Kept(choice["keep"], True)
    return Kept(by_rule(gallery, records, rule), False)


def by_rule(gallery: Gallery | None, records: Sequence[ImageRecord], rule: str) -> str:
    """Return the id of the image that a rule keeps; see `keep`.

    The gallery may be None for a rule of `WITHOUT_PICTURES`.
    """
    return min(records, key=lambda record: (*RULES[rule](gallery, record), record.id)).id


def read_choices(gallery: Gallery) -> list[dict[str, Any]]:
    """Return the user's choices, the oldest first: {"keep": id, "over": [id…]}.

    Raises:
        DamagedError: they cannot be read.
    """
    path = gallery.folder / _FILE
    if not path.exists():
        return []
    try:
        found = paths.read_json(path)
    except DamagedError as error:
        raise DamagedError(
            f"What was chosen to be kept in {gallery.name} cannot be read; mend or remove {path} "
            f"({str(error).rstrip('.')})."
        ) from None
    choices = found.get("choices")
    if found.get("format") != _FORMAT or not isinstance(choices, list):
        raise DamagedError(f"{path} is damaged, or has an unknown format; mend or remove it.")
    if not all(map(_is_choice, choices)):
        raise DamagedError(f"{path} holds something that is no choice; mend or remove it.")
    return choices


def _is_choice(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("keep"), str)
        and isinstance(value.get("over"), list)
        and all(isinstance(image_id, str) for image_id in value["over"])
    )


def choose(gallery: Gallery, image_id: str, over: Collection[str]) -> None:
    """Store the choice of an image over the others of its group.

    Args:
        gallery: the gallery.
        image_id: of the image to keep.
        over: ids of the others of its group.

    Raises:
        InputError: there is no other.
        DamagedError: earlier choices cannot be read.
        GalleryError: the choice cannot be written.
    """
    others = sorted(set(over) - {image_id})
    if not others:
        raise InputError(f"{image_id!r} was chosen over no other image; give those of its group.")
    _change(gallery, {image_id, *others}, [{"keep": image_id, "over": others}])


def forget_choice(gallery: Gallery, ids: Collection[str]) -> None:
    """Forget the choices among some images, so that the rule decides again."""
    _change(gallery, set(ids), [])


def _change(gallery: Gallery, ids: set[str], new: list[dict[str, Any]]) -> None:
    with _writing(gallery):
        kept = []
        for choice in read_choices(gallery):
            over = [image_id for image_id in choice["over"] if image_id not in ids]
            if choice["keep"] not in ids:
                kept.append(choice)
            elif over:  # it also says something of images that are not among these
                kept.append({"keep": choice["keep"], "over": over})
        path = gallery.folder / _FILE
        try:
            paths.write_json(path, {"format": _FORMAT, "choices": kept + new})
        except OSError as error:
            raise GalleryError(
                f"The choice cannot be written to {path}: {error.strerror}."
            ) from error


@contextlib.contextmanager
def _writing(gallery: Gallery) -> Iterator[None]:
    """Be the only one who changes choices; unlike the gallery's lock it is held for a moment."""
    what = f"choosing what to keep in {gallery.name}"
    try:
        with alone(gallery.folder, what, file=_LOCK, make=False, patience=_PATIENCE_SECONDS):
            yield
    except OSError as error:
        raise GalleryError(
            f"The choice cannot be written to {gallery.folder}: {error.strerror}."
        ) from error
