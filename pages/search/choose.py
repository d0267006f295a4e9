"""The ways to another query: upload, paste, camera, the gallery, chance."""

from __future__ import annotations

import secrets

import numpy as np
import streamlit as st

from aina_core import images
from aina_core.errors import AinaError, ImageError
from aina_core.gallery import uploads
from aina_core.search.query import IMAGE, UPLOAD, Term
from aina_core.search.searcher import Searcher
from ui import cache as shared
from ui import query, state
from ui.components import cards, paste_zone
from ui.image_cards import image_card
from ui.text import plain

_PAGE = 24
_ADDING = "query-add"


def choose_query() -> None:
    """Draw the ways to another query: upload, paste, camera, the gallery, chance."""
    st.toggle(
        "Add to the query",
        key=_ADDING,
        help="What you choose below is added to what is searched for, and does not replace it.",
    )
    tabs = st.tabs(["Upload", "Paste", "Camera"])
    with tabs[0]:
        uploaded = st.file_uploader(
            "Upload a picture",
            type=[suffix.lstrip(".") for suffix in sorted(images.SUFFIXES)],
            max_upload_size=uploads.MAX_QUERY_BYTES >> 20,
            label_visibility="collapsed",
            key="query-upload",
        )
    with tabs[1]:
        pasted = paste_zone(key="query-paste")
    with tabs[2]:
        # The browser asks for permission as soon as the camera is drawn.
        camera = st.toggle("Use the camera", key="query-camera-on")
        shot = st.camera_input("Camera", label_visibility="collapsed") if camera else None
    for sent in (uploaded, shot):
        if sent is not None and st.session_state.get("query.sent") != sent.file_id:
            st.session_state["query.sent"] = sent.file_id  # it stays in its widget: take it once
            _take(sent.getvalue())
    if pasted is not None:
        _take(pasted.data)
    if st.button("From the gallery", icon=":material/grid_view:", width="stretch"):
        st.session_state["picker.page"] = 0
        _pick()
    if st.button("Surprise me", icon=":material/casino:", width="stretch"):
        _surprise()


def _take(data: bytes) -> None:
    """Make the uploaded file the query; a bad picture is reported in one sentence."""
    try:
        name = uploads.keep_query(data)
    except ImageError as error:
        st.session_state["query.problem"] = f"The picture cannot be used: {error}."
        return
    _choose(Term(UPLOAD, name))
    st.rerun()


def _choose(term: Term) -> None:
    """Make a picture the query, or add it as a term if that is switched on."""
    if st.session_state.get(_ADDING):
        query.add_term(term)
        return
    st.session_state.pop("query.problem", None)
    state.change(**{term.kind: term.value})


def _surprise() -> None:
    now = state.current()
    try:
        opened = shared.searcher(now.gallery, now.model)
        rows = np.flatnonzero(opened.shown)
    except AinaError:
        return
    if len(rows):
        _choose(Term(IMAGE, opened.ids[rows[secrets.randbelow(len(rows))]]))
        st.rerun()


@st.dialog("Choose a picture of the gallery", width="large")
def _pick() -> None:
    now = state.current()
    try:
        opened = shared.searcher(now.gallery, now.model)
    except AinaError as error:
        st.error(plain(error))
        return
    words = st.text_input(
        "Search names, labels and captions", key="picker.words", icon=":material/search:"
    )
    found = _matching(opened, words)
    pages = max((len(found) + _PAGE - 1) // _PAGE, 1)
    page = min(st.session_state.get("picker.page", 0), pages - 1)
    shown = [opened.ids[row] for row in found[page * _PAGE : (page + 1) * _PAGE]]
    event = cards(
        [image_card(opened, image_id) for image_id in shown],
        actions=[("use", "Use as query", ":material/image_search:")],
        key="picker.cards",
    )
    if event is not None:
        _choose(Term(IMAGE, event.id))
        st.rerun()
    left, middle, right = st.columns([1, 2, 1], vertical_alignment="center")
    if left.button("Previous", disabled=page == 0, width="stretch"):
        st.session_state["picker.page"] = page - 1
        st.rerun(scope="fragment")
    middle.caption(f"{len(found):,} pictures, page {page + 1} of {pages}", text_alignment="center")
    if right.button("Next", disabled=page == pages - 1, width="stretch"):
        st.session_state["picker.page"] = page + 1
        st.rerun(scope="fragment")


def _matching(opened: Searcher, words: str) -> np.ndarray:
    """The rows whose name, label and caption contain all the words, int64 (m,)."""
    wanted = words.casefold().split()
    rows = np.flatnonzero(opened.shown)
    if not wanted:
        return rows
    found = []
    for row, (image_id, note) in enumerate(zip(opened.ids, opened.annotations, strict=True)):
        text = f"{image_id} {note.label} {note.caption}".casefold()
        if all(word in text for word in wanted):
            found.append(row)
    return np.intersect1d(rows, np.array(found, np.int64), assume_unique=True)
