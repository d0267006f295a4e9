"""What the Explain page asks, about which pictures, and what it shows of the answers."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.errors import ImageError
from aina_core.explain import (
    Explanation,
    Target,
    class_target,
    overlay,
    similarity_target,
    text_target,
)
from aina_core.explain.explanation import enlarge
from aina_core.gallery import open_gallery, uploads
from ui.components import encode_map
from ui.link import Box

SIMILARITY, CLASS, WORDS = "similarity", "class", "text"


@dataclass(frozen=True)
class Subject:
    """A picture that is explained, or that another is compared with.

    Attributes:
        gallery: the gallery whose pictures it is compared with.
        image: its image id; None for an uploaded picture.
        checksum: SHA-256 of its file.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        url: where the browser gets it.
        name: for people.
        crop: the part of it that counts; None for all.
    """

    gallery: str
    image: str | None
    checksum: str
    width: int
    height: int
    url: str
    name: str
    crop: Box | None = None

    @property
    def key(self) -> tuple[str, Box | None]:
        """What it is, by content."""
        return self.checksum, self.crop

    @property
    def window(self) -> Box:
        """The part that counts, inside the image."""
        x, y, width, height = self.crop or (0, 0, self.width, self.height)
        left, top = max(x, 0), max(y, 0)
        return left, top, min(x + width, self.width) - left, min(y + height, self.height) - top


@dataclass(frozen=True)
class Question:
    """What is to be explained.

    Attributes:
        kind: `SIMILARITY`, `CLASS` or `WORDS`.
        method: one of the core's methods.
        words: the class, or the words.
        reference: what the picture is compared with, for a similarity.
        opposite: whether to explain what lowers it, not what raises it.
    """

    kind: str
    method: str
    words: str = ""
    reference: Subject | None = None
    opposite: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        """What is asked, by content."""
        reference = self.reference.key if self.reference else None
        return self.kind, self.method, self.words, reference, self.opposite

    def target(self) -> Target:
        """What is asked, as the core takes it."""
        if self.kind == CLASS:
            return class_target(self.words)
        if self.kind == WORDS:
            return text_target(self.words, self.opposite)
        assert self.reference is not None
        return similarity_target(cut(self.reference), self.opposite)


@dataclass(frozen=True, eq=False)
class Shown:
    """An explanation as a page shows it.

    Attributes:
        found: the explanation, without its map of full size.
        heat: its map, as the browser takes it; None where it is flat.
        subject: what was explained.
    """

    found: Explanation
    heat: str | None
    subject: Subject

    @classmethod
    def of(cls, found: Explanation, subject: Subject) -> Shown:
        """Make an explanation small enough to be kept."""
        heat = None if found.flat else encode_map(found.map)
        return cls(dataclasses.replace(found, map=np.empty((0, 0), np.float32)), heat, subject)

    @property
    def seen(self) -> tuple[float, float, float, float]:
        """(top, left, height, width) of what the network saw, in pixels of the upright image."""
        left, top = self.subject.window[:2]
        down, across, height, width = self.found.seen
        return down + top, across + left, height, width

    def whole(self) -> Explanation:
        """The explanation with its map of full size, over the part that counts."""
        _, _, width, height = self.subject.window
        full = np.clip(enlarge(self.found.cells, self.found.seen, height, width), 0, 1)
        return dataclasses.replace(self.found, map=full)

    def npy(self) -> bytes:
        """A npy file of the map: float32 (height, width) of the upright image."""
        file = io.BytesIO()
        placed = self.whole().placed(self.subject.height, self.subject.width)
        np.save(file, placed.map, allow_pickle=False)
        return file.getvalue()

    def png(self, opacity: float, colours: str) -> bytes:
        """A PNG of the part that counts, in full size, under its map."""
        drawn = overlay(cut(self.subject), self.whole(), opacity=opacity, colours=colours)
        file = io.BytesIO()
        Image.fromarray(drawn).save(file, "PNG")
        return file.getvalue()


@dataclass(frozen=True, eq=False)
class Match:
    """How alike the places of a picture are to one place of another.

    Attributes:
        heat: from the least to the most alike, as the browser takes it; None where all are equal.
        low: cosine of the least alike.
        high: cosine of the most alike.
    """

    heat: str | None
    low: float
    high: float


def pixels(subject: Subject) -> np.ndarray:
    """A picture, all of it: uint8 (height, width, 3), upright.

    Raises:
        ImageError: it is gone, is no picture any more, or has changed since it was indexed.
    """
    try:
        if subject.image is None:
            data = uploads.query(subject.checksum)
        else:
            data = open_gallery(subject.gallery).read(subject.image)
        if hashlib.sha256(data).hexdigest() != subject.checksum:
            raise ImageError("it has changed since the gallery was indexed; index it again")
        return images.decode(data).pixels
    except ImageError as error:
        reason = str(error).rstrip(".")
        raise ImageError(f"The picture {subject.name} cannot be used any more: {reason}.") from None


def cut(subject: Subject) -> np.ndarray:
    """The part of a picture that counts, uint8 (height, width, 3)."""
    return images.crop_pixels(pixels(subject), subject.crop)
