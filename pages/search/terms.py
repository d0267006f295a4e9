"""The terms of the query on the Search page: how much each counts, words, and a class instead."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.gallery import open_gallery
from aina_core.models import ModelSpec
from aina_core.search.query import IMAGE, TEXT, UPLOAD, Term, describe
from ui import cache as shared
from ui import query, state
from ui.link import MAX_TEXT, MAX_WEIGHT
from ui.text import plain

_WORDS = "query-words"
_STEP = 0.1


def show_terms() -> None:
    """Draw a row for each term with its weight, once there is more than the picture."""
    now = state.current()
    if not now.terms:
        return
    st.caption(
        "Searched by the weighted sum of these; below 0, what is like it is pushed away.",
        help="The embeddings of the terms, each of length 1, times their weights, added up and "
        "made a unit again. Only how the weights relate matters.",
    )
    if now.picture is not None:
        _row("picture", now.picture, lambda weight: state.change(weight=weight), _drop_picture)
    for place, term in enumerate(now.terms):
        _row(str(place), term, _weighing(place), _dropping(place))


def _row(name: str, term: Term, weigh: Callable[[float], None], drop: Callable[[], None]) -> None:
    key = f"term.{name}"
    st.session_state[key] = term.weight
    left, middle, right = st.columns([3, 8, 2], vertical_alignment="center", gap="small")
    with left:
        _thumbnail(term)
    middle.slider(
        plain(describe(term._replace(weight=1.0))),
        -MAX_WEIGHT,
        MAX_WEIGHT,
        step=_STEP,
        format="%.1f",
        key=key,
        on_change=lambda: weigh(round(float(st.session_state[key]), 2)),
    )
    right.button(
        "",
        key=f"{key}.drop",
        icon=":material/close:",
        help="Remove this term",
        type="tertiary",
        on_click=drop,
    )


def _thumbnail(term: Term) -> None:
    try:
        if term.kind == UPLOAD:
            st.image(shared.upload_thumbnail(term.value))
        elif term.kind == IMAGE:
            st.image(query.member_thumbnail(open_gallery(state.current().gallery), term.value))
        else:
            st.markdown(":material/text_fields:")
    except AinaError:  # the search says so
        st.markdown(":material/broken_image:")


def _weighing(place: int) -> Callable[[float], None]:
    def weigh(weight: float) -> None:
        terms = state.current().terms
        changed = terms[place]._replace(weight=weight)
        state.change(terms=(*terms[:place], changed, *terms[place + 1 :]))

    return weigh


def _dropping(place: int) -> Callable[[], None]:
    def drop() -> None:
        terms = state.current().terms
        state.change(terms=(*terms[:place], *terms[place + 1 :]))

    return drop


def _drop_picture() -> None:
    """Remove the picture; the next picture of the query takes its place."""
    terms = state.current().terms
    for place, term in enumerate(terms):
        if term.kind != TEXT and term.weight > 0:
            rest = (*terms[:place], *terms[place + 1 :])
            state.change(**{term.kind: term.value}, weight=term.weight, terms=rest)
            return
    state.change(image=None, upload=None, terms=terms)


def add_words(spec: ModelSpec) -> None:
    """Draw the field for words, if the model has a text tower."""
    if not spec.text:
        return

    def add() -> None:
        words = st.session_state[_WORDS].strip()
        if words:
            query.add_term(Term(TEXT, words))
            st.session_state[_WORDS] = ""

    st.text_input(
        "Add words",
        key=_WORDS,
        max_chars=MAX_TEXT,
        placeholder="golden retriever",
        icon=":material/text_fields:",
        on_change=add,
    )


def choose_class(spec: ModelSpec) -> None:
    """Draw the choice of a class to rank by, if the model has classes."""
    names = models.class_names(spec)
    if not names:
        return
    concept = state.current().concept
    st.selectbox(
        "Or rank by a class",
        names,
        placeholder="type to find one",
        help="The gallery by the probability that the network gives to a class it was trained on.",
        **state.bind("concept", concept if concept in names else None, lambda name: name or ""),
    )
