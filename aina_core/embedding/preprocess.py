"""From an upright picture to what a network sees: the model's own resize and centre crop."""

from __future__ import annotations

import numpy as np

from aina_core.models import Recipe

# A picture longer than this many times its short side is cut to its middle before it is resized:
# the network sees only the middle square, and a strip of 1 × 100,000 pixels would otherwise grow
# to gigabytes.
_LONGEST_ASPECT = 16


def preprocess(pixels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Resize the short side, then cut the centre square, as torchvision's Resize and CenterCrop do.

    The resize is torch's antialiased one on bytes: within one grey level of Pillow's, about five
    times as fast.

    Args:
        pixels: uint8 (height, width, 3), upright RGB.
        recipe: the model's preprocessing.

    Returns:
        uint8 (crop, crop, 3). Normalisation is left to the network's first layer.
    """
    import torch
    import torch.nn.functional as F

    pixels = _middle(pixels)
    height, width = pixels.shape[:2]
    short = min(height, width)
    size = (int(recipe.resize * height / short), int(recipe.resize * width / short))
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # (1, 3, height, width)
    # Pillow shrinks what is over twice as tall as wide along its height first, and rounds between.
    steps = [(size[0], width), size] if height > 2 * width and size[0] < height else [size]
    for step in steps:
        if step != picture.shape[2:]:
            picture = F.interpolate(picture, step, mode=recipe.interpolation, antialias=True)
    top, left = (round((side - recipe.crop) / 2) for side in size)
    square = picture[0, :, top : top + recipe.crop, left : left + recipe.crop]
    return np.ascontiguousarray(square.permute(1, 2, 0).numpy())


def _middle(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    longest = min(height, width) * _LONGEST_ASPECT
    top, left = max(height - longest, 0) // 2, max(width - longest, 0) // 2
    # torch wants memory that it could write to; Pillow gives out some that it could not
    return np.require(pixels[top : top + longest, left : left + longest], requirements=["C", "W"])
