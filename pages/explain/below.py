"""The Explain page's lower half: one of part to part, crops, and the checks of the maps."""

from __future__ import annotations

import streamlit as st

from aina_core.gallery import Gallery
from pages.explain import checks, crops, parts
from pages.explain.choices import Choice
from pages.explain.question import SIMILARITY, Question, Subject
from ui import state
from ui.settings import one_of

_PARTS, _CROPS, _CHECKS = "parts", "crops", "checks"
_KINDS = {
    _PARTS: ":material/join_inner: Part to part",
    _CROPS: ":material/crop: Crops",
    _CHECKS: ":material/fact_check: Is the map right?",
}


def show(gallery: Gallery, choice: Choice, query: Subject, question: Question) -> None:
    """Draw the choice between them, and the chosen one.

    Raises:
        AinaError: a picture is gone, or the current model cannot be used.
    """
    kinds = list(_KINDS) if question.kind == SIMILARITY else [_CROPS, _CHECKS]
    kind = one_of("explain.below", _KINDS, _PARTS)
    kind = kind if kind in kinds else kinds[0]
    st.segmented_control(
        "A closer look",
        kinds,
        format_func=_KINDS.__getitem__,
        required=True,
        **state.bind_setting("explain.below", kind, _PARTS),
    )
    if kind == _PARTS and question.reference is not None:
        parts.show(choice, query, question.reference)
    elif kind == _CROPS:
        crops.show(gallery, choice, query, question)
    else:
        checks.show(choice, query, question)
