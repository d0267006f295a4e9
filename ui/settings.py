"""The settings of single pages that a link carries, checked like all that comes from outside.

Each reader reports a value that it cannot use, and continues with the default.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui import state
from ui.text import plain

_Number = TypeVar("_Number", int, float)
_SHOWN = 100  # letters shown of a setting that cannot be used


def one_of(name: str, options: Collection[str], default: str, known: Collection[str] = ()) -> str:
    """Return a setting that must be one of some.

    Args:
        name: "page.setting".
        options: what it may be.
        default: what it is where the link does not say.
        known: values that are valid elsewhere on the page: the default replaces them silently.
    """
    value = state.setting(name, default)
    if value in options:
        return value
    if value not in known:
        refuse(name, value, "which is not here")
    return default


def number_of(name: str, default: _Number, low: _Number, high: _Number) -> _Number:
    """Return a setting that must be a number of the default's type between two others, inclusive.

    A number beyond either end becomes that end.
    """
    text = state.setting(name, str(default))
    try:
        value = type(default)(text) if len(text) < 32 else None
    except ValueError:
        value = None
    if value is None or value != value:  # a link may ask for "nan"
        refuse(name, text, f"which is no {'whole ' * isinstance(default, int)}number")
        return default
    if not low <= value <= high:
        refuse(name, text, f"which is not between {low:g} and {high:g}")
    return min(max(value, low), high)


def names_of(name: str) -> list[str] | None:
    """Return a setting that must be a list of names; None where the link has none."""
    text = state.setting(name, "")
    if not text:
        return None
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        refuse(name, text, "which is no list of names")
        return None
    return names


def pair_of(name: str, firsts: Collection[str], seconds: Collection[str]) -> tuple[str, str] | None:
    """Return a setting that must be a name of each of two lists; None where it is not."""
    names = names_of(name)
    if names is None:
        return None
    if len(names) == 2 and names[0] in firsts and names[1] in seconds:
        return names[0], names[1]
    refuse(name, ", ".join(names), "which is not here")
    return None


def names_text(names: Collection[str]) -> str:
    """Return names as the text of a setting; a name may hold any character."""
    return json.dumps(list(names), ensure_ascii=False)


def refuse(name: str, value: str, why: str) -> None:
    """Warn that a setting cannot be used."""
    value = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    st.warning(plain(f"The link asks for {value!r} as {name.partition('.')[2]}, {why}."))


def put(settings: Mapping[str, str | None], **changes: object) -> None:
    """Change settings of pages, None taking one out of the link, and fields of the state."""
    view = {**state.current().view, **settings}
    state.change(view={name: text for name, text in view.items() if text is not None}, **changes)


def choice(
    name: str,
    label: str,
    options: Mapping[str, str],
    default: str,
    *,
    known: Collection[str] = (),
    place: DeltaGenerator | None = None,
    **more: Any,
) -> str:
    """Draw the choice between a few options and return the one chosen.

    Args:
        name: "page.setting", where the choice is kept.
        label: of the widget.
        options: what each is called, by its text in the link.
        default: the option that the link leaves out.
        known: as for `one_of`.
        place: where to draw; by default below what was drawn before.
        more: what else Streamlit's segmented control takes.
    """
    chosen = one_of(name, options, default, known)
    (st if place is None else place).segmented_control(
        label,
        list(options),
        format_func=options.__getitem__,
        required=True,
        **state.bind_setting(name, chosen, default),
        **more,
    )
    return chosen


def switch(name: str, label: str, help: str, place: DeltaGenerator | None = None) -> bool:
    """Draw a switch, off by default, and return whether it is on."""
    on = one_of(name, ("", "1"), "") == "1"
    (st if place is None else place).toggle(
        label,
        help=help,
        **state.bind_setting(name, on, "", lambda value: "1" if value else ""),
    )
    return on
