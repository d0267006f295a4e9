"""Occlusion: hide a part and measure how far the score falls. Needs no gradient and no layer.

Zeiler and Fergus, Visualizing and understanding convolutional networks (2014). A part is hidden by
blur, not by grey, so that no edge appears that was not there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from aina_core.explain.explanation import Seen

NAME = "occlusion"
#: About how many cells the grid has, and how many cells a hidden square is wide.
CELLS, REACH = 64, 2
#: The blur's standard deviation as a share of the longer side.
SIGMA = 1 / 16


def cells(
    picture: np.ndarray,
    scores: Callable[[np.ndarray], np.ndarray],
    seen: Seen,
    opposite: bool = False,
) -> tuple[np.ndarray, float]:
    """Slide a blurred square over what the network sees.

    Args:
        picture: uint8 (rows, columns, 3), what the network is given.
        scores: pictures uint8 (n, rows, columns, 3) → float32 (n,).
        seen: what that is of the upright picture; where its sides differ, so do the grid's.
        opposite: count rises of the score instead of its falls.

    Returns:
        float32 (down, across): by how much the score falls when a cell is hidden, the mean of the
        squares that cover it; and the score of the picture as it is.
    """
    down, across = grid(seen, picture.shape[:2])
    corners = [(top, left) for top in range(1 - REACH, down) for left in range(1 - REACH, across)]
    hidden = blurred(picture)
    edges_y = np.linspace(0, picture.shape[0], down + 1).round().astype(int)
    edges_x = np.linspace(0, picture.shape[1], across + 1).round().astype(int)
    boxes = [
        (max(t, 0), min(t + REACH, down), max(x, 0), min(x + REACH, across)) for t, x in corners
    ]
    drops = np.empty(len(boxes))
    start = float(scores(picture[None])[0])
    for first in range(0, len(boxes), 16):
        batch = []
        for t, b, x, r in boxes[first : first + 16]:
            changed = picture.copy()
            part = slice(edges_y[t], edges_y[b]), slice(edges_x[x], edges_x[r])
            changed[part] = hidden[part]
            batch.append(changed)
        drops[first : first + 16] = start - scores(np.stack(batch))
    total, covered = np.zeros((down, across)), np.zeros((down, across))
    for (t, b, x, r), drop in zip(boxes, drops, strict=True):
        total[t:b, x:r] += drop
        covered[t:b, x:r] += 1
    mean = (total / covered).astype(np.float32)
    return (-mean if opposite else mean), start


def grid(seen: Seen, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (down, across): about `CELLS` cells, square in the upright picture.

    Args:
        seen: what the network sees of the picture, in its pixels.
        shape: (rows, columns) of what the network is given, each at least one cell.
    """
    down = round((CELLS * seen[2] / seen[3]) ** 0.5)
    down = min(max(down, 2), 32)
    across = min(max(round(CELLS / down), 2), 32)
    return min(down, shape[0]), min(across, shape[1])


def blurred(picture: np.ndarray) -> np.ndarray:
    """Return a picture, uint8 (rows, columns, 3), without its details: the same shape."""
    sigma = max(picture.shape[:2]) * SIGMA
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))
