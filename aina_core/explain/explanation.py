"""A map of what speaks for a score, laid over the upright picture to the pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aina_core.errors import InputError

#: (x, y, width, height) in pixels of the upright image, as crops are given everywhere.
Crop = tuple[int, int, int, int]
#: (top, left, height, width) in pixels of a picture, with fractions.
Seen = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What in a picture speaks for a score.

    Attributes:
        map: float32 (height, width) of the upright picture, or of the crop: 0 to 1, the strongest
            place 1; 0 where the network did not look, and everywhere when it is flat.
        seen: what the network saw, in pixels of the picture or of the crop.
        score: cosine in [−1, 1], or the class's probability in [0, 1].
        raw_max: the strongest value before the map was scaled to 1: how much there is to see.
            Comparable for one model, method and kind of target.
        flat: whether there is nothing to see.
        note: why it is flat, in one sentence; empty when it is not.
        method: one of `METHODS`.
        target: what was explained, in words.
        cells: float32 (rows, columns), the map on the network's own grid, which `map` enlarges.
        crop: the part of the picture that was explained; None for all of it.
    """

    map: np.ndarray
    seen: Seen
    score: float
    raw_max: float
    flat: bool
    note: str
    method: str
    target: str
    cells: np.ndarray
    crop: Crop | None = None

    def placed(self, height: int, width: int) -> Explanation:
        """Return the explanation of a crop in the picture of a height and width it was cut from.

        The map is 0 outside the crop. What explains a whole picture is returned as it is.

        Raises:
            InputError: a picture of that size does not hold the crop.
        """
        if self.crop is None:
            return self
        x, y = max(self.crop[0], 0), max(self.crop[1], 0)
        rows, columns = self.map.shape
        if y + rows > height or x + columns > width:
            raise InputError(
                f"A picture of {width} × {height} pixels does not hold the crop "
                f"{','.join(map(str, self.crop))}; give the picture that it was cut from."
            )
        whole = np.zeros((height, width), np.float32)
        whole[y : y + rows, x : x + columns] = self.map
        top, left, *size = self.seen
        return replace(self, map=whole, seen=(top + y, left + x, size[0], size[1]), crop=None)


def enlarge(cells: np.ndarray, seen: Seen, height: int, width: int) -> np.ndarray:
    """Spread a grid over the part of a picture that it covers, linearly between cells' centres.

    Args:
        cells: float32 (rows, columns), which divide `seen` evenly.
        seen: the part, in pixels; may reach beyond the picture.
        height: of the picture, in pixels.
        width: of the picture, in pixels.

    Returns:
        float32 (height, width); 0 at pixels whose centre lies outside the part.
    """
    top, left, tall, wide = seen
    down = _weights(cells.shape[0], top, tall, height)  # (height, rows)
    across = _weights(cells.shape[1], left, wide, width)  # (width, columns)
    return down @ cells.astype(np.float32) @ across.T


def _weights(cells: int, start: float, length: float, pixels: int) -> np.ndarray:
    """The weight of each cell for each pixel along one axis: float32 (pixels, cells)."""
    middle = np.arange(pixels) + 0.5 - start  # of a pixel, from the beginning of the part
    inside = (middle >= 0) & (middle < length)
    place = np.clip(middle / length * cells - 0.5, 0, cells - 1)
    before = np.minimum(place.astype(np.int64), max(cells - 2, 0))
    share = (place - before).astype(np.float32)
    weights = np.zeros((pixels, cells), np.float32)
    every = np.arange(pixels)
    weights[every, before] = 1 - share
    weights[every, np.minimum(before + 1, cells - 1)] += share
    weights[~inside] = 0
    return weights
