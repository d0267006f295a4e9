"""What a similarity means here: its distribution over pairs, and a ladder of example pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import streamlit as st

from aina_core import figures
from aina_core.numbers import decimal_text, percentile_text
from aina_core.search.searcher import Searcher
from aina_core.similarity.distribution import Distribution
from aina_core.similarity.ladder import TOLERANCE, Rung
from pages.heatmap import cache
from ui import downloads
from ui.components import cards, plot
from ui.image_cards import image_card
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
    header = ["pairs", "similarity"]
    downloads.csv("distribution.csv", header, lambda: _distribution_rows(found), place=right)
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


def _distribution_rows(found: Distribution) -> Iterator[list[str]]:
    kinds = {"one label": found.within, "two labels": found.between, "random": found.baseline}
    for kind, values in kinds.items():
        for similarity in values.tolist():
            yield [kind, f"{similarity:.6f}"]


def show_ladder(opened: Searcher) -> None:
    """Draw example pairs at each step of similarity."""
    rungs = cache.examples(opened)
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.subheader(plain(f"What a number looks like under {opened.model}"))
    header = ["step", "first", "second", "similarity", "percentile"]
    downloads.csv("ladder.csv", header, lambda: _ladder_rows(rungs), place=right)
    for rung in rungs:
        _show_rung(opened, rung)


def _show_rung(opened: Searcher, rung: Rung) -> None:
    words, *places = st.columns([1, 2, 2, 2], gap="medium", vertical_alignment="center")
    words.markdown(f"**{rung.step:.1f}**")
    words.caption(percentile_text(rung.percentile))
    if not rung.pairs:
        places[0].caption(f"No pair of images at {rung.step:.1f} ± {TOLERANCE}.")
    for number, (place, pair) in enumerate(zip(places, rung.pairs, strict=False)):
        shown = [image_card(opened, image_id) for image_id in (pair.first, pair.second)]
        with place:
            cards(shown, columns=2, key=f"rung-{rung.step}-{number}")


def _ladder_rows(rungs: list[Rung]) -> Iterator[list[str]]:
    for rung in rungs:
        for pair in rung.pairs:
            numbers = f"{pair.similarity:.6f}", f"{pair.percentile:.4f}"
            yield [f"{rung.step:.2f}", pair.first, pair.second, *numbers]
