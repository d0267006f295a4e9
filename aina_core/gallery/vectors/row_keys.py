"""The keys of a generation's rows, image id and file checksum, read from its mapped file.

A few are held as lists; of many, each is read on request, since a million texts in memory take
hundreds of megabytes, and seconds to make.
"""

from __future__ import annotations

import functools
import itertools
import json
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

import numpy as np

from aina_core.errors import DamagedError

#: Up to so many rows have their keys in memory.
MOST_HELD = 100_000

_BLOCK = 4096  # rows
_BLOCK_BYTES = 16 << 20
_NEWLINE = 10


class Keys:
    """The lines of a file of rows, each `["id", "checksum"]`, in the order of the ids.

    Args:
        table: uint8, the bytes of the file; may be a memory map, and is kept.
        count: how many lines there must be.

    Raises:
        DamagedError: there are more or fewer.
    """

    def __init__(self, table: np.ndarray, count: int) -> None:
        self._table = np.asarray(table)
        blocks = range(0, len(table), _BLOCK_BYTES)
        ends = [np.flatnonzero(self._table[b : b + _BLOCK_BYTES] == _NEWLINE) + b for b in blocks]
        self._starts = np.concatenate([[0], *(found + 1 for found in ends)]).astype(np.int64)
        if len(self._starts) - 1 != count or self._starts[-1] != len(table):
            raise DamagedError(f"There are {len(self._starts) - 1} names for {count} vectors.")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, row: int) -> list[str]:
        return json.loads(self._table[self._starts[row] : self._starts[row + 1]].tobytes())

    def __iter__(self) -> Iterator[list[str]]:
        for start in range(0, len(self), _BLOCK):
            stop = min(start + _BLOCK, len(self))
            lines = self._table[self._starts[start] : self._starts[stop]].tobytes().splitlines()
            yield from json.loads(b"[" + b",".join(lines) + b"]")

    def blocks(self) -> Iterator[tuple[list[str], list[str]]]:
        """Yield ids and checksums of some thousand rows at a time."""
        keys = iter(self)
        while block := list(itertools.islice(keys, _BLOCK)):
            yield [image_id for image_id, _ in block], [sha256 for _, sha256 in block]

    def find(self, image_id: str) -> int | None:
        """Return the row of an image id, by binary search; None where it has none."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            found = self[middle][0]
            if found == image_id:
                return middle
            if found < image_id:
                low = middle + 1
            else:
                high = middle
        return None

    def column(self, place: int) -> Sequence[str]:
        """Return one part of every key: 0 for the ids, 1 for the checksums."""
        return Column(self, place) if len(self) > MOST_HELD else [key[place] for key in self]


T = TypeVar("T")


class Rows(Sequence[T]):
    """A sequence whose items are made as they are asked for; a subclass says how, by `_at`."""

    def _at(self, row: int) -> T:
        """Return the item of a row, 0 ≤ row < len(self)."""
        raise NotImplementedError

    @overload
    def __getitem__(self, row: int) -> T: ...
    @overload
    def __getitem__(self, row: slice) -> list[T]: ...

    def __getitem__(self, row: int | slice) -> T | list[T]:
        if isinstance(row, slice):
            return [self._at(each) for each in range(*row.indices(len(self)))]
        at = operator.index(row)
        if not -len(self) <= at < len(self):
            raise IndexError(f"There is no row {at}.")
        return self._at(at % len(self))


class Column(Rows[str]):
    """One part of many keys, read as it is asked for."""

    def __init__(self, keys: Keys, place: int) -> None:
        self._keys, self._place = keys, place

    def __len__(self) -> int:
        return len(self._keys)

    def _at(self, row: int) -> str:
        return self._keys[row][self._place]

    def __iter__(self) -> Iterator[str]:
        return (key[self._place] for key in self._keys)


class Places:
    """From image ids to rows.

    Args:
        keys: of the rows.
        ids: their ids, as `Keys.column` gives them.
    """

    def __init__(self, keys: Keys, ids: Sequence[str]) -> None:
        self._keys, self._ids = keys, ids

    def find(self, image_id: str) -> int | None:
        """Return the row of an id; None where it has none."""
        if self._all is None:
            return self._keys.find(image_id)
        return self._all.get(image_id)

    def find_all(self, image_ids: Iterable[str], count: int) -> np.ndarray:
        """Return the rows of `count` ids, int64 (count,), -1 for those that have none."""
        known = self._all
        if known is None and count * 50 > len(
            self._ids
        ):  # a binary search for each would be slower
            known = {image_id: row for row, image_id in enumerate(self._ids)}
        if known is None:
            rows = (-1 if (row := self._keys.find(each)) is None else row for each in image_ids)
        else:
            rows = (known.get(image_id, -1) for image_id in image_ids)
        return np.fromiter(rows, np.int64, count)

    @functools.cached_property
    def _all(self) -> dict[str, int] | None:
        """All of them, where there are few."""
        if len(self._ids) > MOST_HELD:
            return None
        return {image_id: row for row, image_id in enumerate(self._ids)}
