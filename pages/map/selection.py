"""What was picked out on the map: its labels, its images, and what can be made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import streamlit as st

from aina_core.errors import AinaError
from aina_core.gallery import galleries, uploads, valid_name
from aina_core.search.searcher import Searcher
from ui import actions, downloads, navigation, page, selection, settings, state
from ui.components import cards
from ui.image_cards import image_card
from ui.text import plain

_PAGE = 24
_LABELS = 8


@st.fragment
def show(opened: Searcher, *, flat: bool) -> None:
    """Draw the images picked out, page by page; `flat` says that the map has a lasso."""
    ids = [image_id for image_id in selection.chosen() if opened.has(image_id)]
    if not ids:
        st.markdown("**Selected: 0**")
        lasso = "Draw a line around points with the lasso to see their images here."
        space = "In three dimensions there is no lasso; choose two to pick images out."
        st.caption(f"{lasso if flat else space} Click a point to make it the query.")
        return
    st.markdown(f"**Selected: {len(ids):,}**")
    _labels(opened, ids)
    left, right = st.columns(2)
    header = ["id", "label", "caption"]
    downloads.csv("selected.csv", header, lambda: _rows(opened, ids), place=left)
    if right.button("Clear", icon=":material/close:", width="stretch"):
        selection.choose(())
        st.rerun()
    if st.button("Heat map of these", icon=":material/grid_on:", width="stretch"):
        settings.put({"heatmap.set": "selection"})
        navigation.go("heatmap")
    _as_gallery(opened, ids)
    drawn = ids[page.pager(len(ids), _PAGE, "map.selected.page")]
    event = cards(
        [image_card(opened, image_id) for image_id in drawn],
        actions=[actions.SEARCH, actions.EXPLAIN, actions.COMPARE],
        key="map-selected",
        columns=2,
    )
    actions.follow(event, stay=True)


def _labels(opened: Searcher, ids: list[str]) -> None:
    counts = Counter(opened.image(image_id)[1].label or "no label" for image_id in ids)
    named = [f"{label} {number:,}" for label, number in counts.most_common(_LABELS)]
    if len(counts) > _LABELS:
        named.append(f"{len(counts) - _LABELS} more")
    st.caption(plain(" · ".join(named)))


def _as_gallery(opened: Searcher, ids: list[str]) -> None:
    with st.popover("As gallery", icon=":material/photo_library:", width="stretch"):
        st.caption("Their files and labels are copied, and indexed by this model.")
        name = st.text_input("Name of the new gallery", key="map.gallery.name")
        if not st.button("Make it", disabled=not name, type="primary", key="map.gallery.make"):
            return
        try:
            if valid_name(name) in galleries():
                st.error(plain(f"There is a gallery {name} already; choose another name."))
                return
            with st.spinner("Copying …"):
                made = uploads.gallery_of_images(name, opened.gallery, ids)
            page.start_indexing(made, opened.model)
        except AinaError as error:
            st.error(plain(error))
            return
    state.change(gallery=name)
    st.rerun()


def _rows(opened: Searcher, ids: list[str]) -> Iterator[tuple[str, str, str]]:
    for image_id in ids:
        note = opened.image(image_id)[1]
        yield image_id, note.label, note.caption
