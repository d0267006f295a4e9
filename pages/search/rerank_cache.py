"""What a query finds, in the order of a model's head for pairs."""

from __future__ import annotations

import streamlit as st

from aina_core.gallery import open_gallery
from aina_core.search.pairs import Reranked, rerank
from aina_core.search.query import Term, one_picture
from aina_core.search.results import Result
from ui.cache import embedder, embedding, filters, result, searcher_at
from ui.state import State


def reranked(state: State) -> Reranked:
    """The nearest to the query of a state, the most probable first (see `reranking.rerank`).

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
