"""Models, opened galleries, queries and what they find."""

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
from ui.state import Box, State

_SHOWN_SIDE = 640  # pixels


@st.cache_resource(show_spinner="Loading the model …", max_entries=4)
def embedder(model: str) -> Embedder:
    """The loaded model of a full name."""
    return load_embedder(model)


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
    crop: Box | None,
    labels: tuple[str, ...],
    columns: tuple[tuple[str, tuple[str, ...]], ...],
    exact: bool,
) -> Result:
    opened = searcher_at(gallery, model, generation)
    vector = query_vector(opened, image, upload, crop)
    return opened.search(vector, exclude=image, labels=labels, columns=dict(columns), exact=exact)


def query_vector(
    opened: Searcher, image: str | None, upload: str | None, crop: Box | None
) -> np.ndarray:
    """The embedding of a query under the model of an opened gallery, float32 (dim,)."""
    if image is not None and crop is None:
        return opened.vector(image)
    checksum = upload or opened.image(image or "")[0].sha256
    return _vector(opened.model, checksum, crop, opened.gallery.name, image)


@st.cache_resource(show_spinner="Looking at the picture …", max_entries=512)
def _vector(
    model: str,
    checksum: str,
    crop: Box | None,
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
