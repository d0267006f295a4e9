"""A second signal, independent of any network: do points of one picture occur in the other?

Corners are described by ORB (Rublee et al., 2011), matched where the nearest description is clearly
nearer than the next (Lowe, 2004), and counted when one shift, turn and scale carries them all onto
each other (RANSAC, Fischler and Bolles, 1981). Two photographs of one subject share few points;
two versions of one picture share dozens, cropped, bordered, filtered or turned.

How many are enough was measured on the 17 photographs of the demo and their 18 modifications: of
300 pairs of different photographs none had more than 5; of the 306 pairs of a photograph and its
modification 6 had fewer than 10, all of them quarters or centres.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core import images
from aina_core.errors import ImageError
from aina_core.gallery import Gallery

#: So many matched points mean the same picture; fewer than `PERHAPS` mean nothing.
SAME, PERHAPS = 10, 6

_SIDE = 640  # pixels
_LEAST_SIDE = 32  # a corner is described by a patch of 31
_FEATURES = 1000
_RATIO = 0.8
_PIXELS = 5.0  # tolerance of a matched point
_KEPT = 256


@dataclass(frozen=True)
class Matched:
    """How many points two pictures share.

    Attributes:
        points: how many agree on one shift, rotation and scale.
        mirrored: whether they do when the second picture is mirrored.
        features: of the picture with fewer; below `SAME`, nothing can be told.
    """

    points: int
    mirrored: bool
    features: int

    @property
    def same(self) -> bool:
        """Whether so many points mean that the two are one picture."""
        return self.points >= SAME

    def __str__(self) -> str:
        """In words, with the number."""
        if self.features < SAME:
            return "too few details to tell"
        how = ", mirrored" if self.mirrored and self.points >= PERHAPS else ""
        count = f"{self.points} matched point{'' if self.points == 1 else 's'}{how}"
        if self.same:
            return f"{count}: the same picture"
        return f"{count}: perhaps the same" if self.points >= PERHAPS else f"{count}: not confirmed"


@dataclass(frozen=True, eq=False)
class Features:
    """Corners of a picture, with their descriptions.

    Attributes:
        places: float32 (n, 2), in pixels of the picture at its reduced size.
        described: uint8 (n, 32).
    """

    places: np.ndarray
    described: np.ndarray


def features(pixels: np.ndarray) -> Features:
    """Find the corners of a picture and describe them.

    Args:
        pixels: uint8 (height, width, 3), RGB; reduced to 640 pixels on the longer side.
    """
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = _SIDE / max(grey.shape)
    if scale < 1:
        size = [max(round(side * scale), 1) for side in grey.shape[::-1]]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    if min(grey.shape) < _LEAST_SIDE:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8))
    found, described = cv2.ORB.create(_FEATURES).detectAndCompute(grey, None)
    places = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
    return Features(places, np.empty((0, 32), np.uint8) if described is None else described)


def match(first: Features, second: Features) -> int:
    """Return how many points two pictures share; the same number for the same pictures."""
    import cv2

    if min(len(first.places), len(second.places)) < 3:
        return 0
    nearest: dict[int, Any] = {}
    for near in cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(first.described, second.described, k=2):
        if len(near) < 2 or near[0].distance >= _RATIO * near[1].distance:
            continue
        known = nearest.get(near[0].trainIdx)
        if known is None or near[0].distance < known.distance:  # a point has one partner
            nearest[near[0].trainIdx] = near[0]
    if len(nearest) < 3:
        return 0
    left = first.places[[one.queryIdx for one in nearest.values()]]
    right = second.places[[one.trainIdx for one in nearest.values()]]
    cv2.setRNGSeed(0)
    _, agreeing = cv2.estimateAffinePartial2D(left, right, ransacReprojThreshold=_PIXELS)
    return 0 if agreeing is None else int(agreeing.sum())


class PointMatcher:
    """Compares images of a gallery, and files; caches the features of the last 256."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._features = functools.lru_cache(_KEPT)(self._look)

    def compare(self, first: str, second: str | bytes) -> Matched:
        """Count the points that two images share, the second one as it is or mirrored.

        Args:
            first: image id.
            second: image id, or a file's bytes.

        Raises:
            ImageError: one is no usable picture any more; the message names it.
        """
        look = self._features if isinstance(second, str) else self._look
        one, other = self._features(first, False), look(second, False)
        least = min(len(one.places), len(other.places))
        straight = match(one, other)
        if straight >= SAME:
            return Matched(straight, False, least)
        turned = match(one, look(second, True))
        return Matched(max(straight, turned), turned > straight, least)

    def _look(self, source: str | bytes, mirrored: bool) -> Features:
        try:
            data = self._gallery.read(source) if isinstance(source, str) else source
            pixels = images.decode(data).pixels
        except ImageError as error:
            name = f"The image {source}" if isinstance(source, str) else "The file"
            raise ImageError(f"{name} cannot be used any more: {str(error).rstrip('.')}.") from None
        return features(np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels)
