"""What a file is found to be: the same for a gallery on this machine and for a job on many."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from aina_core import images
from aina_core.errors import ImageError
from aina_core.gallery.catalogue import ImageRecord


def look(
    image_id: str,
    size: int,
    mtime_ns: int,
    read: Callable[[], bytes],
    *,
    at_least: int | None = None,
) -> tuple[ImageRecord, np.ndarray | None]:
    """Read and decode one file.

    Args:
        image_id: of the image.
        size: of the file, in bytes; for the record.
        mtime_ns: its time of change; for the record.
        read: gives its bytes, or raises ImageError.
        at_least: see `images.decode`.

    Returns:
        What the catalogue is to know of it, and its pixels, uint8 (height, width, 3); None where
        it is no usable picture, and the record says why.
    """
    sha256 = ""
    try:
        data = read()
        sha256 = hashlib.sha256(data).hexdigest()
        decoded = images.decode(data, at_least=at_least)
    except ImageError as error:
        return ImageRecord(image_id, size, mtime_ns, sha256, failure=str(error)), None
    record = ImageRecord(image_id, size, mtime_ns, sha256, decoded.width, decoded.height)
    return record, decoded.pixels
