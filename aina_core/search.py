"""From a query to its neighbours: an opened gallery under one model, and what it answers."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core import images
from aina_core.embedding import Embedder
from aina_core.errors import InputError
from aina_core.gallery import Annotation, Gallery, folder_label
from aina_core.index import Index, open_index, similarities
from aina_core.work import Progress

#: A column with more different values than this is no filter.
MAX_FILTER_VALUES = 200

# One query has time that a thousand have not, and may be unlike anything in the gallery.
_EFFORT = 20


def embed_query(
    embedder: Embedder, data: bytes, crop: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Embed an uploaded picture, or a crop of it, exactly as a gallery's files are embedded.

    Args:
        embedder: the model.
        data: the file's bytes.
        crop: (x, y, width, height) in pixels of the upright image; None for all of it.

    Returns:
        float32 (dim,), of unit length.

    Raises:
        ImageError: the bytes are no usable picture, or the crop lies outside.
    """
    side = embedder.reduced_side if crop is None else None
    pixels = images.crop_pixels(images.decode(data, at_least=side).pixels, crop)
    return embedder.embed([pixels])[0]


@dataclass(frozen=True)
class Neighbour:
    """A hit.

    Attributes:
        id: image id.
        similarity: cosine to the query, in [−1, 1].
        percentile: share of random pairs of this gallery below that similarity, in [0, 1].
        annotation: label, caption and columns.
        sha256: checksum of its file.
    """

    id: str
    similarity: float
    percentile: float
    annotation: Annotation
    sha256: str

    @property
    def label(self) -> str:
        """Its label; empty when unknown."""
        return self.annotation.label


class Searcher:
    """A gallery opened under one model. Never changes; safe to share between threads.

    Attributes:
        gallery: the gallery.
        model: the model's full name.
        ids: image id of each row.
        count: how many images can be found: rows whose file has not changed since.
    """

    def __init__(self, gallery: Gallery, model: str, *, progress: Progress | None = None) -> None:
        self.gallery, self.model = gallery, model
        self._vectors = gallery.vectors(model)
        self.ids = self._vectors.ids
        self._rows = {key: row for row, key in enumerate(self.ids)}
        records, annotations = gallery.catalogue.images(), gallery.catalogue.annotations()
        self.records = [records.get(key) for key in self.ids]
        self.annotations = [annotations.get(k) or Annotation(folder_label(k)) for k in self.ids]
        self._valid = np.array(
            [
                record is not None and record.failure is None and record.sha256 == sha256
                for record, sha256 in zip(self.records, self._vectors.checksums, strict=True)
            ],
            dtype=bool,
        )
        self.count = int(self._valid.sum())
        self._progress = progress
        self.annoy  # noqa: B018  opened, or built, at once

    @functools.cached_property
    def annoy(self) -> Index:
        """The Annoy index over PCA-reduced vectors, with exact re-ranking."""
        return self._open("annoy")

    @functools.cached_property
    def exact(self) -> Index:
        """Exact search."""
        return self._open("exact")

    def _open(self, kind: str) -> Index:
        return open_index(
            kind,
            self._vectors.matrix,
            self.gallery.store(self.model).index_folder,
            checksum=self._vectors.checksum,
            progress=self._progress,
        )

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What is recorded of the vectors: mode, precision, versions, agreement, …"""
        return self._vectors.manifest

    @property
    def checksum(self) -> str:
        """SHA-256 of the file of vectors: what results that are kept were computed from."""
        return self._vectors.checksum

    @property
    def matrix(self) -> np.ndarray:
        """float32 (n, dim), unit rows, read-only; those of changed files too."""
        return self._vectors.matrix

    @functools.cached_property
    def labels(self) -> dict[str, int]:
        """How many images each label has, in the order of the labels."""
        return _counts(a.label for a in self.annotations)

    @functools.cached_property
    def columns(self) -> dict[str, dict[str, int]]:
        """The columns that can filter: for each, how many images have each value."""
        names = dict.fromkeys(name for a in self.annotations for name in a.columns)
        counted = {n: _counts(a.columns.get(n, "") for a in self.annotations) for n in names}
        return {n: counts for n, counts in counted.items() if 1 < len(counts) <= MAX_FILTER_VALUES}

    def has(self, image_id: str) -> bool:
        """Whether an image can be found here."""
        return image_id in self._rows and bool(self._valid[self._rows[image_id]])

    def image(self, image_id: str) -> tuple[Any, Annotation]:
        """Return an image's record and annotation.

        Raises:
            InputError: the gallery has no such image under this model.
        """
        row = self._row(image_id)
        return self.records[row], self.annotations[row]

    def vector(self, image_id: str) -> np.ndarray:
        """Return the embedding of a gallery's image, float32 (dim,).

        Raises:
            InputError: the gallery has no such image under this model.
        """
        return np.array(self._vectors.matrix[self._row(image_id)])

    def rows(self, image_ids: Sequence[str]) -> np.ndarray:
        """Return where images stand in `matrix`, int64 (m,).

        Raises:
            InputError: the gallery has no such image under this model.
        """
        found = (self._row(image_id) for image_id in image_ids)
        return np.fromiter(found, np.int64, len(image_ids))

    def vectors(self, image_ids: Sequence[str]) -> np.ndarray:
        """Return the embeddings of images of the gallery, float32 (n, dim), as they are given.

        Raises:
            InputError: the gallery has no such image under this model.
        """
        return np.asarray(self._vectors.matrix)[self.rows(image_ids)]

    def _row(self, image_id: str) -> int:
        if not self.has(image_id):
            raise InputError(
                f"The gallery {self.gallery.name} has no image {image_id!r} under {self.model}; "
                "ids are paths relative to the gallery's folder."
            )
        return self._rows[image_id]

    def percentile(self, similarities: np.ndarray) -> np.ndarray:
        """Return the share of random pairs of this gallery below each similarity, in [0, 1]."""
        baseline = self._vectors.baseline
        return np.searchsorted(baseline, similarities) / max(len(baseline), 1)

    @property
    def shown(self) -> np.ndarray:
        """bool (n,): the rows whose file has not changed since; only they can be found."""
        return self._valid

    @property
    def baseline(self) -> np.ndarray:
        """float32 (m,), ascending: similarities of random pairs."""
        return self._vectors.baseline

    def search(
        self,
        vector: np.ndarray,
        *,
        exclude: str | None = None,
        labels: Collection[str] = (),
        columns: Mapping[str, Collection[str]] | None = None,
        exact: bool = False,
    ) -> Result:
        """Hold a query against the gallery.

        Args:
            vector: float32 (dim,), of unit length.
            exclude: the query's own image id, when it is a member.
            labels: only images of these labels; empty for all.
            columns: only images with these values, by column; empty for all.
            exact: by exact search, not by the index.

        Returns:
            The result, from which neighbours are taken.
        """
        allowed = self._allowed(labels, columns or {})
        if exclude in self._rows:
            allowed[self._rows[exclude]] = False
        return Result(self, np.ascontiguousarray(vector, np.float32), allowed, exact)

    def _allowed(
        self, labels: Collection[str], columns: Mapping[str, Collection[str]]
    ) -> np.ndarray:
        allowed = self._valid.copy()
        if labels:
            wanted = set(labels)
            allowed &= np.array([a.label in wanted for a in self.annotations], bool)
        for name, values in columns.items():
            if values:
                wanted = set(values)
                allowed &= np.array([a.columns.get(name, "") in wanted for a in self.annotations])
        return allowed

    def similarities(self, vector: np.ndarray) -> np.ndarray:
        """Return the cosine of a query, float32 (dim,), to every row: float32 (n,)."""
        matrix = np.asarray(self._vectors.matrix)
        return similarities(matrix, np.arange(len(matrix)), vector)

    def neighbour(self, row: int, similarity: float) -> Neighbour:
        """Return what is known of the hit in a row."""
        return Neighbour(
            self.ids[row],
            float(similarity),
            float(self.percentile(np.asarray(similarity))),
            self.annotations[row],
            self._vectors.checksums[row],
        )


class Result:
    """What a search found; its parts are computed when they are first asked for.

    Attributes:
        index: the index that proposes, `annoy` or `exact`.
        count: how many images were searched.
    """

    def __init__(
        self, searcher: Searcher, vector: np.ndarray, allowed: np.ndarray, exact: bool
    ) -> None:
        self._searcher, self._vector, self._allowed = searcher, vector, allowed
        self.index = searcher.exact if exact else searcher.annoy
        self.count = int(allowed.sum())

    def nearest(self, k: int) -> list[Neighbour]:
        """Return the k nearest by the index, in descending similarity, ties by image id."""
        if self.count == 0 or k < 1:
            return []
        rows, near = self.index.search(self._vector[None], k, allowed=self._allowed, effort=_EFFORT)
        pairs = zip(rows[0], near[0], strict=True)
        return [self._searcher.neighbour(int(row), float(value)) for row, value in pairs]

    @functools.cached_property
    def _ranked(self) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(self._allowed)
        near = self._searcher.similarities(self._vector)[rows]
        order = np.argsort(-near, kind="stable")
        return rows[order], near[order]

    @property
    def similarities(self) -> np.ndarray:
        """float32 (count,), descending: of the query to every image searched."""
        return self._ranked[1]

    def rank(self, image_id: str) -> int | None:
        """Return an image's exact rank, 1 for the nearest; None where it was not searched."""
        if not self._searcher.has(image_id):
            return None
        places = np.flatnonzero(self._ranked[0] == self._searcher.rows([image_id])[0])
        return int(places[0]) + 1 if len(places) else None

    def count_above(self, threshold: float) -> int:
        """Return how many images are at a similarity or nearer."""
        return int(np.searchsorted(-self.similarities, -np.float32(threshold), side="right"))

    def above(self, threshold: float, start: int = 0, stop: int | None = None) -> list[Neighbour]:
        """Return the images at a similarity or nearer, in descending order, from start to stop."""
        end = min(self.count_above(threshold), self.count if stop is None else stop)
        rows, near = self._ranked
        return [
            self._searcher.neighbour(int(row), float(value))
            for row, value in zip(rows[start:end], near[start:end], strict=True)
        ]


def _counts(values: Any) -> dict[str, int]:
    counted: dict[str, int] = {}
    for value in values:
        counted[value] = counted.get(value, 0) + 1
    return dict(sorted(counted.items()))
