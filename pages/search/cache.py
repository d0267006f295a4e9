"""What a trained head makes of a query or a gallery: classes, labels in words, pairs."""

from __future__ import annotations

import numpy as np

from aina_core.search import classes, pairs
from aina_core.search.classes import Guess
from aina_core.search.pairs import Reranked
from aina_core.search.query import Term, one_picture
from aina_core.search.results import OfClass
from aina_core.search.searcher import Searcher
from ui.cache import cached, embedder, embedding, filtered, result, weights
from ui.link import State


@cached(
    entries=16,
    spinner="Asking the network …",
    key=lambda state, place: (*filtered(state), place),
)
def of_class(state: State, place: int) -> OfClass:
    """The gallery of a state by the probability of a class of its model."""
    opened, labels, columns = filtered(state)
    found = classes.by_class(opened, embedder(state.model), place)
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


@cached(
    entries=32,
    spinner="Reading the labels …",
    key=lambda model, labels: (model, weights(model), labels),
)
def _label_vectors(model: str, labels: tuple[str, ...]) -> np.ndarray:
    return classes.label_vectors(embedder(model), labels)


def _judged(state: State) -> tuple[object, ...]:
    return (*filtered(state), state.query, state.exact, state.k, state.threshold)


@cached(entries=16, spinner="Judging pairs …", key=_judged)
def reranked(state: State) -> Reranked:
    """The nearest to the query of a state, the most probable first (see `pairs.rerank`).

    Raises:
        InputError: the query is not one picture, or the model judges no pairs.
    """
    picture = one_picture(state.query)
    opened, _, _ = filtered(state)
    vector, _ = embedding(opened, picture)
    judge = embedder(state.model)
    return pairs.rerank(opened, result(state), vector, judge, k=state.k, threshold=state.threshold)
