"""The pictures of the Explain page: the query, and its reference."""

from __future__ import annotations

import dataclasses

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from aina_core.errors import AinaError, ImageError
from aina_core.gallery import Gallery, open_gallery
from aina_core.numbers import decimal_text
from aina_core.search.searcher import Neighbour
from pages.explain.question import Subject
from ui import cache as shared
from ui import page, query, serve, state
from ui.link import State
from ui.text import plain

_OFFERED = 24


def query_subject(now: State) -> Subject | None:
    """Return the query; None while there is none.

    Raises:
        AinaError: it is gone, or nothing of it lies in the crop.
    """
    picture = query.query_picture(now)
    if picture is None:
        return None
    if picture.gallery is not None:
        subject = gallery_subject(open_gallery(now.gallery), picture.name)
    else:
        subject = _uploaded(now.gallery, picture)
    subject = dataclasses.replace(subject, crop=now.crop)
    if min(subject.window[2:]) < 1:
        raise ImageError(
            f"The crop lies outside the image of {subject.width} × {subject.height} pixels; draw "
            "another one on the Search page."
        )
    return subject


def _uploaded(gallery: str, picture: query.QueryPicture) -> Subject:
    return Subject(
        gallery=gallery,
        image=None,
        checksum=picture.name,
        width=picture.width,
        height=picture.height,
        url=picture.url,
        name="the uploaded picture",
    )


def gallery_subject(gallery: Gallery, image_id: str) -> Subject:
    """Return an image of a gallery.

    Raises:
        ImageError: there is none of that id.
    """
    record = gallery.catalogue.image(image_id)
    if record is None or record.failure is not None:
        raise ImageError(f"The gallery {gallery.name} has no image {image_id!r}.")
    if not gallery.has_pictures:
        raise ImageError(
            f"The gallery {gallery.name} was imported without its pictures, and only what is seen "
            "can be explained; import it again with --images FOLDER."
        )
    return Subject(
        gallery=gallery.name,
        image=image_id,
        checksum=record.sha256,
        width=record.width,
        height=record.height,
        url=serve.image_url(gallery.name, record.sha256),
        name=image_id,
    )


def choose_reference(gallery: Gallery, place: DeltaGenerator) -> Subject | None:
    """Draw the choice of the query's reference: by default its nearest neighbour.

    Returns:
        The reference; None, after saying why, where there is none.
    """
    now = state.current()
    near = _nearest(gallery, now)
    similarity = {hit.id: decimal_text(hit.similarity) for hit in near}
    chosen = now.reference or ""
    options = list(dict.fromkeys([*([""] if near else []), *similarity, chosen]))

    def label(image_id: str) -> str:
        if not image_id:
            return f"its nearest neighbour, {near[0].id}" if near else "nothing"
        known = similarity.get(image_id)
        return f"{image_id} · {known}" if known else image_id

    place.selectbox(
        "Held against",
        options,
        format_func=label,
        help="The nearest neighbours of the query. “Explain” on any card of the other pages brings "
        "another image here.",
        **state.bind("reference", chosen, lambda image_id: image_id or None),
    )
    if not chosen and not near:
        if now.model in gallery.models():  # else that has been said
            st.info("There is nothing to hold the query against; the gallery has no other image.")
        return None
    return gallery_subject(gallery, chosen or near[0].id)


def _nearest(gallery: Gallery, now: State) -> list[Neighbour]:
    """The query's neighbours; none, after saying why, where they cannot be found."""
    if now.model not in gallery.models():
        page.offer_indexing(gallery, now.model)
        return []
    asked = dataclasses.replace(now, labels=(), columns={}, exact=True)
    try:
        return shared.result(asked).nearest(_OFFERED)
    except AinaError as error:
        st.error(plain(error))
        return []
