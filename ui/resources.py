"""Everything that is loaded once and shared: the only place with Streamlit's caches.

What is cached is never changed. Keys name the model, the gallery and its generation, so a gallery
that was indexed again is opened anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from aina_core import images, uploads
from aina_core.embedding import Embedder, load_embedder
from aina_core.errors import ImageError
from aina_core.gallery import open_gallery
from aina_core.gallery.scan import scan
from aina_core.search import Result, Searcher, embed_query
from ui.state import State


@st.cache_resource(show_spinner="Loading the model …", max_entries=4)
def embedder(model: str) -> Embedder:
    """The loaded model of a full name."""
    return load_embedder(model)


def searcher(gallery: str, model: str) -> Searcher:
    """The gallery as it stands now, opened under a model."""
    return _searcher(gallery, model, open_gallery(gallery).generation(model))


@st.cache_resource(show_spinner="Opening the gallery …", max_entries=6)
def _searcher(gallery: str, model: str, generation: tuple[int, str]) -> Searcher:
    return Searcher(open_gallery(gallery), model)


def result(state: State) -> Result:
    """What the query of a state finds."""
    opened = open_gallery(state.gallery)
    generation = opened.generation(state.model)
    return _result(
        state.gallery,
        state.model,
        generation,
        state.image,
        state.upload,
        state.crop,
        tuple(sorted(state.labels)),
        tuple(sorted((name, tuple(values)) for name, values in state.columns.items())),
        state.exact,
    )


@st.cache_resource(show_spinner="Searching …", max_entries=16)
def _result(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    image: str | None,
    upload: str | None,
    crop: tuple[int, int, int, int] | None,
    labels: tuple[str, ...],
    columns: tuple[tuple[str, tuple[str, ...]], ...],
    exact: bool,
) -> Result:
    opened = _searcher(gallery, model, generation)
    if image is not None and crop is None:
        vector = opened.vector(image)
    else:
        checksum = upload or opened.image(image or "")[0].sha256
        vector = _vector(model, checksum, crop, gallery, image)
    return opened.search(vector, exclude=image, labels=labels, columns=dict(columns), exact=exact)


@st.cache_resource(show_spinner="Looking at the picture …", max_entries=512)
def _vector(
    model: str,
    checksum: str,
    crop: tuple[int, int, int, int] | None,
    _gallery: str,
    _image: str | None,
) -> np.ndarray:
    """The embedding of a picture, or of a crop of it, by the checksum of its bytes."""
    try:
        data = uploads.query(checksum) if _image is None else open_gallery(_gallery).read(_image)
    except ImageError as error:
        raise ImageError(f"The picture {_image} cannot be used any more: {error}.") from None
    vector = embed_query(embedder(model), data, crop)
    vector.setflags(write=False)
    return vector


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
