"""What a network recognises: its classes, or labels in words."""

from __future__ import annotations

import numpy as np
import streamlit as st

from aina_core.gallery import open_gallery
from aina_core.search import classes
from aina_core.search.classes import Guess
from aina_core.search.query import Term
from aina_core.search.results import OfClass
from aina_core.search.searcher import Searcher
from ui.cache import embedder, embedding, filters, searcher_at
from ui.state import State


def of_class(state: State, place: int) -> OfClass:
    """The gallery of a state by the probability of a class of its model."""
    generation = open_gallery(state.gallery).generation(state.model)
    return _of_class(state.gallery, state.model, generation, place, *filters(state))


@st.cache_resource(show_spinner="Asking the network …", max_entries=16)
def _of_class(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    place: int,
    labels: tuple[str, ...],
    columns: tuple[tuple[str, tuple[str, ...]], ...],
) -> OfClass:
    opened = searcher_at(gallery, model, generation)
    found = classes.by_class(opened, embedder(model), place)
    return opened.of_class(found, labels=labels, columns=dict(columns))


def classes_of(opened: Searcher, picture: Term) -> list[Guess]:
    """The most probable classes of a picture."""
    row, norm = embedding(opened, picture)
    norms = np.array([norm], np.float32)
    return classes.top_classes(embedder(opened.model), row[None], norms)[0]


def labels_of(opened: Searcher, picture: Term, labels: tuple[str, ...]) -> list[Guess]:
    """The most probable of some labels for a picture."""
    row, _ = embedding(opened, picture)
    return classes.best_labels(row[None], labels, _label_vectors(opened.model, labels), 5)[0]


@st.cache_resource(show_spinner="Reading the labels …", max_entries=32)
def _label_vectors(model: str, labels: tuple[str, ...]) -> np.ndarray:
    return classes.label_vectors(embedder(model), labels)
