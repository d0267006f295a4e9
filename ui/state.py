"""The state of a session, which goes along from page to page and is written into the URL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.gallery import galleries, open_gallery
from aina_core.models import ModelName
from ui.link import State, from_params, to_params

_STATE, _SHOWN, _PROBLEMS = "aina", "aina.url", "aina.problems"


def follow_url() -> None:
    """Take over the URL's state when it has changed: by a link, or the back button."""
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
    if not state.terms:  # a weight means nothing for a single picture
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
    except AinaError:  # a trained or added model that has been deleted
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
