"""The Explain page's choices: what is explained, by which method, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from aina_core import models
from aina_core.explain import COLOURS, METHODS
from aina_core.gallery import Gallery
from pages.explain.question import CLASS, SIMILARITY, WORDS
from ui import settings, state
from ui.link import MAX_OTHERS
from ui.settings import number_of, one_of

KINDS = {
    SIMILARITY: "similarity to another image",
    CLASS: "a class",
    WORDS: "words",
}
NAMES = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "hirescam": "HiResCAM",
    "eigencam": "Eigen-CAM",
    "occlusion": "Occlusion",
}
EIGENCAM = "eigencam"
_ABOUT = {
    "gradcam": "Grad-CAM weighs each channel of the last map by its mean gradient.",
    "gradcam++": "Grad-CAM++ weighs the gradients by place too, for several things of one kind.",
    "hirescam": "HiResCAM multiplies map and gradient place by place: what counted, and nothing "
    "smeared.",
    "eigencam": "Eigen-CAM takes the strongest pattern of the last map, whatever is asked: what "
    "the network sees most of.",
    "occlusion": "Occlusion blurs one patch after the other and measures how far the score "
    "falls: slower, and free of gradients.",
}
_OPACITY = 50  # per cent


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        kind: one of `KINDS`.
        method: one of the core's methods.
        opposite: whether to show what lowers the score, not what raises it.
        opacity: of the maps, in [0, 1].
        colours: name of a colour map.
        models: full names, the current one first.
    """

    kind: str
    method: str
    opposite: bool
    opacity: float
    colours: str
    models: tuple[str, ...]


def choose(gallery: Gallery) -> tuple[Choice, DeltaGenerator]:
    """Draw the choices that hold for the whole page.

    Returns:
        The choices, and the place for what else the kind of question needs.
    """
    first = st.columns([4, 2, 2], vertical_alignment="bottom")
    kind = settings.choice("explain.of", "Explain", KINDS, SIMILARITY, place=first[0])
    method = one_of("explain.method", METHODS, METHODS[0])
    first[1].selectbox(
        "Method",
        METHODS,
        format_func=lambda name: NAMES.get(name, name),
        help=_ABOUT.get(method),
        **state.bind_setting("explain.method", method, METHODS[0]),
    )
    opposite = False
    if kind != CLASS and method != EIGENCAM:
        opposite = settings.switch(
            "explain.opposite",
            "What lowers it",
            "The places whose change would raise the score most: what speaks against it.",
            place=first[2],
        )
    second = st.columns([4, 2, 2, 3], vertical_alignment="bottom")
    opacity = number_of("explain.opacity", _OPACITY, 0, 100)
    second[1].slider(
        "Opacity, %",
        0,
        100,
        step=5,
        **state.bind_setting("explain.opacity", opacity, str(_OPACITY)),
    )
    colours = one_of("explain.colours", COLOURS, COLOURS[0])
    second[2].selectbox(
        "Colours", COLOURS, **state.bind_setting("explain.colours", colours, COLOURS[0])
    )
    now = state.current()
    beside = tuple(model for model in now.others if model != now.model)
    ready = (name for name in models.names() if models.state(name).status == "ready")
    offered = dict.fromkeys([*gallery.models(), *ready, *beside])
    offered.pop(now.model, None)
    second[3].multiselect(
        "Models beside it",
        list(offered),
        placeholder="none",
        max_selections=MAX_OTHERS,
        help="The same explanation under other models. They need no index of the gallery.",
        **state.bind("others", list(beside), tuple),
    )
    chosen = Choice(kind, method, opposite, opacity / 100, colours, (now.model, *beside))
    return chosen, second[0]
