"""What pages share: how one begins, what it says while something is missing, and its pager."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import streamlit as st

from aina_core import jobs, models
from aina_core.gallery import Gallery, open_gallery
from aina_core.models import EXACT, FAST, NATIVE_SIDE, ModelName
from ui import navigation, state
from ui.link import State
from ui.text import plain


def open_page(title: str, question: str) -> State:
    """Draw a page's title, the question that it answers, and what was wrong with a link.

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
    """Return the gallery of a state; where the model has not indexed it, offer that and end."""
    gallery = open_gallery(now.gallery)
    if now.model not in gallery.models():
        offer_indexing(gallery, now.model)
        st.stop()
    return gallery


def made_elsewhere(*names: str) -> None:
    """Say what can be done with vectors of a model that AINA does not have."""
    if found := [name for name in names if models.is_external(name)]:
        st.info(plain(models.only_members(" and ".join(found))))


def no_gallery() -> None:
    """Say what to do when there is no gallery at all."""
    if job_running():
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
    offer_job(
        f"The gallery {gallery.name} is not indexed by {model} yet.",
        f"Index it by {model}",
        lambda: start_indexing(gallery, model),
    )


def job_running() -> bool:
    """Whether a job runs: one at a time, and the sidebar shows it."""
    return any(job.active for job in jobs.jobs())


def wait_for_job(result: str = "the result") -> bool:
    """Say, while a job runs, that a result will come; return whether one runs."""
    if running := job_running():
        st.info(f"Work is under way, see the sidebar; {result} appears here when it is done.")
    return running


def offer_job(sentence: str, label: str, start: Callable[[], object]) -> None:
    """Say why there is nothing to see yet, and let a person start the job that makes it.

    Args:
        sentence: says why.
        label: of the button.
        start: starts the job.
    """
    if wait_for_job():
        return
    st.info(plain(sentence))
    if st.button(plain(label), type="primary", icon=":material/play_arrow:"):
        start()
        st.rerun()


def pager(count: int, size: int, key: str) -> slice:
    """Draw the choice of a page if there are several; return the slice of things on it.

    Args:
        count: of all things.
        size: of a page.
        key: names the things within the page.
    """
    pages = -(-count // size)
    page = 1
    if pages > 1:
        # the number of pages is in the key, so that a page that no longer exists is forgotten
        page = st.number_input(f"Page, of {pages:,}", 1, pages, key=f"{key}.{pages}", width=160)
    return slice((int(page) - 1) * size, int(page) * size)


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
    """The command that indexes by exactly this model, whatever the command line's settings say."""
    mode = ModelName.parse(model).mode
    place = ["index", str(gallery.root), "--gallery", gallery.name]
    return [*place, "--mode", mode, "--model", model]
