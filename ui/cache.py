"""Models, opened galleries, queries and what they find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from aina_core import images, models
from aina_core.embedding import Embedder
from aina_core.embedding.pool import Pool, budget
from aina_core.errors import ImageError
from aina_core.gallery import open_gallery, uploads
from aina_core.gallery.scan import scan
from aina_core.models import ModelName
from aina_core.search.query import IMAGE, TEXT, Term, members, term_embedding
from aina_core.search.query import query_vector as combined
from aina_core.search.searcher import Result, Searcher
from ui.state import Box, State

_SHOWN_SIDE = 640  # pixels


@st.cache_resource(show_spinner=False)
def pool() -> Pool:
    """The loaded models, within a memory budget; shared by all sessions."""
    return Pool(budget())


def embedder(model: str) -> Embedder:
    """The loaded model of a full name; of a reduced variant, what it is reduced from."""
    return pool().embedder(model)


def weights(model: str) -> str:
    """The checksum of the weights that a name has now, for the keys of what is kept of it."""
    return models.checksum(ModelName.parse(model).spec().weights.locate())


def searcher(gallery: str, model: str) -> Searcher:
    """The gallery as it stands now, opened under a model."""
    return searcher_at(gallery, model, open_gallery(gallery).generation(model))


@st.cache_resource(show_spinner="Opening the gallery …", max_entries=6)
def searcher_at(gallery: str, model: str, generation: tuple[int, str]) -> Searcher:
    """The gallery as it stood at a generation, while that is the newest."""
    return Searcher(open_gallery(gallery), model)


def result(state: State) -> Result:
    """What the query of a state finds."""
    opened = open_gallery(state.gallery)
    generation = opened.generation(state.model)
    return _result(
        state.gallery,
        state.model,
        generation,
        state.query,
        *filters(state),
        state.exact,
    )


def filters(state: State) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The labels and the values of columns that a state filters by, as a key."""
    columns = sorted((name, tuple(values)) for name, values in state.columns.items())
    return tuple(sorted(state.labels)), tuple(columns)


@st.cache_resource(show_spinner="Searching …", max_entries=16)
def _result(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    terms: tuple[Term, ...],
    labels: tuple[str, ...],
    columns: tuple[tuple[str, tuple[str, ...]], ...],
    exact: bool,
) -> Result:
    opened = searcher_at(gallery, model, generation)
    return opened.search(
        query_vector(opened, terms),
        exclude=members(terms),
        labels=labels,
        columns=dict(columns),
        exact=exact,
    )


def query_vector(opened: Searcher, terms: tuple[Term, ...]) -> np.ndarray:
    """The vector of a query in the space of an opened gallery's rows, float32 (dim,)."""

    def vector(term: Term) -> np.ndarray:
        if term.kind == IMAGE and term.crop is None:
            return opened.vector(term.value)
        return opened.reduced(embedding(opened, term)[0])

    return combined(terms, vector)


def embedding(opened: Searcher, term: Term) -> tuple[np.ndarray, float]:
    """The unit vector of one term as the model gives it, float32 (dim,), and its norm before."""
    if term.kind == IMAGE and term.crop is None:
        return term_embedding(opened, term, lambda: embedder(opened.source))
    content = opened.image(term.value)[0].sha256 if term.kind == IMAGE else term.value
    words = term.kind == TEXT
    source = opened.source
    return _embedding(source, weights(source), words, content, term.crop, opened, term)


@st.cache_resource(show_spinner="Loading the model, looking at the query …", max_entries=512)
def _embedding(
    model: str,
    weights: str,
    words: bool,
    content: str,
    crop: Box | None,
    _opened: Searcher,
    _term: Term,
) -> tuple[np.ndarray, float]:
    """The embedding of words, or of a picture by the checksum of its bytes."""
    vector, norm = term_embedding(_opened, _term, lambda: embedder(model))
    vector.setflags(write=False)
    return vector, norm


@st.cache_data(show_spinner=False, max_entries=512)
def upload_size(name: str) -> tuple[int, int]:
    """Width and height of an uploaded picture, upright, in pixels."""
    decoded = images.decode(uploads.query(name))
    return decoded.width, decoded.height


@st.cache_data(show_spinner="Looking through the folder …", max_entries=16, ttl=60)
def pictures_in(folder: Path) -> tuple[int, int]:
    """How many pictures a folder holds, and how many of its sub-folders cannot be read."""
    files, unreadable = scan(folder)
    return len(files), len(unreadable)


@st.cache_data(show_spinner=False, max_entries=256)
def upload_thumbnail(name: str) -> bytes:
    """A small JPEG of an uploaded picture."""
    return images.thumbnail(images.decode(uploads.query(name)).pixels)


@st.cache_data(show_spinner=False, max_entries=32)
def upright(gallery: str, source: str, upload: bool, crop: Box | None) -> bytes:
    """A JPEG of a picture, or of a crop of it, for a page to show.

    Args:
        gallery: its name.
        source: checksum of the file: an uploaded picture's, or of one of the gallery's images.
        upload: whether it is an uploaded one.
        crop: the part to show.
    """
    if upload:
        data = uploads.query(source)
    else:
        opened = open_gallery(gallery)
        record = opened.catalogue.by_checksum(source)
        if record is None:
            raise ImageError("The picture is gone from the gallery.")
        data = opened.read(record.id)
    return images.thumbnail(images.crop_pixels(images.decode(data).pixels, crop), _SHOWN_SIDE)
