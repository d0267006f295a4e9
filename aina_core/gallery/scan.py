"""What a gallery's folder holds, and what a labels file says of it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aina_core import images
from aina_core.errors import GalleryError, ImageError, InputError
from aina_core.gallery.catalogue import Annotation

_MAX_LABEL_BYTES = 200 << 20
_MAX_COLUMNS = 64


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

    Hidden files and folders are passed over; links to files are followed, links to folders are not.

    Returns:
        The files, and the ids of sub-folders that could not be read.

    Raises:
        GalleryError: the folder is missing or cannot be read.
    """
    try:
        exists = folder.is_dir()
    except OSError:  # too long a name, or a folder above it that cannot be read
        exists = False
    if not exists:
        raise GalleryError(f"The folder {folder} is missing; give a folder that exists.")
    unreadable: list[str] = []

    def complain(error: OSError) -> None:
        unreadable.append(_identify(Path(error.filename), folder)[0])

    found = []
    for name, subfolders, files in os.walk(folder, onerror=complain):
        subfolders[:] = [sub for sub in subfolders if not sub.startswith(".")]
        for file in files:
            if not file.startswith(".") and Path(file).suffix.lower() in images.SUFFIXES:
                found.append(_found(Path(name, file), folder))
    if "." in unreadable:
        raise GalleryError(f"The folder {folder} cannot be read; check its permissions.")
    return sorted(found, key=lambda file: file.id), sorted(unreadable)


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


def folder_label(image_id: str) -> str:
    """Return the label that an image has by its folder: the path above it, or empty."""
    return image_id.rpartition("/")[0]


def read_labels(path: Path) -> dict[str, Annotation]:
    """Read a CSV with columns id and label; `caption` and any others become filters.

    Comma, semicolon or tab; UTF-8, with or without a byte order mark.

    Raises:
        InputError: it cannot be read, or lacks the columns.
    """
    try:
        text = images.read_bytes(path).decode("utf-8-sig")
    except (ImageError, UnicodeDecodeError) as error:
        detail = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"({error})"
        raise InputError(f"The labels file {path.name} cannot be read {detail}.") from None
    if len(text) > _MAX_LABEL_BYTES:
        raise InputError(f"The labels file {path.name} is over {_MAX_LABEL_BYTES >> 20} MB.")
    return dict(_annotations(text, path.name))


def _annotations(text: str, name: str) -> Iterator[tuple[str, Annotation]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = enumerate(reader.fieldnames or (), start=1)
    except csv.Error as error:
        raise InputError(f"The labels file {name} is damaged: {error}.") from None
    columns = [column.strip() or f"column {number}" for number, column in names]
    if "id" not in columns or "label" not in columns or len(columns) > _MAX_COLUMNS:
        raise InputError(
            f"The labels file {name} must begin with a line that names the columns id and label, "
            f"and at most {_MAX_COLUMNS} in all; it names: {', '.join(columns[:8]) or 'none'}."
        )
    reader.fieldnames = columns
    try:
        for row in reader:
            cells = {key: (row.get(key) or "").strip() for key in columns}
            image_id = cells.pop("id")
            label, caption = cells.pop("label"), cells.pop("caption", "")
            if image_id:
                yield image_id, Annotation(label, caption, cells)
    except csv.Error as error:
        raise InputError(f"The labels file {name} is damaged: {error}.") from None
