"""The Robustness page's results: what a study found, in words, tables and figures."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from aina_core.gallery import Gallery
from aina_core.studies import KINDS, Run, shown, studies
from aina_core.studies.compare import compare
from aina_core.studies.kind import Table
from aina_core.studies.kinds import figure_table, model_table
from aina_core.studies.published import published_table
from pages.robustness import cache, choose, hits, modifications
from ui import downloads, navigation, state
from ui.components import plot
from ui.settings import one_of
from ui.text import plain

_LINES = 400  # of a table on the page; the CSV has all


# Kinds with pictures to click on; of another, the page shows the sections of its report.
_SHOWN = {
    "modifications": modifications.show_modifications,
    "recovery": hits.show_recovery,
    "retrieval": hits.show_retrieval,
}


def show(gallery: Gallery, run: Run) -> None:
    """Draw a stored study."""
    st.markdown(f"**{plain(run.summary.verdict)}**")
    _notes(gallery, run)
    _downloads(run)
    kind = KINDS[run.settings.kind]
    if not kind.changes:
        _models(run)
    _SHOWN.get(kind.name, _report)(gallery, run)
    if kind.changes:
        _models(run)
    if run.results["differences"]:
        st.subheader("Can the models be told apart?")
        _table(shown.difference_table(run))
        st.caption(
            "Paired over the same images. p: how often a difference this large comes by chance, "
            "by flipping signs; by Holm where many were tested at once."
        )
    _agreement(run)
    _published(run)
    _compare(run)


def _report(gallery: Gallery, run: Run) -> None:
    """Draw the sections of the study's report."""
    for section in KINDS[run.settings.kind].sections(run):
        st.subheader(plain(section.title))
        if section.figure is not None:
            key = f"robustness-{section.name}"
            plot(section.figure, key=key, name=f"{run.id}-{section.name}")
        if section.table is not None:
            _table(section.table)
        if section.note:
            st.caption(plain(section.note))


def _models(run: Run) -> None:
    """Draw what every model achieves, and what it costs."""
    st.subheader("The models, and what they cost")
    _table(shown.transposed(model_table(run)))
    st.caption(
        "In brackets: 95% intervals by the bootstrap over "
        + KINDS[run.settings.kind].drawn
        + ". What a model costs was measured in the same run; memory is the whole process's."
    )


def _notes(gallery: Gallery, run: Run) -> None:
    """Say what to know before trusting the study."""
    failed = run.results.get("failed", [])
    if failed:
        with st.expander(f"{len(failed):,} images could not be read and are left out"):
            st.dataframe(pd.DataFrame(failed), hide_index=True)
    left_out = run.results.get("left_out", 0)
    if left_out:
        st.caption(f"{left_out:,} images are alone with their label and were no queries.")
    now = gallery.catalogue.version()
    then = run.summary.gallery.get("generation", {}).get("catalogue")
    if now != then:
        st.caption("The gallery has changed since this study was run.")
    for model, cost in run.results["costs"].items():
        if "reason" in cost:
            st.caption(plain(f"What {model} costs could not be measured: {cost['reason']}"))


def _downloads(run: Run) -> None:
    places = st.columns([1, 1, 1, 3])
    downloads.file(
        f"{run.id}.html",
        lambda: cache.study_report(run.id),
        label="Report (HTML)",
        place=places[0],
    )
    downloads.csv(
        f"{run.id}.csv",
        figure_table(run)[0],
        lambda: figure_table(run)[1],
        place=places[1],
    )
    downloads.file(
        f"{run.id}.json",
        lambda: json.dumps(run.document(), ensure_ascii=False, indent=1),
        label="JSON",
        place=places[2],
    )


def _table(table: Table) -> None:
    """Draw a table of texts."""
    header, lines = table
    st.dataframe(
        pd.DataFrame(lines[:_LINES], columns=header),
        hide_index=True,
        height="content" if len(lines) <= 20 else 420,
    )
    if len(lines) > _LINES:
        st.caption(f"{len(lines) - _LINES:,} more lines stand in the CSV.")


def _agreement(run: Run) -> None:
    """Say how far the models agree, where the study counted it."""
    header, lines = shown.agreement_table(run)
    if not lines:
        return
    st.subheader("Do the models see the same?")
    _table((header, lines))
    navigation.link("compare", "See on which images")


def _published(run: Run) -> None:
    header, lines = published_table(run)
    st.subheader("Published beside ours")
    if lines:
        _table((header, lines))
    else:
        st.caption("The source projects published no such figure of these models.")


def _compare(run: Run) -> None:
    """Compare the study with an earlier one of its kind, of any gallery."""
    st.subheader("Against another study")
    found, _ = studies()
    others = {
        one.id: one for one in found if one.settings.kind == run.settings.kind and one.id != run.id
    }
    if not others:
        st.caption("There is no other study of this kind yet.")
        return
    wanted = one_of("robustness.against", ("", *others), "", known=[one.id for one in found])
    st.selectbox(
        "Compare with",
        ["", *others],
        format_func=lambda one: (
            f"{others[one].settings.gallery} · {choose.describe(one, others[one].settings)}"
            if one
            else "none"
        ),
        **state.bind_setting("robustness.against", wanted, ""),
    )
    if not wanted:
        return
    compared = compare(cache.study(wanted), run)
    st.markdown(plain(" ".join(compared.notes)))
    lines = [
        [
            one["model"],
            one["what"],
            one["figure"] + (f"@{one['k']}" if one["k"] else ""),
            one["first"],
            one["second"],
            one["difference"],
            {True: "apart", False: "overlap", None: ""}[one["apart"]],
        ]
        for one in compared.as_dict()["figures"]
    ]
    header = ["model", "of", "figure", "the other", "this one", "difference", "intervals"]
    st.dataframe(pd.DataFrame(lines, columns=header), hide_index=True, height=360)
    downloads.csv("studies-compared.csv", header, lambda: lines)
