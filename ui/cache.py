"""The one cache of what pages show, and what several pages keep in it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import streamlit as st

from aina_core import images, models
from aina_core.embedding import Embedder
from aina_core.embedding.pool import Pool, budget
from aina_core.errors import ImageError
from aina_core.gallery import Gallery, open_gallery, uploads
from aina_core.gallery.scan import scan
from aina_core.models import ModelName
from aina_core.search.query import IMAGE, TEXT, Term, term_embedding
from aina_core.search.searcher import Result, Searcher, answer, vector_of
from ui.link import Box, State

P = ParamSpec("P")
R = TypeVar("R")
Columns = tuple[tuple[str, tuple[str, ...]], ...]

_SHOWN_SIDE = 640  # pixels


class _UnknownError(Exception):
    """A function has no result to keep."""


def cached(
    *,
    entries: int,
    spinner: str | bool = False,
    seconds: float | None = None,
    key: Callable[..., object] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that keeps a function's results, by what its arguments are.

    An argument with a property `key` is known by that: a `Searcher` by its gallery, model,
    generation and weights. All sessions share the very result, so nobody may change it. None is
    never kept: it means "not known yet". Nor is what is raised.

    Args:
        entries: how many results are kept.
        spinner: what the page says while one is computed.
        seconds: how long one is kept; without limit by default.
        key: takes the arguments; returns all that the result depends on, where that is not the
            arguments alone: a name, say, and the checksum of the weights that it stands for.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        def computed(asked: object, _args: Any, _named: Any) -> R:
            found = function(*_args, **_named)
            if found is None:
                raise _UnknownError
            return found

        # by these names Streamlit tells one function's results from another's
        computed.__module__, computed.__qualname__ = function.__module__, function.__qualname__
        kept = st.cache_resource(max_entries=entries, show_spinner=spinner, ttl=seconds)(computed)

        @functools.wraps(function)
        def ask(*args: P.args, **named: P.kwargs) -> R:
            asked = (args, *sorted(named.items())) if key is None else key(*args, **named)
            try:
                return kept(_identity(asked), args, named)
            except _UnknownError:
                return None  # type: ignore[return-value]  # as the function did

        return ask

    return decorate


def _identity(value: object) -> object:
    """What stands for an argument in a key."""
    if isinstance(value, tuple):
        return tuple(map(_identity, value))
    if isinstance(value, Gallery):
        return value.name, value.created, value.catalogue.version()
    keyed = isinstance(getattr(type(value), "key", None), property)
    return value.key if keyed else value  # type: ignore[attr-defined]


# ── models and galleries ─────────────────────────────────────────────────────────────────────────


@cached(entries=1)
def pool() -> Pool:
    """The loaded models, within a memory budget; shared by all sessions."""
    return Pool(budget())


def embedder(model: str) -> Embedder:
    """The loaded model of a full name; of a reduced variant, what it is reduced from."""
    return pool().embedder(model)


def weights(model: str) -> str:
    """The checksum of the weights that a name has now.

    Raises:
        ModelError: they are missing or refused.
    """
    return models.checksum(ModelName.parse(model).spec().weights.locate())


def _generation(gallery: str, model: str) -> tuple[object, ...]:
    opened = open_gallery(gallery)
    made_with = opened.manifest(model)["fingerprint"].get("weights")  # whose head may differ alone
    return gallery, model, opened.generation(model), made_with


@cached(entries=6, spinner="Opening the gallery …", key=_generation)
def searcher(gallery: str, model: str) -> Searcher:
    """The gallery, opened under a model; opened again once it has changed."""
    return Searcher(open_gallery(gallery), model)


# ── queries ──────────────────────────────────────────────────────────────────────────────────────


def filtered(state: State) -> tuple[Searcher, tuple[str, ...], Columns]:
    """The opened gallery of a state, and the labels and values of columns it is filtered by."""
    columns = sorted((name, tuple(values)) for name, values in state.columns.items())
    return searcher(state.gallery, state.model), tuple(sorted(state.labels)), tuple(columns)


@cached(
    entries=16,
    spinner="Searching …",
    key=lambda state: (*filtered(state), state.query, state.exact),
)
def result(state: State) -> Result:
    """What the query of a state finds."""
    opened, labels, columns = filtered(state)
    embed = functools.partial(embedding, opened)
    return answer(
        opened, state.query, embed, labels=labels, columns=dict(columns), exact=state.exact
    )


def query_vector(opened: Searcher, terms: tuple[Term, ...]) -> np.ndarray:
    """The vector of a query in the space of an opened gallery's rows, float32 (dim,)."""
    return vector_of(opened, terms, functools.partial(embedding, opened))


def _content(opened: Searcher, term: Term) -> tuple[object, ...]:
    """What the embedding of a term depends on: a picture counts by the checksum of its bytes."""
    if term.kind == IMAGE and term.crop is None:  # a stored row, for which no model is needed
        return opened, term.value
    content = opened.image(term.value)[0].sha256 if term.kind == IMAGE else term.value
    return opened.source, weights(opened.source), term.kind == TEXT, content, term.crop


@cached(entries=512, spinner="Loading the model, looking at the query …", key=_content)
def embedding(opened: Searcher, term: Term) -> tuple[np.ndarray, float]:
    """The unit vector of one term as the model gives it, float32 (dim,), and its norm before."""
    vector, norm = term_embedding(opened, term, lambda: embedder(opened.source))
    vector.setflags(write=False)
    return vector, norm


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────


@cached(entries=512)
def upload_size(name: str) -> tuple[int, int]:
    """Width and height of an uploaded picture, upright, in pixels."""
    decoded = images.decode(uploads.query(name))
    return decoded.width, decoded.height


@cached(entries=16, spinner="Looking through the folder …", seconds=60)
def pictures_in(folder: Path) -> tuple[int, int]:
    """How many pictures a folder holds, and how many of its sub-folders cannot be read."""
    files, unreadable = scan(folder)
    return len(files), len(unreadable)


@cached(entries=256)
def upload_thumbnail(name: str) -> bytes:
    """A small JPEG of an uploaded picture."""
    return images.thumbnail(images.decode(uploads.query(name)).pixels)


@cached(entries=32)
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
