"""Hits in the order of a trained head for pairs, where the model has one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.models import ModelName
from aina_core.search import Neighbour, Result, Searcher
from ui import resources, state
from ui.text import plain

_SETTING = "search.pairs"


def choose(
    opened: Searcher, found: Result, hits: Sequence[Neighbour]
) -> list[tuple[Neighbour, float]] | None:
    """Draw the switch of a model that judges pairs; return the hits with their probabilities.

    None where the model judges none, or nobody asked for it.
    """
    name = ModelName.parse(opened.model)
    if name.components or not models.get(name.base).pairs:
        return None
    on = state.setting(_SETTING, "") == "1"
    st.toggle(
        "Order by the pair probability",
        help="The dense head that was trained with this model looks at the query and each hit "
        "together and says how likely they are of one kind. The hits stay the same.",
        **state.bind_setting(_SETTING, on, "", lambda value: "1" if value else ""),
    )
    if not on:
        return None
    try:
        return resources.pair_judge(name.base).order(opened, found.vector, hits)
    except AinaError as error:
        st.error(plain(error))
        return None
