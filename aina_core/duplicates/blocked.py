"""All pairs of rows that are near enough, block by block: exact, without n² memory.

Most pairs are far apart. So rows are first compared along a few orthonormal axes, with the length
of the remainder as one more number: for unit rows x and y,

    x · y  ≤  x' · y' + |x − x'| |y − y'|,

where x' and y' are their parts along the axes (Cauchy and Schwarz for the remainder). One product
of about a tenth of the columns thus bounds every cosine from above, and only pairs whose bound
reaches the floor are compared in full. Where a block has too many of those, and on a GPU, all its
pairs are compared in full at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aina_core.errors import StoppedError
from aina_core.index.matmul import device_for, reaching, reaching_on
from aina_core.index.principal import principal_axes
from aina_core.progress import Progress, Stop

# Products of matrices differ in the last bits from the similarities that count; see index/exact.py.
_MARGIN = 1e-5
_ROUNDING = 1e-6
_AXES = 94  # with the mean and the remainder, 96 columns: a fast width for products
# A block of the product fits the processor's cache while it is scanned.
_LEFT, _RIGHT = 1024, 4096
_DEVICE_LEFT, _DEVICE_RIGHT = 8192, 65_536
#: With fewer rows, fitting the axes takes longer than comparing all pairs in full.
LEAST_FOR_AXES = 20_000
# A larger share of a block's pairs is compared faster as one product than one by one.
_MOST_CANDIDATES = 0.01


def candidates(
    vectors: np.ndarray, rows: np.ndarray, floor: float, progress: Progress, stop: Stop
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of rows that may reach a floor: all that do, and few that do not.

    Args:
        vectors: float32 (n, dim), unit rows; may be a memory map.
        rows: int64 (m,), ascending: those that are compared.
        floor: the least cosine.
        progress: told of the phase "pairs".
        stop: asked between blocks.

    Yields:
        Rows int64 (p,) and int64 (p,), the first below the second; no pair twice.

    Raises:
        StoppedError: it was stopped.
    """
    count, dim = len(rows), vectors.shape[1]
    device = device_for(count * count // 2 * dim)
    bounds = None
    if device is None and count > LEAST_FOR_AXES and dim > 2 * _AXES:
        progress("axes", 0, 0)
        bounds = _bounds(vectors, rows)
    height, width = (_LEFT, _RIGHT) if device is None else (_DEVICE_LEFT, _DEVICE_RIGHT)
    for top in range(0, count, height):
        for left in range(top, count, width):
            if stop():
                raise StoppedError("Stopped before all pairs were compared; nothing was stored.")
            progress("pairs", _done(top, left - top, height, count), count * (count + 1) // 2)
            one, other = slice(top, top + height), slice(left, left + width)
            found = _of_block(vectors, rows, (one, other), bounds, floor - _MARGIN, device)
            first, second = found[0] + top, found[1] + left
            above = first < second  # a block on the diagonal has every pair twice
            yield rows[first[above]], rows[second[above]]
    progress("pairs", count * (count + 1) // 2, count * (count + 1) // 2)


def _done(top: int, along: int, height: int, count: int) -> int:
    """How many pairs of the upper triangle, with its diagonal, lie in the blocks before one."""
    return top * count - top * (top - 1) // 2 + along * min(height, count - top)


def _of_block(
    vectors: np.ndarray,
    rows: np.ndarray,
    block: tuple[slice, slice],
    bounds: np.ndarray | None,
    floor: float,
    device: str | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The places within a block's sides of the pairs that may reach the floor."""
    one, other = block
    if bounds is not None:
        found = reaching(bounds[one], bounds[other], floor)
        size = len(bounds[one]) * len(bounds[other])
        if len(found[0]) <= _MOST_CANDIDATES * size:
            return found
    left, right = _taken(vectors, rows[one]), _taken(vectors, rows[other])
    if device is not None:
        return reaching_on(device, left, right, floor)
    return reaching(left, right, floor)


def _taken(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of the vectors; a view where they are consecutive."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return np.asarray(vectors[rows[0] : rows[-1] + 1])
    return np.asarray(vectors[rows])


def _bounds(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows whose products bound the cosines from above: float32 (m, axes + 2)."""
    axes = principal_axes(vectors, _AXES)
    basis, _ = np.linalg.qr(np.column_stack([axes.mean, axes.directions]).astype(np.float64))
    basis = basis.astype(np.float32)  # (dim, axes + 1), orthonormal columns
    bounds = np.empty((len(rows), basis.shape[1] + 1), np.float32)
    for start in range(0, len(rows), _RIGHT):
        part = slice(start, start + _RIGHT)
        whole = _taken(vectors, rows[part])
        along = whole @ basis  # (b, axes + 1)
        left = np.vecdot(whole, whole) - np.vecdot(along, along)
        bounds[part, :-1] = along
        # float32 leaves about 1e-7 of error in `left`, which the root would make 3e-4
        bounds[part, -1] = np.sqrt(np.maximum(left, 0) + _ROUNDING)
    return bounds
