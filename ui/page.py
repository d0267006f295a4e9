"""How a page begins, and what any shows when it lacks something: a gallery, vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import streamlit as st

from aina_core import jobs, models
from aina_core.gallery import Gallery, open_gallery
from aina_core.models import EXACT, FAST, NATIVE_SIDE, ModelName
from ui import navigation, state
from ui.link import State
from ui.text import plain


def open_page(title: str, question: str) -> State:
    """Draw a page's title and the question that it answers, and what was wrong with a link.

    Without any gallery it says what to do and ends the run.

    Returns:
        The state.
    """
    st.title(title)
    st.caption(question)
    now = state.current()
    if not now.gallery:
        no_gallery()
        st.stop()
    link_problems()
    return now


def indexed_gallery(now: State) -> Gallery:
    """Return the gallery of a state; not indexed by its model, offer that and end the run."""
    gallery = open_gallery(now.gallery)
    if now.model not in gallery.models():
        offer_indexing(gallery, now.model)
        st.stop()
    return gallery


def made_elsewhere(*names: str) -> None:
    """Say of vectors that AINA has no model for what they can be used for."""
    if found := [name for name in names if models.is_external(name)]:
        st.info(plain(models.only_members(" and ".join(found))))


def no_gallery() -> None:
    """Say what to do when there is no gallery at all."""
    if any(job.active for job in jobs.jobs()):
        st.info(
            "The first gallery is being made, see the sidebar; it appears here when it is done."
        )
        return
    st.info("There is no gallery yet: a gallery is a named set of images to search in.")
    left, right = st.columns(2)
    if left.button("Build the demo gallery", type="primary", icon=":material/auto_awesome:"):
        jobs.start("Build the demo gallery", ["demo"])
        st.rerun()
    with right:
        navigation.link("galleries", "Make one of your images", ":material/add_circle:")


def link_problems() -> None:
    """Say what was wrong with the link that was followed."""
    for problem in state.problems():
        st.warning(plain(problem))


def offer_indexing(gallery: Gallery, model: str) -> None:
    """Say that a gallery has no vectors of a model, and offer to compute them."""
    if not gallery.has_pictures:
        st.error(plain(gallery.without_pictures()))
        return
    status = models.state(ModelName.parse(model).base)
    if status.status != "ready":
        st.error(plain(f"{model} cannot be used here: {status.reason}"))
        return
    if any(job.active for job in jobs.jobs()):
        st.info("Work is under way, see the sidebar; the result appears here when it is done.")
        return
    st.info(plain(f"The gallery {gallery.name} is not indexed by {model} yet."))
    if st.button(plain(f"Index it by {model}"), type="primary", icon=":material/play_arrow:"):
        start_indexing(gallery, model)
        st.rerun()


def start_indexing(gallery: Gallery, model: str) -> str:
    """Start the job that brings a gallery up to date under a model."""
    return jobs.start(f"Index {gallery.name} by {model}", index_arguments(gallery, model))


def choose_model(names: Sequence[str], key: str) -> str:
    """Let a person choose a model and its variants; return the full name.

    Args:
        names: the models to choose from, without variants.
        key: of the widgets.
    """
    base = st.selectbox("Model", names, key=f"{key}.model", help="Variants are chosen below.")
    spec = models.get(base)
    columns = st.columns([2, 2, 3], vertical_alignment="bottom")
    native = columns[0].checkbox(
        "Original size",
        key=f"{key}.native",
        disabled=not spec.convolutional,
        help=f"Pictures keep their shape and size, up to {NATIVE_SIDE} pixels, instead of being "
        "resized and cropped to a square: small things count, and it takes about six times as "
        "long. Only for networks that take pictures of any size.",
    )
    fast = columns[1].checkbox(
        "Fast",
        key=f"{key}.fast",
        help="Quicker and slightly different: how much is measured and shown.",
    )
    components = columns[2].number_input(
        "Principal components (0: all numbers)",
        0,
        spec.dim - 1,
        key=f"{key}.components.{base}",
        help="Keeps so many numbers of each embedding, along the directions in which this "
        "gallery's images differ most; at least 2, and fewer than there are images.",
    )
    name = ModelName(base, FAST if fast else EXACT, native and spec.convolutional)
    return str(dataclasses.replace(name, components=0 if components == 1 else int(components)))


def index_arguments(gallery: Gallery, model: str) -> list[str]:
    """The command that does it, for the very model: settings of the command line do not count."""
    mode = ModelName.parse(model).mode
    place = ["index", str(gallery.root), "--gallery", gallery.name]
    return [*place, "--mode", mode, "--model", model]
