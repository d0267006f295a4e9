"""What the Search page caches: predicted classes, and hits in the order of a pair head."""

from __future__ import annotations

import numpy as np
import streamlit as st

from aina_core.gallery import open_gallery
from aina_core.search import classes
from aina_core.search.classes import Guess
from aina_core.search.pairs import Reranked, rerank
from aina_core.search.query import Term, one_picture
from aina_core.search.results import OfClass, Result
from aina_core.search.searcher import Searcher
from ui.cache import embedder, embedding, filters, result, searcher_at
from ui.state import State


def of_class(state: State, place: int) -> OfClass:
    """The gallery of a state by the probability of a class of its model."""
    generation = open_gallery(state.gallery).generation(state.model)
    return _of_class(state.gallery, state.model, generation, place, *filters(state))


@st.cache_resource(show_spinner="Asking the network …", max_entries=16)
def _of_class(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    place: int,
    labels: tuple[str, ...],
    columns: tuple[tuple[str, tuple[str, ...]], ...],
) -> OfClass:
    opened = searcher_at(gallery, model, generation)
    found = classes.by_class(opened, embedder(model), place)
    return opened.of_class(found, labels=labels, columns=dict(columns))


def classes_of(opened: Searcher, picture: Term) -> list[Guess]:
    """The most probable classes of a picture."""
    row, norm = embedding(opened, picture)
    norms = np.array([norm], np.float32)
    return classes.top_classes(embedder(opened.model), row[None], norms)[0]


def labels_of(opened: Searcher, picture: Term, labels: tuple[str, ...]) -> list[Guess]:
    """The most probable of some labels for a picture."""
    row, _ = embedding(opened, picture)
    return classes.best_labels(row[None], labels, _label_vectors(opened.model, labels), 5)[0]


@st.cache_resource(show_spinner="Reading the labels …", max_entries=32)
def _label_vectors(model: str, labels: tuple[str, ...]) -> np.ndarray:
    return classes.label_vectors(embedder(model), labels)


def reranked(state: State) -> Reranked:
    """The nearest to the query of a state, the most probable first (see `search.pairs.rerank`).

    Raises:
        InputError: the query is not one picture, or the model judges no pairs.
    """
    picture = one_picture(state.query)
    generation = open_gallery(state.gallery).generation(state.model)
    asked = (*filters(state), state.exact, state.k, state.threshold)
    return _reranked(state.gallery, state.model, generation, picture, asked, result(state))


@st.cache_resource(show_spinner="Judging pairs …", max_entries=16)
def _reranked(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    picture: Term,
    asked: tuple[object, object, bool, int, float | None],
    _found: Result,
) -> Reranked:
    opened = searcher_at(gallery, model, generation)
    vector = embedding(opened, picture)[0]
    *_, k, threshold = asked
    return rerank(opened, _found, vector, embedder(model), k=k, threshold=threshold)
