"""The query as a link carries it: a picture with its crop, and further terms with weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from aina_core import images
from aina_core.errors import InputError
from aina_core.search import query
from aina_core.search.query import IMAGE, TEXT, UPLOAD, Box, Term

#: Terms beside the first picture; how much one of them may weigh; letters of a text.
MAX_TERMS, MAX_WEIGHT, MAX_TEXT = 8, 3.0, 300

# No file of the server: what a link names is a member, an upload, or words.
_KINDS = (IMAGE, UPLOAD, TEXT)
_MAX_NAME = 4096


def write(term: Term) -> str:
    """Return a term without a crop as the text of a link: `text:-0.5:fruit`."""
    return f"{term.kind}:{term.weight:g}:{term.value}"


def read(text: str) -> Term:
    """Read a term from the text of a link.

    Raises:
        InputError: it is none.
    """
    kind, _, rest = text.partition(":")
    weight, colon, value = rest.partition(":")
    limit = MAX_TEXT if kind == TEXT else _MAX_NAME
    if kind not in _KINDS or not colon or not value.strip() or len(value) > limit:
        raise InputError("This is no term of a query.")
    if kind == UPLOAD and not re.fullmatch("[0-9a-f]{64}", value):
        raise InputError("This names no uploaded picture.")
    return query.check(Term(kind, value, read_weight(weight)))


def read_weight(text: str) -> float:
    """Read a weight from the text of a link, held between its limits, to a hundredth.

    Raises:
        InputError: it is no finite number.
    """
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise InputError("This is no weight of a term.")
    return held(weight)


def held(weight: float) -> float:
    """Return a weight within what a slider shows."""
    return round(min(max(weight, -MAX_WEIGHT), MAX_WEIGHT), 2) + 0.0  # no −0


def read_all(texts: Iterable[str]) -> tuple[tuple[Term, ...], bool]:
    """Read the terms of a link, and whether some had to be left out."""
    given = list(texts)
    found = []
    for text in given[:MAX_TERMS]:
        try:
            found.append(read(text))
        except InputError:
            continue
    return tuple(found), len(found) < len(given)


def with_member(terms: tuple[Term, ...], image_id: str, weight: float) -> tuple[Term, ...]:
    """Return the terms with an image more; one that is among them already weighs more or less.

    Where its weight comes to nothing it goes.
    """
    for place, term in enumerate(terms):
        if (term.kind, term.value) == (IMAGE, image_id):
            changed = term._replace(weight=held(term.weight + weight))
            new = [changed] if changed.weight else []
            return (*terms[:place], *new, *terms[place + 1 :])
    return (*terms, Term(IMAGE, image_id, weight))


def read_terms(params: Mapping[str, Sequence[str]]) -> tuple[tuple[Term, ...], float, list[str]]:
    """Read the terms beside a link's picture, that picture's weight, and what was wrong."""
    found, left_out = read_all(params.get("term", ()))
    weight, problems = 1.0, []
    if left_out:
        problems.append(
            "Some terms of the link's query cannot be read, or are too many; they are left out."
        )
    if found and params.get("weight"):
        try:
            weight = read_weight(params["weight"][-1])
        except InputError:
            problems.append("The link's weight cannot be read; the picture counts as 1.")
    return found, weight, problems


def read_query(params: Mapping[str, Sequence[str]]) -> tuple[Term, ...]:
    """Read all terms of the query of an address, as `state.query_params` has written them.

    Raises:
        InputError, ValueError: one cannot be read.
    """
    first = {name: values[-1] for name, values in params.items() if values}
    found, left_out = read_all(params.get("term", ()))
    if left_out:
        raise InputError("A term of the query cannot be read.")
    kind = UPLOAD if first.get("upload") else IMAGE
    if kind not in first:
        return found
    crop = read_box(first["crop"]) if "crop" in first else None
    weight = read_weight(first["weight"]) if "weight" in first else 1.0
    return (Term(kind, first[kind], weight, crop), *found)


def read_box(text: str) -> Box:
    """Read a crop, x,y,width,height in pixels of the upright picture.

    Raises:
        ValueError: it is none.
    """
    x, y, width, height = (int(part) for part in text.split(","))
    if min(x, y) < 0 or min(width, height) < 1 or max(x, y, width, height) > images.MAX_PIXELS:
        raise ValueError(text)
    return x, y, width, height
