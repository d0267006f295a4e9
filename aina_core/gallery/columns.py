"""What the catalogue knows about the rows of a generation, as columns of numbers.

A million records and annotations as objects take over a gigabyte; as columns they take some tens
of megabytes, and objects are made only of those that are asked for.
"""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from aina_core.gallery.catalogue import Annotation, Catalogue, ImageRecord
from aina_core.gallery.labels import folder_label
from aina_core.gallery.vectors.generation import Vectors
from aina_core.gallery.vectors.row_keys import Rows

_BLOCK = 4096  # rows
_NO_COLUMNS = "{}"
_NOTHING = ("", 0, 0, "", 0, 0, None)
_MOST_LISTED = 50_000


class Records(Rows[ImageRecord | None]):
    """The record of each row; None where the catalogue has none.

    Args:
        ids: of the rows, ascending.
        checksums: of the files that the rows were computed from.

    Attributes:
        usable: bool (n,), the rows whose file is an image, unchanged since it was embedded.
    """

    def __init__(self, ids: Sequence[str], checksums: Sequence[str]) -> None:
        self._ids, self._checksums = ids, checksums
        self._numbers = np.zeros((4, len(ids)), np.int64)  # size, time of change, width, height
        self.usable = np.zeros(len(ids), bool)
        self._others: dict[int, ImageRecord | None] = {}

    def take(self, start: int, checksums: Sequence[str], rows: Sequence[tuple | None]) -> None:
        """Set the records of some rows, from row `start` on."""
        part = slice(start, start + len(rows))
        known = [row or _NOTHING for row in rows]
        _, sizes, times, found, widths, heights, failures = zip(*known, strict=True)
        self._numbers[:, part] = sizes, times, widths, heights
        if found == tuple(checksums) and not any(failures):
            self.usable[part] = True
            return
        for place, (row, sha256) in enumerate(zip(rows, checksums, strict=True), start):
            self.usable[place] = row is not None and row[6] is None and row[3] == sha256
            if not self.usable[place]:
                self._others[place] = None if row is None else ImageRecord(*row)

    def __len__(self) -> int:
        return len(self._ids)

    def _at(self, row: int) -> ImageRecord | None:
        if row in self._others:
            return self._others[row]
        size, mtime_ns, width, height = self._numbers[:, row].tolist()
        return ImageRecord(self._ids[row], size, mtime_ns, self._checksums[row], width, height)


class Annotations(Rows[Annotation]):
    """The annotation of each row's image: from a labels file, or else from its folder.

    Attributes:
        labels: of all rows.
        columns: the labels file's further columns, by name.
    """

    def __init__(self, labels: Words, captions: Words, columns: dict[str, Words]) -> None:
        self.labels, self._captions, self.columns = labels, captions, columns

    def __len__(self) -> int:
        return len(self.labels)

    def _at(self, row: int) -> Annotation:
        columns = {
            name: value for name, words in self.columns.items() if (value := words[row]) is not None
        }
        return Annotation(self.labels[row] or "", self._captions[row] or "", columns)

    def words(self, column: str) -> Words:
        """Return the values of a column; all None for a column that does not exist."""
        found = self.columns.get(column)
        return Words(np.full(len(self), -1, np.int8), []) if found is None else found


def open_known(catalogue: Catalogue, vectors: Vectors) -> tuple[Records, Annotations]:
    """Read what a catalogue knows about the rows of a generation, in one pass over both."""
    records = Records(vectors.ids, vectors.checksums)
    images, said = _Step(catalogue.rows_of_images()), _Step(catalogue.rows_of_annotations())
    labels, captions, columns = Collecting(), Collecting(), dict[str, Collecting]()
    start = 0
    for ids, checksums in vectors.blocks():
        records.take(start, checksums, images.take(ids))
        notes = [row or _unsaid(key) for key, row in zip(ids, said.take(ids), strict=True)]
        _, of_block, shown, further = zip(*notes, strict=True)
        labels.extend(of_block)
        captions.extend(shown)
        if further.count(_NO_COLUMNS) < len(further):
            _collect(columns, start, further)
        start += len(ids)
    for column in columns.values():
        column.skip_to(start)
    named = {name: column.words() for name, column in columns.items()}
    return records, Annotations(labels.words(), captions.words(), named)


def _unsaid(image_id: str) -> tuple[str, str, str, str]:
    """The annotation of an image that no labels file names."""
    return image_id, folder_label(image_id), "", _NO_COLUMNS


def _collect(columns: dict[str, Collecting], start: int, further: Sequence[str]) -> None:
    """Collect the further columns of some rows, JSON texts, from row `start` on."""
    for place, text in enumerate(further, start):
        for name, value in json.loads(text).items() if text != _NO_COLUMNS else ():
            if name not in columns:
                columns[name] = Collecting()
            columns[name].skip_to(place)
            columns[name].extend([value])


class _Step:
    """Rows that begin with an id, taken in step with ascending ids.

    Args:
        rows: ascending by their ids; those that are not asked for are skipped.
    """

    def __init__(self, rows: Iterator[tuple]) -> None:
        self._rows = rows
        self._waiting: list[tuple] = []

    def take(self, ids: list[str]) -> Sequence[tuple | None]:
        """Return the row of each id; None where there is none."""
        waiting = self._waiting
        waiting += itertools.islice(self._rows, max(len(ids) - len(waiting), 0))
        if len(waiting) == len(ids) and [row[0] for row in waiting] == ids:  # as a rule
            self._waiting = []
            return waiting
        found: list[tuple | None] = []
        at = 0
        for image_id in ids:
            while True:
                if at == len(waiting):
                    waiting, at = list(itertools.islice(self._rows, _BLOCK)), 0
                if not waiting or waiting[at][0] >= image_id:
                    break
                at += 1
            hit = bool(waiting) and waiting[at][0] == image_id
            found.append(waiting[at] if hit else None)
            at += hit
        self._waiting = waiting[at:]
        return found


class Words:
    """A text for each row, or none.

    Args:
        codes: signed integers (n,), the place of each row's text in `names`; −1 for none.
        names: the different texts.

    Attributes:
        codes: as given.
        names: as given.
    """

    def __init__(self, codes: np.ndarray, names: Sequence[str]) -> None:
        self.codes, self.names = codes, names

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str | None:
        code = int(self.codes[row])
        return None if code < 0 else self.names[code]

    def texts(self, rows: np.ndarray) -> list[str]:
        """Return the texts of rows, int64 (m,); of those without one, the empty text."""
        codes = self.codes[rows].tolist()
        # only those that occur, since each text may have to be unpacked
        names = {code: "" if code < 0 else self.names[code] for code in set(codes)}
        return [names[code] for code in codes]

    def counts(self) -> dict[str, int]:
        """Return how many rows have each text, in the order of the texts; none is the empty one."""
        counted = np.bincount(self.codes.astype(np.int64) + 1, minlength=len(self.names) + 1)
        found = {name: int(count) for name, count in zip(self.names, counted[1:], strict=True)}
        if counted[0]:
            found[""] = found.get("", 0) + int(counted[0])
        return dict(sorted((name, count) for name, count in found.items() if count))

    def among(self, wanted: Collection[str]) -> np.ndarray:
        """Return which rows have one of some texts, bool (n,); none is the empty one."""
        chosen = set(wanted)
        of_codes = np.array([*(name in chosen for name in self.names), "" in chosen], bool)
        return of_codes[self.codes]


class Collecting:
    """Collects words one after the other."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._places: dict[str, int] = {}

    def extend(self, texts: Sequence[str]) -> None:
        """Add rows."""
        for text in dict.fromkeys(texts):
            self._places.setdefault(text, len(self._places))
        self._codes.extend(map(self._places.__getitem__, texts))

    def skip_to(self, count: int) -> None:
        """Add rows without a text, until there are so many."""
        if count > len(self._codes):
            self._codes.extend(array("i", [-1]) * (count - len(self._codes)))

    def words(self) -> Words:
        """Return the words, in as few bytes as their number needs."""
        count = len(self._places)
        kind = np.int8 if count < 1 << 7 else np.int16 if count < 1 << 15 else np.int32
        codes = np.frombuffer(self._codes, np.int32).astype(kind) if self._codes else _NONE
        return Words(codes, _Packed(self._places) if count > _MOST_LISTED else [*self._places])


_NONE = np.empty(0, np.int8)


class _Packed(Rows[str]):
    """Many texts as one, with the offset of each."""

    def __init__(self, texts: Collection[str]) -> None:
        encoded = [text.encode(errors="surrogatepass") for text in texts]
        self._starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        self._bytes = b"".join(encoded)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _at(self, row: int) -> str:
        part = self._bytes[self._starts[row] : self._starts[row + 1]]
        return part.decode(errors="surrogatepass")
