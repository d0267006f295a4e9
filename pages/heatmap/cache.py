"""Similarities of many images to each other."""

from __future__ import annotations

import hashlib

from aina_core.search.query import Term
from aina_core.search.searcher import Searcher
from aina_core.similarity import distribution as distributions
from aina_core.similarity.distribution import Distribution
from aina_core.similarity.groups import GroupMatrix, group_matrix
from aina_core.similarity.ladder import Rung, ladder
from aina_core.similarity.matrix import SimilarityMatrix, similarity_matrix
from aina_core.similarity.sets import Chosen, of_labels
from ui.cache import cached, query_vector


def _digest(chosen: Chosen) -> str:
    """What stands for chosen images in a key: Streamlit takes long to look at each."""
    text = "\0".join([*chosen.ids, *chosen.groups])
    return hashlib.sha256(text.encode()).hexdigest()


@cached(entries=8)
def images_of_labels(opened: Searcher, labels: tuple[str, ...]) -> Chosen:
    """The images of some labels, or of all."""
    return of_labels(opened, labels)


@cached(
    entries=8,
    spinner="Comparing …",
    key=lambda searchers, chosen, order, query: (searchers, _digest(chosen), order, query),
)
def matrix(
    searchers: tuple[Searcher, ...], chosen: Chosen, order: str, query: tuple[Term, ...]
) -> SimilarityMatrix:
    """The similarities of chosen images, and of a query that has terms, under some models."""
    vectors = [query_vector(each, query) for each in searchers] if query else None
    return similarity_matrix(searchers, chosen, order=order, query=vectors)


@cached(
    entries=8,
    spinner="Comparing groups …",
    key=lambda opened, chosen, order: (opened, _digest(chosen), order),
)
def groups(opened: Searcher, chosen: Chosen, order: str) -> GroupMatrix:
    """The similarities of chosen images by groups."""
    return group_matrix(opened, chosen, order=order)


@cached(entries=8, spinner="Comparing pairs …")
def distribution(opened: Searcher) -> Distribution:
    """How similar a gallery's images are within labels and between them."""
    return distributions.distribution(opened)


@cached(entries=8, spinner="Looking for examples …")
def examples(opened: Searcher) -> list[Rung]:
    """Example pairs of a gallery at each step of similarity."""
    return ladder(opened)
