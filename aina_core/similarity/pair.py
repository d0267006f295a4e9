"""Two images compared under several models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aina_core import images
from aina_core.embedding import Embedder, load_embedder
from aina_core.errors import ImageError, InputError
from aina_core.gallery import Gallery
from aina_core.index import similarities
from aina_core.models import ModelName
from aina_core.search.query import embed_query
from aina_core.search.searcher import Searcher

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Picture:
    """One of two images to be compared.

    Attributes:
        source: an image id of the gallery, a file's path, or a file's bytes.
        crop: (x, y, width, height) in pixels of the upright image; None for all of it.
    """

    source: str | Path | bytes
    crop: Box | None = None

    def __str__(self) -> str:
        """Its name, for people."""
        if isinstance(self.source, bytes):
            return "that was uploaded"
        return self.source if isinstance(self.source, str) else self.source.name


@dataclass(frozen=True)
class PairSimilarity:
    """How near two images are under one model.

    Attributes:
        similarity: cosine, in [−1, 1].
        percentile: share of random pairs of the gallery below it, in [0, 1]; None where no gallery
            is given, or it is not indexed by the model.
    """

    similarity: float
    percentile: float | None


def pair(
    first: Picture,
    second: Picture,
    models: Sequence[str],
    *,
    gallery: Gallery | None = None,
    embedder: Callable[[str], Embedder] = load_embedder,
    searcher: Callable[[Gallery, str], Searcher] = Searcher,
) -> dict[str, PairSimilarity]:
    """Compare two images under each of some models.

    Args:
        first: the one.
        second: the other.
        models: full names, all different.
        gallery: whose ids the pictures name, and whose random pairs the percentiles stand for.
        embedder: loads a model; asked only where a vector is not stored.
        searcher: opens the gallery under a model that it is indexed by.

    Returns:
        By model, in the order given.

    Raises:
        InputError: no model, one twice, one of reduced vectors that the gallery is not indexed
            by, or an image that the gallery does not have.
        ImageError: a file is no usable picture, or a crop lies outside; the message names it.
        UnknownNameError: a model is not registered.
        ModelError: a model cannot be used.
    """
    names = [str(ModelName.parse(model)) for model in models]
    if not names:
        raise InputError("No model was given; name at least one.")
    if len(set(names)) < len(names):
        raise InputError(f"A model is named twice among {', '.join(names)}; name each once.")
    if gallery is None and (isinstance(first.source, str) or isinstance(second.source, str)):
        raise InputError("An image id was given without a gallery; name the gallery it is of.")
    indexed = gallery.models() if gallery is not None else []
    found = {}
    for model in names:
        opened = searcher(gallery, model) if gallery is not None and model in indexed else None
        if opened is None and ModelName.parse(model).components:
            raise InputError(
                f"What {model} reduces by is a gallery's own; name a gallery that is indexed by it."
            )
        left, right = (
            _vector(picture, model, gallery, opened, embedder) for picture in (first, second)
        )
        similarity = similarities(left[None], np.array([0]), right)[0]
        percentile = None if opened is None else float(opened.percentile(similarity))
        found[model] = PairSimilarity(float(similarity), percentile)
    return found


def _vector(
    picture: Picture,
    model: str,
    gallery: Gallery | None,
    opened: Searcher | None,
    embedder: Callable[[str], Embedder],
) -> np.ndarray:
    """The embedding of a picture, float32 (dim,): the stored one where there is one."""
    source = picture.source
    if isinstance(source, str) and picture.crop is None and opened and opened.has(source):
        return opened.vector(source)
    try:
        if isinstance(source, str):
            assert gallery is not None  # checked by `pair`
            source = gallery.read(source)
        elif isinstance(source, Path):
            source = images.read_bytes(source)
        vector = embed_query(embedder(model), source, picture.crop)
        return vector if opened is None else opened.reduced(vector)
    except ImageError as error:
        reason = str(error).rstrip(".")
        raise ImageError(f"The image {picture} cannot be used: {reason}.") from None
