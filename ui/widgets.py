"""What any page shows when it lacks something: a gallery, vectors, a link that works."""

from __future__ import annotations

import streamlit as st

from aina_core import models, work
from aina_core.gallery import Gallery
from aina_core.models import ModelName
from ui import state
from ui.text import plain


def no_gallery() -> None:
    """Say what to do when there is no gallery at all."""
    if any(job.active for job in work.jobs()):
        st.info(
            "The first gallery is being made, see the sidebar; it appears here when it is done."
        )
        return
    st.info("There is no gallery yet: a gallery is a named set of images to search in.")
    left, right = st.columns(2)
    if left.button("Build the demo gallery", type="primary", icon=":material/auto_awesome:"):
        work.start("Build the demo gallery", ["demo"])
        st.rerun()
    right.page_link(
        "pages/build/galleries.py", label="Make one of your images", icon=":material/add_circle:"
    )


def link_problems() -> None:
    """Say what was wrong with the link that was followed."""
    for problem in state.problems():
        st.warning(plain(problem))


def offer_indexing(gallery: Gallery, model: str) -> None:
    """Say that a gallery has no vectors of a model, and offer to compute them."""
    status = models.state(ModelName.parse(model).base)
    if status.status != "ready":
        st.error(plain(f"{model} cannot be used here: {status.reason}"))
        return
    if any(job.active for job in work.jobs()):
        st.info("Work is under way, see the sidebar; the result appears here when it is done.")
        return
    st.info(plain(f"The gallery {gallery.name} is not indexed by {model} yet."))
    if st.button(plain(f"Index it by {model}"), type="primary", icon=":material/play_arrow:"):
        start_indexing(gallery, model)
        st.rerun()


def start_indexing(gallery: Gallery, model: str) -> str:
    """Start the job that brings a gallery up to date under a model."""
    arguments = ["index", str(gallery.root), "--gallery", gallery.name, "--model", model]
    return work.start(f"Index {gallery.name} by {model}", arguments)
