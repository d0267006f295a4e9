"""The state that a link carries: gallery, model, query, crop, k, threshold and filters.

A link shows the same to whoever opens it. What it says is checked like all input from outside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from aina_core import images, models
from aina_core.errors import AinaError, InputError
from aina_core.gallery import galleries
from aina_core.models import ModelName
from aina_core.search import query
from aina_core.search.query import IMAGE, TEXT, UPLOAD, Box, Term

MAX_K = 500
#: Models that can stand beside the chosen one, and settings that a link can carry.
MAX_OTHERS = 3
MAX_SETTINGS = 32
_MAX_CLASS = 200  # letters
#: Terms beside the first picture; how much one of them may weigh; letters of a text.
MAX_TERMS, MAX_WEIGHT, MAX_TEXT = 8, 3.0, 300

# A link names a gallery image, an upload, or words; never a file of the server.
_KINDS = (IMAGE, UPLOAD, TEXT)
_MAX_NAME = 4096


@dataclass(frozen=True)
class State:
    """What a person looks at.

    Attributes:
        gallery: its name; empty while there is no gallery at all.
        model: the model's full name.
        image: image id of the query, when it is a member of the gallery.
        upload: name of the uploaded picture that is the query, when it is one.
        crop: (x, y, width, height) in pixels of the upright query; None for all of it.
        weight: of that picture among several terms.
        terms: what else is asked for, or against: images, uploaded pictures, texts.
        concept: the class by whose probability the Search page ranks; empty for the query.
        k: how many neighbours.
        threshold: similarity from which all images are shown; None for the k nearest.
        labels: only images of these labels; empty for all.
        columns: only images with these values, by column.
        exact: by exact search, not by the index.
        others: full names of the models that stand beside `model`.
        reference: image id of a second image, which the query is held against.
        view: settings of single pages, as "map.method": "umap"; each page checks its own.
    """

    gallery: str = ""
    model: str = models.DEFAULT
    image: str | None = None
    upload: str | None = None
    crop: Box | None = None
    weight: float = 1.0
    terms: tuple[Term, ...] = ()
    concept: str = ""
    k: int = 24
    threshold: float | None = None
    labels: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exact: bool = False
    others: tuple[str, ...] = ()
    reference: str | None = None
    view: Mapping[str, str] = field(default_factory=dict)

    @property
    def picture(self) -> Term | None:
        """The picture of the query; None for one of texts alone."""
        if self.upload is not None:
            return Term(UPLOAD, self.upload, self.weight, self.crop)
        return None if self.image is None else Term(IMAGE, self.image, self.weight, self.crop)

    @property
    def query(self) -> tuple[Term, ...]:
        """All terms of the query, its picture first."""
        return self.terms if self.picture is None else (self.picture, *self.terms)

    @property
    def member(self) -> str | None:
        """The image id, if the query is a single image of the gallery; otherwise None."""
        return None if self.crop is not None or self.terms else self.image


def query_params(state: State) -> dict[str, list[str]]:
    """Return the query of a state as query parameters."""
    params: dict[str, list[str]] = {}
    if state.image is not None:
        params["image"] = [state.image]
    if state.upload is not None:
        params["upload"] = [state.upload]
    if state.crop is not None:
        params["crop"] = [",".join(map(str, state.crop))]
    if state.terms:
        params["term"] = [write(term) for term in state.terms]
        if state.weight != 1:
            params["weight"] = [f"{state.weight:g}"]
    return params


def to_params(state: State) -> dict[str, list[str]]:
    """Return the state as query parameters; what is as by default is left out."""
    params: dict[str, list[str]] = {"gallery": [state.gallery], "model": [state.model]}
    params |= query_params(state)
    if state.concept:
        params["class"] = [state.concept]
    params["k"] = [str(state.k)]
    if state.threshold is not None:
        params["threshold"] = [f"{state.threshold:.3f}"]
    if state.labels:
        params["label"] = list(state.labels)
    where = [f"{_escaped(n)}={value}" for n, values in state.columns.items() for value in values]
    if where:
        params["where"] = where
    if state.exact:
        params["exact"] = ["1"]
    if state.others:
        params["other"] = list(state.others)
    if state.reference is not None:
        params["reference"] = [state.reference]
    return params | {name: [value] for name, value in state.view.items()}


def _escaped(column: str) -> str:
    """A column's name without the sign that ends it in the URL."""
    return column.replace("%", "%25").replace("=", "%3D")


def from_params(params: Mapping[str, Sequence[str]]) -> tuple[State, list[str]]:
    """Read a state from query parameters, and a sentence for each that cannot be followed."""
    first = {name: values[-1] for name, values in params.items() if values}
    problems = []
    known = galleries()
    try:
        model = str(ModelName.parse(first.get("model", models.DEFAULT)))
    except AinaError as error:
        problems.append(str(error))
        model = models.DEFAULT
    gallery = first.get("gallery", "")
    if gallery not in known:
        if gallery:
            problems.append(f"The link names a gallery that is not here: {gallery!r}.")
        return State(gallery=known[0] if known else "", model=model), problems
    columns: dict[str, tuple[str, ...]] = {}
    for pair in params.get("where", ()):
        name, _, value = pair.partition("=")
        columns[unquote(name)] = (*columns.get(unquote(name), ()), value)
    try:
        crop = read_box(first["crop"]) if "crop" in first else None
        threshold = float(first["threshold"]) if "threshold" in first else None
        if threshold is not None and not -1 <= threshold <= 1:
            raise ValueError
        k = min(max(int(first.get("k", State.k)), 1), MAX_K)
    except ValueError:
        problems.append("The link's crop, k or threshold cannot be read; the defaults are shown.")
        crop, threshold, k = None, None, State.k
    upload = first.get("upload")
    terms, weight, unread = read_terms(params)
    problems += unread
    others = []
    for other in params.get("other", ())[:MAX_OTHERS]:
        try:
            others.append(str(ModelName.parse(other)))
        except AinaError as error:
            problems.append(str(error))
    settings = [(name, value) for name, value in first.items() if "." in name]
    return (
        State(
            gallery=gallery,
            model=model,
            image=None if upload else first.get("image"),
            upload=upload,
            crop=crop,
            weight=weight,
            terms=terms,
            concept=first.get("class", "")[:_MAX_CLASS],
            k=k,
            threshold=threshold,
            labels=tuple(params.get("label", ())),
            columns=columns,
            exact=first.get("exact") == "1",
            others=tuple(dict.fromkeys(others)),
            reference=first.get("reference"),
            view=dict(settings[:MAX_SETTINGS]),
        ),
        problems,
    )


# ── the terms of a query ─────────────────────────────────────────────────────────────────────────


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
    """Return the terms with an image added; one that is among them already changes its weight.

    At weight zero it is removed.
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
