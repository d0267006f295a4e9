"""From a query to its neighbours: an opened gallery under one model, and what it answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from aina_core.embedding import Embedder
from aina_core.errors import GalleryError, InputError, ModelError
from aina_core.gallery import Annotation, Gallery, made_of, open_known
from aina_core.index import Index, all_similarities, open_index
from aina_core.index.principal import PrincipalAxes
from aina_core.models import ModelName, checksum
from aina_core.progress import Progress
from aina_core.search.query import IMAGE, Term, embed_query, members, query_vector
from aina_core.search.results import Neighbour, OfClass, Result
from aina_core.search.term_vectors import term_embedding, term_vector

__all__ = [
    "MAX_FILTER_VALUES",
    "Neighbour",
    "Result",
    "Searcher",
    "embed_query",
    "term_embedding",
    "term_vector",
]

#: A column with more different values than this is no filter.
MAX_FILTER_VALUES = 200


class Searcher:
    """A gallery opened under one model. Never changes; safe to share between threads.

    Attributes:
        gallery: the gallery.
        model: the model's full name.
        ids: image id of each row, ascending.
        records: what the catalogue said of each row's file when it was opened.
        annotations: what is said of each row's image.
        count: how many images can be found: rows whose file has not changed since.
    """

    def __init__(self, gallery: Gallery, model: str, *, progress: Progress | None = None) -> None:
        self.gallery, self.model = gallery, model
        self._version = gallery.catalogue.version()  # before it is read: never newer than what is
        self._vectors = gallery.vectors(model)
        self._reduction = gallery.reduction(self._vectors)
        self.ids, self._places = self._vectors.ids, self._vectors.places
        self.records, self.annotations = open_known(gallery.catalogue, self._vectors)
        self._valid = self.records.usable
        self.count = int(self._valid.sum())
        self._progress = progress
        self.annoy  # noqa: B018  opened, or built, at once

    @property
    def key(self) -> tuple[str, str, tuple[int, str], str]:
        """What an answer depends on besides the question: the key of a cache of answers.

        Returns:
            The gallery's name; the model's full name; the generation, as `Gallery.generation` named
            it when this was opened; and the SHA-256 of the weights that the model has now, since a
            name may get others: empty where this machine has none, as for imported vectors.
        """
        generation = self._version, self.checksum
        try:
            weights = checksum(ModelName.parse(self.model).spec().weights.locate())
        except (InputError, ModelError):
            weights = ""
        return self.gallery.name, self.model, generation, weights

    def checked(self, embedder: Embedder) -> Embedder:
        """Return an embedder, if the rows were made with its weights; a name may get others.

        Raises:
            GalleryError: they were not.
        """
        recorded = self.manifest["fingerprint"].get("weights")
        if recorded not in (None, embedder.fingerprint()["weights"]):
            raise GalleryError(
                f"The vectors of {self.model} in the gallery {self.gallery.name} were made with "
                f"other weights than those that it has now; index it again: "
                f"{self.gallery.index_command(self.model)}"
            )
        return embedder

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

    @property
    def norms(self) -> np.ndarray:
        """float32 (n,): the length of each row's embedding before it was made a unit; read-only."""
        return self._vectors.norms

    @property
    def checksums(self) -> Sequence[str]:
        """SHA-256 of the file that each row was computed from."""
        return self._vectors.checksums

    @property
    def source(self) -> str:
        """Full name of the model that embeds: `model`, or what its rows are reduced from."""
        return self.model if self._reduction is None else self._reduction.source

    @property
    def axes(self) -> PrincipalAxes | None:
        """What rows were reduced by; None where they are not reduced."""
        return None if self._reduction is None else self._reduction.axes

    def reduced(self, vector: np.ndarray) -> np.ndarray:
        """Take a unit vector of `source` to the rows' own space: float32 (dim,) → (N,).

        The same vector where rows are not reduced.
        """
        return vector if self._reduction is None else self._reduction.apply(vector[None])[0][0]

    @functools.cached_property
    def embedded(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit rows of `source`, float32 (n, dim), and their norms: what a head is computed from.

        Raises:
            GalleryError: rows are reduced, and what they were reduced from has changed since.
        """
        if self._reduction is None:
            return self.matrix, self.norms
        whole = self.gallery.vectors(self.source)
        if made_of(whole.manifest) != self._reduction.made_of:
            raise GalleryError(
                f"The vectors of {self.source} have changed since {self.model} was made of them; "
                f"index again: {self.gallery.index_command(self.model)}"
            )
        return whole.matrix, whole.norms

    @functools.cached_property
    def labels(self) -> dict[str, int]:
        """How many images each label has, in the order of the labels."""
        return self.annotations.labels.counts()

    @functools.cached_property
    def columns(self) -> dict[str, dict[str, int]]:
        """The columns that can filter: for each, how many images have each value."""
        counted = {name: words.counts() for name, words in self.annotations.columns.items()}
        return {n: counts for n, counts in counted.items() if 1 < len(counts) <= MAX_FILTER_VALUES}

    def has(self, image_id: str) -> bool:
        """Whether an image can be found here."""
        row = self._places.find(image_id)
        return row is not None and bool(self._valid[row])

    def having(self, image_ids: Sequence[str]) -> np.ndarray:
        """Return which of many images can be found here, bool (m,)."""
        return self._shown(self._found(image_ids))

    @property
    def found_ids(self) -> Sequence[str]:
        """The ids of all images that can be found, ascending."""
        if self.count == len(self.ids):
            return self.ids
        return [each for each, shown in zip(self.ids, self._valid, strict=True) if shown]

    def same_images(self, other: Searcher) -> bool:
        """Whether another searcher's rows are known to be of the same files, row by row."""
        return self._vectors.keys_checksum == other._vectors.keys_checksum

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

    def norm(self, image_id: str) -> float:
        """Return the length of an image's embedding before it was made a unit.

        Raises:
            InputError: the gallery has no such image under this model.
        """
        return float(self.norms[self._row(image_id)])

    def rows(self, image_ids: Sequence[str]) -> np.ndarray:
        """Return where images stand in `matrix`, int64 (m,).

        Raises:
            InputError: the gallery has no such image under this model.
        """
        rows = self._found(image_ids)
        shown = self._shown(rows)
        if not shown.all():
            self._row(image_ids[int(np.argmin(shown))])  # which says so
        return rows

    def _shown(self, rows: np.ndarray) -> np.ndarray:
        """Which rows can be found, bool (m,); −1 is none."""
        return (rows >= 0) & self._valid[rows] if len(self.ids) else np.zeros(len(rows), bool)

    def _found(self, image_ids: Sequence[str]) -> np.ndarray:
        """Rows of ids, int64 (m,), −1 for those that there are not."""
        if image_ids is self.ids:
            return np.arange(len(self.ids))
        return self._places.find_all(image_ids, len(image_ids))

    def vectors(self, image_ids: Sequence[str]) -> np.ndarray:
        """Return the embeddings of images of the gallery, float32 (n, dim), as they are given.

        Raises:
            InputError: the gallery has no such image under this model.
        """
        return np.asarray(self._vectors.matrix)[self.rows(image_ids)]

    def _row(self, image_id: str) -> int:
        row = self._places.find(image_id)
        if row is None or not self._valid[row]:
            raise InputError(
                f"The gallery {self.gallery.name} has no image {image_id!r} under {self.model}; "
                "ids are paths relative to the gallery's folder."
            )
        return row

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
        exclude: str | Collection[str] | None = None,
        labels: Collection[str] = (),
        columns: Mapping[str, Collection[str]] | None = None,
        exact: bool = False,
    ) -> Result:
        """Hold a query against the gallery.

        Args:
            vector: float32 (dim,), of unit length.
            exclude: the query's own image id, when it is a member; several of several.
            labels: only images of these labels; empty for all.
            columns: only images with these values, by column; empty for all.
            exact: by exact search, not by the index.

        Returns:
            The result, from which neighbours are taken.
        """
        allowed = self._allowed(labels, columns or {})
        for image_id in [exclude] if isinstance(exclude, str) else exclude or ():
            if (row := self._places.find(image_id)) is not None:
                allowed[row] = False
        return Result(self, np.ascontiguousarray(vector, np.float32), allowed, exact)

    def of_class(
        self,
        probabilities: np.ndarray,
        *,
        labels: Collection[str] = (),
        columns: Mapping[str, Collection[str]] | None = None,
    ) -> OfClass:
        """Rank the gallery by the probabilities of a class.

        Args:
            probabilities: float32 (n,), of every row (see `recognition.by_class`).
            labels: only images of these labels; empty for all.
            columns: only images with these values, by column; empty for all.
        """
        return OfClass(self, probabilities, self._allowed(labels, columns or {}))

    def _allowed(
        self, labels: Collection[str], columns: Mapping[str, Collection[str]]
    ) -> np.ndarray:
        allowed = self._valid.copy()
        if labels:
            allowed &= self.annotations.labels.among(labels)
        for name, values in columns.items():
            if values:
                allowed &= self.annotations.words(name).among(values)
        return allowed

    def similarities(self, vector: np.ndarray) -> np.ndarray:
        """Return the cosine of a query, float32 (dim,), to every row: float32 (n,)."""
        return all_similarities(np.asarray(self._vectors.matrix), vector)

    def neighbour(self, row: int, similarity: float) -> Neighbour:
        """Return what is known of the hit in a row."""
        return Neighbour(
            self.ids[row],
            float(similarity),
            float(self.percentile(np.asarray(similarity))),
            self.annotations[row],
            self._vectors.checksums[row],
        )


# ── the answer to a query ────────────────────────────────────────────────────────────────────────


def vector_of(
    searcher: Searcher,
    terms: Sequence[Term],
    embedding: Callable[[Term], tuple[np.ndarray, float]],
) -> np.ndarray:
    """Return the vector of a query in the space of a gallery's rows.

    Args:
        searcher: the gallery whose ids the terms name, under a model.
        terms: at least one.
        embedding: gives a term's embedding and norm, as `term_embedding` does, so that a caller can
            keep them; not asked for whole images of the gallery, whose rows are stored.

    Returns:
        float32 (dim,), of unit length.

    Raises:
        InputError: there is no term, or they cancel out.
    """

    def vector(term: Term) -> np.ndarray:
        if term.kind == IMAGE and term.crop is None:
            return searcher.vector(term.value)
        return searcher.reduced(embedding(term)[0])

    return query_vector(terms, vector)


def answer(
    searcher: Searcher,
    terms: Sequence[Term],
    embedding: Callable[[Term], tuple[np.ndarray, float]],
    *,
    labels: Collection[str] = (),
    columns: Mapping[str, Collection[str]] | None = None,
    exact: bool = False,
) -> Result:
    """Return what a query of terms finds, without the images that it names.

    See `vector_of` for the query, and `Searcher.search` for the filters.
    """
    vector = vector_of(searcher, terms, embedding)
    left_out = members(terms)
    return searcher.search(vector, exclude=left_out, labels=labels, columns=columns, exact=exact)
