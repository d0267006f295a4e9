"""The order of the rows of a similarity matrix, and what is drawn beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aina_core.errors import UnknownNameError
from aina_core.similarity.leaf_order import optimal_leaf_order

#: As chosen; by group, in the order of the groups' names; by hierarchical clustering.
ORDERS = ("given", "label", "cluster")


class Span(NamedTuple):
    """A contiguous group: rows from start to stop, stop excluded."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Arrangement:
    """An order.

    Attributes:
        rows: int64 (n,), the row that stands at each place.
        spans: the groups, if each is contiguous; else none.
        tree: float32 (n − 1, 4, 2): the corners (place, distance) of the line that joins two
            subtrees, from one child up and over to the other; None where nothing was clustered.
    """

    rows: np.ndarray
    spans: tuple[Span, ...]
    tree: np.ndarray | None = None


def arrange(values: np.ndarray, groups: Sequence[str], order: str) -> Arrangement:
    """Put the rows of a similarity matrix into an order.

    Args:
        values: float32 (n, n), symmetric, in [−1, 1].
        groups: the group of each row.
        order: one of `ORDERS`. "cluster" merges by average linkage of the distances 1 − similarity
            and turns the tree so that neighbours are as near as it allows.

    Raises:
        UnknownNameError: no such order.
    """
    if order not in ORDERS:
        raise UnknownNameError("order", order, ORDERS)
    count = len(values)
    if order == "cluster" and count > 1:
        return _clustered(values, groups)
    rows = np.arange(count)
    if order == "label":
        rows = np.array(sorted(range(count), key=groups.__getitem__), np.int64)
    return Arrangement(rows, spans([groups[row] for row in rows.tolist()]))


def spans(groups: Sequence[str]) -> tuple[Span, ...]:
    """Return the span of each group; nothing if one is scattered or there is only one."""
    starts = [at for at, name in enumerate(groups) if at == 0 or name != groups[at - 1]]
    if len(starts) < 2 or len(starts) != len(set(groups)):
        return ()
    ends = [*starts[1:], len(groups)]
    return tuple(Span(groups[a], a, b) for a, b in zip(starts, ends, strict=True))


def _clustered(values: np.ndarray, groups: Sequence[str]) -> Arrangement:
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    distances = np.maximum(1 - values, 0)
    np.fill_diagonal(distances, 0)
    merges = hierarchy.average(squareform(distances, checks=False))  # (n - 1, 4)
    rows = optimal_leaf_order(merges, distances)
    return Arrangement(rows, spans([groups[row] for row in rows.tolist()]), _lines(merges, rows))


def _lines(merges: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the lines of a dendrogram over leaves in an order; see `Arrangement.tree`."""
    count = len(rows)
    corners = np.zeros((2 * count - 1, 2), np.float32)  # (place, distance) of each subtree
    corners[rows, 0] = np.arange(count)
    lines = np.empty((count - 1, 4, 2), np.float32)
    for number, (first, second, height, _) in enumerate(merges.tolist()):
        a, b = corners[int(first)], corners[int(second)]
        lines[number] = a, (a[0], height), (b[0], height), b
        corners[count + number] = (a[0] + b[0]) / 2, height
    return lines
