"""What an autoencoder draws: reconstructions, the path between two images, samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from aina_core.training import TrainedModel
from pages.train import cache
from ui import state
from ui.settings import number_of, one_of
from ui.text import plain

_SHOWN = 8
_OFFERED = 200
_LARGEST_SEED = 1_000_000


def show(gallery: Gallery, model: TrainedModel) -> None:
    """Draw reconstructions of a gallery's images, the path between two, and samples."""
    try:
        ids = cache.unseen_images(gallery, model.name, _OFFERED)
        if not ids:
            st.info("The gallery has no image that this training has not seen; choose another one.")
            return
        _reconstructions(gallery, model, ids)
        _path(gallery, model, ids)
        network = cache.autoencoder(model.name)
        if network.samples:
            st.subheader("Drawn at random")
            seed = number_of("train.sample", 0, 0, _LARGEST_SEED)
            st.number_input(
                "Seed",
                min_value=0,
                max_value=_LARGEST_SEED,
                width=160,
                help="Every seed draws other points of the normal distribution to decode.",
                **state.bind_setting("train.sample", seed, "0"),
            )
            _row("Samples", network.sample(_SHOWN, seed))
    except AinaError as error:
        st.error(plain(error))


def _reconstructions(gallery: Gallery, model: TrainedModel, ids: Sequence[str]) -> None:
    places = np.linspace(0, len(ids) - 1, min(_SHOWN, len(ids))).round().astype(int)
    shown = tuple(dict.fromkeys(ids[place] for place in places))
    st.subheader("What it sees, and what it makes of that")
    trained_on = model.settings.gallery
    st.caption(
        "Originals that training has not seen."
        if gallery.name == trained_on
        else plain(f"Images of {gallery.name}; it was trained on {trained_on}.")
    )
    if model.settings.kind != "denoising":
        found = cache.reconstructed(gallery, model.name, shown, None)
        _row("Input", found.seen)
        _row("Reconstruction", found.made)
        return
    change = _change(model)
    found = cache.reconstructed(gallery, model.name, shown, change)
    _row("Perturbed", found.seen)
    _row("Reconstruction", found.made)
    _row("Original", found.originals)


def _change(model: TrainedModel) -> str:
    """Draw the choice of a change to the originals, the five profiles first."""
    known = {**PROFILES, **MODIFICATIONS}
    offered = list(dict.fromkeys([*PROFILES, *(c for c in model.settings.changes if c in known)]))
    change = one_of("train.profile", offered, offered[0])
    st.segmented_control(
        "Perturbed by",
        offered,
        required=True,
        **state.bind_setting("train.profile", change, offered[0]),
    )
    if change not in model.settings.seen_changes:
        st.caption("Training has not seen this change.")
    return change


def _path(gallery: Gallery, model: TrainedModel, ids: Sequence[str]) -> None:
    """Draw the path between two images that people choose."""
    query = state.current().member
    offered = list(dict.fromkeys([*ids, *([query] if query else [])]))
    if len(offered) < 2:
        return
    st.subheader("From one image to another")
    ends = []
    usual = (offered[0], offered[max(len(ids) // 2, 1)])
    for place, name, end in zip(st.columns(2), ("from", "to"), usual, strict=True):
        setting = f"train.{name}"
        ends.append(one_of(setting, offered, end))
        place.selectbox(
            name.capitalize(),
            offered,
            format_func=lambda one: f"{one} (the query)" if one == query else one,
            help="Any of the images that training has not seen, or the query; type to find one.",
            **state.bind_setting(setting, ends[-1], end),
        )
    seen, way = cache.between(gallery, model.name, ends[0], ends[1], _SHOWN)
    _row(
        "The first image, from its reconstruction step by step to the second's, the second image",
        np.concatenate([seen[:1], way, seen[1:]]),
    )


def _row(label: str, pictures: np.ndarray) -> None:
    """Draw pictures, uint8 (n, side, side, 3), side by side, with visible pixels."""
    st.caption(label)
    enlarged = pictures.repeat(2, axis=1).repeat(2, axis=2)
    places = st.columns(max(len(pictures), _SHOWN), gap="small")
    for place, one in zip(places, enlarged, strict=False):
        place.image(one, width="stretch")
