"""What a training looks at: rows of originals and of their changed versions.

Over a frozen trunk a row is the trunk's embedding (`features.py`); else it is the picture as the
network's own preprocessing brings it to a small size (`pictures.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aina_core.changes.originals import ORIGINAL, Original
from aina_core.changes.versions import Source
from aina_core.errors import ImageError
from aina_core.gallery import Gallery

#: A place of an original, a column of a version, and where it is made from.
Task = tuple[int, int, Source]


@dataclass(frozen=True, eq=False)
class Wanted:
    """Which versions of which originals are needed.

    Attributes:
        originals: all.
        changes: names of the changes.
        needed: bool (n, 1 + c): column 0 for the original as it is.
    """

    originals: tuple[Original, ...]
    changes: tuple[str, ...]
    needed: np.ndarray

    def items(self) -> list[tuple[int, int]]:
        """Return (place of the original, column) of everything needed, in order."""
        return [(int(place), int(column)) for place, column in np.argwhere(self.needed)]

    def change(self, column: int) -> str:
        """Return the name of a column."""
        return ORIGINAL if column == 0 else self.changes[column - 1]


@dataclass(frozen=True, eq=False)
class Rows:
    """What was made.

    Attributes:
        matrix: float32 (m, dim) of unit features, or uint8 (m, side, side, 3) of pictures.
        at: int64 (n, 1 + c): where each version stands in `matrix`; −1 where there is none.
        failures: why originals could not be read, by their place; they have no rows to rely on.
    """

    matrix: np.ndarray
    at: np.ndarray
    failures: dict[int, str]

    def take(self, places: np.ndarray, columns: np.ndarray | int) -> np.ndarray:
        """Return versions, (b, …), of originals at places, int (b,), in columns.

        Raises:
            IndexError: one was not made: what it asks for is not what it said it needs.
        """
        rows = self.at[places, columns]
        if (rows < 0).any():
            raise IndexError("a version was asked for that was not needed")
        return self.matrix[rows]


def tasks(gallery: Gallery, wanted: Wanted, items: Sequence[tuple[int, int]]) -> Iterator[Task]:
    """Yield (place, column, source), one decoded original shared by all its versions."""
    counts = np.bincount([place for place, _ in items], minlength=len(wanted.originals))
    source, owner = None, -1
    for place, column in items:
        if source is None or place != owner:
            source, owner = Source(gallery, wanted.originals[place], int(counts[place])), place
        yield place, column, source


def version(task: Task, wanted: Wanted) -> tuple[np.ndarray | None, str]:
    """Make a version, uint8 (h, w, 3), on a worker thread; None and why where it cannot be made."""
    _, column, source = task
    try:
        return source.version(wanted.change(column)), ""
    except ImageError as error:
        return None, str(error)
