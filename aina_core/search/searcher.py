"""From a query to its neighbours: an opened gallery, and the indexes that answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from aina_core.gallery import Gallery
from aina_core.index import Index, open_index
from aina_core.progress import Progress
from aina_core.search.opened import MAX_FILTER_VALUES, Opened
from aina_core.search.query import (
    IMAGE,
    Term,
    embed_query,
    members,
    query_vector,
    term_embedding,
    term_vector,
)
from aina_core.search.results import Neighbour, OfClass, Result, neighbour

__all__ = [
    "MAX_FILTER_VALUES",
    "Neighbour",
    "Result",
    "Searcher",
    "embed_query",
    "term_embedding",
    "term_vector",
]


class Searcher(Opened):
    """A gallery opened under one model, to be searched. Safe to share between threads."""

    def __init__(self, gallery: Gallery, model: str, *, progress: Progress | None = None) -> None:
        super().__init__(gallery, model)
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

    def search(
        self,
        vector: np.ndarray,
        *,
        exclude: str | Collection[str] | None = None,
        labels: Collection[str] = (),
        columns: Mapping[str, Collection[str]] | None = None,
        exact: bool = False,
    ) -> Result:
        """Search the gallery.

        Args:
            vector: float32 (dim,), of unit length.
            exclude: the query's own image id, where it is in the gallery; or several ids.
            labels: only images of these labels; empty for all.
            columns: only images with these values, by column; empty for all.
            exact: use exact search, not the index.

        Returns:
            The result, from which neighbours are read.
        """
        allowed = self._allowed(labels, columns or {})
        for image_id in [exclude] if isinstance(exclude, str) else exclude or ():
            if (row := self._places.find(image_id)) is not None:
                allowed[row] = False
        index = self.exact if exact else self.annoy
        return Result(self, np.ascontiguousarray(vector, np.float32), allowed, index)

    def of_class(
        self,
        probabilities: np.ndarray,
        *,
        labels: Collection[str] = (),
        columns: Mapping[str, Collection[str]] | None = None,
    ) -> OfClass:
        """Rank the gallery by the probabilities of a class.

        Args:
            probabilities: float32 (n,), of every row (see `classes.by_class`).
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

    def neighbour(self, row: int, similarity: float) -> Neighbour:
        """Return the hit in a row."""
        return neighbour(self, row, similarity)


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
