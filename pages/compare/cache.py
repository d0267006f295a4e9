"""Two pictures under several models, and how far the models agree."""

from __future__ import annotations

from aina_core.gallery import open_gallery, uploads
from aina_core.index import similarities
from aina_core.search.searcher import Searcher
from aina_core.similarity import Agreement, PairSimilarity, Picture, stored_agreement
from aina_core.similarity import pair as compare_pair
from ui.cache import cached, embedder, query_vector, searcher, weights
from ui.link import State


def _pair(state: State, models: tuple[str, ...]) -> tuple[object, ...]:
    """What the similarities of a pair depend on."""
    opened = open_gallery(state.gallery)
    indexed = opened.models()
    spaces = tuple(
        searcher(state.gallery, model) if model in indexed else (model, weights(model))
        for model in models
    )
    return opened, spaces, state.query, state.reference


@cached(entries=64, spinner="Comparing the two pictures …", key=_pair)
def pair(state: State, models: tuple[str, ...]) -> dict[str, PairSimilarity]:
    """The query of a state compared with its reference, under each of some models."""
    if state.terms or state.picture is None:
        return {model: _of_terms(searcher(state.gallery, model), state) for model in models}
    return compare_pair(
        Picture(uploads.query(state.upload) if state.upload else state.image or "", state.crop),
        Picture(state.reference or ""),
        models,
        gallery=open_gallery(state.gallery),
        embedder=embedder,
        searcher=lambda opened, model: searcher(opened.name, model),
    )


def _of_terms(opened: Searcher, state: State) -> PairSimilarity:
    """A query of several terms compared with the reference, under a model of the gallery."""
    vector = query_vector(opened, state.query)
    rows = opened.rows([state.reference or ""])
    near = similarities(opened.matrix, rows, vector)[0]
    return PairSimilarity(float(near), float(opened.percentile(near)))


@cached(entries=16, spinner="Comparing the models over the whole gallery …")
def agreement(searchers: tuple[Searcher, ...], k: int) -> Agreement | None:
    """How far models agree over a gallery; None while only a job can tell."""
    return stored_agreement(searchers, k)
