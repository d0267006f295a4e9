"""Explanations: networks that are shared between sessions, and what they have explained.

Results are kept by content: the model, the checksums and crops of the pictures, what was asked.
"""

from __future__ import annotations

import dataclasses

import numpy as np

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
from aina_core.search.searcher import Searcher
from pages.explain.question import Match, Question, Shown, Subject, cut, pixels
from ui.cache import cached, pool, searcher, weights
from ui.components import encode_map
from ui.link import Box


def explainer(model: str, gallery: str) -> Explainer:
    """What explains under a model; similarities of a reduced variant are on the gallery's axes."""
    found = _loaded(model)
    opened = _reduced(model, gallery)
    axes = None if opened is None else opened.axes
    if axes is None:
        return found
    return found.on(axes.mean, axes.directions)


def _loaded(model: str) -> Explainer:
    """A network that explains, loaded once, within the memory of models."""
    expected = expected_bytes(ModelName.parse(model))
    key = "explainer", model, weights(model)
    return pool().get(key, lambda: load_explainer(model), expected)


def _reduced(model: str, gallery: str) -> Searcher | None:
    """The gallery under a reduced variant, on whose axes similarities are; None for others."""
    if not ModelName.parse(model).components or model not in open_gallery(gallery).models():
        return None
    return searcher(gallery, model)


def _network(model: str, *asked: object) -> tuple[object, ...]:
    """What answers depend on that are of the network alone."""
    return model, weights(model), asked


def _space(model: str, subject: Subject, *asked: object) -> tuple[object, ...]:
    """What answers depend on that may be about similarities."""
    return model, weights(model), _reduced(model, subject.gallery), subject, asked


@cached(entries=256, spinner="Explaining …", key=_space)
def explanation(model: str, subject: Subject, question: Question) -> Shown:
    """What in a picture speaks for the answer to a question."""
    found = explainer(model, subject.gallery).explain(
        pixels(subject), question.target(), method=question.method, crop=subject.crop
    )
    return Shown.of(found, subject)


@cached(entries=256, spinner="Checking the map …", key=_space)
def faithfulness(model: str, subject: Subject, question: Question) -> Faithfulness:
    """How far the score follows what the map calls important."""
    whole = explanation(model, subject, question).whole()
    return explainer(model, subject.gallery).faithfulness(pixels(subject), question.target(), whole)


@cached(entries=512, spinner="Looking at the picture …", key=_network)
def classes(model: str, subject: Subject) -> list[tuple[str, float]]:
    """The five classes that a model most probably sees in a picture, with probabilities."""
    return list(_loaded(model).classes(cut(subject), 5))


@cached(entries=64, spinner="Comparing parts …", key=_network)
def places(model: str, first: Subject, second: Subject) -> Places:
    """How alike the places of two pictures are."""
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


@cached(entries=64, spinner="Looking at the crops …", key=_space)
def crops(
    model: str, subject: Subject, boxes: tuple[Box, ...], question: Question
) -> list[tuple[CropRow, Shown]]:
    """What a model makes of parts of a picture: each row, and its map as a page shows it."""
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
