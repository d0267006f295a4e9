"""What a gallery's folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aina_core import images
from aina_core.errors import GalleryError


@dataclass(frozen=True, slots=True)
class Found:
    """A file that calls itself a picture.

    Attributes:
        id: its path relative to the folder, with "/".
        path: where it is.
        size: in bytes; 0 when it cannot be asked (a broken link).
        mtime_ns: time of change; 0 when it cannot be asked.
        problem: why it cannot be named or asked; None when it can.
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

    Hidden files and folders are passed over; links to files are followed, links to folders are not.

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
