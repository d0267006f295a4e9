"""Explanations: networks that are shared between sessions, and what they have explained.

Results are kept by content: the model, the checksums and crops of the pictures, what was asked.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import streamlit as st

from aina_core.embedding.pool import expected_bytes
from aina_core.explain import (
    CropRow,
    Explainer,
    Faithfulness,
    Places,
    explain_crops,
    load_explainer,
)
from aina_core.gallery import open_gallery
from aina_core.models import ModelName
from pages.explain.question import Match, Question, Shown, Subject, cut, pixels
from ui.cache import pool, searcher_at, weights
from ui.components import encode_map
from ui.state import Box

#: The weights' checksum, and a gallery's generation where a variant is reduced by it.
Space = tuple[str, tuple[int, str] | None]
_BY_CONTENT: dict[Any, Any] = {kind: lambda asked: asked.key for kind in (Subject, Question)}


def explainer(model: str, gallery: str) -> Explainer:
    """What explains under a model; similarities of a reduced variant are on the gallery's axes."""
    found = _loaded(model)
    generation = _reduced(model, gallery)
    axes = None if generation is None else searcher_at(gallery, model, generation).axes
    if axes is None:
        return found
    return found.on(axes.mean, axes.directions)


def _loaded(model: str) -> Explainer:
    """A network that explains, loaded once, within the memory of models."""
    expected = expected_bytes(ModelName.parse(model))
    key = "explainer", model, weights(model)
    return pool().get(key, lambda: load_explainer(model), expected)


def _space(model: str, gallery: str) -> Space:
    """What answers depend on besides the names: weights, and a reduced variant's generation."""
    return weights(model), _reduced(model, gallery)


def _reduced(model: str, gallery: str) -> tuple[int, str] | None:
    """The generation of a gallery under a reduced variant: what similarities depend on then."""
    if not ModelName.parse(model).components:
        return None
    opened = open_gallery(gallery)
    return opened.generation(model) if model in opened.models() else None


def explanation(model: str, subject: Subject, question: Question) -> Shown:
    """What in a picture speaks for the answer to a question."""
    return _explanation(model, _space(model, subject.gallery), subject, question)


@st.cache_resource(show_spinner="Explaining …", max_entries=256, hash_funcs=_BY_CONTENT)
def _explanation(model: str, space: Space, subject: Subject, question: Question) -> Shown:
    found = explainer(model, subject.gallery).explain(
        pixels(subject), question.target(), method=question.method, crop=subject.crop
    )
    return Shown.of(found, subject)


def faithfulness(model: str, subject: Subject, question: Question) -> Faithfulness:
    """How far the score follows what the map calls important."""
    return _faithfulness(model, _space(model, subject.gallery), subject, question)


@st.cache_resource(show_spinner="Checking the map …", max_entries=256, hash_funcs=_BY_CONTENT)
def _faithfulness(model: str, space: Space, subject: Subject, question: Question) -> Faithfulness:
    whole = _explanation(model, space, subject, question).whole()
    return explainer(model, subject.gallery).faithfulness(pixels(subject), question.target(), whole)


def classes(model: str, subject: Subject, k: int = 5) -> list[tuple[str, float]]:
    """The classes that a model sees in a picture, the likeliest first, with probabilities."""
    return _classes(model, weights(model), subject, k)


@st.cache_data(show_spinner="Looking at the picture …", max_entries=512, hash_funcs=_BY_CONTENT)
def _classes(model: str, weights: str, subject: Subject, k: int) -> list[tuple[str, float]]:
    return list(_loaded(model).classes(cut(subject), k))


def places(model: str, first: Subject, second: Subject) -> Places:
    """How alike the places of two pictures are."""
    return _places(model, weights(model), first, second)


@st.cache_resource(show_spinner="Comparing parts …", max_entries=64, hash_funcs=_BY_CONTENT)
def _places(model: str, weights: str, first: Subject, second: Subject) -> Places:
    return _loaded(model).places(cut(first), cut(second))


def match(model: str, first: Subject, second: Subject, x: int, y: int) -> Match:
    """Which places of the second picture are like a place of the first.

    Args:
        model: full name.
        first: where the place is.
        second: where the others are.
        x: of the place, in pixels of the upright image.
        y: of the place, in pixels of the upright image.

    Raises:
        InputError: the network does not see the place.
    """
    found = places(model, first, second)
    left, top = first.window[:2]
    cosines = found.cosines[found.a.cell(y - top + 0.5, x - left + 0.5)]
    low, high = float(cosines.min()), float(cosines.max())
    if high - low < 1e-6:
        return Match(None, low, high)
    spread = (found.match(y - top + 0.5, x - left + 0.5) - low) / (high - low)
    return Match(encode_map(np.clip(spread, 0, 1)), low, high)


def crops(
    model: str, subject: Subject, boxes: tuple[Box, ...], question: Question
) -> list[tuple[CropRow, Shown]]:
    """What a model makes of parts of a picture: each row, and its map as a page shows it."""
    return _crops(model, _space(model, subject.gallery), subject, boxes, question)


@st.cache_resource(show_spinner="Looking at the crops …", max_entries=64, hash_funcs=_BY_CONTENT)
def _crops(
    model: str, space: Space, subject: Subject, boxes: tuple[Box, ...], question: Question
) -> list[tuple[CropRow, Shown]]:
    rows = explain_crops(
        explainer(model, subject.gallery),
        pixels(subject),
        boxes,
        None if question.reference is None else cut(question.reference),
        target=question.target(),
        method=question.method,
    )
    kept = []
    for row in rows:
        shown = Shown.of(row.explanation, dataclasses.replace(subject, crop=row.box))
        kept.append((dataclasses.replace(row, explanation=shown.found), shown))
    return kept
