"""What a similarity means here: its distribution over pairs, and a ladder of example pairs."""

from __future__ import annotations

import numpy as np
import streamlit as st

from aina_core import figures
from aina_core.csv_files import csv_text
from aina_core.numbers import decimal_text, percentile_text
from aina_core.search.searcher import Searcher
from aina_core.similarity.distribution import Distribution
from aina_core.similarity.ladder import TOLERANCE, LadderPair, Rung
from pages.heatmap import cache
from ui import serve
from ui.components import Card, cards, plot
from ui.text import plain

_MOST = 50_000  # pairs of a heat map of which the distribution is drawn


def show_distribution(opened: Searcher, chosen: np.ndarray, marked: float | None) -> None:
    """Draw how similar pairs of this gallery are.

    Args:
        opened: the gallery under a model.
        chosen: float32 (c,), the pairs that the heat map shows.
        marked: the similarity of the pair that is open.
    """
    found = cache.distribution(opened)
    st.subheader("Is that a lot?")
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.markdown(plain(_verdict(found)))
    right.download_button(
        "CSV",
        lambda: _distribution_table(found),
        file_name="distribution.csv",
        mime="text/csv",
        icon=":material/download:",
        key="distribution-csv",
        width="stretch",
    )
    step = max(len(chosen) // _MOST, 1)
    plot(
        figures.similarity_distribution(
            found.within, found.between, found.baseline, chosen=chosen[::step], marked=marked
        ),
        key="distribution",
        name=f"distribution-{opened.gallery.name}",
    )


def _verdict(found: Distribution) -> str:
    if not len(found.baseline):
        return "There are no two images to compare yet."
    middle, high = np.quantile(found.baseline, [0.5, 0.99]).tolist()
    text = (
        f"Under {found.model}, half of the random pairs of this gallery are above "
        f"{decimal_text(middle)}, and one in a hundred above {decimal_text(high)}."
    )
    if found.auc is None:
        return f"{text} Its labels give no pairs to compare them with."
    return (
        f"{text} A pair of one label is nearer than a pair of two labels in {found.auc:.1%} of "
        f"cases (ROC AUC; {found.pairs_within:,} pairs of one label, {found.pairs_between:,} of "
        f"two)."
    )


def _distribution_table(found: Distribution) -> str:
    kinds = {"one label": found.within, "two labels": found.between, "random": found.baseline}
    rows = ([kind, f"{x:.6f}"] for kind, values in kinds.items() for x in values.tolist())
    return csv_text(["pairs", "similarity"], rows)


def show_ladder(opened: Searcher) -> None:
    """Draw example pairs at each step of similarity."""
    rungs = cache.examples(opened)
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.subheader(plain(f"What a number looks like under {opened.model}"))
    right.download_button(
        "CSV",
        lambda: _ladder_table(rungs),
        file_name="ladder.csv",
        mime="text/csv",
        icon=":material/download:",
        key="ladder-csv",
        width="stretch",
    )
    for rung in rungs:
        _show_rung(opened, rung)


def _show_rung(opened: Searcher, rung: Rung) -> None:
    words, *places = st.columns([1, 2, 2, 2], gap="medium", vertical_alignment="center")
    words.markdown(f"**{rung.step:.1f}**")
    words.caption(percentile_text(rung.percentile))
    if not rung.pairs:
        places[0].caption(f"No pair of images at {rung.step:.1f} ± {TOLERANCE}.")
    for number, (place, pair) in enumerate(zip(places, rung.pairs, strict=False)):
        with place:
            cards(_pair_cards(opened, pair), columns=2, key=f"rung-{rung.step}-{number}")


def _pair_cards(opened: Searcher, pair: LadderPair) -> list[Card]:
    found = []
    for image_id in (pair.first, pair.second):
        record, note = opened.image(image_id)
        thumbnail = serve.thumbnail_url(opened.gallery.name, record.sha256)
        href = serve.image_url(opened.gallery.name, record.sha256)
        found.append(Card(image_id, thumbnail, label=note.label, href=href))
    return found


def _ladder_table(rungs: list[Rung]) -> str:
    rows = (
        [f"{r.step:.2f}", p.first, p.second, f"{p.similarity:.6f}", f"{p.percentile:.4f}"]
        for r in rungs
        for p in r.pairs
    )
    return csv_text(["step", "first", "second", "similarity", "percentile"], rows)
