"""The Robustness page's upper half: what to study, and which study to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from aina_core import jobs, models
from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from aina_core.models import FAST
from aina_core.studies import KINDS, SET_TITLES, SETS, Settings, delete, settle, studies
from aina_core.studies.kind import Kind
from ui import page, state
from ui.settings import choice, one_of, put
from ui.text import plain

_KS = (1, 3, 5, 10, 20, 50)


def choose(gallery: Gallery) -> str:
    """Draw what can be studied, start a study on request, and return the kind of study."""
    titles = {name: kind.title for name, kind in KINDS.items()}
    kind = choice("robustness.study", "Study", titles, next(iter(KINDS)))
    meant = KINDS[kind]
    st.caption(meant.question)
    offered = _ready() if meant.changes else gallery.models()
    if not offered:
        lacking = "has no model here" if meant.changes else "is not indexed by any model"
        st.info(plain(f"The gallery {gallery.name} {lacking}; see the Galleries page."))
        return kind
    asked = _ask(gallery, meant, offered)
    if asked is not None:
        try:
            settings = settle(kind, gallery.name, **asked)
        except AinaError as error:
            st.error(plain(error))
            return kind
        jobs.start(f"{meant.title}: {gallery.name}", arguments(settings))
        put({"robustness.run": None})  # the new one, when it is done
        st.rerun()
    page.wait_for_job("a new study")
    return kind


def _ask(gallery: Gallery, kind: Kind, offered: Sequence[str]) -> dict[str, Any] | None:
    """Draw models, originals and settings; return them in the one run that follows a click."""
    left, middle, right = st.columns([4, 2, 1], vertical_alignment="bottom")
    usual = [m for m in gallery.models() if m in offered] or list(offered[:1])
    key = f"robustness.models.{kind.name}.{gallery.name}"  # another gallery has other models
    chosen = left.multiselect("Models", offered, default=usual, key=key)
    count = middle.number_input(
        kind.drawn.capitalize(),
        min_value=2,
        value=None,
        placeholder="all",
        help="So many are drawn at random, the same for every model and every time; leave it empty "
        "for all. Of the demo, the photographs themselves are the originals.",
        key=f"robustness.originals.{kind.name}",
    )
    changes, ks, seed = _more(kind)
    busy = page.job_running()
    run = right.button(
        "Run",
        type="primary",
        icon=":material/play_arrow:",
        disabled=busy or not chosen,
        width="stretch",
        help="One job runs at a time; see the sidebar." if busy else None,
    )
    if not run:
        return None
    return {"models": chosen, "originals": count, "changes": changes, "ks": ks, "seed": seed}


def _ready() -> list[str]:
    """The models that can be used here, with their variants."""
    names = [name for name in models.names() if models.state(name).status == "ready"]
    return [variant for name in names for variant in (name, f"{name}@{FAST}")]


def _more(kind: Kind) -> tuple[tuple[str, ...], tuple[int, ...], int]:
    """Draw the settings that are seldom touched: changes, ks and the seed."""
    changes: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()
    with st.expander("Settings", icon=":material/tune:"):
        if kind.changes:
            changes = tuple(
                st.multiselect(
                    "Changes",
                    [*SETS, *MODIFICATIONS, *PROFILES],
                    default=[kind.changes],
                    format_func=_set_name,
                    key=f"robustness.changes.{kind.name}",
                )
            )
        if kind.ks:
            ks = tuple(
                st.multiselect(
                    "Neighbours that are judged (k)",
                    sorted({*_KS, *kind.ks}),
                    default=kind.ks,
                    key=f"robustness.ks.{kind.name}",
                )
            )
        seed = st.number_input("Seed", min_value=0, value=0, key="robustness.seed", width=160)
    return changes, ks, int(seed)


def _set_name(name: str) -> str:
    return SET_TITLES.get(name, name)


def arguments(settings: Settings) -> list[str]:
    """Return the command line that runs a study."""
    words = ["study", settings.kind, "--gallery", settings.gallery, "--models", *settings.models]
    if settings.originals is not None:
        words += ["--originals", str(settings.originals)]
    if settings.changes:
        words += ["--changes", *settings.changes]
    if settings.ks:
        words += ["-k", *map(str, settings.ks)]
    return [*words, "--seed", str(settings.seed)]


def earlier(gallery: Gallery, kind: str) -> str | None:
    """Draw the studies of this kind that were run of a gallery; return the id of the one chosen."""
    found, damaged = studies()
    _say_damaged(damaged)
    mine = [one for one in found if one.settings.gallery == gallery.name]
    ids = {one.id: one.settings for one in mine if one.settings.kind == kind}
    newest = next(iter(ids), "")
    chosen = one_of("robustness.run", ids, newest, known=["", *(one.id for one in mine)])
    if not ids:
        st.info(
            f"No study of {KINDS[kind].title.lower()} was run of this gallery yet. Choose models "
            "above and run one; every figure comes with a 95% interval."
        )
        return None
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.selectbox(
        "Studies that were run",
        list(ids),
        format_func=lambda one: describe(one, ids[one]),
        **state.bind_setting("robustness.run", chosen, newest),
    )
    with right.popover("Delete", icon=":material/delete:", width="stretch"):
        st.text("This cannot be undone.")
        if st.button("Delete this study", key=f"robustness.delete.{chosen}"):
            delete(chosen)
            put({"robustness.run": None})
            st.rerun()
    return chosen


def describe(study_id: str, settings: Settings) -> str:
    """Return a study's line in a list: when, which models, how many originals."""
    day, time = study_id[:8], study_id[9:13]
    when = f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:]} UTC"
    many = "all" if settings.originals is None else f"{settings.originals:,}"
    what = KINDS[settings.kind].drawn
    changes = _changes_name(settings.changes)
    return f"{when} · {', '.join(settings.models)} · {many} {what}{changes} · seed {settings.seed}"


def _changes_name(changes: Sequence[str]) -> str:
    if not changes:
        return ""
    for name, known in SETS.items():
        if tuple(changes) == known:
            return f" · {_set_name(name)}"
    return f" · {len(changes)} changes"


def _say_damaged(damaged: dict[str, str]) -> None:
    for study_id, reason in damaged.items():
        st.warning(plain(f"The study {study_id} is damaged: {reason}"))
        if st.button(plain(f"Delete {study_id}"), key=f"robustness.damaged.{study_id}"):
            delete(study_id)
            st.rerun()
