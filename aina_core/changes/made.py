"""Changed versions as pictures: made again whenever somebody looks at one, never stored."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.changes import modifications
from aina_core.changes.versions import read_unchanged
from aina_core.errors import InputError
from aina_core.gallery import Gallery, uploads


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
    """Keep a changed version as a picture that can be searched by, and return its name.

    It is kept without loss, so that its similarities are those of the study.

    Raises:
        InputError: the gallery has no such image, or there is no such change.
        ImageError: its file cannot be read any more, or the version is too large to be kept.
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
