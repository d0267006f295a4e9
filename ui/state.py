"""The state that travels: gallery, model, query, crop, k, threshold and filters.

It lives in the session, goes along from page to page, and stands in the URL, so that a copied link
shows the same. What a URL says is checked like anything else that comes from outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.gallery import galleries, open_gallery
from aina_core.models import ModelName
from aina_core.search.query import IMAGE, UPLOAD, Box, Term
from ui import terms as term_texts

MAX_K = 500
#: Models that can stand beside the chosen one, and settings that a link can carry.
MAX_OTHERS = 3
MAX_SETTINGS = 32
_MAX_CLASS = 200  # letters


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
        """The image id of a query that is that image and nothing else; None for any other."""
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
        params["term"] = [term_texts.write(term) for term in state.terms]
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
        crop = term_texts.read_box(first["crop"]) if "crop" in first else None
        threshold = float(first["threshold"]) if "threshold" in first else None
        if threshold is not None and not -1 <= threshold <= 1:
            raise ValueError
        k = min(max(int(first.get("k", State.k)), 1), MAX_K)
    except ValueError:
        problems.append("The link's crop, k or threshold cannot be read; the defaults are shown.")
        crop, threshold, k = None, None, State.k
    upload = first.get("upload")
    terms, weight, unread = term_texts.read_terms(params)
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


# ── in the session and the URL ───────────────────────────────────────────────────────────────────

_STATE, _SHOWN, _PROBLEMS = "aina", "aina.url", "aina.problems"


def follow_url() -> None:
    """Take over what the URL says when somebody has changed it: a link, or the back button."""
    url = {name: st.query_params.get_all(name) for name in st.query_params}
    known = st.session_state.get(_STATE)
    if known is None or (url and url != st.session_state.get(_SHOWN)):
        st.session_state[_STATE], st.session_state[_PROBLEMS] = from_params(url)
    _settle()


def current() -> State:
    """Return the state of this session."""
    return st.session_state[_STATE]


def problems() -> list[str]:
    """Return what was wrong with the link that was followed, once."""
    return st.session_state.pop(_PROBLEMS, [])


def change(**changes: Any) -> None:
    """Change the state; a new query drops crop and terms, a new gallery drops query and filters."""
    state = current()
    if changes.get("gallery", state.gallery) != state.gallery:
        dropped = {"image": None, "upload": None, "reference": None, "labels": (), "columns": {}}
        changes = {**dropped, **changes}
    if {"image", "upload"} & changes.keys():
        new = {"image": None, "upload": None, "crop": None, "weight": 1.0, "terms": ()}
        changes = {**new, "concept": "", **changes}
    state = dataclasses.replace(state, **changes)
    if not state.terms:  # a single picture has nothing to be weighed against
        state = dataclasses.replace(state, weight=1.0)
    st.session_state[_STATE] = state
    _settle()


def publish() -> None:
    """Write the state into the URL."""
    params = to_params(current())
    shown = {name: st.query_params.get_all(name) for name in st.query_params}
    if params != shown:
        st.query_params.from_dict(params)
    st.session_state[_SHOWN] = params


def _settle() -> None:
    """Choose what has not been chosen, so that no page opens empty."""
    state = current()
    if state.gallery not in galleries():
        gallery = (galleries() or [""])[0]
        state = State(gallery=gallery, model=state.model, k=state.k, view=state.view)
    try:
        ModelName.parse(state.model)
    except AinaError:  # a model that was trained, or added, and is gone again
        state = dataclasses.replace(state, model=models.DEFAULT)
    if state.gallery and not state.query:
        state = dataclasses.replace(state, image=_first_image(state))
    st.session_state[_STATE] = state


def _first_image(state: State) -> str | None:
    """The first original of a gallery that knows originals, else its first image, if any."""
    try:
        return open_gallery(state.gallery).catalogue.first("modification", "original")
    except AinaError:  # the pages say so
        return None


def bind(name: str, value: Any, read: Callable[[Any], Any] = lambda shown: shown) -> dict[str, Any]:
    """Return the keywords that tie a widget to a field of the state, in both directions.

    Args:
        name: of the field.
        value: what the widget shall show.
        read: from what the widget shows to the field's value.
    """
    key = f"aina.{name}"
    st.session_state[key] = value

    def changed() -> None:
        change(**{name: read(st.session_state[key])})

    return {"key": key, "on_change": changed}


def setting(name: str, default: str) -> str:
    """Return a page's own setting, named "page.setting", as the URL has it."""
    return current().view.get(name, default)


def bind_setting(
    name: str, value: Any, default: str, write: Callable[[Any], str] = str
) -> dict[str, Any]:
    """Return the keywords that tie a widget to a page's own setting, in both directions.

    Args:
        name: "page.setting".
        value: what the widget shall show.
        default: the text of the setting that the URL leaves out.
        write: from what the widget shows to the text in the URL.
    """
    key = f"aina.{name}"
    st.session_state[key] = value

    def changed() -> None:
        text = write(st.session_state[key])
        others = {other: kept for other, kept in current().view.items() if other != name}
        change(view=others if text == default else {**others, name: text})

    return {"key": key, "on_change": changed}
