"""What is it? The probabilities of a network's own classes, or of labels in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aina_core import models
from aina_core.embedding import Embedder
from aina_core.errors import InputError
from aina_core.search.searcher import Searcher

#: The scale of similarities before the softmax: the value at which CLIP's learnt scale was clipped.
LOGIT_SCALE = 100.0
#: The default prompt.
PROMPTS = ("a photo of {}.",)
MAX_LABELS, MAX_PROMPTS = 1000, 100


@dataclass(frozen=True)
class Guess:
    """A name, and how probable it is.

    Attributes:
        name: of a class, or a label as it was given.
        probability: in [0, 1].
    """

    name: str
    probability: float


def by_class(searcher: Searcher, embedder: Embedder, place: int) -> np.ndarray:
    """Return how probable a class is for every row of a gallery: a concept query.

    The logits are those of the network's own head on the embeddings before normalisation, so no
    picture is read again.

    Args:
        searcher: the gallery under the embedder's model.
        embedder: the model.
        place: index of the class in `models.class_names`.

    Returns:
        float32 (n,), in [0, 1].

    Raises:
        InputError: the model has no classes.
        GalleryError: see `Searcher.embedded` and `Searcher.checked`.
    """
    return searcher.checked(embedder).probabilities(*searcher.embedded, place)


def top_classes(
    embedder: Embedder, rows: np.ndarray, norms: np.ndarray, count: int = 5
) -> list[list[Guess]]:
    """Return the most probable classes of pictures, the most probable first.

    Args:
        embedder: the model.
        rows: float32 (n, dim), unit rows.
        norms: float32 (n,), the length of each before normalisation.
        count: how many of each.

    Raises:
        InputError: the model has no classes.
    """
    return _best(models.class_names(embedder.spec), embedder.probabilities(rows, norms), count)


def label_vectors(
    embedder: Embedder, labels: Sequence[str], prompts: Sequence[str] = PROMPTS
) -> np.ndarray:
    """Embed labels, each put into every prompt, as the normalised mean of their unit rows.

    The ensembling of prompts in embedding space of Radford et al., CLIP (2021), section 3.1.4.

    Args:
        embedder: a model with a text tower.
        labels: two or more, all different.
        prompts: sentences with {} where the label goes.

    Returns:
        float32 (len(labels), dim), unit rows.

    Raises:
        InputError: a list is empty or too long, a label is given twice, a prompt has no {}, or the
            model has no text tower.
    """
    if len(labels) < 2:
        raise InputError(f"{len(labels)} labels were given; give at least two to choose from.")
    if len(set(labels)) < len(labels):
        double = next(label for label in labels if list(labels).count(label) > 1)
        raise InputError(f"The label {double!r} is given twice; give each once.")
    if len(labels) > MAX_LABELS or not 0 < len(prompts) <= MAX_PROMPTS:
        raise InputError(
            f"{len(labels):,} labels and {len(prompts):,} prompts were given; give at most "
            f"{MAX_LABELS:,} labels, and 1 to {MAX_PROMPTS} prompts."
        )
    for prompt in prompts:
        if "{}" not in prompt:
            raise InputError(
                f"The prompt {prompt!r} has no {{}} where the label goes, as in {PROMPTS[0]!r}."
            )
    if not all(label.strip() for label in labels):
        raise InputError("A label is empty; give words.")
    texts = [prompt.replace("{}", label) for label in labels for prompt in prompts]
    rows = embedder.embed_text(texts).reshape(len(labels), len(prompts), -1)
    means = rows.astype(np.float64).mean(axis=1)  # (labels, dim)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.maximum(lengths, 1e-12), np.float32)


def label_probabilities(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the softmax of the scaled similarities of pictures to labels.

    Args:
        rows: float32 (n, dim), unit rows of pictures.
        vectors: float32 (labels, dim), of `label_vectors`.

    Returns:
        float32 (n, labels), each row of sum 1.

    Raises:
        InputError: they are of two models.
    """
    if rows.shape[1:] != vectors.shape[1:]:
        raise InputError(
            f"Pictures of {rows.shape[-1]} numbers were given for labels of {vectors.shape[1]}; "
            "both have to be embedded by one model, not reduced."
        )
    logits = LOGIT_SCALE * (np.asarray(rows) @ vectors.T)
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def best_labels(
    rows: np.ndarray, labels: Sequence[str], vectors: np.ndarray, count: int | None = None
) -> list[list[Guess]]:
    """Return the labels of pictures, the most probable first.

    Args:
        rows: float32 (n, dim), unit rows of pictures.
        labels: as given.
        vectors: float32 (labels, dim), of `label_vectors`.
        count: how many of each; None for all.
    """
    return _best(labels, label_probabilities(rows, vectors), count or len(labels))


def _best(names: Sequence[str], probabilities: np.ndarray, count: int) -> list[list[Guess]]:
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        [Guess(names[place], float(row[place])) for place in places]
        for row, places in zip(probabilities, order, strict=True)
    ]
