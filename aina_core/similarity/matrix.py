"""Similarity matrices of chosen images, under one model or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.index.matmul import product
from aina_core.search.searcher import Searcher
from aina_core.similarity.arrangement import Span, arrange
from aina_core.similarity.sets import Chosen

#: The most images that a matrix shows one by one; for more see `groups.group_matrix`.
MAX_IMAGES = 2000
#: The id, and the group, of a query that is no image of the gallery: an upload, or a crop.
QUERY_ID, QUERY_GROUP = "", "query"


@dataclass(frozen=True)
class SimilarityMatrix:
    """Every pair of some images, in the order in which they are to be drawn.

    Attributes:
        ids: image ids; `QUERY_ID` for a query that is no image of the gallery.
        groups: the group of each image; empty for none.
        models: the models' full names.
        values: float32 (models, n, n), cosines in [−1, 1], symmetric, 1 on the diagonal.
        spans: where each group stands, if each stands in one piece.
        tree: see `Arrangement.tree`; of the first model.
        left_out: chosen images that some model has not embedded.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    models: tuple[str, ...]
    values: np.ndarray
    spans: tuple[Span, ...]
    tree: np.ndarray | None
    left_out: tuple[str, ...]


def similarity_matrix(
    searchers: Sequence[Searcher],
    chosen: Chosen,
    *,
    order: str = "given",
    query: Sequence[np.ndarray] | None = None,
) -> SimilarityMatrix:
    """Compare every chosen image with every other, under each of some models.

    Args:
        searchers: one gallery, opened under one model after the other; the first decides the order.
        chosen: 2 to `MAX_IMAGES` images.
        order: one of `arrangement.ORDERS`.
        query: the embedding, float32 (dim,), of a query that is no image of the gallery, under each
            model; it stands first among the images given.

    Raises:
        InputError: too few or too many images.
        UnknownNameError: no such order.
    """
    kept = [all(s.has(image_id) for s in searchers) for image_id in chosen.ids]
    pairs = list(zip(chosen.ids, chosen.groups, kept, strict=True))
    ids = [image_id for image_id, _, there in pairs if there]
    groups = [group for _, group, there in pairs if there]
    if query is not None:
        ids, groups = [QUERY_ID, *ids], [QUERY_GROUP, *groups]
    if not 2 <= len(ids) <= MAX_IMAGES:
        raise InputError(
            f"A heat map was asked for of {len(ids):,} images; choose 2 to {MAX_IMAGES:,}."
        )
    members = ids[query is not None :]
    values = np.empty((len(searchers), len(ids), len(ids)), np.float32)
    for number, searcher in enumerate(searchers):
        vectors = searcher.vectors(members)
        if query is not None:
            vectors = np.concatenate([query[number][None], vectors])
        values[number] = cosines(vectors)
    arranged = arrange(values[0], groups, order)
    rows = arranged.rows
    return SimilarityMatrix(
        ids=tuple(ids[row] for row in rows),
        groups=tuple(groups[row] for row in rows),
        models=tuple(searcher.model for searcher in searchers),
        values=values[:, rows[:, None], rows],
        spans=arranged.spans,
        tree=arranged.tree,
        left_out=tuple(image_id for image_id, _, there in pairs if not there),
    )


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Return the similarity of every pair of unit rows, float32 (n, dim), as float32 (n, n).

    A product of matrices may differ in the last bits from one side of the diagonal to the other;
    here the result is symmetric, in [−1, 1], and exactly 1 on the diagonal.
    """
    values = product(vectors, vectors)  # (n, n)
    values = np.clip((values + values.T) / 2, -1, 1)
    np.fill_diagonal(values, 1)
    return values
