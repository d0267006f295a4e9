"""From an upright picture to what a network sees: the model's own resize and centre crop.

The variant `native` has neither: a picture keeps its own size and shape, as nearly as sides that
are multiples of 32 pixels allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core.models import Recipe

# A picture longer than this many times its short side is cut to its middle before it is resized:
# the network sees only the middle square, and a strip of 1 × 100,000 pixels would otherwise grow
# to gigabytes.
_LONGEST_ASPECT = 16
#: Sides of a picture at its own size are multiples of this. Convolutional networks halve them five
#: times, which then always comes out even; and there are 361 shapes at most, not thousands.
MULTIPLE = 32
#: The shortest side of a picture at its own size: smaller ones are enlarged, since two by two
#: places is the least that a network can pool over.
LEAST = 64
# Shapes that stretch a picture by less than this are as good as its own; the one nearest to its
# size is taken. For that it may shrink or grow by so many times.
_UNNOTICED = math.log(1.03)
_RESIZED = 1.5


@dataclass(frozen=True)
class View:
    """How a recipe prepares a picture: the size it is resized to, and the part that is cut out.

    Attributes:
        size: (height, width) after the resize, in pixels, of the part `kept` of the picture.
        cut: (top, left, height, width) of what the network takes, in pixels after the resize.
        kept: (top, left, height, width) of the picture before the resize; all of it but for
            extreme strips.
    """

    size: tuple[int, int]
    cut: tuple[int, int, int, int]
    kept: tuple[int, int, int, int]

    @property
    def seen(self) -> tuple[float, float, float, float]:
        """(top, left, height, width) of what the network sees, in pixels of the picture."""
        top, left, height, width = self.kept
        down, across = height / self.size[0], width / self.size[1]
        return (
            top + self.cut[0] * down,
            left + self.cut[1] * across,
            self.cut[2] * down,
            self.cut[3] * across,
        )


def view(recipe: Recipe, height: int, width: int) -> View:
    """Return how a recipe prepares a picture of a given height and width, in pixels.

    At its own size a picture is stretched by less than 5% along one side when both are at least
    224 pixels, by less than 10% from 128 pixels on, and by at most 23% below. Of one that is over
    ten times as long as it is wide, the middle is kept.
    """
    aspect = recipe.native / LEAST if recipe.native else _LONGEST_ASPECT
    longest = int(min(height, width) * aspect)
    top, left = max(height - longest, 0) // 2, max(width - longest, 0) // 2
    kept = (top, left, min(height, longest), min(width, longest))
    if recipe.native:
        size = _own_size(recipe.native, *kept[2:])
        return View(size, (0, 0, *size), kept)
    if recipe.squash:
        size = (recipe.resize, recipe.resize)
    else:
        short = min(kept[2:])
        size = (int(recipe.resize * kept[2] / short), int(recipe.resize * kept[3] / short))
    y, x = (round((side - recipe.crop) / 2) for side in size)
    return View(size, (y, x, recipe.crop, recipe.crop), kept)


def _own_size(native: int, height: int, width: int) -> tuple[int, int]:
    """Return the sides that a picture is resized to: see `MULTIPLE` and `LEAST`."""
    longer, aspect = max(height, width), min(height, width) / max(height, width)
    wanted = max(min(longer, native), LEAST / aspect)

    def shorter(side: int) -> int:
        return max(LEAST, round(side * aspect / MULTIPLE) * MULTIPLE)

    def unlikeness(side: int) -> tuple[float, float]:
        stretch = abs(math.log(shorter(side) / side / aspect))
        return max(stretch, _UNNOTICED), abs(math.log(side / wanted))

    least = max(LEAST, math.ceil(wanted / _RESIZED / MULTIPLE) * MULTIPLE)
    sides = range(least, int(min(native, wanted * _RESIZED)) + 1, MULTIPLE)
    side = min(sides, key=unlikeness)
    return (side, shorter(side)) if height > width else (shorter(side), side)


def describe(recipe: Recipe) -> dict[str, Any]:
    """Return what makes two embeddings comparable in how their pictures were prepared."""
    sides: dict[str, Any] = {"resize": recipe.resize, "crop": recipe.crop}
    if recipe.native:
        sides = {"native": recipe.native, "multiple": MULTIPLE, "least": LEAST}
    elif recipe.squash:
        sides["squash"] = True
    return {
        **sides,
        "interpolation": recipe.interpolation,
        "mean": list(recipe.mean),
        "std": list(recipe.std),
    }


def preprocess(pixels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Resize, then cut the centre, as torchvision's Resize and CenterCrop do.

    The resize is torch's antialiased one on bytes: within one grey level of Pillow's, about five
    times as fast.

    Args:
        pixels: uint8 (height, width, 3), upright RGB.
        recipe: the model's preprocessing.

    Returns:
        uint8 (height, width, 3), as `view` says: (crop, crop, 3) but at a picture's own size.
        Normalisation is left to the network's first layer.
    """
    import torch
    import torch.nn.functional as F

    look = view(recipe, *pixels.shape[:2])
    top, left, height, width = look.kept
    # torch wants memory that it could write to; Pillow gives out some that it could not
    kept = np.require(pixels[top : top + height, left : left + width], requirements=["C", "W"])
    picture = torch.from_numpy(kept).permute(2, 0, 1)[None]  # (1, 3, height, width)
    # Pillow shrinks what is over twice as tall as wide along its height first, and rounds between.
    tall = height > 2 * width and look.size[0] < height
    for step in [(look.size[0], width), look.size] if tall else [look.size]:
        if step != picture.shape[2:]:
            picture = F.interpolate(picture, step, mode=recipe.interpolation, antialias=True)
    top, left, height, width = look.cut
    seen = picture[0, :, top : top + height, left : left + width]
    return np.ascontiguousarray(seen.permute(1, 2, 0).numpy())
