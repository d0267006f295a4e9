"""Labels that people give to a gallery's images: a CSV file, read as it is needed."""

from __future__ import annotations

import csv
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TextIO

from aina_core.errors import InputError
from aina_core.gallery.catalogue import Annotation

_MAX_BYTES = 1 << 30
_MAX_LINE = 1 << 20
_MAX_COLUMNS = 64


class Labels(Protocol):
    """A dict, or a `LabelsFile`."""

    def items(self) -> Iterable[tuple[str, Annotation]]:
        """Image ids with their annotations; of several for one id, the last counts."""
        ...


class LabelsFile:
    """A CSV with columns id and label; `caption` and any others become filters.

    Comma, semicolon or tab; UTF-8, with or without a byte order mark. It is read through once at
    the beginning, so that its faults show before any work is done, and is never held as a whole.

    Args:
        path: of the file.

    Raises:
        InputError: it cannot be read, or lacks the columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            status = path.stat()
        except FileNotFoundError:
            raise self._unreadable("(the file is missing)") from None
        except OSError as error:
            raise self._unreadable(f"({error.strerror})") from None
        if not stat.S_ISREG(status.st_mode):  # the open of a FIFO would wait for ever
            raise self._unreadable("(not a regular file)")
        if status.st_size > _MAX_BYTES:
            raise InputError(f"The labels file {path.name} is over {_MAX_BYTES >> 20} MB.")
        for _ in self.items():
            pass

    def items(self) -> Iterator[tuple[str, Annotation]]:
        """Yield image ids with their annotations, line by line."""
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                yield from self._annotations(file)
        except UnicodeDecodeError:
            raise self._unreadable("is not UTF-8") from None
        except OSError as error:
            raise self._unreadable(f"({error.strerror})") from None
        except csv.Error as error:
            raise InputError(f"The labels file {self.path.name} is damaged: {error}.") from None

    def _annotations(self, file: TextIO) -> Iterator[tuple[str, Annotation]]:
        first = file.readline(_MAX_LINE)
        file.seek(0)
        delimiter = max(",;\t", key=first.count)
        reader = csv.DictReader(_lines(file), delimiter=delimiter)
        names = enumerate(reader.fieldnames or (), start=1)
        columns = [column.strip() or f"column {number}" for number, column in names]
        if "id" not in columns or "label" not in columns or len(columns) > _MAX_COLUMNS:
            raise InputError(
                f"The labels file {self.path.name} must begin with a line that names the columns "
                f"id and label, and at most {_MAX_COLUMNS} in all; "
                f"it names: {', '.join(columns[:8]) or 'none'}."
            )
        reader.fieldnames = columns
        for row in reader:
            cells = {key: (row.get(key) or "").strip() for key in columns}
            image_id = cells.pop("id")
            label, caption = cells.pop("label"), cells.pop("caption", "")
            if image_id:
                yield image_id, Annotation(label, caption, cells)

    def _unreadable(self, detail: str) -> InputError:
        return InputError(f"The labels file {self.path.name} cannot be read {detail}.")


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a file; an endless one is no CSV and would fill the memory."""
    while line := file.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise csv.Error(f"a line is over {_MAX_LINE:,} characters")
        yield line


def folder_label(image_id: str) -> str:
    """Return the label that an image has by its folder: the path above it, or empty."""
    return image_id.rpartition("/")[0]
