"""A map drawn over its picture."""

from __future__ import annotations

import numpy as np

from aina_core.errors import InputError, UnknownNameError
from aina_core.explain.explanation import Explanation, Seen
from aina_core.explain.targets import checked

#: Colour maps of matplotlib whose steps look even, also to colour-blind eyes and in grey.
COLOURS = ("inferno", "viridis", "cividis", "magma", "plasma")

_LINE = 255  # the edge of what was seen
_HATCH = 8  # pixels from line to line, for a picture of up to 512; more for larger ones
_ROWS = 512  # drawn at a time, which bounds memory


def overlay(
    pixels: np.ndarray,
    explanation: Explanation,
    *,
    opacity: float = 0.5,
    colours: str = COLOURS[0],
) -> np.ndarray:
    """Draw a map over its picture; what the network did not see becomes grey and hatched.

    A flat map gets no colours.

    Args:
        pixels: uint8 (height, width, 3): the picture that was explained. Of a crop's explanation
            either the crop or the picture that it was cut from.
        explanation: what `Explainer.explain` returned.
        opacity: of the colours, 0 to 1.
        colours: one of `COLOURS`.

    Returns:
        uint8 (height, width, 3).

    Raises:
        InputError: the map is of another picture, or the opacity is not between 0 and 1.
        UnknownNameError: no such colour map.
    """
    checked(pixels)
    if colours not in COLOURS:
        raise UnknownNameError("colour map", colours, COLOURS)
    if not 0 <= opacity <= 1:
        raise InputError(f"The opacity is {opacity:g}; give 0 to 1.")
    height, width = pixels.shape[:2]
    if explanation.map.shape != (height, width):
        explanation = explanation.placed(height, width)
    if explanation.map.shape != (height, width):
        raise InputError(
            f"The map is of {explanation.map.shape[::-1]} pixels, the picture of "
            f"{(width, height)}; give the picture that was explained."
        )
    table = colour_table(colours)
    drawn = np.empty_like(pixels)
    for start in range(0, height, _ROWS):
        rows = slice(start, start + _ROWS)
        drawn[rows] = pixels[rows]
        if not explanation.flat:
            heat = table[np.rint(explanation.map[rows] * 255).astype(np.uint8)]
            drawn[rows] = np.rint(pixels[rows] * (1 - opacity) + heat * opacity)
    _mark_unseen(drawn, pixels, explanation.seen)
    return drawn


def colour_table(colours: str) -> np.ndarray:
    """Return the 256 colours of a colour map, from 0 to 1: uint8 (256, 3)."""
    import matplotlib

    steps = matplotlib.colormaps[colours](np.arange(256))[:, :3]
    return np.rint(np.asarray(steps) * 255).astype(np.uint8)


def inside(seen: Seen, height: int, width: int) -> tuple[slice, slice]:
    """Return the pixels, rows and columns, whose centre the network saw."""
    spans = []
    for start, length, limit in ((seen[0], seen[2], height), (seen[1], seen[3], width)):
        middles = np.arange(limit) + 0.5 - start
        found = np.flatnonzero((middles >= 0) & (middles < length))
        spans.append(slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0))
    return spans[0], spans[1]


def _mark_unseen(drawn: np.ndarray, pixels: np.ndarray, seen: Seen) -> None:
    """Grey and hatch the border, and draw the edge of what was seen, one line wide."""
    height, width = drawn.shape[:2]
    rows, columns = inside(seen, height, width)
    scale = max(1, round(max(height, width) / 512))
    borders = (
        (slice(0, rows.start), slice(0, width)),
        (slice(rows.stop, height), slice(0, width)),
        (rows, slice(0, columns.start)),
        (rows, slice(columns.stop, width)),
    )
    for part in borders:
        if drawn[part].size:
            grey = pixels[part].mean(axis=2, keepdims=True) * 0.5 + 64
            y = np.arange(height)[part[0], None]
            x = np.arange(width)[None, part[1]]
            lines = ((x + y) // scale % _HATCH == 0)[..., None]
            drawn[part] = np.where(lines, np.minimum(grey + 60, 255), grey)
    if rows.start > 0:
        drawn[max(rows.start - scale, 0) : rows.start, columns] = _LINE
    if rows.stop < height:
        drawn[rows.stop : rows.stop + scale, columns] = _LINE
    if columns.start > 0:
        drawn[rows, max(columns.start - scale, 0) : columns.start] = _LINE
    if columns.stop < width:
        drawn[rows, columns.stop : columns.stop + scale] = _LINE
