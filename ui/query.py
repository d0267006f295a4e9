"""The query: what it is, and the ways to choose another one."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from aina_core.errors import ImageError
from aina_core.gallery import Gallery, open_gallery
from aina_core.search import query
from aina_core.search.query import IMAGE, Term
from ui import cache, serve, state
from ui.link import MAX_TERMS, State, with_member
from ui.placeholder import placeholder


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
        """Whether there is a picture to show, not just an imported vector."""
        return self.width > 0 and (self.gallery is None or open_gallery(self.gallery).has_pictures)

    def thumbnail(self) -> bytes | str:
        """A small JPEG of it; if it is missing, a drawing of its name as SVG."""
        if self.gallery is None:
            return cache.upload_thumbnail(self.name)
        return member_thumbnail(open_gallery(self.gallery), self.name)


def member_thumbnail(gallery: Gallery, image_id: str) -> bytes | str:
    """A small JPEG of a gallery's image; if it is missing, a drawing of its id as SVG."""
    record = gallery.catalogue.image(image_id)
    try:
        found = record and gallery.thumbnail(record.sha256)
    except ImageError:
        found = None
    return found or placeholder(image_id)


def query_picture(now: State) -> QueryPicture | None:
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


def describe_query(now: State) -> str:
    """Return a description of the query for people: all its terms."""
    return query.describe_all(now.query)


def add_term(term: Term) -> None:
    """Add a term to the query; an image that is in it already takes the new weight."""
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
    """Return why the last picture sent cannot be used."""
    return st.session_state.get("query.problem")


def use_image(image_id: str) -> None:
    """Make a gallery's image the query."""
    st.session_state.pop("query.problem", None)
    state.change(image=image_id)
