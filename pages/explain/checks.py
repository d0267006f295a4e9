"""Whether a map can be trusted: what hiding the marked parts does, and a second opinion."""

from __future__ import annotations

import dataclasses

import numpy as np
import streamlit as st

from aina_core import figures
from aina_core.errors import AinaError
from aina_core.explain import Faithfulness, colour_table
from aina_core.numbers import decimal_text
from pages.explain import cache
from pages.explain.choices import NAMES, Choice
from pages.explain.maps import described, heat_picture, sides
from pages.explain.question import Question, Subject
from ui.components import heat, plot
from ui.text import plain

_OCCLUSION = "occlusion"
_HIDDEN = 0.2  # the share of the picture that the sentence speaks of


def show(choice: Choice, query: Subject, question: Question) -> None:
    """Draw the checks of every map that is shown above."""
    st.caption(
        "What a map marks is blurred step by step, the strongest first, and the score should fall "
        "faster than when places are blurred at random (deletion); shown first in a blurred "
        "picture, it should rise faster (insertion). An area of 1: the score never moved. "
        "Petsiuk, Das and Saenko, RISE (2018)."
    )
    for model in choice.models:
        if len(choice.models) > 1:
            st.markdown(f"**{plain(model)}**")
        for side, (subject, asked) in enumerate(sides(question, query)):
            _check(choice, model, subject, asked, key=f"{model}-{side}")


def _check(choice: Choice, model: str, subject: Subject, question: Question, *, key: str) -> None:
    try:
        explainer = cache.explainer(model, subject.gallery)
        if reason := explainer.can(question.kind) or explainer.can(question.method):
            st.info(plain(reason))
            return
        shown = cache.explanation(model, subject, question)
        left, right = st.columns([2, 5], gap="medium")
        with left:
            _second_opinion(choice, model, subject, question, key)
        with right:
            st.markdown(
                f"**{plain(NAMES.get(question.method, question.method))} of "
                f"{plain(described(subject))}**"
            )
            if shown.found.flat:
                st.info(plain(shown.found.note))
                return
            found = cache.faithfulness(model, subject, question)
            st.markdown(plain(in_words(found, opposite=question.opposite)))
            figure = figures.faithfulness_curves(
                found.fractions,
                found.deletion_curve,
                found.insertion_curve,
                found.deletion_random_curve,
                found.insertion_random_curve,
            )
            plot(figure, key=f"faithfulness-{key}", name=f"faithfulness {subject.name} {model}")
    except AinaError as error:
        st.error(plain(error))


def _second_opinion(
    choice: Choice, model: str, subject: Subject, question: Question, key: str
) -> None:
    """Draw the map by occlusion, which needs no gradients; by Grad-CAM where that is the method."""
    method = _OCCLUSION if question.method != _OCCLUSION else "gradcam"
    if reason := cache.explainer(model, subject.gallery).can(method):
        st.info(plain(reason))
        return
    other = cache.explanation(model, subject, dataclasses.replace(question, method=method))
    heat(
        [heat_picture(other, caption=f"Second opinion: {NAMES[method]}")],
        table=colour_table(choice.colours),
        opacity=choice.opacity,
        columns=1,
        key=f"second-{key}",
    )


def in_words(found: Faithfulness, *, opposite: bool) -> str:
    """Return what the curves say, in words."""
    step = int(np.abs(found.fractions - _HIDDEN).argmin())
    share = f"{found.fractions[step]:.0%}"
    score, marked, random = (
        decimal_text(float(curve[at]))
        for curve, at in (
            (found.deletion_curve, 0),
            (found.deletion_curve, step),
            (found.deletion_random_curve, step),
        )
    )
    better = found.deletion < found.deletion_random, found.insertion > found.insertion_random
    verdict = {
        2: "The map beats chance both ways.",
        1: f"The map beats chance only by {'deletion' if better[0] else 'insertion'}.",
        0: "The map does no better than chance: do not believe it.",
    }[sum(better)]
    deletion, random_deletion, insertion, random_insertion = map(
        decimal_text,
        (found.deletion, found.deletion_random, found.insertion, found.insertion_random),
    )
    way = "rise" if opposite else "fall"
    return (
        f"The score is {score}. After hiding the {share} that the map marks most it is {marked}, "
        f"after hiding a random {share} {random}: it should {way} faster. "
        f"Deletion {deletion} (random {random_deletion}, smaller is better), "
        f"insertion {insertion} (random {random_insertion}, larger is better). "
        f"{verdict}"
    )
