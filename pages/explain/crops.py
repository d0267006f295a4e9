"""Crops of the query: what the network sees in them, beside the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import streamlit as st

from aina_core.explain import CropRow, colour_table, nine_crops
from aina_core.gallery import Gallery
from aina_core.numbers import decimal_text, probability_text
from pages.explain import cache
from pages.explain.choices import Choice
from pages.explain.maps import heat_picture, percentile_of
from pages.explain.question import Question, Shown, Subject
from ui import downloads, settings, state
from ui.components import HeatPicture, clamp_box, cropper, heat
from ui.link import Box
from ui.text import plain

MOST = 4
_CROPS, _NINE = "explain.crops", "nine"
_COLUMNS = 5
_HEADER = [
    "crop",
    "x",
    "y",
    "width",
    "height",
    "class",
    "probability",
    "to the whole",
    "to the reference",
]


def show(gallery: Gallery, choice: Choice, query: Subject, question: Question) -> None:
    """Draw the ways to crops, and the crops beside the whole.

    Raises:
        AinaError: the picture is gone, or the model cannot be used.
    """
    model = choice.models[0]
    explainer = cache.explainer(model, gallery.name)
    if reason := explainer.can(question.kind) or explainer.can(question.method):
        st.info(plain(reason))
        return
    whole = dataclasses.replace(query, crop=None)
    named = _chosen(whole)
    left, right = st.columns([2, 7], gap="medium")
    with left:
        named = _choose(whole, named)
    with right:
        if query.crop:
            st.caption("The whole is all of the picture, not the crop that is searched by.")
        boxes = ((0, 0, whole.width, whole.height), *named.values())
        rows = cache.crops(model, whole, boxes, question)
        names = ["the whole", *named]
        heat(
            [
                _drawn(gallery, model, name, row, shown)
                for name, (row, shown) in zip(names, rows, strict=True)
            ],
            table=colour_table(choice.colours),
            opacity=choice.opacity,
            columns=_COLUMNS,
            square=True,
            legend=any(shown.heat for _, shown in rows),
            key="crops",
        )
        st.caption(
            "Each map is of its crop alone, as if it were the picture: what the network saw there. "
            "Similarities are cosines to the whole, and to the reference where there is one."
        )
        downloads.csv("crops.csv", _HEADER, lambda: _rows(names, [row for row, _ in rows]))


def _chosen(whole: Subject) -> dict[str, Box]:
    """The crops in the URL, by name."""
    text = state.setting(_CROPS, "")
    if text == _NINE:
        found = nine_crops(whole.height, whole.width)
        return {name.partition("/")[2].replace("_", " "): box for name, box in found.items()}
    parts = text.split(";") if text else []
    found = [clamp_box(part.split(","), whole.width, whole.height) for part in parts[:MOST]]
    boxes = [box for box in found if box is not None]
    if len(boxes) < len(parts):
        settings.refuse(_CROPS, text, f"which is not up to {MOST} boxes in the picture")
    return {f"crop {number}": box for number, box in enumerate(boxes, start=1)}


def _choose(whole: Subject, named: dict[str, Box]) -> dict[str, Box]:
    """Draw where crops are drawn, and the buttons; return the crops there are."""
    nine = state.setting(_CROPS, "") == _NINE
    boxes = [] if nine else list(named.values())
    if len(boxes) < MOST:
        box = cropper(
            whole.url,
            width=whole.width,
            height=whole.height,
            box=None,
            drawn=boxes,
            key=f"explain-cropper-{whole.checksum}",
        )
        if box is not None:
            _write([*boxes, box])
        st.caption(f"Draw up to {MOST} boxes, one after the other.")
    else:
        st.caption(f"These are {MOST} boxes; remove one to draw another.")
    if st.button("The nine of the study", icon=":material/grid_view:", width="stretch"):
        _write(_NINE)
    for number, name in enumerate(named if not nine else ()):
        if st.button(f"Remove {name}", icon=":material/close:", width="stretch"):
            _write(boxes[:number] + boxes[number + 1 :])
    if nine and st.button("Remove them", icon=":material/close:", width="stretch"):
        _write([])
    return named


def _write(crops: Sequence[Box] | str) -> None:
    """Remember crops, and redraw the page."""
    text = crops if isinstance(crops, str) else ";".join(",".join(map(str, box)) for box in crops)
    settings.put({_CROPS: text or None})
    st.rerun()


def _drawn(gallery: Gallery, model: str, name: str, row: CropRow, shown: Shown) -> HeatPicture:
    lines = []
    if row.probability is not None:
        lines.append(f"{row.top_class} {probability_text(row.probability)}")
    for what, similarity in (("whole", row.to_whole), ("reference", row.to_reference)):
        if similarity is not None and not (what == "whole" and name == "the whole"):
            lines.append(f"to the {what} {decimal_text(similarity)}")
            if percentile := percentile_of(gallery, model, similarity):
                lines.append(percentile)
    return heat_picture(shown, caption=name, lines=lines)


def _rows(names: Sequence[str], rows: Sequence[CropRow]) -> Iterator[list[object]]:
    for name, row in zip(names, rows, strict=True):
        yield [
            name,
            *row.box,
            row.top_class,
            "" if row.probability is None else f"{row.probability:.4f}",
            f"{row.to_whole:.6f}",
            "" if row.to_reference is None else f"{row.to_reference:.6f}",
        ]
