"""Queries: pictures and texts, each with a weight, that become one vector.

The vector of a query of several terms is the weighted sum of their unit vectors, normalised
(Rocchio's relevance feedback, 1971, with weights that people choose).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aina_core import images
from aina_core.embedding import Embedder
from aina_core.errors import ImageError, InputError
from aina_core.gallery import uploads
from aina_core.models import place_of
from aina_core.search.opened import Opened

Box = tuple[int, int, int, int]

#: An image of the gallery, by its id; a file, by its path; an uploaded picture, by its name; words.
IMAGE, FILE, UPLOAD, TEXT = KINDS = ("image", "file", "upload", "text")
MAX_WEIGHT = 1000.0
MAX_TEXT = 500

# A sum shorter than this share of its parts is rounding and chance: it has no direction.
_VANISHING = 1e-3
_WEIGHTED = re.compile(r"(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.DOTALL)
_LISTED = 12
_SHOWN = 60  # letters of a text


class Term(NamedTuple):
    """A part of a query.

    Attributes:
        kind: one of `KINDS`.
        value: image id, path, name of an upload, or the words.
        weight: how much it counts; below 0, images like it are pushed away.
        crop: (x, y, width, height) in pixels of the upright picture; None for all of it.
    """

    kind: str
    value: str
    weight: float = 1.0
    crop: Box | None = None


def check(term: Term) -> Term:
    """Check a term and return it.

    Raises:
        InputError: it is not valid; the message says why.
    """
    if not abs(term.weight) <= MAX_WEIGHT:  # not so for NaN either
        raise InputError(
            f"The weight {term.weight} was given; give one from {-MAX_WEIGHT:g} to {MAX_WEIGHT:g}."
        )
    if term.kind == TEXT and not term.value.strip():
        raise InputError("A text of the query is empty; give words.")
    if term.kind == TEXT and len(term.value) > MAX_TEXT:
        raise InputError(f"A text of {len(term.value):,} signs was given; give at most {MAX_TEXT}.")
    return term


def parse(kind: str, text: str, exists: Callable[[str], bool] = lambda _: False) -> Term:
    """Read a term as people type it: `VALUE` or `VALUE:WEIGHT`.

    Args:
        kind: one of `KINDS`.
        text: what was typed; a number after its last colon is the weight.
        exists: whether a file or an image of that name exists; if so, the text is its name.

    Raises:
        InputError: see `check`.
    """
    weighted = None if exists(text) else _WEIGHTED.fullmatch(text)
    if weighted is None:
        return check(Term(kind, text))
    return check(Term(kind, weighted[1], float(weighted[2])))


def combine(vectors: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Return the normalised weighted sum of unit vectors.

    Args:
        vectors: float32 (m, dim), unit rows, m ≥ 1.
        weights: of each.

    Returns:
        float32 (dim,), of unit length; a single vector of positive weight unchanged.

    Raises:
        InputError: the terms cancel out, so that no direction is left.
    """
    if len(vectors) == 1 and weights[0] > 0:
        return np.asarray(vectors[0])
    factors = np.asarray(weights, np.float64)
    total = factors @ vectors.astype(np.float64)  # (dim,)
    length, parts = float(np.linalg.norm(total)), float(np.abs(factors).sum())
    if not length > _VANISHING * parts:
        raise InputError(
            f"The {len(vectors)} terms of the query cancel out: nothing is left to look for; "
            "change a weight, or leave a term out."
        )
    return (total / length).astype(np.float32)


def query_vector(terms: Sequence[Term], vector: Callable[[Term], np.ndarray]) -> np.ndarray:
    """Return the vector of a query.

    Args:
        terms: at least one.
        vector: gives the unit vector of each, float32 (dim,).

    Returns:
        float32 (dim,), of unit length.

    Raises:
        InputError: there is no term, or they cancel out.
    """
    if not terms:
        raise InputError("The query is empty; give a picture, or words.")
    rows = np.stack([vector(check(term)) for term in terms])
    return combine(rows, [term.weight for term in terms])


def members(terms: Sequence[Term]) -> tuple[str, ...]:
    """Return the image ids among the terms: what a search leaves out of its hits.

    A part of an image is left out like the whole of it.
    """
    return tuple(dict.fromkeys(term.value for term in terms if term.kind == IMAGE))


def one_picture(terms: Sequence[Term]) -> Term:
    """Return the term of a query that is one picture, or a crop of one, and nothing else.

    Raises:
        InputError: the query is something else, which cannot be judged as a pair of pictures.
    """
    if len(terms) != 1 or terms[0].kind == TEXT or not terms[0].weight > 0:
        raise InputError(
            "Pairs are judged of two pictures, so the query has to be one picture, or a crop of "
            f"one; it is: {describe_all(terms) or 'empty'}."
        )
    return terms[0]


def describe(term: Term) -> str:
    """Return a term as people read it: `2 × “golden retriever”`, `− rosa/1.jpg (a crop)`."""
    words = term.value if len(term.value) <= _SHOWN else term.value[: _SHOWN - 1] + "…"
    name = {TEXT: f"“{words}”", UPLOAD: "uploaded picture"}.get(term.kind, term.value)
    if term.crop is not None:
        name += " (a crop)"
    if term.weight == 1:
        return name
    factor = "" if abs(term.weight) == 1 else f"{abs(term.weight):g} × "
    return f"{'− ' if math.copysign(1, term.weight) < 0 else ''}{factor}{name}"


def describe_all(terms: Sequence[Term]) -> str:
    """Return a query as people read it: `a.jpg + 2 × “golden retriever” − “fruit”`."""
    said = ""
    for part in map(describe, terms):
        joint = " " if part.startswith("−") else " + "
        said += joint + part if said else part
    return said


def embed_picture(
    embedder: Embedder, data: bytes, crop: Box | None = None
) -> tuple[np.ndarray, float]:
    """Embed an uploaded picture, or a crop of it, exactly as a gallery's files are embedded.

    Args:
        embedder: the model.
        data: the file's bytes.
        crop: (x, y, width, height) in pixels of the upright image; None for all of it.

    Returns:
        float32 (dim,), of unit length, and its length before normalisation.

    Raises:
        ImageError: the bytes are no usable picture, or the crop lies outside.
    """
    side = embedder.reduced_side if crop is None else None
    pixels = images.crop_pixels(images.decode(data, at_least=side).pixels, crop)
    ((_, _, row, norm),) = embedder.run_with_norms([pixels], lambda given: (given, None))
    return row, norm


def embed_query(embedder: Embedder, data: bytes, crop: Box | None = None) -> np.ndarray:
    """Embed an uploaded picture, as `embed_picture`, without its norm.

    Returns:
        float32 (dim,), of unit length.
    """
    return embed_picture(embedder, data, crop)[0]


def term_vector(
    opened: Opened, term: Term, embedder: Callable[[], Embedder]
) -> tuple[np.ndarray, float]:
    """Return the unit vector of one term of a query in the space of a gallery's rows, and a norm.

    See `term_embedding`; a member's is the stored row.
    """
    if term.kind == IMAGE and term.crop is None:
        return opened.vector(term.value), opened.norm(term.value)
    vector, norm = term_embedding(opened, term, embedder)
    return opened.reduced(vector), norm


def term_embedding(
    opened: Opened, term: Term, embedder: Callable[[], Embedder]
) -> tuple[np.ndarray, float]:
    """Return the unit vector of one term of a query, and the length that it had before.

    Args:
        opened: the gallery whose ids the terms name, under the model.
        term: a picture, or words, of which no length is known: it is 0.
        embedder: loads the model `opened.source`; asked only where a vector is not stored.

    Returns:
        float32 (dim,), as that model gives it, and its norm.

    Raises:
        InputError: the gallery has no such image, or the model no text tower.
        ImageError: a picture cannot be used, or the crop lies outside; the message names it.
        GalleryError: see `Opened.embedded` and `Opened.checked`.
    """
    if term.kind == TEXT:
        return opened.checked(embedder()).embed_text([term.value])[0], 0.0
    if term.kind == IMAGE and term.crop is None:
        (row,), (matrix, norms) = opened.rows([term.value]), opened.embedded
        return np.array(matrix[row]), float(norms[row])
    name = {UPLOAD: "that was uploaded", FILE: Path(term.value).name}.get(term.kind, term.value)
    loaded = opened.checked(embedder())
    try:
        return embed_picture(loaded, _bytes(opened, term), term.crop)
    except ImageError as error:
        reason = str(error).rstrip(".")
        raise ImageError(f"The image {name} cannot be used: {reason}.") from None


def _bytes(opened: Opened, term: Term) -> bytes:
    """The bytes of the picture of a term."""
    if term.kind == IMAGE:
        return opened.gallery.read(term.value)
    return images.read_bytes(Path(term.value)) if term.kind == FILE else uploads.query(term.value)


def find_class(names: Sequence[str], typed: str) -> int:
    """Return the index of the class with a name, or of the only one that contains the text typed.

    Raises:
        InputError: none does, or several do; the message lists them.
    """
    found = matching_classes(names, typed)
    if len(found) == 1:
        return found[0]
    if not found:
        near = difflib.get_close_matches(typed.casefold(), [n.casefold() for n in names], 3)
        guess = f"; did you mean {', '.join(near)}?" if near else "."
        raise InputError(f"None of the model's {len(names):,} classes is named {typed!r}{guess}")
    listed = ", ".join(names[place] for place in found[:_LISTED])
    more = f", and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise InputError(
        f"{len(found)} classes have {typed!r} in their names; choose one: {listed}{more}."
    )


def matching_classes(names: Sequence[str], typed: str) -> list[int]:
    """Return the indices of the classes that a text may mean; just one where it is a name.

    Raises:
        InputError: see `models.place_of`.
    """
    if (named := place_of(names, typed)) is not None:
        return [named]
    wanted = " ".join(typed.split()).casefold()
    return [place for place, name in enumerate(names) if wanted and wanted in name.casefold()]
