"""What a search found: images in the order of their similarity, or of a class's probability."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from aina_core.gallery import Annotation
from aina_core.index import Index
from aina_core.search.opened import Opened

# A single query can take more time than a batch, and may be unlike anything in the gallery.
_EFFORT = 20


@dataclass(frozen=True)
class Neighbour:
    """A hit.

    Attributes:
        id: image id.
        similarity: cosine to the query, in [−1, 1].
        percentile: share of random pairs of this gallery below that similarity, in [0, 1].
        annotation: label, caption and columns.
        sha256: checksum of its file.
        probability: that it and the query are of one kind, in [0, 1], where a head for pairs was
            asked (see `pairs`); else None.
    """

    id: str
    similarity: float
    percentile: float
    annotation: Annotation
    sha256: str
    probability: float | None = None

    @property
    def label(self) -> str:
        """Its label; empty when unknown."""
        return self.annotation.label


def neighbour(opened: Opened, row: int, similarity: float) -> Neighbour:
    """Return the hit in a row."""
    return Neighbour(
        opened.ids[row],
        float(similarity),
        float(opened.percentile(np.asarray(similarity))),
        opened.annotations[row],
        opened.checksums[row],
    )


@dataclass(frozen=True)
class Recognised:
    """A hit of a class.

    Attributes:
        id: image id.
        probability: of the class, in [0, 1].
        annotation: label, caption and columns.
        sha256: checksum of its file.
    """

    id: str
    probability: float
    annotation: Annotation
    sha256: str

    @property
    def label(self) -> str:
        """Its label; empty when unknown."""
        return self.annotation.label


Hit = TypeVar("Hit", Neighbour, Recognised)


class Ranking(Generic[Hit]):
    """Images by a score, the highest first; computed on first use.

    Attributes:
        count: how many images were searched.
    """

    def __init__(self, opened: Opened, allowed: np.ndarray) -> None:
        self._opened, self._allowed = opened, allowed
        self.count = int(allowed.sum())

    def _all_scores(self) -> np.ndarray:
        """Return float32 (n,), of every row of the gallery."""
        raise NotImplementedError

    def _hit(self, row: int, score: float) -> Hit:
        raise NotImplementedError

    @functools.cached_property
    def _ranked(self) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(self._allowed)
        scores = self._all_scores()[rows]
        order = np.argsort(-scores, kind="stable")
        return rows[order], scores[order]

    def rank(self, image_id: str) -> int | None:
        """Return an image's exact rank, 1 for the nearest; None where it was not searched."""
        if not self._opened.has(image_id):
            return None
        places = np.flatnonzero(self._ranked[0] == self._opened.rows([image_id])[0])
        return int(places[0]) + 1 if len(places) else None

    def count_above(self, threshold: float) -> int:
        """Return how many images reach a score."""
        return int(np.searchsorted(-self._ranked[1], -np.float32(threshold), side="right"))

    def above(self, threshold: float, start: int = 0, stop: int | None = None) -> list[Hit]:
        """Return the images that reach a score, in descending order, from start to stop."""
        end = min(self.count_above(threshold), self.count if stop is None else stop)
        rows, scores = self._ranked
        return [
            self._hit(int(row), float(value))
            for row, value in zip(rows[start:end], scores[start:end], strict=True)
        ]

    def nearest(self, k: int) -> list[Hit]:
        """Return the k images with the highest scores, in descending order, ties by image id."""
        return self.above(-np.inf, 0, max(k, 0))


class Result(Ranking[Neighbour]):
    """The neighbours of a query, the nearest first.

    Attributes:
        index: the index that proposes, `annoy` or `exact`.
        count: how many images were searched.
    """

    def __init__(
        self, opened: Opened, vector: np.ndarray, allowed: np.ndarray, index: Index
    ) -> None:
        super().__init__(opened, allowed)
        self._vector = vector
        self.index = index

    @property
    def vector(self) -> np.ndarray:
        """The query's embedding, float32 (dim,), of unit length."""
        return self._vector

    def _all_scores(self) -> np.ndarray:
        return self._opened.similarities(self._vector)

    def _hit(self, row: int, score: float) -> Neighbour:
        return neighbour(self._opened, row, score)

    def nearest(self, k: int) -> list[Neighbour]:
        """Return the k nearest by the index, in descending similarity, ties by image id."""
        if self.count == 0 or k < 1:
            return []
        rows, near = self.index.search(self._vector[None], k, allowed=self._allowed, effort=_EFFORT)
        pairs = zip(rows[0], near[0], strict=True)
        return [self._hit(int(row), float(value)) for row, value in pairs]

    @property
    def similarities(self) -> np.ndarray:
        """float32 (count,), descending: of the query to every image searched."""
        return self._ranked[1]


class OfClass(Ranking[Recognised]):
    """The images of a gallery by the probability of a class, the most probable first."""

    def __init__(self, opened: Opened, probabilities: np.ndarray, allowed: np.ndarray) -> None:
        super().__init__(opened, allowed)
        self._of_every_row = probabilities

    def _all_scores(self) -> np.ndarray:
        return self._of_every_row

    def _hit(self, row: int, score: float) -> Recognised:
        opened = self._opened
        note = opened.annotations[row]
        return Recognised(opened.ids[row], score, note, opened.checksums[row])

    @property
    def probabilities(self) -> np.ndarray:
        """float32 (count,), descending: of the class, for every image searched."""
        return self._ranked[1]
