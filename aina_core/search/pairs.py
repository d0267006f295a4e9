"""Neighbours in the order of a head that judges pairs, where a model was trained with one.

The index and the cosine propose, as in any search; of what they propose, the head says how likely
each is of one kind with the query.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from aina_core.embedding import Embedder
from aina_core.search.results import Neighbour, Result
from aina_core.search.searcher import Searcher

#: Of the nearest by cosine, so many are judged at least, and at most: a head for features of 1,280
#: numbers judges the most in about a second of one core.
FEWEST, MOST = 100, 10_000


@dataclass(frozen=True)
class Reranked:
    """What a head for pairs made of the nearest.

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
    """Rank the nearest anew, by the probability that a hit and the query are of one kind.

    Args:
        searcher: the gallery under the embedder's model, or a reduced variant of it.
        found: what the query finds there by cosine.
        picture: float32 (dim,), of unit length: the query's embedding as the model gives it, not
            reduced; of one picture (see `queries.one_picture` and `term_embedding`).
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
