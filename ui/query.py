"""The query: what it is, and the ways to choose another one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aina_core import images
from aina_core.errors import AinaError, ImageError
from aina_core.gallery import Gallery, open_gallery, uploads
from aina_core.search import query
from aina_core.search.query import IMAGE, UPLOAD, Term
from aina_core.search.searcher import Searcher
from ui import cache, serve, state
from ui.components import cards, paste_zone
from ui.image_cards import image_card
from ui.placeholder import placeholder
from ui.terms import MAX_TERMS, with_member
from ui.text import plain

_PAGE = 24
_ADDING = "query-add"


@dataclass(frozen=True)
class QueryPicture:
    """The query as a picture.

    Attributes:
        name: its image id, or "uploaded picture".
        url: where the browser gets it.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        gallery: whose image it is; None for an uploaded picture.
    """

    name: str
    url: str
    width: int
    height: int
    gallery: str | None

    @property
    def there(self) -> bool:
        """Whether there is a picture to be seen, and not only a vector that was imported."""
        return self.width > 0 and (self.gallery is None or open_gallery(self.gallery).has_pictures)

    def thumbnail(self) -> bytes | str:
        """A small JPEG of it; a drawing of its name, as SVG, where it is not there."""
        if self.gallery is None:
            return cache.upload_thumbnail(self.name)
        return member_thumbnail(open_gallery(self.gallery), self.name)


def member_thumbnail(gallery: Gallery, image_id: str) -> bytes | str:
    """A small JPEG of a gallery's image; a drawing of its id, as SVG, where it is not there."""
    record = gallery.catalogue.image(image_id)
    try:
        found = record and gallery.thumbnail(record.sha256)
    except ImageError:
        found = None
    return found or placeholder(image_id)


def query_picture(now: state.State) -> QueryPicture | None:
    """Return the query of a state as a picture; None while there is none.

    Raises:
        AinaError: it is gone.
    """
    if now.upload is not None:
        width, height = cache.upload_size(now.upload)
        return QueryPicture(now.upload, serve.upload_url(now.upload), width, height, None)
    if now.image is None:
        return None
    gallery = open_gallery(now.gallery)
    record = gallery.catalogue.image(now.image)
    if record is None or record.failure is not None:
        raise ImageError(f"The gallery {now.gallery} has no image {now.image!r}.")
    url = serve.image_url(now.gallery, record.sha256)
    return QueryPicture(now.image, url, record.width, record.height, now.gallery)


def describe_query(now: state.State) -> str:
    """Return the query's name, for people: of all its terms."""
    return query.describe_all(now.query)


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
    """Make what was sent the query; a bad picture costs one sentence."""
    try:
        name = uploads.keep_query(data)
    except ImageError as error:
        st.session_state["query.problem"] = f"The picture cannot be used: {error}."
        return
    _choose(Term(UPLOAD, name))
    st.rerun()


def _choose(term: Term) -> None:
    """Make a picture the query, or a term more of it where that is switched on."""
    if st.session_state.get(_ADDING):
        add_term(term)
        return
    st.session_state.pop("query.problem", None)
    state.change(**{term.kind: term.value})


def add_term(term: Term) -> None:
    """Ask for something more, or for less of something; an image already asked for weighs so."""
    now = state.current()
    if term.kind == IMAGE:
        terms = with_member(now.terms, term.value, term.weight)
    else:
        terms = (*now.terms, term)
    if len(terms) > MAX_TERMS:
        st.session_state["query.problem"] = (
            f"A query has at most {MAX_TERMS} terms beside its picture; remove one."
        )
        return
    st.session_state.pop("query.problem", None)
    state.change(terms=terms, concept="")


def query_problem() -> str | None:
    """Return why the picture sent last cannot be used."""
    return st.session_state.get("query.problem")


def use_image(image_id: str) -> None:
    """Make a gallery's image the query."""
    st.session_state.pop("query.problem", None)
    state.change(image=image_id)


def _surprise() -> None:
    now = state.current()
    try:
        opened = cache.searcher(now.gallery, now.model)
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
        opened = cache.searcher(now.gallery, now.model)
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
    """The rows whose name, label and caption have all the words, int64 (m,)."""
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
