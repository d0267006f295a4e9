"""The Compare page's gallery: how far models agree on every image, and where they differ most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from aina_core import figures, jobs
from aina_core.errors import AinaError
from aina_core.gallery import Gallery
from aina_core.numbers import decimal_text
from aina_core.similarity import Agreement, PairAgreement
from aina_core.similarity.overlap import PERSISTENCE
from pages.compare import cache
from ui import cache as shared
from ui import downloads, page, query, state
from ui.components import cards, plot
from ui.image_cards import image_card
from ui.settings import number_of, one_of
from ui.text import plain

_DEFAULT_K, _MAX_K = 4, 20
_CARDS = 12


@st.fragment
def whole_gallery(gallery: Gallery, models: tuple[str, ...]) -> None:
    """Draw how many of the k nearest of every image the models share."""
    if len(models) < 2:
        return
    st.subheader("Over the whole gallery")
    k = _k()
    state.publish()
    try:
        found = cache.agreement(tuple(shared.searcher(gallery.name, m) for m in models), k)
    except AinaError as error:
        st.error(plain(error))
        return
    if found is None:
        words = ["agreement", "--gallery", gallery.name, "--models", *models, "-k", str(k)]
        page.offer_job(
            "Every image is held against every other, which takes a while in a gallery this large.",
            "Compare over the whole gallery",
            lambda: jobs.start(f"Compare {' and '.join(models)} over {gallery.name}", words),
        )
        return
    _summary(found)
    if len(found.pairs) == 1:
        left, right = st.columns([3, 2], vertical_alignment="top")
    else:
        left = right = st.container()
    with left:
        bars = figures.agreement_bars({_name(pair): pair.counts for pair in found.pairs})
        plot(bars, key="agreement", name="agreement")
    with right:
        _table(found)
    _differences(gallery, found)


def _k() -> int:
    k = number_of("compare.shared", _DEFAULT_K, 1, _MAX_K)
    st.slider(
        "Nearest of each image",
        1,
        _MAX_K,
        width=400,
        **state.bind_setting("compare.shared", k, str(_DEFAULT_K)),
    )
    return k


def _name(pair: PairAgreement) -> str:
    return " and ".join(pair.models)


def _summary(found: Agreement) -> None:
    pairs = "".join(
        f" {_name(pair)} share {pair.shared.mean():.1f} of {found.k} on average; "
        f"mean rank-biased overlap {decimal_text(pair.mean_overlap)}."
        for pair in found.pairs
        if len(found.pairs) == 1
    )
    st.markdown(plain(f"{len(found.ids):,} images.{pairs}"))
    recalls = {model: recall for model, recall in found.index_recall.items() if recall < 1}
    how = "".join(
        f" {m}: found by Annoy, index recall@10 {decimal_text(r)}." for m, r in recalls.items()
    )
    st.caption(
        "Rank-biased overlap is 1 where both find the same images at the same ranks, 0 where they "
        f"share none; nearer ranks count more (p = {PERSISTENCE})." + plain(how)
    )


def _table(found: Agreement) -> None:
    """Draw counts and percentages: by number shared for two models, pair by pair for more.

    The CSV has one line for each pair and number in either case.
    """
    if len(found.pairs) == 1:
        rows = [
            {"shared": number, "images": count, "%": percent}
            for number, count, percent in _counted(found.counts)
        ]
        config = {"%": st.column_config.NumberColumn(format="%.1f%%")}
    else:
        overlaps = [decimal_text(pair.mean_overlap) for pair in found.pairs]
        rows = [
            {
                "models": name,
                **{f"{n} shared": f"{count:,} ({share:.1f}%)" for n, count, share in _counted(c)},
                "mean overlap": overlap,
            }
            for (name, c), overlap in zip(_series(found), [*overlaps, ""], strict=True)
        ]
        config = {}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=config, height="content")
    left, right = st.columns(2)
    downloads.csv(
        "agreement.csv",
        ["models", "shared", "images", "percent"],
        lambda: _counts(found),
        label="Table as CSV",
        place=left,
    )
    header = ["id"]
    for name in map(_name, found.pairs):
        header += [f"shared {name}", f"rank-biased overlap {name}"]
    downloads.csv(
        "agreement-images.csv",
        header,
        lambda: _images(found),
        label="Every image as CSV",
        place=right,
    )


def _series(found: Agreement) -> list[tuple[str, np.ndarray]]:
    """The counts of every pair, and of all models together where there are more than two."""
    series = [(_name(pair), pair.counts) for pair in found.pairs]
    return series if len(series) == 1 else [*series, ("all of them", found.counts)]


def _counted(counts: np.ndarray) -> list[tuple[int, int, float]]:
    """(number shared, images, per cent), from all shared to none."""
    percent = 100 * counts / counts.sum()
    return [(n, int(counts[n]), float(percent[n])) for n in range(len(counts) - 1, -1, -1)]


def _counts(found: Agreement) -> Iterator[Sequence[object]]:
    for name, counts in _series(found):
        for number, count, percent in _counted(counts):
            yield name, number, count, f"{percent:.2f}"


def _images(found: Agreement) -> Iterator[Sequence[object]]:
    columns: list[list[object]] = [list(found.ids)]
    for pair in found.pairs:
        columns += [pair.shared.tolist(), pair.overlap.round(4).tolist()]
    return zip(*columns, strict=True)


def _differences(gallery: Gallery, found: Agreement) -> None:
    """Draw the images on which two models differ most; a click makes one the query."""
    names = [_name(pair) for pair in found.pairs]
    st.markdown("**Where they differ most**")
    name = names[0]
    if len(names) > 1:
        name = one_of("compare.pair", names, names[0])
        st.selectbox(
            "Which two", names, width=400, **state.bind_setting("compare.pair", name, names[0])
        )
    pair = found.pairs[names.index(name)]
    opened = shared.searcher(gallery.name, found.models[0])
    shown = []
    for place in pair.most_different(_CARDS):
        overlap = decimal_text(float(pair.overlap[place]))
        caption = f"{pair.shared[place]} of {found.k} shared, overlap {overlap}"
        shown.append(replace(image_card(opened, found.ids[place]), caption=caption))
    actions = [("search", "Compare by this", ":material/compare:")]
    event = cards(shown, actions=actions, key="differ")
    if event is not None and event.id != state.current().member:
        query.use_image(event.id)
        st.rerun()
