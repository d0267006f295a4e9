"""Changed versions made from a gallery's originals: in memory, for a network or for a screen.

A version is never stored; it is made again whenever something or somebody looks at it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.changes import modifications
from aina_core.changes.originals import ORIGINAL, Original
from aina_core.errors import ImageError, InputError
from aina_core.gallery import Gallery, uploads

# Above this size one picture is changed at a time: a filter takes many times its memory.
_LARGE_PIXELS = 24_000_000
_large = threading.Lock()


class Source:
    """A decoded original, shared by the threads that change it and released after the last one.

    Args:
        gallery: where it is.
        original: which.
        uses: how many versions will be asked for.
    """

    def __init__(self, gallery: Gallery, original: Original, uses: int) -> None:
        self._path, self._sha256 = gallery.root / original.id, original.sha256
        self._lock, self._uses = threading.Lock(), uses
        self._image: Image.Image | None = None
        self._problem = ""

    def version(self, change: str) -> np.ndarray:
        """Return the pixels of a version, uint8 (height, width, 3).

        Raises:
            ImageError: the file cannot be read any more, or its content has changed.
        """
        try:
            image = self._decoded()
            if change == ORIGINAL:
                return np.asarray(image)
            large = image.width * image.height > _LARGE_PIXELS
            with _large if large else contextlib.nullcontext():
                return np.asarray(modifications.apply(change, image))
        finally:
            with self._lock:
                self._uses -= 1
                if not self._uses:
                    self._image = None

    def _decoded(self) -> Image.Image:
        with self._lock:
            if self._problem:
                raise ImageError(self._problem)
            if self._image is None:
                try:
                    self._image = read_unchanged(self._path, self._sha256)
                except ImageError as error:
                    self._problem = str(error)
                    raise
            return self._image


class Task(NamedTuple):
    """A version to make.

    Attributes:
        place: of its original in a list.
        change: name of the change; `ORIGINAL` for none.
        source: the decoded original.
    """

    place: int
    change: str
    source: Source


def tasks(
    gallery: Gallery, originals: Sequence[Original], wanted: Iterable[tuple[int, str]]
) -> Iterator[Task]:
    """Yield a task for each (place of an original, change); versions of one original share it.

    Args:
        gallery: where the originals are.
        originals: what the places mean.
        wanted: versions of one original follow each other.
    """
    for place, group in groupby(wanted, key=lambda item: item[0]):
        changes = [change for _, change in group]
        source = Source(gallery, originals[place], len(changes))
        yield from (Task(place, change, source) for change in changes)


def make_version(task: Task) -> tuple[np.ndarray | None, str]:
    """Make a version, on a worker thread: uint8 (height, width, 3); or None and the reason."""
    try:
        return task.source.version(task.change), ""
    except ImageError as error:
        return None, str(error)


def read_unchanged(path: Path, sha256: str) -> Image.Image:
    """Return the upright picture of a file that the catalogue knows by its checksum.

    Raises:
        ImageError: it cannot be read, or its bytes have changed.
    """
    data = images.read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ImageError("the file has changed; index the gallery again")
    return images.read_image(data)


def version_jpeg(gallery: Gallery, sha256: str, change: str, side: int) -> bytes:
    """Return a JPEG of a changed version whose longer side is at most `side` pixels.

    Args:
        gallery: where the original is.
        sha256: checksum of the original's file.
        change: a modification's or a profile's name.
        side: in pixels.

    Raises:
        InputError: the gallery has no such image, or there is no such change.
        ImageError: its file cannot be read any more.
    """
    return images.thumbnail(_pixels(gallery, sha256, change), side)


def keep_version(gallery: Gallery, sha256: str, change: str) -> str:
    """Store a changed version as a picture that can be a query, and return its name.

    It is stored without loss, so that its similarities are those of the study.

    Raises:
        InputError: the gallery has no such image, or there is no such change.
        ImageError: its file cannot be read any more, or the version is too large to be stored.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(_pixels(gallery, sha256, change))
    image.save(buffer, "PNG", compress_level=1)
    return uploads.keep_query(buffer.getvalue())


def _pixels(gallery: Gallery, sha256: str, change: str) -> np.ndarray:
    record = gallery.catalogue.by_checksum(sha256)
    if record is None:
        raise InputError(f"The picture is gone from the gallery {gallery.name}.")
    image = read_unchanged(gallery.path(record), sha256)
    return np.asarray(modifications.apply(change, image))
