"""The sidebar of every page: gallery, model, the query in sight, and jobs while they run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import streamlit as st

from aina_core import jobs, models
from aina_core.errors import AinaError, InputError
from aina_core.gallery import galleries, open_gallery
from aina_core.models import FAST, ModelName
from ui import navigation, page, state
from ui.query import describe_query, query_picture
from ui.text import plain

_ICONS = {
    "done": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "died": ":material/error:",
}


def sidebar() -> None:
    """Draw the sidebar."""
    with st.sidebar:
        if galleries():
            _choices()
            _query()
        if page.job_running():
            _running_jobs()
        else:
            _ended_jobs()


def _choices() -> None:
    now = state.current()
    st.selectbox("Gallery", galleries(), **state.bind("gallery", now.gallery))
    indexed = [name for name in open_gallery(now.gallery).models() if _known(name)]
    ready = [name for name in models.names() if models.state(name).status == "ready"]
    offered = [*indexed, *(name for name in ready if name not in indexed)]
    if now.model not in offered:
        offered.append(now.model)

    def label(model: str) -> str:
        return model if model in indexed else f"{model} (not indexed)"

    st.selectbox("Model", offered, format_func=label, **state.bind("model", now.model))
    st.caption(plain(_model_line(now.gallery, now.model, now.model in indexed)))


def _known(model: str) -> bool:
    """Whether the model of some vectors still exists; it may have been deleted."""
    try:
        ModelName.parse(model)
    except AinaError:
        return False
    return True


def _model_line(gallery: str, model: str, indexed: bool) -> str:
    name = ModelName.parse(model)
    if models.is_external(model):
        return "made elsewhere · only images of the gallery can be queries"
    status = models.state(name.base)
    if status.status != "ready":
        return f"{status.status}: {status.reason}"
    mode = "fast mode" if name.mode == FAST else "exact mode"
    if not indexed:
        return f"ready · {mode} · not indexed here yet"
    try:
        computed = " + ".join(open_gallery(gallery).manifest(model)["computed_on"])
    except (AinaError, KeyError):
        return f"ready · {mode}"
    return f"ready · {computed} · {mode}"


def _query() -> None:
    try:
        picture = query_picture(state.current())
        thumbnail = picture and picture.thumbnail()
    except AinaError as error:
        st.caption(plain(error))
        return
    now = state.current()
    if not now.query:
        return
    st.markdown(f"Query of {len(now.query)} terms" if len(now.query) > 1 else "Query")
    left, right = st.columns([2, 3], vertical_alignment="center")
    if picture is None:
        left.markdown(":material/text_fields:")
    else:
        left.image(thumbnail)
    right.text(describe_query(now))
    if now.concept:
        right.caption(plain(f"Search ranks by the class {now.concept}."))
    with right:
        navigation.link("search", "change", ":material/swap_horiz:")


@st.fragment(run_every=1.0)
def _running_jobs() -> None:
    known = jobs.jobs()
    for job in (job for job in known if job.active):
        with st.container(border=True):
            st.text(job.title)
            st.progress(min(job.done / job.total, 1.0) if job.total else 0.0)
            st.caption(plain(jobs.describe(job)))
            stopping = job.state == "stopping"
            if st.button("Stop", key=f"stop-{job.id}", disabled=stopping, icon=":material/stop:"):
                _try(jobs.stop, job.id)
                st.rerun(scope="fragment")
    if not any(job.active for job in known):
        st.rerun()  # the page may show more now


def _ended_jobs() -> None:
    """Draw the job that ended last, until it is dismissed."""
    job = next(iter(jobs.jobs()), None)
    if job is None or job.active:
        return
    with st.container(border=True):
        st.text(job.title)
        st.caption(f"{_ICONS[job.state]} {job.state}")
        if job.message:
            st.text(job.message)
        left, right = st.columns(2)
        resumable = job.state in ("stopped", "died", "failed")
        if resumable and left.button("Resume", key=f"resume-{job.id}"):
            _try(jobs.resume, job.id)
            st.rerun()
        if right.button("Dismiss", key=f"dismiss-{job.id}"):
            _try(jobs.forget, job.id)
            st.rerun()


def _try(action: Callable[[str], object], job_id: str) -> None:
    """Act on a job, unless another session was faster."""
    with contextlib.suppress(InputError):
        action(job_id)
