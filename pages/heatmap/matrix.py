"""The Heat map page's upper half: the matrix, and the pair that was clicked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from aina_core import figures
from aina_core.numbers import decimal_text, percentile_text
from aina_core.search.searcher import Searcher
from aina_core.similarity.arrangement import ORDERS
from aina_core.similarity.matrix import QUERY_ID, SimilarityMatrix
from pages.heatmap import cache
from pages.heatmap.sets import Choice
from ui import actions, downloads, query, settings, state
from ui.components import Card, Event, Picture, cards, plot
from ui.image_cards import image_card
from ui.link import MAX_OTHERS, State

_ORDERS = dict(zip(ORDERS, ("as given", "by label", "clustered"), strict=True))
_SCALES = {"shared": "one scale", "own": "a scale each"}


def options(indexed: Sequence[str], beside: Sequence[str]) -> tuple[str, bool]:
    """Draw order, models and scale; return the order and whether the models share a scale.

    Args:
        indexed: the models of the gallery.
        beside: those of them that stand beside the chosen one.
    """
    left, middle, right = st.columns([2, 3, 2], vertical_alignment="bottom")
    order = settings.choice(
        "heatmap.order",
        "Order",
        _ORDERS,
        "given",
        place=left,
        help="Clustered: average linkage of the distances 1 − similarity, turned so that "
        "neighbours are as near as the tree allows. The first model decides the order.",
    )
    others = [model for model in indexed if model != state.current().model]
    if others:
        middle.multiselect(
            "Models beside it",
            others,
            placeholder="none",
            max_selections=MAX_OTHERS,
            **state.bind("others", list(beside), tuple),
        )
    if not beside:
        return order, True
    scale = settings.choice(
        "heatmap.scale",
        "Colours",
        _SCALES,
        "shared",
        place=right,
        help="Cosines of different models are not on one scale: with one scale the models' "
        "levels are compared, with a scale each their patterns.",
    )
    return order, scale == "shared"


def show_matrix(
    searchers: Sequence[Searcher], choice: Choice, order: str, shared: bool
) -> tuple[np.ndarray, float]:
    """Draw the heat map and the pair; return the first model's pairs, and the pair's similarity."""
    opened, now = searchers[0], state.current()
    models = tuple(each.model for each in searchers)
    asked = now.query if choice.with_query else ()
    found = cache.matrix(tuple(searchers), choice.chosen, order, asked)
    if found.left_out:
        st.warning(f"{len(found.left_out):,} images are left out: some model has not indexed them.")
    left, right = side_by_side(len(models))
    with left:
        figure = figures.similarity_heatmap(
            found.values,
            [PurePosixPath(image_id).stem or "query" for image_id in found.ids],
            titles=models if len(models) > 1 else (),
            spans=found.spans,
            tree=found.tree,
            shared=shared,
        )
        clicked = plot(
            figure,
            key="heatmap",
            name=f"heatmap-{opened.gallery.name}",
            pictures=[_picture(opened, image_id) for image_id in found.ids],
        )
        if clicked is not None and len(set(clicked)) == 2:
            _open_pair(*(found.ids[place] for place in clicked))
        summary, button = st.columns([4, 1], vertical_alignment="center")
        summary.caption(f"{len(found.ids):,} images. Point at a cell, click to open the pair.")
        names = [image_id or "query" for image_id in found.ids]
        downloads.csv(
            "similarities.csv", ["model", "id", *names], lambda: _rows(found), place=button
        )
    first, second = _pair_at(found)
    with right:
        _show_pair(searchers, found, first, second)
    upper = np.triu_indices(len(found.ids), 1)
    return found.values[0][upper], float(found.values[0, first, second])


def side_by_side(models: int) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Where the matrix and the pair stand: side by side, or below each other for many models."""
    if models > 2:
        return st.container(), st.container()
    left, right = st.columns([2, 1] if models == 1 else [3, 1], gap="medium")
    return left, right


def _query_id(now: State) -> str:
    """The query's id in a matrix: its own, or that of one that is no image of the gallery."""
    return QUERY_ID if now.member is None else now.member


def _open_pair(first: str, second: str) -> None:
    """Remember a pair: the second is the reference, the first is the query unless remembered.

    So the pair in the URL is the pair that other pages show.
    """
    now = state.current()
    if second == _query_id(now):
        first, second = second, first
    asked = None if first == _query_id(now) else first
    settings.put({"heatmap.first": asked}, reference=second)


def _pair_at(found: SimilarityMatrix) -> tuple[int, int]:
    """The places of the pair that is remembered; of the nearest pair where there is none."""
    now = state.current()
    places = {image_id: place for place, image_id in enumerate(found.ids)}
    first = places.get(state.setting("heatmap.first", _query_id(now)))
    second = None if now.reference is None else places.get(now.reference)
    if first is not None and second is not None and first != second:
        return first, second
    return nearest_cell(found.values[0].copy())


def nearest_cell(values: np.ndarray) -> tuple[int, int]:
    """Return the row and the column of the largest similarity off the diagonal.

    Args:
        values: float (n, n); its diagonal is overwritten.
    """
    np.fill_diagonal(values, -2)
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


def _show_pair(
    searchers: Sequence[Searcher], found: SimilarityMatrix, first: int, second: int
) -> None:
    st.subheader("The pair")
    below = st.container(), st.container()
    pictures, numbers = st.columns([2, 3]) if len(searchers) > 2 else below
    with pictures:
        event = cards(
            [card(searchers[0], found.ids[place]) for place in (first, second)],
            actions=[actions.SEARCH, actions.EXPLAIN, actions.MAP],
            columns=2,
            key="pair",
        )
    if event is not None and event.action == actions.EXPLAIN.name:
        _explain(event.id, found.ids[second if event.id == found.ids[first] else first])
    elif event is not None and event.id != QUERY_ID:
        actions.follow(event)
    similarities = found.values[:, first, second]
    for opened, similarity in zip(searchers, similarities, strict=True):
        numbers.metric(f"Similarity under {opened.model}", decimal_text(float(similarity)))
        numbers.caption(percentile_text(float(opened.percentile(similarity))))


def _explain(chosen: str, other: str) -> None:
    """Ask why two images are alike: the query stays what it is where it is one of them."""
    query_id = _query_id(state.current())
    if chosen == query_id:
        chosen, other = other, chosen
    if other != query_id:
        query.use_image(other)
    actions.follow(Event(chosen, actions.EXPLAIN.name))


def _picture(opened: Searcher, image_id: str) -> Picture:
    drawn = card(opened, image_id)
    return Picture(drawn.id or "query", drawn.thumbnail, drawn.label)


def card(opened: Searcher, image_id: str) -> Card:
    """Return the card of an image of a heat map, the query's where it is the query."""
    if image_id == QUERY_ID:
        now = state.current()
        picture = query.query_picture(now)
        url = "" if picture is None else picture.url
        name = query.describe_query(now)
        return Card(QUERY_ID, url, caption=name, href=url, mark="query")
    mark = "query" if image_id == _query_id(state.current()) else None
    return image_card(opened, image_id, mark=mark)


def _rows(found: SimilarityMatrix) -> Iterator[list[str]]:
    for model, values in zip(found.models, found.values, strict=True):
        for image_id, row in zip(found.ids, values, strict=True):
            yield [model, image_id or "query", *(f"{value:.6f}" for value in row.tolist())]
