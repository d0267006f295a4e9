"""What stands in for a part that is hidden: the same picture, blurred."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

#: The blur's standard deviation as a share of the longer side.
SIGMA = 1 / 16


def blurred(picture: np.ndarray) -> np.ndarray:
    """Return a picture, uint8 (rows, columns, 3), without its details: the same shape."""
    sigma = max(picture.shape[:2]) * SIGMA
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))
