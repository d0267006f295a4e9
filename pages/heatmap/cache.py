"""Similarities of many images to each other."""

from __future__ import annotations

import hashlib

import streamlit as st

from aina_core.gallery import open_gallery
from aina_core.search.query import Term
from aina_core.similarity.distribution import Distribution, distribution
from aina_core.similarity.groups import GroupMatrix, group_matrix
from aina_core.similarity.ladder import Rung, ladder
from aina_core.similarity.matrix import SimilarityMatrix, similarity_matrix
from aina_core.similarity.sets import Chosen, of_labels
from ui.cache import query_vector, searcher_at
from ui.state import State


def images_of_labels(gallery: str, model: str, labels: tuple[str, ...]) -> Chosen:
    """The images of some labels, or of all."""
    return _images_of_labels(gallery, model, open_gallery(gallery).generation(model), labels)


@st.cache_resource(show_spinner=False, max_entries=8)
def _images_of_labels(
    gallery: str, model: str, generation: tuple[int, str], labels: tuple[str, ...]
) -> Chosen:
    return of_labels(searcher_at(gallery, model, generation), labels)


def matrix(
    state: State, models: tuple[str, ...], chosen: Chosen, order: str, *, with_query: bool
) -> SimilarityMatrix:
    """The similarities of chosen images, and of a query that is none of them, under some models."""
    opened = open_gallery(state.gallery)
    generations = tuple(opened.generation(model) for model in models)
    query = state.query if with_query else None
    return _matrix(state.gallery, models, generations, _digest(chosen), order, query, chosen)


@st.cache_resource(show_spinner="Comparing …", max_entries=8)
def _matrix(
    gallery: str,
    models: tuple[str, ...],
    generations: tuple[tuple[int, str], ...],
    digest: str,
    order: str,
    query: tuple[Term, ...] | None,
    _chosen: Chosen,
) -> SimilarityMatrix:
    opened = [searcher_at(gallery, m, g) for m, g in zip(models, generations, strict=True)]
    vectors = None
    if query is not None:
        vectors = [query_vector(each, query) for each in opened]
    return similarity_matrix(opened, _chosen, order=order, query=vectors)


def groups(gallery: str, model: str, chosen: Chosen, order: str) -> GroupMatrix:
    """The similarities of chosen images by groups."""
    generation = open_gallery(gallery).generation(model)
    return _groups(gallery, model, generation, _digest(chosen), order, chosen)


@st.cache_resource(show_spinner="Comparing groups …", max_entries=8)
def _groups(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    digest: str,
    order: str,
    _chosen: Chosen,
) -> GroupMatrix:
    return group_matrix(searcher_at(gallery, model, generation), _chosen, order=order)


def _digest(chosen: Chosen) -> str:
    """What stands for chosen images in a key: Streamlit takes long to look at each."""
    text = "\0".join([*chosen.ids, *chosen.groups])
    return hashlib.sha256(text.encode()).hexdigest()


def spread(gallery: str, model: str) -> Distribution:
    """How similar a gallery's images are within labels and between them."""
    return _spread(gallery, model, open_gallery(gallery).generation(model))


@st.cache_resource(show_spinner="Comparing pairs …", max_entries=8)
def _spread(gallery: str, model: str, generation: tuple[int, str]) -> Distribution:
    return distribution(searcher_at(gallery, model, generation))


def examples(gallery: str, model: str) -> list[Rung]:
    """Example pairs of a gallery at each step of similarity."""
    return _examples(gallery, model, open_gallery(gallery).generation(model))


@st.cache_resource(show_spinner="Looking for examples …", max_entries=8)
def _examples(gallery: str, model: str, generation: tuple[int, str]) -> list[Rung]:
    return ladder(searcher_at(gallery, model, generation))
