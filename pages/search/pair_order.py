"""Hits in the order of a trained head for pairs, where the model has one."""

from __future__ import annotations

import streamlit as st

from aina_core.errors import AinaError
from aina_core.models import ModelName
from aina_core.search.pairs import FEWEST, MOST, Reranked
from pages.search import cache
from ui import state
from ui.text import plain

_SETTING = "search.pairs"


def choose() -> Reranked | None:
    """Draw the switch of a model that judges pairs; return what it makes of the nearest.

    None where the model judges none, nobody asked for it, or, once that is said, where it cannot.
    """
    now = state.current()
    if not ModelName.parse(now.model).spec().pairs:
        return None
    on = state.setting(_SETTING, "") == "1"
    st.toggle(
        "Rank by pair probability",
        help="The head that was trained with this model looks at the query and a hit together and "
        f"says how likely they are of one kind. Judged are the k nearest, at least {FEWEST}, or "
        f"all above the threshold, at most {MOST:,}.",
        **state.bind_setting(_SETTING, on, "", lambda value: "1" if value else ""),
    )
    if not on:
        return None
    try:
        return cache.reranked(now)
    except AinaError as error:
        st.warning(plain(f"{error} Shown are the nearest, by their similarity."))
        return None


def summary(judged: Reranked, threshold: float | None, above: int, count: int) -> str:
    """Return what is shown, in words.

    Args:
        judged: what the head made of the nearest.
        threshold: similarity from which images are shown; None for the k nearest.
        above: how many images are at that threshold or nearer.
        count: how many were searched.
    """
    if threshold is None:
        shown = f"The {len(judged.hits):,} most likely of one kind with the query, of the"
        return f"{shown} {judged.candidates:,} nearest of {count:,} images"
    part = f"The {judged.candidates:,} nearest of " if judged.candidates < above else ""
    return f"{part}{above:,} images at {threshold:.2f} or nearer, of {count:,}; the likeliest first"
