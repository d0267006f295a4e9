"""Part to part: which places of one picture resemble which places of another, to a network.

A place is a cell of the network's last map. Its local feature is the vector of the map's channels
there, and two places are as alike as the cosine of their features. A cell has seen more of the
picture than its own square, in deep networks nearly all of it, so a box says where the network
places something rather than where every pixel of it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.explain.explanation import Seen, enlarge

#: (top, left, height, width) in pixels of an upright picture.
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Side:
    """One of two pictures.

    Attributes:
        features: float32 (rows · columns, channels), unit rows; zeros where a cell is dead.
        grid: (rows, columns).
        seen: what the network saw, in pixels of the picture.
        size: (height, width) of the picture, in pixels.
    """

    features: np.ndarray
    grid: tuple[int, int]
    seen: Seen
    size: tuple[int, int]

    def cell(self, y: float, x: float) -> int:
        """Return the cell that holds a place, in pixels of the picture.

        Raises:
            InputError: the network did not see it.
        """
        top, left, height, width = self.seen
        row = (y - top) / height * self.grid[0] // 1
        column = (x - left) / width * self.grid[1] // 1
        inside = 0 <= y < self.size[0] and 0 <= x < self.size[1]
        if not (inside and 0 <= row < self.grid[0] and 0 <= column < self.grid[1]):
            raise InputError(
                f"The network did not see the place ({x:g}, {y:g}); choose one within the part "
                "that is not marked as unseen."
            )
        return int(row) * self.grid[1] + int(column)

    def box(self, cell: int) -> Box:
        """Return a cell in pixels of the picture, cut off at its edges."""
        row, column = divmod(cell, self.grid[1])
        spans = []
        for index, axis in ((row, 0), (column, 1)):
            step = self.seen[axis + 2] / self.grid[axis]
            start = self.seen[axis] + index * step
            edge = max(start, 0.0)
            spans.append((edge, min(start + step, self.size[axis]) - edge))
        (top, height), (left, width) = spans
        return top, left, height, width


def side(features: np.ndarray, seen: Seen, size: tuple[int, ...]) -> Side:
    """Return one picture's side of a comparison.

    Args:
        features: float32 (channels, rows, columns), a layer's output.
        seen: what the network saw.
        size: (height, width) of the picture.
    """
    channels, rows, columns = features.shape
    flat = features.reshape(channels, -1).T  # (rows · columns, channels)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = np.divide(flat, lengths, out=np.zeros_like(flat), where=lengths > 0)
    return Side(unit, (rows, columns), seen, (size[0], size[1]))


class Places:
    """The places of two pictures, a and b, compared.

    Attributes:
        a: the one picture's side.
        b: the other's.
        cosines: float32 (cells of a, cells of b), in [−1, 1].
    """

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b = a, b
        self.cosines = np.clip(a.features @ b.features.T, -1, 1)

    def match(self, y: float, x: float) -> np.ndarray:
        """Return how alike every place of b is to a place of a.

        Args:
            y: from the top, in pixels of a.
            x: from the left, in pixels of a.

        Returns:
            float32 (height, width) of b: cosines; 0 where the network did not look.

        Raises:
            InputError: the network did not see that place.
        """
        row = self.cosines[self.a.cell(y, x)].reshape(self.b.grid)
        return enlarge(row, self.b.seen, *self.b.size)

    def best(self, y: float, x: float) -> tuple[Box, Box, float]:
        """Return the cell of a at a place, the cell of b most like it, and their cosine."""
        cell = self.a.cell(y, x)
        other = int(self.cosines[cell].argmax())
        return self.a.box(cell), self.b.box(other), float(self.cosines[cell, other])

    def strongest(self, n: int) -> list[tuple[Box, Box, float]]:
        """Return the n best links, no cell in two of them.

        First cells that are each other's best match, in descending cosine; then, where those do not
        suffice, the best of the cells that are left.

        Returns:
            (box in a, box in b, cosine) for each link.
        """
        best_b, best_a = self.cosines.argmax(axis=1), self.cosines.argmax(axis=0)
        cells = np.arange(len(best_b))
        mutual = cells[best_a[best_b] == cells]
        links = [(int(cell), int(best_b[cell])) for cell in mutual]
        links.sort(key=lambda link: -self.cosines[link])
        free = self.cosines.copy()
        for i, j in links:
            free[i], free[:, j] = -np.inf, -np.inf
        while len(links) < min(n, *self.cosines.shape):
            i, j = (int(place) for place in np.unravel_index(free.argmax(), free.shape))
            links.append((i, j))
            free[i], free[:, j] = -np.inf, -np.inf
        return [(self.a.box(i), self.b.box(j), float(self.cosines[i, j])) for i, j in links[:n]]
