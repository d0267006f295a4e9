"""Batches of pictures of one shape, and their rows back in the order of the pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from aina_core.embedding.runtimes import Runtime

Item = TypeVar("Item")
Extra = TypeVar("Extra")


@dataclass(eq=False)
class _Place(Generic[Item, Extra]):
    """An item in the queue; it holds its picture until its row is computed."""

    item: Item
    extra: Extra
    picture: np.ndarray | None
    row: np.ndarray | None = None


def in_batches(
    results: Iterable[tuple[Item, Extra, np.ndarray | None]], runtime: Runtime, held: int
) -> Iterator[tuple[Item, Extra, Any]]:
    """Compute on batches of pictures of one shape; one is computed while the next is gathered.

    Args:
        results: (item, extra, picture), the picture uint8 (height, width, 3), or None.
        runtime: what computes, `runtime.batch` of them at once where so many of one shape come.
        held: at most so many items are taken and not given back; then smaller batches must do.

    Yields:
        (item, extra, row) in the order given; the row is None where there was no picture.
    """
    line: _Line[Item, Extra] = _Line(runtime, held)
    for result in results:
        line.add(_Place(*result))
        yield from line.settled()
    line.compute_all()
    yield from line.settled()


class _Line(Generic[Item, Extra]):
    """The items not yet returned, in order."""

    def __init__(self, runtime: Runtime, held: int) -> None:
        self._runtime, self._held = runtime, held
        self._places: deque[_Place[Item, Extra]] = deque()
        self._gathered: dict[tuple[int, ...], list[_Place[Item, Extra]]] = {}
        self._under_way: list[_Place[Item, Extra]] = []
        self._fetch: Callable[[], np.ndarray] | None = None

    def add(self, place: _Place[Item, Extra]) -> None:
        self._places.append(place)
        if place.picture is not None:
            gathered = self._gathered.setdefault(place.picture.shape, [])
            gathered.append(place)
            if len(gathered) == self._runtime.batch:
                self._launch(place.picture.shape)
        if len(self._places) >= self._held:
            self._advance()

    def settled(self) -> Iterator[tuple[Item, Extra, Any]]:
        """Return items from the front of the queue as long as their rows are computed."""
        while self._places and self._places[0].picture is None:
            first = self._places.popleft()
            yield first.item, first.extra, first.row

    def compute_all(self) -> None:
        for shape in list(self._gathered):
            self._launch(shape)
        self._finish()

    def _advance(self) -> None:
        """Compute the row of the first item, if it is still missing."""
        first = self._places[0]
        if first.picture is not None and first not in self._under_way:
            self._launch(first.picture.shape)
        if first.picture is not None:
            self._finish()

    def _launch(self, shape: tuple[int, ...]) -> None:
        places = self._gathered.pop(shape)
        pictures = [place.picture for place in places if place.picture is not None]
        fetch = self._runtime.launch(np.stack(pictures))
        self._finish()
        self._under_way, self._fetch = places, fetch

    def _finish(self) -> None:
        """Wait for the running batch."""
        if self._fetch is not None:
            for place, row in zip(self._under_way, self._fetch(), strict=True):
                place.row, place.picture = row, None
            self._under_way, self._fetch = [], None
