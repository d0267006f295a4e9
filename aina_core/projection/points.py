"""A projection as a screen takes it: few bytes a point, and in an order whose start is a sample."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.projection.result import Projection

#: The code of a point whose category has no colour of its own.
OTHER = 255
#: Corners that a selection may have.
MAX_CORNERS = 5_000

_STEPS = 65_535
_SEED = 0


class Points:
    """The points of a projection that are shown, in a seeded random order.

    Any first part of them is a random sample, so a screen that cannot show all shows the first.

    Args:
        projection: of all rows.
        shown: bool (n,), the rows whose image can be found; None for all.

    Attributes:
        rows: int64 (m,), the row of each point.
        coordinates: float32 (m, dims), of each point.
        low: float32 (dims,), the least coordinates.
        span: float32 (dims,), from the least to the greatest; never 0.
    """

    def __init__(self, projection: Projection, shown: np.ndarray | None = None) -> None:
        count = len(projection.coordinates)
        rows = np.arange(count) if shown is None else np.flatnonzero(shown)
        self.rows = np.random.default_rng(_SEED).permutation(rows)
        self.coordinates = projection.coordinates[self.rows]
        dims = projection.settings.dims
        self.low = self.coordinates.min(axis=0, initial=np.inf)
        self.span = self.coordinates.max(axis=0, initial=-np.inf) - self.low
        if not len(rows):
            self.low, self.span = np.zeros(dims, np.float32), np.ones(dims, np.float32)
        self.span = np.where(self.span > 0, self.span, 1).astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def codes(self) -> np.ndarray:
        """Return the coordinates in 65,535 steps, uint16 (m, dims): 2 bytes a coordinate."""
        return np.rint((self.coordinates - self.low) / self.span * _STEPS).astype("<u2")

    @functools.cached_property
    def place_of(self) -> dict[int, int]:
        """The point of each row that is shown."""
        return {int(row): place for place, row in enumerate(self.rows)}

    def inside(self, corners: Sequence[tuple[float, float]]) -> np.ndarray:
        """Return the points inside a polygon of the first two coordinates, bool (m,).

        By the even-odd rule, as a lasso that crosses itself is drawn.

        Args:
            corners: at least 3 (x, y), at most 5,000.

        Raises:
            InputError: too few or too many corners, or one that is not finite.
        """
        polygon = np.asarray(corners, float)
        if polygon.ndim != 2 or polygon.shape[1] != 2 or not 3 <= len(polygon) <= MAX_CORNERS:
            raise InputError(
                f"A selection has 3 to {MAX_CORNERS:,} corners, each of two coordinates."
            )
        if not np.isfinite(polygon).all():
            raise InputError("A corner of the selection is not a finite number.")
        plane = self.coordinates[:, :2]
        inside = np.zeros(len(self), bool)
        near = ((plane >= polygon.min(axis=0)) & (plane <= polygon.max(axis=0))).all(axis=1)
        members = np.flatnonzero(near)
        members = members[np.argsort(plane[members, 1])]  # an edge meets only those at its height
        x, y = plane[members].T.astype(float)  # (c,)
        crossed = np.zeros(len(members), bool)
        for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if y1 == y2:
                continue
            band = slice(*np.searchsorted(y, sorted((y1, y2))))
            crossed[band] ^= x[band] < (x2 - x1) * (y[band] - y1) / (y2 - y1) + x1
        inside[members] = crossed
        return inside


@dataclass(frozen=True)
class Categories:
    """Points by category.

    Attributes:
        codes: uint8 (m,), place in `names`; `OTHER` for the rest.
        names: of the largest categories, the largest first.
        counts: of each of them.
        others: how many points have another category.
    """

    codes: np.ndarray
    names: tuple[str, ...]
    counts: tuple[int, ...]
    others: int


def categorise(values: Sequence[str], most: int = 8) -> Categories:
    """Give the largest categories a code each, equally large ones by name.

    Args:
        values: the category of each point; empty for none.
        most: how many get one; eyes tell about eight colours apart.
    """
    found, places, counts = np.unique(
        np.array(values, dtype=object), return_inverse=True, return_counts=True
    )
    order = [i for i in np.lexsort((found.astype(str), -counts)) if found[i]][:most]
    codes = np.full(len(found), OTHER, np.uint8)
    codes[order] = np.arange(len(order))
    chosen = [int(counts[i]) for i in order]
    return Categories(
        codes[places],
        tuple(str(found[i]) for i in order),
        tuple(chosen),
        len(values) - sum(chosen),
    )
