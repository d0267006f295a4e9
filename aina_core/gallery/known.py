"""What the catalogue says of the rows of a generation, as columns of numbers.

A million records and annotations as objects take over a gigabyte; as columns they take some tens
of megabytes, and an object is made of those that are asked for.
"""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from aina_core.gallery.catalogue import Annotation, Catalogue, ImageRecord
from aina_core.gallery.labels import folder_label
from aina_core.gallery.words import Collecting, Words

_BLOCK = 8192  # rows


class Records(Sequence[ImageRecord | None]):
    """The record of each row; None where the catalogue has none.

    Args:
        catalogue: of the gallery.
        ids: of the rows, ascending.
        checksums: of the files that the rows were computed from.

    Attributes:
        usable: bool (n,), the rows whose file is an image, and the same as when it was embedded.
    """

    def __init__(self, catalogue: Catalogue, ids: Sequence[str], checksums: Sequence[str]) -> None:
        count = len(ids)
        self._ids, self._checksums = ids, checksums
        self._numbers = np.zeros((count, 4), np.int64)  # size, time of change, width, height
        self.usable = np.zeros(count, bool)
        self._others: dict[int, ImageRecord | None] = {}
        found = zip(aligned(ids, catalogue.rows_of_images()), checksums, strict=True)
        for start in range(0, count, _BLOCK):
            self._take(start, list(itertools.islice(found, _BLOCK)))

    def _take(self, start: int, block: list[tuple[tuple | None, str]]) -> None:
        """Take down a part of the rows: what the catalogue says of each, and its checksum."""
        part = slice(start, start + len(block))
        self._numbers[part] = [
            (0, 0, 0, 0) if row is None else (row[1], row[2], row[4], row[5]) for row, _ in block
        ]
        good = [r is not None and r[6] is None and r[3] == sha256 for r, sha256 in block]
        self.usable[part] = good
        if not all(good):
            for place, (row, _) in enumerate(block):
                if not good[place]:
                    self._others[start + place] = None if row is None else ImageRecord(*row)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, row: int) -> ImageRecord | None: ...
    @overload
    def __getitem__(self, row: slice) -> list[ImageRecord | None]: ...

    def __getitem__(self, row: int | slice) -> ImageRecord | list[ImageRecord | None] | None:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        at = _place(row, len(self))
        if at in self._others:
            return self._others[at]
        size, mtime_ns, width, height = self._numbers[at].tolist()
        return ImageRecord(self._ids[at], size, mtime_ns, self._checksums[at], width, height)


class Annotations(Sequence[Annotation]):
    """What is said of each row's image: by a labels file, or else by its folder.

    Args:
        catalogue: of the gallery.
        ids: of the rows, ascending.

    Attributes:
        labels: of all rows.
        columns: the labels file's further columns, by name.
    """

    def __init__(self, catalogue: Catalogue, ids: Sequence[str]) -> None:
        labels, captions = Collecting(), Collecting()
        columns: dict[str, Collecting] = {}
        found = zip(ids, aligned(ids, catalogue.rows_of_annotations()), strict=True)
        for place, (image_id, row) in enumerate(found):
            if row is None:
                labels.add(folder_label(image_id))
                captions.add("")
                continue
            labels.add(row[1])
            captions.add(row[2])
            for name, value in _columns(row[3]):
                if name not in columns:
                    columns[name] = Collecting()
                columns[name].skip_to(place)
                columns[name].add(value)
        for column in columns.values():
            column.skip_to(len(ids))
        self.labels, self._captions = labels.words(), captions.words()
        self.columns: dict[str, Words] = {name: c.words() for name, c in columns.items()}

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, row: int) -> Annotation: ...
    @overload
    def __getitem__(self, row: slice) -> list[Annotation]: ...

    def __getitem__(self, row: int | slice) -> Annotation | list[Annotation]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        at = _place(row, len(self))
        columns = {
            name: value for name, words in self.columns.items() if (value := words[at]) is not None
        }
        return Annotation(self.labels[at] or "", self._captions[at] or "", columns)

    def words(self, column: str) -> Words:
        """Return the values of a column; of one that nobody named, none at all."""
        found = self.columns.get(column)
        return Words(np.full(len(self), -1, np.int8), []) if found is None else found


def aligned(ids: Iterable[str], rows: Iterator[tuple]) -> Iterator[tuple | None]:
    """Yield for each id the row that begins with it, or None; both in ascending order."""
    row = next(rows, None)
    for image_id in ids:
        while row is not None and row[0] < image_id:
            row = next(rows, None)
        yield row if row is not None and row[0] == image_id else None


def _columns(text: str) -> Iterable[tuple[str, str]]:
    """The further columns of an annotation, as the catalogue stores them."""
    return json.loads(text).items() if text != "{}" else ()


def _place(row: int, count: int) -> int:
    """A row, counted from the end where it is negative."""
    at = operator.index(row)
    if not -count <= at < count:
        raise IndexError(f"There is no row {at}.")
    return at % count
