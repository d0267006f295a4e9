"""Which images the Heat map page shows: the choice of a set, with its own options."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from aina_core.search.searcher import Searcher
from aina_core.similarity import sets
from aina_core.similarity.sets import Chosen
from pages.heatmap import cache
from ui import cache as shared
from ui import navigation, selection, settings, state
from ui.link import MAX_K
from ui.text import plain

_KINDS = {
    "neighbours": "The query and its neighbours",
    "labels": "Labels",
    "original": "An original with its modifications",
    "selection": "The selection",
}
_DEFAULT_LABELS = 4


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        chosen: images of the gallery.
        with_query: whether the query, which is no image of the gallery, stands before them.
    """

    chosen: Chosen
    with_query: bool = False

    def __len__(self) -> int:
        return len(self.chosen.ids) + self.with_query


def choose(opened: Searcher) -> Choice | None:
    """Draw the choice of images and return them; None, after saying why, where there are none."""
    has_originals = sets.ORIGINAL in opened.columns.get(sets.MODIFICATION, {})
    kinds = {kind: text for kind, text in _KINDS.items() if has_originals or kind != "original"}
    default = "original" if has_originals else "neighbours"
    kind = settings.choice("heatmap.set", "Images", kinds, default)
    chosen = {
        "neighbours": _neighbours,
        "labels": _labels,
        "original": _original,
        "selection": _selection,
    }[kind](opened)
    if chosen is not None and len(chosen) < 2:
        st.info("There is only one image in this set; choose another set.")
        return None
    return chosen


def _neighbours(opened: Searcher) -> Choice | None:
    now = state.current()
    if not now.query:
        st.info("There is no query yet; choose one on the Search page.")
        return None
    st.slider("k", 1, MAX_K, **state.bind("k", now.k))
    hits = [hit.id for hit in shared.result(now).nearest(now.k)]
    ids = hits if now.member is None else [now.member, *hits]
    return Choice(sets.of_images(opened, ids), with_query=now.member is None)


def _labels(opened: Searcher) -> Choice:
    asked = settings.names_of("heatmap.labels")
    unknown = [label for label in asked or () if label not in opened.labels]
    if unknown:
        names = ", ".join(map(repr, unknown[:5]))
        st.warning(plain(f"The link names labels that this gallery does not have: {names}."))
    labels = list(dict.fromkeys(label for label in asked or () if label in opened.labels))
    if asked is None or (asked and not labels):
        labels = _default_labels(opened)
    st.multiselect(
        "Labels",
        list(opened.labels),
        placeholder="all",
        format_func=lambda label: f"{label or 'no label'} ({opened.labels[label]:,})",
        **state.bind_setting("heatmap.labels", labels, "", settings.names_text),
    )
    return Choice(cache.images_of_labels(opened, tuple(labels)))


def _default_labels(opened: Searcher) -> list[str]:
    """The query's label and those that follow it in the alphabet; all where there are few."""
    labels = list(opened.labels)
    image = state.current().image
    own = opened.image(image)[1].label if image and opened.has(image) else labels[0]
    at = labels.index(own)
    return [] if len(labels) <= 1 else (labels[at:] + labels[:at])[:_DEFAULT_LABELS]


def _original(opened: Searcher) -> Choice:
    originals = sets.originals(opened)
    asked = settings.one_of("heatmap.original", ("", *originals), "")
    original = asked or _own_original(opened, originals)
    st.selectbox(
        "Original",
        originals,
        format_func=lambda image_id: opened.image(image_id)[1].label or image_id,
        **state.bind_setting("heatmap.original", original, ""),
    )
    return Choice(sets.with_modifications(opened, original))


def _own_original(opened: Searcher, originals: list[str]) -> str:
    """The query's original, by its label; else the first."""
    image = state.current().image
    if image and opened.has(image):
        label = opened.image(image)[1].label
        own = [each for each in originals if opened.image(each)[1].label == label]
        return image if image in own else next(iter(own), originals[0])
    return originals[0]


def _selection(opened: Searcher) -> Choice | None:
    ids = selection.chosen()
    if not ids:
        st.info(
            "No images are selected: draw around some on the Map with the lasso, and they appear "
            "here."
        )
        navigation.link("map", "Open the Map")
        return None
    chosen = sets.of_images(opened, ids)
    if len(chosen.ids) < 2:
        st.info("The selection has fewer than two images under this model; select more on the Map.")
        return None
    return Choice(chosen)
