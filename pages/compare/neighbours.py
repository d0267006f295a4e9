"""The Compare page's query: its neighbours under several models, and beside one other image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from aina_core import figures, models
from aina_core.errors import AinaError, ImageError
from aina_core.gallery import Gallery
from aina_core.models import ModelName
from aina_core.numbers import decimal_text, percentile_text
from aina_core.search.query import TEXT
from aina_core.search.searcher import Result
from aina_core.similarity import PairSimilarity, Ranked, side_by_side
from pages.compare import cache
from ui import actions, downloads, page, query, serve, state
from ui import cache as shared
from ui.components import Event, Row, plot, ranks
from ui.link import MAX_OTHERS, Box, State
from ui.placeholder import placeholder
from ui.text import plain

_MAX_K = 100
_BEGUN = "compare.begun"
_ACTIONS = [
    ("search", "Search with this", ":material/image_search:"),
    ("pair", "Compare directly with the query", ":material/compare:"),
    actions.EXPLAIN,
]


def choose(gallery: Gallery) -> tuple[str, ...]:
    """Draw the choice of models and of k, and the offer to index by a model that lacks vectors.

    Returns:
        Those of the chosen models that have indexed the gallery, the current one first.
    """
    now = state.current()
    indexed = [model for model in gallery.models() if model != now.model]
    known = [name for name in models.names() if name != now.model]
    offered = list(dict.fromkeys([*indexed, *known, *_others(now)]))
    _begin(now, offered)
    now = state.current()
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.multiselect(
        "Compare with",
        offered,
        max_selections=MAX_OTHERS,
        placeholder="choose up to three models",
        format_func=lambda name: name if name in indexed else f"{name} (not indexed)",
        help="They stand beside the model of the sidebar, which is the first column.",
        **state.bind("others", list(_others(now)), tuple),
    )
    right.slider("k", 1, _MAX_K, **state.bind("k", min(now.k, _MAX_K)))
    chosen = _others(now)
    if not chosen:
        st.info("Choose a model to compare with.")
    for model in chosen:
        if model not in indexed:
            page.offer_indexing(gallery, model)
    return now.model, *(model for model in chosen if model in indexed)


def _others(now: State) -> tuple[str, ...]:
    return tuple(model for model in now.others if model != now.model)


def _begin(now: State, offered: list[str]) -> None:
    """Choose a model to compare with, once: somebody who removes it does not get it back."""
    where = now.gallery, now.model
    if st.session_state.get(_BEGUN) == where:
        return
    st.session_state[_BEGUN] = where
    if not _others(now) and offered:
        base = now.model.partition("@")[0]
        state.change(others=(min(offered, key=lambda name: name.startswith(base)),))


def neighbours(gallery: Gallery, chosen: tuple[str, ...]) -> None:
    """Draw a column for each model: neighbours in rank order, and its histogram beneath."""
    now = state.current()
    try:
        query.query_picture(now)
    except AinaError as error:
        st.error(plain(error))
        return
    if not now.query:
        st.info("There is no picture to compare by; the Search page has ways to one.")
        return
    st.markdown(f"**The nearest to {plain(query.describe_query(now))}**")
    results, notes = _results(now, chosen)
    if not results:
        for note in notes.values():
            st.error(plain(note))
        return
    columns = side_by_side(results, min(now.k, _MAX_K))
    event = ranks(
        [(model, [_row(gallery, hit) for hit in columns.get(model, ())]) for model in chosen],
        notes=notes,
        actions=_ACTIONS,
        key="ranks",
    )
    _below(columns, results)
    if event is not None and event.action == "search":
        query.use_image(event.id)
        st.rerun()
    if event is not None and event.action == "pair" and event.id != now.reference:
        state.change(reference=event.id)
        st.rerun()
    if event is not None and event.action == actions.EXPLAIN.name:
        actions.follow(event)


def _results(now: State, chosen: tuple[str, ...]) -> tuple[dict[str, Result], dict[str, str]]:
    """The results under each model that can answer the query, and why the others cannot."""
    found, notes = {}, {}
    for model in chosen:
        asked = dataclasses.replace(now, model=model, labels=(), columns={}, exact=True)
        try:
            found[model] = shared.result(asked)
        except AinaError as error:
            notes[model] = str(error)
    return found, notes


def _row(gallery: Gallery, hit: Ranked) -> Row:
    return Row(
        id=hit.neighbour.id,
        thumbnail=serve.thumbnail_url(gallery.name, hit.neighbour.sha256),
        similarity=hit.neighbour.similarity,
        percentile=hit.neighbour.percentile,
        label=hit.neighbour.label,
        number=hit.number,
        climb=hit.climb,
    )


def _below(columns: dict[str, list[Ranked]], results: dict[str, Result]) -> None:
    now = state.current()
    left, right = st.columns([5, 1], vertical_alignment="top")
    left.caption(
        "Cosines of different models are not on one scale: compare the percentiles, the share of "
        "random pairs of this gallery that are less similar under that model. Images with a number "
        "and a colour stand in several columns; ▲ and ▼ say by how many ranks an image is nearer "
        "or farther than in the first column. The ranking is exact. "
        "Below: the whole gallery in grey, random pairs as a line, the neighbours as blue marks."
    )
    header = ["model", "rank", "id", "similarity", "percentile", "number", "rank under the first"]
    downloads.csv("neighbours-by-model.csv", header, lambda: _rows(columns), place=right)
    shown = zip(st.columns(len(columns)), columns.items(), strict=True)
    for place, (column, (model, hits)) in enumerate(shown):
        near = np.array([hit.neighbour.similarity for hit in hits], np.float32)
        baseline = shared.searcher(now.gallery, model).baseline
        figure = figures.similarity_histogram(results[model].similarities, near, baseline=baseline)
        figure.update_layout(showlegend=False)
        with column:
            st.caption(plain(model))
            plot(figure, key=f"histogram.{place}", name=f"similarities {model}")


def _rows(columns: dict[str, list[Ranked]]) -> Iterator[Sequence[object]]:
    for model, hits in columns.items():
        for hit in hits:
            near, number, rank = hit.neighbour, hit.number, hit.first_rank
            yield (
                model,
                hit.rank,
                near.id,
                f"{near.similarity:.6f}",
                f"{near.percentile:.4f}",
                "" if number is None else number,
                "" if rank is None else rank,
            )


def pair(gallery: Gallery, chosen: tuple[str, ...]) -> None:
    """Draw the query beside its reference image, where there is one."""
    now = state.current()
    if now.reference is None:
        return
    with st.container(border=True):
        left, middle, right = st.columns([5, 1, 1], vertical_alignment="center")
        left.markdown(f"**The query and {plain(now.reference)}**")
        if middle.button("Explain", icon=":material/visibility:", width="stretch"):
            actions.follow(Event(now.reference, actions.EXPLAIN.name))
        if right.button("Close", icon=":material/close:", width="stretch"):
            state.change(reference=None)
            st.rerun()
        try:
            asked, held = _query_jpeg(gallery, now), _jpeg(gallery, now.reference)
            found = _pairs(now, chosen)
        except AinaError as error:
            st.error(plain(error))
            return
        first, second, third = st.columns([2, 2, 3], vertical_alignment="center")
        if asked is not None:
            first.image(asked, caption="the query")
        if now.terms:
            first.text(query.describe_query(now))
        second.image(held, caption=plain(now.reference))
        rows = [
            {
                "model": model,
                "similarity": decimal_text(one.similarity),
                "percentile": "" if one.percentile is None else percentile_text(one.percentile),
            }
            for model, one in found.items()
        ]
        third.dataframe(pd.DataFrame(rows), hide_index=True)


def _pairs(now: State, chosen: tuple[str, ...]) -> dict[str, PairSimilarity]:
    """The pair under every model; for a query with text, under those that can read text."""
    if not any(term.kind == TEXT for term in now.terms):
        return cache.pair(now, chosen)
    able = tuple(m for m in chosen if models.get(ModelName.parse(m).base).text)
    return cache.pair(now, able) if able else {}


def _query_jpeg(gallery: Gallery, now: State) -> bytes | str | None:
    if now.upload is not None:
        return shared.upright(gallery.name, now.upload, True, now.crop)
    return None if now.image is None else _jpeg(gallery, now.image, now.crop)


def _jpeg(gallery: Gallery, image_id: str, crop: Box | None = None) -> bytes | str:
    record = gallery.catalogue.image(image_id)
    if record is None or record.failure is not None:
        raise ImageError(f"The gallery {gallery.name} has no image {image_id!r}.")
    if not gallery.has_pictures:
        return placeholder(image_id)
    return shared.upright(gallery.name, record.sha256, False, crop)
