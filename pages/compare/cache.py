"""Two pictures under several models, and how far the models agree."""

from __future__ import annotations

import streamlit as st

from aina_core.gallery import open_gallery, uploads
from aina_core.index import similarities
from aina_core.search.searcher import Searcher
from aina_core.similarity import Agreement, PairSimilarity, Picture, stored_agreement
from aina_core.similarity import pair as compare_pair
from ui.cache import embedder, query_vector, searcher, searcher_at
from ui.state import Box, State


def pair(state: State, models: tuple[str, ...]) -> dict[str, PairSimilarity]:
    """The query of a state held against its reference, under every one of some models."""
    if state.terms or state.picture is None:
        return {model: _held_against(searcher(state.gallery, model), state) for model in models}
    opened = open_gallery(state.gallery)
    indexed = opened.models()
    generations = tuple(opened.generation(model) for model in models if model in indexed)
    version = opened.catalogue.version()
    sources = state.image, state.upload, state.crop, state.reference or ""
    return _pair(state.gallery, models, (version, generations), *sources)


def _held_against(opened: Searcher, state: State) -> PairSimilarity:
    """A query of several terms held against the reference: under a model of the gallery."""
    vector = query_vector(opened, state.query)
    rows = opened.rows([state.reference or ""])
    near = similarities(opened.matrix, rows, vector)[0]
    return PairSimilarity(float(near), float(opened.percentile(near)))


@st.cache_data(show_spinner="Looking at the two pictures …", max_entries=64)
def _pair(
    gallery: str,
    models: tuple[str, ...],
    generations: tuple[int, tuple[tuple[int, str], ...]],
    image: str | None,
    upload: str | None,
    crop: Box | None,
    reference: str,
) -> dict[str, PairSimilarity]:
    source = uploads.query(upload) if upload else image or ""
    return compare_pair(
        Picture(source, crop),
        Picture(reference),
        models,
        gallery=open_gallery(gallery),
        embedder=embedder,
        searcher=lambda opened, model: searcher(opened.name, model),
    )


def agreement(gallery: str, models: tuple[str, ...], k: int) -> Agreement | None:
    """How far models agree over a gallery; None while that is long work that nobody has done."""
    opened = open_gallery(gallery)
    key = gallery, models, k, tuple(opened.generation(model) for model in models)
    found = _agreement(*key)
    if found is None:
        _agreement.clear(*key)  # a job may do it
    return found


@st.cache_resource(show_spinner="Comparing the models over the whole gallery …", max_entries=16)
def _agreement(
    gallery: str, models: tuple[str, ...], k: int, generations: tuple[tuple[int, str], ...]
) -> Agreement | None:
    keys = zip(models, generations, strict=True)
    return stored_agreement([searcher_at(gallery, model, state) for model, state in keys], k)
