"""Predicted classes: the gallery ranked by a class, and the classes of the query."""

from __future__ import annotations

import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.models import ModelSpec
from aina_core.search.classes import Guess
from aina_core.search.query import find_class
from aina_core.search.results import OfClass
from aina_core.search.searcher import Searcher
from pages.search import cache
from ui import actions, downloads, state
from ui.components import cards
from ui.image_cards import hit_card
from ui.link import MAX_K
from ui.text import plain

_OPEN, _LABELS = "search.what", "search.labels"
_BEGIN = "a photograph\na drawing"


def by_class(opened: Searcher, spec: ModelSpec) -> None:
    """Draw the images of the class that the state names, the most probable first."""
    now = state.current()
    left, right = st.columns([3, 1], vertical_alignment="center")
    if right.button("Back to the query", icon=":material/undo:", width="stretch"):
        state.change(concept="")
        st.rerun()
    try:
        names = models.class_names(spec)
        place = find_class(names, now.concept) if names else 0  # the search says so
        found = cache.of_class(now, place)
    except AinaError as error:
        left.error(plain(error))
        return
    if not found.count:
        st.info("No image passes the filters; remove one.")
        return
    hits = found.nearest(now.k)
    left.markdown(
        f"**The {len(hits):,} of {found.count:,} images that are most probably "
        f"{plain(names[place])}**"
    )
    slider, button = st.columns([5, 1], vertical_alignment="bottom")
    slider.slider("k", 1, MAX_K, **state.bind("k", now.k))
    downloads.csv(
        "probabilities.csv",
        ["rank", "id", "probability", "label", "caption"],
        lambda: _rows(found),
        help="Every image with the probability of the class.",
        place=button,
    )
    event = cards([hit_card(opened, hit) for hit in hits], actions=actions.OF_A_HIT, key="hits")
    state.publish()
    actions.follow(event, stay=True)


def _rows(found: OfClass) -> list[list[object]]:
    return [
        [rank, hit.id, f"{hit.probability:.6f}", hit.label, hit.annotation.caption]
        for rank, hit in enumerate(found.nearest(found.count), start=1)
    ]


def what_is_it(opened: Searcher, spec: ModelSpec) -> None:
    """Draw, on demand, what the picture of the query is: classes, or labels that people type."""
    picture = state.current().picture
    if picture is None or not (spec.classes or spec.text):
        return
    on = state.setting(_OPEN, "") == "1"
    st.toggle(
        "What is it?", **state.bind_setting(_OPEN, on, "", lambda shown: "1" if shown else "")
    )
    if not on:
        return
    try:
        if spec.classes:
            _guesses(cache.classes_of(opened, picture))
        else:
            _guesses(cache.labels_of(opened, picture, _typed_labels()))
    except AinaError as error:
        st.error(plain(error))


def _typed_labels() -> tuple[str, ...]:
    text = state.setting(_LABELS, _BEGIN)
    st.text_area(
        "Labels, one a line",
        help="Each is put into “a photo of ….” and held against the picture; the probabilities "
        "are of these labels only.",
        **state.bind_setting(_LABELS, text, _BEGIN),
    )
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _guesses(guesses: list[Guess]) -> None:
    for guess in guesses:
        share = min(max(guess.probability, 0.0), 1.0)
        st.progress(share, text=f"{plain(guess.name)}  ·  {share:.1%}")
