"""The Train page's middle: trainings that run, were stopped or have failed, and how to resume."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import streamlit as st

from aina_core import figures, jobs, training
from aina_core.errors import AinaError, InputError
from aina_core.jobs import Job
from aina_core.training import Settings, Unfinished
from aina_core.training.command import arguments
from pages.train.form import NAMES
from ui import page
from ui.components import plot
from ui.text import plain

# After a loss that is not a number: the rate's divisor, and the largest rate to resume with.
_SLOWER, _LARGEST_RATE = 10, 0.01


def curves_told(settings: Settings) -> str:
    """What the curves show, and which epoch is kept."""
    first = ""
    if settings.reconstructs:
        first = ", of an autoencoder never the network as it began, whose decoder draws nothing"
    return (
        "Held-out retrieval is measured after every epoch on originals that the loss never sees; "
        f"the epoch in which it is best is kept{first}."
    )


@dataclass(frozen=True)
class _Course:
    """A training that has not become a model: its job, its checkpoint, or both.

    Attributes:
        name: of the model that it trains.
        job: that runs it, or ran it last; None if it was started on the command line.
        kept: its checkpoint; None before the first epoch.
    """

    name: str
    job: Job | None
    kept: Unfinished | None

    @property
    def running(self) -> bool:
        return bool((self.job and self.job.active) or (self.kept and self.kept.running))

    @property
    def failed(self) -> bool:
        return self.job is not None and self.job.state == "failed" and not self.running


def live() -> None:
    """Draw the trainings that have not ended, and those that run again every two seconds."""
    running = any(one.running for one in _courses())
    st.fragment(_live, run_every=2.0 if running else None)()


def _live() -> None:
    courses = _courses()
    for one in courses:
        with st.container(border=True):
            _card(one)
    seen = tuple((one.name, one.running) for one in courses)
    before = st.session_state.get("train.seen", seen)
    st.session_state["train.seen"] = seen
    if seen != before:
        st.rerun()  # the rest of the page shows what has been trained


def _courses() -> list[_Course]:
    """The trainings that have not become models, the running ones first."""
    kept = {one.name: one for one in training.unfinished()}
    last: dict[str, Job] = {}
    for job in jobs.jobs():  # the newest first
        name = _name_of(job)
        if name and (job.active or _failed_last(name, job) or name in kept):
            last.setdefault(name, job)
    there = {*kept, *(n for n, job in last.items() if job.active or job.state == "failed")}
    found = [_Course(name, last.get(name), kept.get(name)) for name in sorted(there)]
    return sorted(found, key=lambda one: not one.running)


def _failed_last(name: str, job: Job) -> bool:
    """Whether a job has failed, and its training has not become a model since."""
    return job.state == "failed" and job.started > training.finished_at(name)


def _name_of(job: Job) -> str:
    """The name of the model that a job trains; empty for other jobs."""
    words = job.arguments
    if words[:1] != ("train",) or "--name" not in words[:-1]:
        return ""
    return words[words.index("--name") + 1]


def _card(one: _Course) -> None:
    kept, job = one.kept, one.job
    if one.running:
        st.markdown(f"**{plain(one.name)}** is being trained{_of_what(kept)}")
        _progress(one)
    elif one.failed and job is not None:
        st.markdown(f"**{plain(one.name)}** could not be trained to the end{_of_what(kept)}")
        st.error(plain(job.message))
    else:
        st.markdown(f"**{plain(one.name)}** was not trained to the end{_of_what(kept)}")
        if job is not None and job.message:
            st.caption(plain(job.message))
    if kept is not None and kept.curves.scores:
        _curves(kept)
    if not one.running:
        _ways_on(one)


def _of_what(kept: Unfinished | None) -> str:
    if kept is None:
        return ""
    settings = kept.settings
    return f": {NAMES[settings.kind]} on {plain(settings.gallery)}"


def _progress(one: _Course) -> None:
    """Draw the progress of a training, and a button to stop it."""
    left, right = st.columns([3, 1], vertical_alignment="center")
    job = one.job
    if job is None or not job.active:
        left.caption("It was started on the command line, and is stopped there.")
        return
    left.progress(
        min(job.done / job.total, 1.0) if job.total else 0.0, text=plain(jobs.describe(job))
    )
    stopping = job.state == "stopping"
    if right.button(
        "Stopping …" if stopping else "Stop training",
        key=f"train.stop.{one.name}",
        icon=":material/stop:",
        disabled=stopping,
        width="stretch",
        help="The last whole epoch is kept; it can go on from there.",
    ):
        with contextlib.suppress(InputError):  # it has just ended
            jobs.stop(job.id)
        st.rerun()


def _curves(kept: Unfinished) -> None:
    curves = kept.curves
    now, best, before = curves.scores[-1], curves.scores[curves.best], curves.scores[0]
    # an autoencoder may have ranked better before training, which is never kept
    place = "best" if best >= before else "best since"
    st.markdown(
        f"Epoch {curves.epoch:,} of at most {kept.settings.epochs:,} · held-out retrieval "
        f"{now:.3f}, before training {before:.3f}, {place} {best:.3f} in epoch {curves.best:,}"
    )
    if not curves.epoch:
        return  # there is nothing to draw before the first step
    figure = figures.training_curves(curves.losses, curves.scores, curves.best)
    plot(figure, key=f"live-{kept.name}", name=f"training {kept.name}")
    st.caption(curves_told(kept.settings))


def _ways_on(one: _Course) -> None:
    """Draw what can be done with a training that was stopped or killed, or has failed."""
    busy = page.job_running()
    told = "One job runs at a time; see the sidebar." if busy else None
    places = st.columns([2, 2, 1])
    kept = one.kept
    if kept is not None:
        slower = one.failed and kept.diverged
        rate = min(kept.settings.rate / _SLOWER, _LARGEST_RATE)
        label = f"Go on at a rate of {rate:g}" if slower else "Go on"
        if places[0].button(
            label,
            key=f"train.go.{one.name}",
            type="primary",
            icon=":material/play_arrow:",
            disabled=busy,
            help=told or _from_where(kept, slower),
        ):
            _go_on(one, kept, {"rate": rate} if slower else {})
        if kept.curves.best and places[1].button(
            f"Keep epoch {kept.curves.best:,} as the model",
            key=f"train.keep.{one.name}",
            icon=":material/check:",
            disabled=busy,
            help=told or "Ends it here, with what was best so far, and judges that.",
        ):
            _go_on(one, kept, {"epochs": kept.curves.epoch})
    with places[2].popover("Delete", icon=":material/delete:", width="stretch"):
        st.text("What was trained of it so far is lost.")
        if st.button("Delete this training", key=f"train.forget.{one.name}"):
            _delete(one)


def _from_where(kept: Unfinished, slower: bool) -> str:
    if slower:
        return "A smaller learning rate takes smaller steps, so that the loss stays a number."
    return f"From epoch {max(kept.curves.epoch, 0):,}, as if nothing had happened."


def _go_on(one: _Course, kept: Unfinished, changed: dict[str, float]) -> None:
    if one.job is not None:
        with contextlib.suppress(InputError):  # another browser tab was faster
            jobs.forget(one.job.id)
    jobs.start(
        f"Train {one.name}: {NAMES[kept.settings.kind]}", arguments(kept.settings, **changed)
    )
    st.rerun()


def _delete(one: _Course) -> None:
    try:
        if one.kept is not None:
            training.delete(one.name)
        if one.job is not None:
            jobs.forget(one.job.id)
    except AinaError as error:
        st.error(plain(error))
        return
    st.rerun()
