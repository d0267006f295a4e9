"""What a gallery's folder holds, and what each of its files turns out to be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aina_core import images
from aina_core.errors import GalleryError, ImageError
from aina_core.gallery.catalogue import ImageRecord


@dataclass(frozen=True, slots=True)
class Found:
    """A file whose name ends like a picture's.

    Attributes:
        id: its path relative to the folder, separated by "/".
        path: where it is.
        size: in bytes; 0 when it is unknown, as of a broken link.
        mtime_ns: time of change; 0 when it is unknown.
        problem: why it cannot be named or read; None when it can.
    """

    id: str
    path: Path
    size: int
    mtime_ns: int
    problem: str | None = None


def scan(folder: Path) -> tuple[list[Found], list[str]]:
    """List every file below a folder whose name ends like a picture's, in the order of the ids.

    Returns:
        The files, and the ids of sub-folders that could not be read.

    Raises:
        GalleryError: the folder is missing or cannot be read.
    """
    unreadable: list[str] = []
    found = sorted(walk(folder, unreadable), key=lambda file: file.id)
    return found, sorted(unreadable)


def walk(folder: Path, unreadable: list[str]) -> Iterator[Found]:
    """Yield every file below a folder whose name ends like a picture's, in no order.

    Hidden files and folders are skipped; links to files are followed, links to folders are not.

    Args:
        folder: where to begin.
        unreadable: receives the ids of sub-folders that cannot be read.

    Raises:
        GalleryError: the folder is missing or cannot be read.
    """
    try:
        exists = folder.is_dir()
    except OSError:  # too long a name, or a folder above it that cannot be read
        exists = False
    if not exists:
        raise GalleryError(f"The folder {folder} is missing; give a folder that exists.")
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            with os.scandir(current) as entries:  # not os.walk, which holds a whole folder
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    path = current / entry.name
                    if _is_folder(entry):
                        if not entry.is_symlink():
                            pending.append(path)
                    elif path.suffix.lower() in images.SUFFIXES:
                        yield _found(path, folder)
        except OSError:
            if current == folder:
                raise GalleryError(
                    f"The folder {folder} cannot be read; check its permissions."
                ) from None
            unreadable.append(_identify(current, folder)[0])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identify(path: Path, folder: Path) -> tuple[str, str | None]:
    text = path.relative_to(folder).as_posix()
    try:
        text.encode()
    except UnicodeEncodeError:
        plain = os.fsencode(text).decode("utf-8", errors="backslashreplace")
        return plain, "the file's name is not valid UTF-8; rename it"
    return text, None


def _found(path: Path, folder: Path) -> Found:
    image_id, problem = _identify(path, folder)
    try:
        status = path.stat()
    except OSError as error:
        reason = "broken link" if path.is_symlink() else f"cannot be read: {error.strerror}"
        return Found(image_id, path, 0, 0, problem or reason)
    return Found(image_id, path, status.st_size, status.st_mtime_ns, problem)


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
        Its record for the catalogue, and its pixels, uint8 (height, width, 3); None for the pixels
        where it is no usable picture, and the record says why.
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
