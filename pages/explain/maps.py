"""The Explain page's upper half: pictures under their maps, and the numbers that they explain."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from aina_core import models
from aina_core.errors import AinaError
from aina_core.explain import Explainer, colour_table
from aina_core.gallery import Gallery
from aina_core.numbers import decimal_text, percentile_text, probability_text
from pages.explain import cache
from pages.explain.choices import EIGENCAM, Choice
from pages.explain.question import CLASS, SIMILARITY, WORDS, Question, Shown, Subject
from ui import cache as shared
from ui import downloads, settings, state
from ui.components import HeatPicture, heat
from ui.text import plain

_RAW_HELP = (
    "Each map is scaled by itself, so that its strongest place has the last colour. The raw "
    "maximum is that place before it was scaled: how much there is to see. It compares within one "
    "model, method and kind of question; the colours of two maps do not."
)
_MOST_WORDS = 200


def class_question(choice: Choice, subject: Subject, place: DeltaGenerator) -> Question | None:
    """Draw the choice of a class, the likeliest first; None, after saying why, without classes.

    Raises:
        AinaError: the model cannot be used, or the picture.
    """
    model = choice.models[0]
    explainer = cache.explainer(model, subject.gallery)
    if reason := explainer.can(CLASS):
        st.info(plain(reason))
        return None
    names = models.class_names(explainer.spec)
    likely = dict(cache.classes(model, subject))
    chosen = settings.one_of("explain.class", ("", *names), "") or next(iter(likely))
    st.pills(
        "Classes that the model sees in it, with their probabilities",
        list(dict.fromkeys([*likely, chosen])),
        format_func=lambda name: plain(
            f"{name} {probability_text(likely[name])}" if name in likely else name
        ),
        required=True,
        **state.bind_setting("explain.class", chosen, ""),
    )
    place.selectbox(
        f"One of {len(names):,} classes",
        names,
        help="Type to search.",
        **_also("explain.class", chosen),
    )
    return Question(CLASS, choice.method, words=chosen)


def _also(name: str, value: str) -> dict[str, object]:
    """The keywords that tie a second widget to a page's setting."""
    key = f"aina.{name}.too"
    st.session_state[key] = value

    def changed() -> None:
        settings.put({name: st.session_state[key]})

    return {"key": key, "on_change": changed}


def words_question(choice: Choice, place: DeltaGenerator) -> Question | None:
    """Draw the field for the words; None while it is empty."""
    words = state.setting("explain.text", "")[:_MOST_WORDS]
    place.text_input(
        "What in the picture answers the words",
        max_chars=_MOST_WORDS,
        placeholder="a cat with green eyes",
        **state.bind_setting("explain.text", words, ""),
    )
    if not words.strip():
        st.info("Type what to look for in the picture.")
        return None
    return Question(WORDS, choice.method, words=words, opposite=choice.opposite)


def sides(question: Question, query: Subject) -> list[tuple[Subject, Question]]:
    """Return which pictures are explained: of a similarity both, each from its own side."""
    if question.reference is None:
        return [(query, question)]
    back = dataclasses.replace(question, reference=query)
    return [(query, question), (question.reference, back)]


def show(gallery: Gallery, choice: Choice, query: Subject, question: Question) -> bool:
    """Draw the explanation under every model chosen, a column for each.

    Returns:
        Whether there is one under the first.
    """
    asked = sides(question, query)
    if len(choice.models) == 1:
        return _show_model(gallery, choice, choice.models[0], asked, wide=True)
    drawn = []
    for place, model in zip(st.columns(len(choice.models)), choice.models, strict=True):
        with place:
            st.markdown(f"**{plain(model)}**")
            drawn.append(_show_model(gallery, choice, model, asked, wide=False))
    return drawn[0]


def _show_model(
    gallery: Gallery,
    choice: Choice,
    model: str,
    asked: Sequence[tuple[Subject, Question]],
    *,
    wide: bool,
) -> bool:
    """Draw the explanation under one model, or one sentence on why there is none."""
    try:
        explainer = cache.explainer(model, gallery.name)
        if reason := explainer.can(choice.kind) or explainer.can(choice.method):
            st.info(plain(reason))
            return False
        found = [cache.explanation(model, *each) for each in asked]
        if wide:
            pictures, above = st.columns([5, 2] if len(found) > 1 else [3, 2], gap="medium")
            below = above
        else:
            above, pictures, below = st.container(), st.container(), st.container()
        with above:
            _score(gallery, model, asked[0][1], found[0].found.score)
        with pictures:
            heat(
                [heat_picture(shown) for shown in found],
                table=colour_table(choice.colours),
                opacity=choice.opacity,
                columns=1 if len(choice.models) > 2 else len(found),
                legend=any(shown.heat for shown in found),
                key=f"heat-{model}",
            )
        with below:
            _details(choice, explainer, found)
            _downloads(choice, model, found)
    except AinaError as error:
        st.error(plain(error))
        return False
    return True


def heat_picture(shown: Shown, caption: str = "", lines: Sequence[str] = ()) -> HeatPicture:
    """Return an explained picture as it is drawn, with a note where its map is flat."""
    subject = shown.subject
    return HeatPicture(
        url=subject.url,
        width=subject.width,
        height=subject.height,
        label=f"{shown.found.target} in {subject.name}",
        caption=caption or described(subject),
        window=subject.window,
        heat=shown.heat,
        seen=shown.seen,
        lines=[*lines, *([shown.found.note] if shown.found.flat else [])],
    )


def described(subject: Subject) -> str:
    """A picture's name, for people."""
    return f"{subject.name} (a crop)" if subject.crop else subject.name


def _score(gallery: Gallery, model: str, question: Question, score: float) -> None:
    """Draw the number that is explained."""
    if question.kind == SIMILARITY:
        st.metric("Similarity", decimal_text(score))
        indexed = percentile_of(gallery, model, score)
        st.caption(indexed or "not indexed: no percentile")
    elif question.kind == CLASS:
        st.metric(plain(f"Probability of {question.words}"), probability_text(score))
    else:
        st.metric("Similarity of picture and words", decimal_text(score))


def _details(choice: Choice, explainer: Explainer, found: Sequence[Shown]) -> None:
    """Draw what else there is to know about the maps."""
    if choice.kind == CLASS and len(choice.models) > 1:  # the choice above has the first model's
        likely = cache.classes(explainer.model, found[0].subject)
        st.caption(plain(" · ".join(f"{n} {probability_text(p)}" for n, p in likely)))
    what = f"what {'lowers' if choice.opposite else 'raises'} it most"
    if choice.method == EIGENCAM:
        what = "what the network sees most of, whatever is asked"
    strongest = " and ".join(f"{shown.found.raw_max:.2g}" for shown in found)
    st.caption(f"Bright is {what}. Raw maximum {plain(strongest)}.", help=_RAW_HELP)
    if explainer.remark:
        st.caption(plain(explainer.remark))


def percentile_of(gallery: Gallery, model: str, similarity: float) -> str:
    """A similarity's percentile in words; "" where the gallery is not indexed by the model."""
    if model not in gallery.models():
        return ""
    opened = shared.searcher(gallery.name, model)
    return percentile_text(float(opened.percentile(np.float32(similarity))))


def _downloads(choice: Choice, model: str, found: Sequence[Shown]) -> None:
    with st.popover("Download", icon=":material/download:"):
        for side, shown in enumerate(found):
            name = re.sub(r"\W+", "-", f"{shown.subject.name}-{model}-{choice.method}").strip("-")
            st.text(described(shown.subject))
            left, right = st.columns(2)
            downloads.file(
                f"{name}.png",
                functools.partial(shown.png, choice.opacity, choice.colours),
                label="PNG",
                help="The picture in full size under its map, as it is shown here.",
                place=left,
                key=f"png-{model}-{side}",
            )
            downloads.file(
                f"{name}.npy",
                shown.npy,
                label="npy",
                help="The map alone: float32, height × width of the upright image, 0 to 1.",
                place=right,
                key=f"npy-{model}-{side}",
            )
