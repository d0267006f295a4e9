"""The Train page's upper half: what to train, on what, and how it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from aina_core import figures, models, work
from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from aina_core.models.trained import trained
from aina_core.modifications import MODIFICATIONS, PROFILES
from aina_core.training import KINDS, Settings, settle, unfinished
from aina_core.training.pairs_file import keep_pairs, read_pairs
from aina_core.training.settings import AUTOENCODERS, LOSSES, MINING, SETS
from ui import state
from ui.components import plot
from ui.text import plain

_NAMES = {
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
_USUAL_POSITIVES = {"siamese": "augment"}
_SCRATCH = "from scratch"


@dataclass(frozen=True)
class Chosen:
    """What the form asks for: a command line's words, and what `settle` takes."""

    keywords: dict[str, Any]
    pairs_file: str


def form(gallery: Gallery) -> None:
    """Draw what can be trained, and start what is asked for."""
    kind = state.setting("train.kind", "adapter")
    kind = kind if kind in KINDS else "adapter"
    st.segmented_control(
        "Kind",
        list(_NAMES),
        format_func=_NAMES.__getitem__,
        required=True,
        **state.bind_setting("train.kind", kind, "adapter"),
    )
    st.caption(KINDS[kind])
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    name = left.text_input("Name of the new model", key="train.name", placeholder="my-plates")
    keywords: dict[str, Any] = {}
    file = ""
    if kind not in AUTOENCODERS:
        keywords["model"] = _base(middle, kind)
        positives, file = _positives(kind, gallery)
        keywords["positives"] = positives
    keywords |= _settings(kind)
    busy = any(job.active for job in work.jobs())
    start = right.button(
        "Train",
        type="primary",
        icon=":material/play_arrow:",
        disabled=busy or not name or (keywords.get("positives") == "pairs" and not file),
        width="stretch",
        help="One job runs at a time; see the sidebar." if busy else None,
    )
    if start:
        _start(kind, gallery, name, Chosen(keywords, file))


def _base(place: Any, kind: str) -> str | None:
    own = set(trained())
    ready = [n for n in models.names() if n not in own and models.state(n).status == "ready"]
    offered = ready if kind == "adapter" else [_SCRATCH, *ready]
    chosen = place.selectbox(
        "Begin with",
        offered,
        key=f"train.base.{kind}",
        help="A registered model stays as it is, and a head is trained over what it sees; an "
        "encoder from scratch has four residual blocks.",
    )
    return None if chosen in (None, _SCRATCH) else chosen


def _positives(kind: str, gallery: Gallery) -> tuple[str, str]:
    """Draw what belongs together; return that, and the path of a file of pairs."""
    offered = [name for name in _POSITIVES if kind != "adapter" or name != "augment"]
    chosen = st.segmented_control(
        "What belongs together",
        offered,
        default=_USUAL_POSITIVES.get(kind, "modifications"),
        format_func=_POSITIVES.__getitem__,
        required=True,
        key=f"train.positives.{kind}",
    )
    if chosen != "pairs":
        return str(chosen), ""
    sent = st.file_uploader(
        "Pairs: a CSV of two image ids a line; a line of names may come first",
        type="csv",
        key="train.pairs",
    )
    if sent is None:
        return "pairs", ""
    try:
        return "pairs", str(keep_pairs(sent.getvalue(), gallery.catalogue.images()))
    except AinaError as error:
        st.error(plain(error))
        return "pairs", ""


def _settings(kind: str) -> dict[str, Any]:
    """Draw the settings that seldom change; return those that were changed."""
    found: dict[str, Any] = {}
    with st.expander("Settings", icon=":material/tune:"):
        usual = "profiles" if kind == "denoising" else "modifications"
        changes = st.multiselect(
            "Modifications and profiles",
            [*SETS, *MODIFICATIONS, *PROFILES],
            default=[usual],
            key=f"train.changes.{kind}",
        )
        known = tuple(dict.fromkeys(n for c in changes for n in SETS.get(c, (c,))))
        held = st.multiselect(
            "Of these, held out",
            known,
            help="Training never sees these; the table at the end judges them on their own too.",
            key=f"train.hold_out.{kind}",
        )
        found |= {"changes": tuple(changes), "hold_out": tuple(held)}
        places = st.columns(4)
        numbers = (("epochs", 1), ("patience", 0), ("originals", 8), ("judged", 2))
        for place, (what, least) in zip(places, numbers, strict=True):
            found[what] = place.number_input(
                what.capitalize(),
                min_value=least,
                value=None,
                placeholder="as usual",
                key=f"train.{what}.{kind}",
            )
        places = st.columns(4)
        found["rate"] = places[0].number_input(
            "Learning rate",
            min_value=1e-6,
            max_value=1.0,
            value=None,
            placeholder="as usual",
            format="%g",
            key=f"train.rate.{kind}",
        )
        found["seed"] = int(places[1].number_input("Seed", min_value=0, value=0, key="train.seed"))
        if kind in ("adapter", "siamese", "triplet"):
            found["loss"] = places[2].selectbox(
                "Loss", LOSSES, index=None, placeholder="as usual", key=f"train.loss.{kind}"
            )
            if (found["loss"] or kind) == "triplet":
                found["mining"] = places[3].selectbox("Mining", MINING, key=f"train.mining.{kind}")
    return {key: value for key, value in found.items() if value not in (None, ())}


def _start(kind: str, gallery: Gallery, name: str, chosen: Chosen) -> None:
    keywords = dict(chosen.keywords)
    try:
        if keywords.get("positives") == "pairs":
            keywords["pairs"] = read_pairs(Path(chosen.pairs_file), gallery.catalogue.images())
            keywords["positives"] = None
        settings = settle(kind, gallery.name, name, **keywords)
    except AinaError as error:
        st.error(plain(error))
        return
    work.start(f"Train {name}: {_NAMES[kind]}", arguments(settings, chosen))
    st.rerun()


def arguments(settings: Settings, chosen: Chosen) -> list[str]:
    """Return the command line that trains what was chosen."""
    words = ["train", settings.kind, "--gallery", settings.gallery, "--name", settings.name]
    for key, value in chosen.keywords.items():
        if value is None:
            continue
        if key == "positives" and value == "pairs":
            value = chosen.pairs_file
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{key.replace('_', '-')}", *map(str, values)]
    return words


@st.fragment(run_every=1.0)
def live() -> None:
    """Draw the curves of what is being trained, or was stopped."""
    waiting = unfinished()
    for one in waiting:
        with st.container(border=True):
            told = "is being trained" if one.running else "was not trained to the end"
            st.markdown(
                f"**{plain(one.name)}** {told}: {_NAMES[one.settings.kind]} on "
                f"{plain(one.settings.gallery)}, epoch {max(one.curves.epoch, 0):,} of at most "
                f"{one.settings.epochs:,}"
            )
            if one.curves.scores:
                curves = one.curves
                figure = figures.training_curves(curves.losses, curves.scores, curves.best)
                plot(figure, key=f"live-{one.name}", name=f"training {one.name}")
            if not one.running:
                st.caption(
                    "Resume it in the sidebar, or train again under the same name and settings."
                )
    seen = tuple(one.name for one in waiting)
    before = st.session_state.get("train.seen", seen)
    st.session_state["train.seen"] = seen
    if seen != before:
        st.rerun()  # what was trained can be shown now
