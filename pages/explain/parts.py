"""Part to part: a place of one picture, and the places of the other that match it."""

from __future__ import annotations

import dataclasses

import streamlit as st

from aina_core.errors import InputError
from aina_core.explain import Places, colour_table
from aina_core.numbers import decimal_text
from pages.explain import cache
from pages.explain.choices import Choice
from pages.explain.maps import described
from pages.explain.question import Subject
from ui import settings, state
from ui.components import HeatPicture, Mark, heat
from ui.settings import number_of
from ui.text import plain

_MOST_LINKS = 10
_DEFAULT_LINKS = 5
_PLACE = "explain.place"
_LONGEST = 32  # letters of a place in the URL

Click = tuple[int, int, int]
"""Which picture (0 the query, 1 the reference), x and y in pixels of the upright image."""


def show(choice: Choice, query: Subject, reference: Subject) -> None:
    """Draw both pictures; a click in one shows what matches it in the other.

    Raises:
        AinaError: a picture is gone, or the model cannot be used.
    """
    model = choice.models[0]
    if reason := cache.explainer(model, query.gallery).can("places"):
        st.info(plain(reason))
        return
    left, right = st.columns([5, 2], gap="medium")
    with right:
        links = number_of("explain.links", _DEFAULT_LINKS, 0, _MOST_LINKS)
        st.slider(
            "Strongest matches",
            0,
            _MOST_LINKS,
            help="Boxes of one number match: cells of the network's last map, whose local features "
            "have the largest cosine and are each other's best match.",
            **state.bind_setting("explain.links", links, str(_DEFAULT_LINKS)),
        )
    found = cache.places(model, query, reference)
    pictures = _marked(found, (query, reference), links)
    clicked = _read((query, reference))
    with right:
        if clicked is None:
            st.caption(
                "Click a place in one picture: the other shows where the network has seen the like."
            )
        else:
            pictures = _matched(model, pictures, (query, reference), clicked)
            if st.button("Forget the place", icon=":material/close:"):
                _write(None)
        st.caption(
            "A cell has seen more of the picture than its own square, in deep networks nearly all "
            "of it: a box says where the network places something."
        )
    with left:
        place = heat(
            pictures,
            table=colour_table(choice.colours),
            opacity=choice.opacity,
            columns=2,
            legend=any(picture.heat for picture in pictures),
            key="parts",
        )
    if place is not None and (place.picture, place.x, place.y) != clicked:
        _write((place.picture, place.x, place.y))


def _marked(found: Places, subjects: tuple[Subject, Subject], links: int) -> list[HeatPicture]:
    """Both pictures, with the strongest matches as boxes of one number."""
    strongest = found.strongest(links)
    drawn = []
    for place, (subject, side) in enumerate(zip(subjects, (found.a, found.b), strict=True)):
        left, top = subject.window[:2]
        marks = []
        for number, link in enumerate(strongest, start=1):
            y, x, height, width = link[place]
            text = f"{number}: cosine {decimal_text(link[2])}"
            marks.append(Mark(x + left, y + top, width, height, number, text))
        down, across, height, width = side.seen
        drawn.append(
            HeatPicture(
                url=subject.url,
                width=subject.width,
                height=subject.height,
                label=f"{subject.name}: click a place to find what matches it",
                caption=described(subject),
                window=subject.window,
                seen=(down + top, across + left, height, width),
                marks=marks,
                clickable=True,
            )
        )
    return drawn


def _matched(
    model: str, pictures: list[HeatPicture], subjects: tuple[Subject, Subject], clicked: Click
) -> list[HeatPicture]:
    """The pictures with the place in one and its matches in the other; draws the numbers too."""
    at, x, y = clicked
    try:
        match = cache.match(model, subjects[at], subjects[1 - at], x, y)
    except InputError as error:
        st.info(plain(error))
        return pictures
    if match.heat is None:
        st.info("Every place of the other picture matches it alike: there is nothing to draw.")
    st.metric("Best match of the place", decimal_text(match.high))
    st.caption(
        f"Cosine of local features; the least alike place has {decimal_text(match.low)}. "
        "The colours go from the one to the other."
    )
    drawn = list(pictures)
    drawn[at] = dataclasses.replace(pictures[at], point=(x, y))
    drawn[1 - at] = dataclasses.replace(pictures[1 - at], heat=match.heat)
    return drawn


def _read(subjects: tuple[Subject, Subject]) -> Click | None:
    """The place in the URL, if it lies in what is shown."""
    text = state.setting(_PLACE, "")
    try:
        at, x, y = (int(part) for part in text.split(",")) if len(text) <= _LONGEST else ()
        left, top, width, height = subjects[(0, 1).index(at)].window
    except ValueError:
        if text:
            settings.refuse(_PLACE, text, "which is no place in the pictures")
        return None
    inside = left <= x < left + width and top <= y < top + height
    return (at, x, y) if inside else None


def _write(clicked: Click | None) -> None:
    """Remember a place, or forget it, and redraw the page."""
    settings.put({_PLACE: None if clicked is None else ",".join(map(str, clicked))})
    st.rerun()
