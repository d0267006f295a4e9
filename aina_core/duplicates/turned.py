"""Mirrored and turned duplicates: the eight flips and quarter turns of a picture.

To a network a picture and its mirror image are different, and an upside-down picture is something
else again. So pictures are turned in memory, embedded, and compared with the stored gallery.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from aina_core import images
from aina_core.disk import arrays
from aina_core.duplicates.pairs import (
    MOST_PAIRS,
    Pairs,
    check_threshold,
    identity,
    keep_pairs,
    kept_pairs,
    of_arrays,
    ordered,
    results_folder,
    save_arrays,
    too_many,
)
from aina_core.embedding import Embedder
from aina_core.errors import ImageError, StoppedError
from aina_core.index.matmul import reaching
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Searcher

_FORMAT = 2
_MARGIN = 1e-5
_BLOCK = 32  # images that are compared with the gallery at once
_ROWS = 16_384
_SECONDS = 60.0  # between two savings of what is done
# A quarter turn of one image is three quarters of the other, and the pair is found either way.
_INVERSE = (0, 1, 2, 3, 5, 4, 6, 7)
_SEARCHED = (1, 2, 3, 4, 6, 7)


def turn(pixels: np.ndarray, number: int) -> np.ndarray:
    """Return a picture, uint8 (height, width, 3), flipped and turned as `TURNS` names it.

    Turns are counter-clockwise; mirrored means left for right, and comes before the turn.
    """
    mirrored = number in (1, 2, 6, 7)
    quarters = {3: 2, 4: 1, 5: 3, 2: 2, 6: 1, 7: 3}.get(number, 0)
    turned = np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)
    return np.ascontiguousarray(turned)


def turned_pairs(
    searcher: Searcher,
    embedder: Embedder,
    floor: float,
    *,
    progress: Progress = silent,
    stop: Stop = never,
) -> Pairs:
    """Return the pairs of which one image is the other flipped or turned: stored ones, or computed.

    Six turned versions of every image are embedded, which takes six times as long as indexing.
    A run that was stopped is resumed by the next.

    Args:
        searcher: the gallery under the embedder's model.
        embedder: the model.
        floor: the least similarity of one image, turned, to the other.
        progress: told of the phase "turned images".
        stop: asked before each image.

    Raises:
        InputError: the floor is no cosine, or far too many pairs reach it.
        GalleryError: the pairs cannot be written beside the vectors.
        StoppedError: it was stopped; what is done is stored.
    """
    known = stored_turned(searcher, floor)
    return known if known is not None else _Run(searcher, embedder, floor).run(progress, stop)


def stored_turned(searcher: Searcher, floor: float) -> Pairs | None:
    """Return what `turned_pairs` has stored, verified; None if nothing down to that floor is."""
    check_threshold(floor)
    return kept_pairs(results_folder(searcher, "turned"), _identity(searcher), floor)


def merged(plain: Pairs, turned: Pairs) -> Pairs:
    """Return pairs of both kinds, each once, with its highest similarity; floors must be equal."""
    joined = [np.concatenate(both) for both in zip(plain.parts, turned.parts, strict=True)]
    first, second, near, way = joined
    return ordered(first, second, near, way, plain.floor, plain.way, plain.found)


class _Run:
    """One pass over the images of a gallery, resumed where an earlier one stopped."""

    def __init__(self, searcher: Searcher, embedder: Embedder, floor: float) -> None:
        self.searcher, self.embedder, self.floor = searcher, embedder, floor
        self.rows = np.flatnonzero(searcher.shown)
        self.found = ordered(*_none(), floor, "turned")
        self.part = results_folder(searcher, "turned-part")
        self.identity = {**_identity(searcher), "floor": floor}
        kept = arrays.load(self.part, self.identity)
        self.done = 0
        if kept is not None:
            self.done = int(kept.record["done"])
            self.found = of_arrays(kept.arrays, floor, "turned")

    def run(self, progress: Progress, stop: Stop) -> Pairs:
        total, saved = len(self.rows), time.monotonic()
        for block in self._blocks(progress, stop):
            self.found = _joined(self.found, self._near(block))
            self.done += len({place for place, _, _ in block})
            if len(self.found) > MOST_PAIRS:
                raise too_many(self.floor)
            if time.monotonic() - saved > _SECONDS:
                self._save()
                saved = time.monotonic()
        if stop() and self.done < total:
            self._save()
            raise StoppedError(
                f"Stopped after {self.done:,} of {total:,} images; run it again to go on there."
            )
        progress("turned images", total, total)
        keep_pairs(results_folder(self.searcher, "turned"), _identity(self.searcher), self.found)
        shutil.rmtree(self.part, ignore_errors=True)
        return self.found

    def _blocks(self, progress: Progress, stop: Stop) -> Iterator[list[tuple[int, int, Any]]]:
        """Yield the embedded versions of a few images at a time: place, turn, row or None."""
        items = (
            (place, number)
            for place in range(self.done, len(self.rows))
            for number in (_SEARCHED if not stop() else ())
        )
        versions = self.embedder.run(items, self._prepare)
        by_image = itertools.groupby(versions, key=lambda version: version[0][0])
        block: list[tuple[int, int, Any]] = []
        for count, (place, group) in enumerate(by_image, start=1):
            progress("turned images", place, len(self.rows))
            block += [(place, number, row) for (_, number), _, row in group]
            if count % _BLOCK == 0:
                yield block
                block = []
        if block:
            yield block

    def _prepare(self, item: tuple[int, int]) -> tuple[np.ndarray | None, None]:
        """Decode and turn one version, on a worker thread."""
        place, number = item
        try:
            data = self.searcher.gallery.read(self.searcher.ids[self.rows[place]])
            pixels = images.decode(data, at_least=self.embedder.reduced_side).pixels
        except ImageError:  # its file is gone by now: nothing to turn
            return None, None
        return turn(pixels, number), None

    def _near(self, block: list[tuple[int, int, Any]]) -> Pairs:
        """The pairs of these versions and images of the gallery."""
        there = [(place, number, row) for place, number, row in block if row is not None]
        if not there:
            return ordered(*_none(), self.floor, "turned")
        versions = np.stack([self.searcher.reduced(row) for _, _, row in there])  # (v, dim)
        own = self.rows[[place for place, _, _ in there]]
        turns = np.array([number for _, number, _ in there], np.int8)
        matrix = np.asarray(self.searcher.matrix)
        parts = [_none()]
        for start in range(0, len(self.rows), _ROWS):
            rows = self.rows[start : start + _ROWS]
            at, other = reaching(versions, matrix[rows], self.floor - _MARGIN)
            near = np.vecdot(versions[at], matrix[rows[other]]).clip(-1, 1)
            kept = (near >= np.float32(self.floor)) & (own[at] != rows[other])
            at, other, near = at[kept], rows[other[kept]], near[kept]
            # a turn is from the first row to the second; reverse it where the second was turned
            back = own[at] > other
            way = np.where(back, np.array(_INVERSE, np.int8)[turns[at]], turns[at])
            parts.append((np.minimum(own[at], other), np.maximum(own[at], other), near, way))
        first, second, near, way = (np.concatenate(c) for c in zip(*parts, strict=True))
        return ordered(first, second, near, way, self.floor, "turned")

    def _save(self) -> None:
        record = {"done": self.done}
        save_arrays("The pairs", self.part, self.identity, self.found.arrays(), record)


def _joined(one: Pairs, other: Pairs) -> Pairs:
    return other if not len(one) else one if not len(other) else merged(one, other)


def _none() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows = np.empty(0, np.int64)
    return rows, rows, np.empty(0, np.float32), np.empty(0, np.int8)


def _identity(searcher: Searcher) -> dict[str, Any]:
    return {"format": _FORMAT, **identity(searcher)}
