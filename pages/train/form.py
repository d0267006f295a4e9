"""The Train page's form: what to train, from what, with which settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import streamlit as st

from aina_core import jobs, models
from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from aina_core.models import ModelName
from aina_core.models.trained import trained
from aina_core.training import KINDS, Settings, settle, unfinished
from aina_core.training.command import arguments
from aina_core.training.options import AUTOENCODERS, USUAL_POSITIVES
from pages.train import cache, settings
from ui import page, state
from ui.settings import one_of
from ui.text import plain

NAMES = {
    "adapter": "Adapter",
    "siamese": "Siamese",
    "siamese-dense": "Siamese, dense head",
    "triplet": "Triplet",
    "autoencoder": "Autoencoder",
    "vae": "Variational",
    "denoising": "Denoising",
}
_POSITIVES = {
    "labels": "the same label",
    "modifications": "an image and its modifications",
    "augment": "an image, randomly changed",
    "pairs": "pairs in a CSV",
}
_SCRATCH = "from scratch"
_NO_PAIRS = "Choose the CSV of pairs first: two image ids a line."


@dataclass(frozen=True)
class _Basics:
    """What the form asks for first: keywords of `settle`, and what is missing, as a sentence."""

    keywords: dict[str, Any]
    lacking: str = ""


def form(gallery: Gallery) -> None:
    """Draw the form, and start the training that it describes."""
    kind = one_of("train.kind", NAMES, "adapter")
    st.segmented_control(
        "Kind",
        list(NAMES),
        format_func=NAMES.__getitem__,
        required=True,
        **state.bind_setting("train.kind", kind, "adapter"),
    )
    st.caption(KINDS[kind])
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    usual = _free_name(gallery, kind)
    name = left.text_input(
        "Name of the new model",
        key="train.name",
        placeholder=usual,
        help="Left empty it is the name that is shown; afterwards it stands among the models.",
    )
    basics = _basics(kind, gallery, middle)
    if basics.keywords.get("model", "") is None and kind == "adapter":
        st.info("No model can be used here yet; the Models page says how to get one.")
        return
    chosen = settings.draw(kind, gallery.name, basics.keywords)
    settled, problem = _settled(kind, gallery, name or usual, {**basics.keywords, **chosen})
    problem = basics.lacking or problem
    busy = page.job_running()
    start = right.button(
        "Train",
        type="primary",
        icon=":material/play_arrow:",
        disabled=busy or settled is None or bool(problem),
        width="stretch",
        help="One job runs at a time; see the sidebar." if busy else None,
    )
    if problem:
        (st.info if problem == _NO_PAIRS else st.error)(plain(problem))
    elif start and settled is not None:
        _start(gallery, settled)


def _free_name(gallery: Gallery, kind: str) -> str:
    """A free name for the new model."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", gallery.name).strip("-_.")[:40] or "my"
    taken = {*trained(), *models.names(), *(one.name for one in unfinished())}
    names = (f"{stem}-{kind}{f'-{n}' if n > 1 else ''}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _basics(kind: str, gallery: Gallery, place: Any) -> _Basics:
    """Draw the choice of a base model, and of what belongs together."""
    if kind in AUTOENCODERS:
        return _Basics({})
    keywords: dict[str, Any] = {"model": _base(place, kind)}
    offered = [name for name in _POSITIVES if kind != "adapter" or name != "augment"]
    chosen = st.segmented_control(
        "What belongs together",
        offered,
        default=USUAL_POSITIVES.get(kind, "modifications"),
        format_func=_POSITIVES.__getitem__,
        required=True,
        help="What shall come near to each other; everything else is moved apart.",
        key=f"train.positives.{kind}",
    )
    if chosen != "pairs":
        return _Basics({**keywords, "positives": chosen})
    pairs, lacking = _pairs(gallery)
    # any pair will do until there is a file: the other settings depend only on there being one
    return _Basics({**keywords, "positives": None, "pairs": pairs or (("", ""),)}, lacking)


def _base(place: Any, kind: str) -> str | None:
    own = set(trained())
    ready = [n for n in models.names() if n not in own and models.state(n).status == "ready"]
    offered = ready if kind == "adapter" else [_SCRATCH, *ready]
    looked_at = ModelName.parse(state.current().model).base
    usual = offered.index(looked_at) if kind == "adapter" and looked_at in offered else 0
    chosen = place.selectbox(
        "Begin with",
        offered,
        index=usual,
        key=f"train.base.{kind}",
        help="What the new model is made of: a registered model, over which a head is trained, or "
        "an encoder of four residual blocks that has seen nothing yet.",
    )
    return None if chosen in (None, _SCRATCH) else chosen


def _pairs(gallery: Gallery) -> tuple[tuple[tuple[str, str], ...], str]:
    """Draw the upload of a file of pairs; return them, and what is missing, as a sentence."""
    sent = st.file_uploader(
        "Pairs: a CSV of two image ids a line; a line of names may come first",
        type="csv",
        key="train.pairs",
    )
    if sent is None:
        return (), _NO_PAIRS
    return cache.training_pairs(gallery, sent.getvalue())


def _settled(
    kind: str, gallery: Gallery, name: str, keywords: dict[str, Any]
) -> tuple[Settings | None, str]:
    """Return the settings, and a sentence if they, or the gallery, cannot be used."""
    try:
        settled = settle(kind, gallery.name, name, **keywords)
    except AinaError as error:
        return None, str(error)
    return settled, cache.training_problem(gallery, settled)


def _start(gallery: Gallery, settled: Settings) -> None:
    if problem := cache.training_problem(gallery, settled, whole=True):
        st.error(plain(problem))
        return
    jobs.start(f"Train {settled.name}: {NAMES[settled.kind]}", arguments(settled))
    view = {name: kept for name, kept in state.current().view.items() if name != "train.model"}
    state.change(view=view)  # so that the new one is shown when it is done
    st.rerun()
