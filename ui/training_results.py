"""The Train page's lower half: what was trained, what it gained, what an autoencoder makes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from aina_core import figures, images, training
from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from aina_core.training import TrainedModel
from aina_core.training.evaluation import table
from aina_core.training.settings import AUTOENCODERS
from ui import resources, state, widgets
from ui.components import plot
from ui.text import plain

_HEADER = ["figure", "before", "after", "gain, with its 95% interval"]
_MEANING = {
    "precision@5": "same label among the 5 nearest",
    "map@5": "how early the same label comes",
    "recovery_precision@1": "own changed version nearest",
    "recovery_precision@3": "own changed versions among the 3 nearest",
    "recovery_precision@5": "own changed versions among the 5 nearest",
    "recovery_r_precision": "own changed versions among as many nearest as there are",
    "auc": "own versions above others' versions (ROC AUC)",
}
_SHOWN = 8


def choose() -> TrainedModel | None:
    """Draw the models that were trained; return the one chosen."""
    found, damaged = training.models()
    for name, reason in damaged.items():
        st.warning(plain(f"{name} is damaged: {reason}"))
        if st.button(plain(f"Delete {name}"), key=f"train.damaged.{name}"):
            training.delete(name)
            st.rerun()
    if not found:
        st.info(
            "No model was trained here yet. An adapter takes minutes on a processor; every "
            "training ends with a table of what was gained on images that it has not seen."
        )
        return None
    names = {one.name: one for one in found}
    wanted = state.setting("train.model", "")
    if wanted and wanted not in names:
        st.warning(plain(f"The link names a trained model that is not here: {wanted!r}."))
    newest = next(iter(names))
    chosen = wanted if wanted in names else newest
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.selectbox(
        "Models that were trained",
        list(names),
        format_func=lambda n: (
            f"{n} · {names[n].settings.kind} on {names[n].settings.gallery} · "
            f"{names[n].created[:16].replace('T', ' ')} UTC"
        ),
        **state.bind_setting("train.model", chosen, newest),
    )
    with right.popover("Delete", icon=":material/delete:", width="stretch"):
        st.text("Galleries keep the vectors that it made, but it embeds no more.")
        if st.button("Delete this model", key=f"train.delete.{chosen}"):
            training.delete(chosen)
            st.rerun()
    return names[chosen]


def show(gallery: Gallery, model: TrainedModel) -> None:
    """Draw what a model gained, and how it came about."""
    result = model.result
    base = model.settings.model or "an untrained network"
    st.markdown(
        f"Held against {plain(base)} on {result['held_out']:,} originals that training has not "
        f"seen; trained on {result['trained_on']:,}, {result['epochs']:,} epochs in "
        f"{result['training_seconds']:,.0f} s, kept epoch {result['best_epoch']:,}."
    )
    _gains(result)
    if "unseen" in result:
        changes = ", ".join(result["unseen"]["changes"])
        st.markdown(f"On changes alone that training has not seen ({plain(changes)}):")
        _gains(result["unseen"])
    if "pairs" in result:
        low, high = result["pairs"]["interval"]
        st.markdown(
            f"The dense head tells {result['pairs']['accuracy']:.1%} of held-out pairs right "
            f"[{low:.1%}, {high:.1%}]; half of them are alike."
        )
    curves = model.curves
    figure = figures.training_curves(curves.losses, curves.scores, curves.best)
    plot(figure, key="curves", name=f"training {model.name}")
    left, right, _ = st.columns([1, 1, 3])
    left.download_button(
        "JSON",
        lambda: json.dumps(
            {**result, "settings": model.settings.as_dict(), "curves": curves.as_dict()},
            ensure_ascii=False,
            indent=1,
        ),
        file_name=f"{model.name}.json",
        mime="application/json",
        icon=":material/download:",
        width="stretch",
    )
    if model.name in gallery.models():
        right.page_link(
            "pages/explore/search.py", label="Choose it in the sidebar", icon=":material/search:"
        )
    else:
        with st.container():
            widgets.offer_indexing(gallery, model.name)
    if model.settings.kind in AUTOENCODERS:
        _pictures(gallery, model)


def _gains(part: dict[str, Any]) -> None:
    lines = table(part)
    frame = pd.DataFrame(
        [[_MEANING[name], name, *cells] for name, *cells in lines],
        columns=["what", *_HEADER],
    )
    st.dataframe(frame, hide_index=True, height="content")


def _pictures(gallery: Gallery, model: TrainedModel) -> None:
    """Draw what an autoencoder makes of images of the gallery."""
    try:
        network = resources.autoencoder(model.name)
        chosen = _held_out(gallery, model)
    except AinaError as error:
        st.error(plain(error))
        return
    if not chosen:
        st.info("The images that were held out are not in this gallery.")
        return
    pictures = {image_id: images.decode(gallery.read(image_id)).pixels for image_id in chosen}
    st.subheader("What it sees, and what it makes of that")
    st.caption("Originals that training has not seen; below each its reconstruction.")
    seen, made = network.reconstruct(list(pictures.values()))
    for place, one, other in zip(st.columns(_SHOWN), seen, made, strict=False):
        place.image(_enlarged(one), width="stretch")
        place.image(_enlarged(other), width="stretch")
    st.subheader("From one image to another")
    left, right = st.columns(2)
    first = left.selectbox("From", chosen, key="train.from")
    second = right.selectbox("To", chosen, index=min(1, len(chosen) - 1), key="train.to")
    way = network.interpolate(pictures[first], pictures[second], _SHOWN)
    for place, one in zip(st.columns(_SHOWN), way, strict=True):
        place.image(_enlarged(one), width="stretch")
    if network.samples:
        st.subheader("Drawn at random")
        seed = int(st.number_input("Seed", min_value=0, value=0, key="train.sample", width=160))
        for place, one in zip(st.columns(_SHOWN), network.sample(_SHOWN, seed), strict=True):
            place.image(_enlarged(one), width="stretch")


def _held_out(gallery: Gallery, model: TrainedModel) -> list[str]:
    """Some images that the model has not seen, of those that the gallery still has."""
    from aina_core.models.trained import manifest

    test = manifest(model.name)["data"]["split"]["test"]
    if gallery.name != model.settings.gallery:
        return []
    found = []
    for image_id in test:
        record = gallery.catalogue.image(image_id)
        if record is not None and record.failure is None and gallery.path(record).is_file():
            found.append(image_id)
        if len(found) == _SHOWN:
            break
    return found


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """A small picture with its pixels to be seen, uint8 (2 h, 2 w, 3)."""
    enlarged: np.ndarray = picture.repeat(2, axis=0).repeat(2, axis=1)
    return enlarged
