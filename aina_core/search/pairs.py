"""Neighbours in the order of a head that judges pairs, where a model was trained with one.

The index and the cosine propose candidates, as in any search; for each candidate the head says how
likely it is of the same kind as the query.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from aina_core.embedding import Embedder
from aina_core.search.results import Neighbour, Result
from aina_core.search.searcher import Searcher

#: The least and the greatest number of nearest images that are judged: a head for features of 1,280
#: numbers judges the greatest in about a second on one core.
FEWEST, MOST = 100, 10_000


@dataclass(frozen=True)
class Reranked:
    """The nearest images, as reranked by a head for pairs.

    Attributes:
        hits: with their probabilities, the most probable first; equal ones by their similarity.
        candidates: how many of the nearest by cosine were judged.
    """

    hits: list[Neighbour]
    candidates: int


def rerank(
    searcher: Searcher,
    found: Result,
    picture: np.ndarray,
    embedder: Embedder,
    *,
    k: int,
    threshold: float | None = None,
) -> Reranked:
    """Rerank the nearest, by the probability that a hit and the query are of one kind.

    Args:
        searcher: the gallery under the embedder's model, or a reduced variant of it.
        found: the result of the query by cosine.
        picture: float32 (dim,), of unit length: the query's embedding as the model gives it, not
            reduced; of one picture (see `query.one_picture` and `query.term_embedding`).
        embedder: a model with a head for pairs.
        k: how many hits at most; judged are the k nearest, at least `FEWEST`.
        threshold: where one is given, judged are all of this similarity or a higher one instead,
            and all of them are hits. Never more than `MOST` are judged.

    Raises:
        InputError: the model judges no pairs.
        GalleryError: see `Searcher.embedded` and `Searcher.checked`.
    """
    if threshold is None:
        nearest = found.nearest(min(max(k, FEWEST), MOST))
    else:
        nearest, k = found.above(threshold, 0, MOST), MOST
    rows = searcher.embedded[0][searcher.rows([hit.id for hit in nearest])]
    likely = searcher.checked(embedder).pair_probabilities(picture, rows)
    order = np.argsort(-likely, kind="stable")[:k]
    hits = [dataclasses.replace(nearest[at], probability=float(likely[at])) for at in order]
    return Reranked(hits, len(nearest))
