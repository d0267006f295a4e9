"""The vectors of a query's terms: pictures and words under the model of an opened gallery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aina_core import images
from aina_core.embedding import Embedder
from aina_core.errors import ImageError
from aina_core.gallery import uploads
from aina_core.search.query import FILE, IMAGE, TEXT, UPLOAD, Term, embed_picture

if TYPE_CHECKING:
    from aina_core.search.searcher import Searcher


def term_vector(
    searcher: Searcher, term: Term, embedder: Callable[[], Embedder]
) -> tuple[np.ndarray, float]:
    """Return the unit vector of one term of a query in the space of a gallery's rows, and a norm.

    See `term_embedding`; a member's is the stored row.
    """
    if term.kind == IMAGE and term.crop is None:
        return searcher.vector(term.value), searcher.norm(term.value)
    vector, norm = term_embedding(searcher, term, embedder)
    return searcher.reduced(vector), norm


def term_embedding(
    searcher: Searcher, term: Term, embedder: Callable[[], Embedder]
) -> tuple[np.ndarray, float]:
    """Return the unit vector of one term of a query, and the length that it had before.

    Args:
        searcher: the gallery whose ids the terms name, under the model.
        term: a picture, or words, of which no length is known: it is 0.
        embedder: loads the model `searcher.source`; asked only where a vector is not stored.

    Returns:
        float32 (dim,), as that model gives it, and its norm.

    Raises:
        InputError: the gallery has no such image, or the model no text tower.
        ImageError: a picture cannot be used, or the crop lies outside; the message names it.
        GalleryError: see `Searcher.embedded` and `Searcher.checked`.
    """
    if term.kind == TEXT:
        return searcher.checked(embedder()).embed_text([term.value])[0], 0.0
    if term.kind == IMAGE and term.crop is None:
        (row,), (matrix, norms) = searcher.rows([term.value]), searcher.embedded
        return np.array(matrix[row]), float(norms[row])
    name = {UPLOAD: "that was uploaded", FILE: Path(term.value).name}.get(term.kind, term.value)
    loaded = searcher.checked(embedder())
    try:
        return embed_picture(loaded, _bytes(searcher, term), term.crop)
    except ImageError as error:
        reason = str(error).rstrip(".")
        raise ImageError(f"The image {name} cannot be used: {reason}.") from None


def _bytes(searcher: Searcher, term: Term) -> bytes:
    """The bytes of the picture of a term."""
    if term.kind == IMAGE:
        return searcher.gallery.read(term.value)
    return images.read_bytes(Path(term.value)) if term.kind == FILE else uploads.query(term.value)
