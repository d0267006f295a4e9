"""The Heat map page's upper half for many images: groups, and the pair of them that was clicked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import streamlit as st

from aina_core import figures
from aina_core.numbers import decimal_text, percentile_text
from aina_core.search.searcher import Searcher
from aina_core.similarity.groups import QUANTILES, GroupMatrix
from pages.heatmap import cache
from pages.heatmap.matrix import card, nearest_cell, side_by_side
from pages.heatmap.sets import Choice
from ui import downloads, serve, settings
from ui.components import Picture, cards, plot

_STATISTICS = {"mean": "mean", "low": "10%", "median": "median", "high": "90%"}


def show_groups(opened: Searcher, choice: Choice, order: str) -> None:
    """Draw the heat map of groups, and the pair of groups that was clicked."""
    found = cache.groups(opened, choice.chosen, order)
    kind = "clusters of similar images" if found.clustered else "labels"
    st.info(
        f"{len(choice.chosen.ids):,} images are too many to show each: these are the similarities "
        f"of {len(found.names)} {kind}."
        + (" The quantiles are those of a sample of each." if found.sampled else "")
    )
    left, right = side_by_side(1)
    with left:
        statistic = settings.choice("heatmap.statistic", "Of all pairs", _STATISTICS, "mean")
        values = (found.mean, *found.quantiles)[list(_STATISTICS).index(statistic)]
        clicked = plot(
            figures.group_heatmap(values, found.names, tree=found.tree),
            key="heatmap-groups",
            name=f"heatmap-{opened.gallery.name}",
            pictures=[_group_picture(opened, found, place) for place in range(len(found.names))],
        )
        if clicked is not None and len(clicked) == 2:
            names = [found.names[place] for place in clicked]
            settings.put({"heatmap.cell": settings.names_text(names)})
        header = ["first", "second", "mean", *(f"quantile {q}" for q in QUANTILES)]
        downloads.csv("groups.csv", header, lambda: _rows(found))
    with right:
        _show_cell(opened, found, *_cell(found))


def _group_picture(opened: Searcher, found: GroupMatrix, place: int) -> Picture:
    sha256 = opened.image(found.examples[place])[0].sha256
    thumbnail = serve.thumbnail_url(opened.gallery.name, sha256)
    name = found.names[place] or "no label"
    return Picture(name, thumbnail, text=f"{found.sizes[place]:,} images")


def _cell(found: GroupMatrix) -> tuple[int, int]:
    """The two groups that were clicked; else the two that are nearest to each other."""
    if asked := settings.pair_of("heatmap.cell", found.names, found.names):
        return found.names.index(asked[0]), found.names.index(asked[1])
    return nearest_cell(np.nan_to_num(found.mean, nan=-2))


def _show_cell(opened: Searcher, found: GroupMatrix, first: int, second: int) -> None:
    st.subheader("The two groups")
    both = list(dict.fromkeys((first, second)))
    cards([card(opened, found.examples[place]) for place in both], columns=2, key="cell")
    for place in both:
        st.text(f"{found.names[place] or 'no label'}: {found.sizes[place]:,} images")
    mean = float(found.mean[first, second])
    if not np.isfinite(mean):
        st.caption("A group of one image has no pair in itself.")
        return
    st.metric(f"Mean similarity under {opened.model}", decimal_text(mean))
    low, middle, high = map(decimal_text, map(float, found.quantiles[:, first, second]))
    st.caption(
        f"{percentile_text(float(opened.percentile(np.array(mean))))}; half of the pairs are above "
        f"{middle}, 8 of 10 between {low} and {high}"
    )
    if not found.clustered and st.button("Show these images", icon=":material/grid_on:"):
        labels = settings.names_text([found.names[place] for place in both])
        settings.put({"heatmap.set": "labels", "heatmap.labels": labels})
        st.rerun()


def _rows(found: GroupMatrix) -> Iterator[list[str]]:
    for i, first in enumerate(found.names):
        for j, second in enumerate(found.names[: i + 1]):
            numbers = [found.mean[i, j], *found.quantiles[:, i, j]]
            yield [first, second, *("" if np.isnan(x) else f"{x:.6f}" for x in numbers)]
