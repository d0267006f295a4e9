"""The Search page's right side: options, the similarities of the whole gallery, the hits."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import streamlit as st

from aina_core import figures
from aina_core.errors import AinaError
from aina_core.models import ModelName
from aina_core.search.pairs import FEWEST, MOST, Reranked
from aina_core.search.searcher import Neighbour, Result, Searcher
from pages.search import cache
from ui import actions, downloads, page, state
from ui.components import cards, plot
from ui.image_cards import hit_card
from ui.link import MAX_K
from ui.text import plain

_PAGE = 48
_LOWEST = -0.2
_PAIRS = "search.pairs"


def options(opened: Searcher, *, index: bool = True) -> None:
    """Draw the filters and, if an index answers, the choice of it."""
    _forget_unknown_filters(opened)
    now = state.current()
    columns = st.columns([3, 3, 1], vertical_alignment="bottom")
    if len(opened.labels) > 1:
        columns[0].multiselect(
            "Labels",
            list(opened.labels),
            placeholder="all",
            format_func=lambda label: f"{label or 'no label'} ({opened.labels[label]:,})",
            **state.bind("labels", [x for x in now.labels if x in opened.labels], tuple),
        )
    if index:
        kinds = [f"Annoy · index recall@10 {opened.annoy.recall_at_10:.3f}", "exact"]
        columns[1].segmented_control(
            "Index",
            kinds,
            help="Annoy proposes candidates, the stored vectors decide. Its index recall@10, the "
            "share of the true 10 nearest that it finds, was measured when the index was built.",
            **state.bind("exact", kinds[now.exact], lambda kind: kind == kinds[1]),
        )
    if opened.columns:
        count = sum(map(len, now.columns.values()))
        with columns[2].popover(f"Filters ({count})" if count else "Filters", width="stretch"):
            for name, counts in opened.columns.items():
                _filter(name, counts)


def _forget_unknown_filters(opened: Searcher) -> None:
    """Drop filters of a link that this gallery lacks, since no widget could remove them."""
    now = state.current()
    labels = tuple(label for label in now.labels if label in opened.labels)
    columns = {
        name: known
        for name, values in now.columns.items()
        if (known := tuple(value for value in values if value in opened.columns.get(name, {})))
    }
    if (labels, columns) != (now.labels, dict(now.columns)):
        state.change(labels=labels, columns=columns)
        st.warning("The link filters by what this gallery does not have; that is left out.")


def _filter(name: str, counts: dict[str, int]) -> None:
    key = f"aina.filter.{name}"
    chosen = state.current().columns
    st.session_state[key] = [value for value in chosen.get(name, ()) if value in counts]

    def changed() -> None:
        others = {other: values for other, values in chosen.items() if other != name}
        values = tuple(st.session_state[key])
        state.change(columns={**others, name: values} if values else others)

    st.multiselect(
        plain(name) or "no name", list(counts), placeholder="all", key=key, on_change=changed
    )


@st.fragment
def show(opened: Searcher, found: Result) -> None:
    """Draw histogram, threshold and hits; the threshold moves without a new search."""
    if found.count == 0:
        st.info("No image passes the filters; remove one.")
        return
    threshold = _amount(found)
    judged = _choose_order()
    hits, summary = _hits(found, threshold, judged)
    similarities = np.array([hit.similarity for hit in hits], np.float32)
    figure = figures.similarity_histogram(
        found.similarities, similarities, baseline=opened.baseline, threshold=threshold
    )
    plot(figure, key="histogram", name=f"similarities {opened.gallery.name} {opened.model}")
    left, middle, right = st.columns([4, 1, 1], vertical_alignment="center")
    left.markdown(f"**{summary}**")
    downloads.csv(
        "similarities.csv",
        _header(),
        lambda: _rows(found.above(-1)),
        label="All",
        help="Every image with its similarity to the query, as CSV: what the histogram shows.",
        place=middle,
    )
    downloads.csv(
        "neighbours.csv",
        _header(*([] if judged is None else ["probability"])),
        lambda: _rows(_all_hits(found, threshold, judged)),
        place=right,
    )
    event = cards([hit_card(opened, hit) for hit in hits], actions=actions.OF_A_HIT, key="hits")
    state.publish()
    actions.follow(event, stay=True)


def _choose_order() -> Reranked | None:
    """Draw the switch of a model that judges pairs; return what it makes of the nearest.

    None where the model judges none, nobody asked for it, or, once that is said, where it cannot.
    """
    now = state.current()
    if not ModelName.parse(now.model).spec().pairs:
        return None
    on = state.setting(_PAIRS, "") == "1"
    st.toggle(
        "Rank by pair probability",
        help="The head that was trained with this model looks at the query and a hit together and "
        f"says how likely they are of one kind. Judged are the k nearest, at least {FEWEST}, or "
        f"all above the threshold, at most {MOST:,}.",
        **state.bind_setting(_PAIRS, on, "", lambda value: "1" if value else ""),
    )
    if not on:
        return None
    try:
        return cache.reranked(now)
    except AinaError as error:
        st.warning(plain(f"{error} Shown are the nearest, by their similarity."))
        return None


def _judged_summary(judged: Reranked, threshold: float | None, above: int, count: int) -> str:
    """Return what is shown, in words.

    Args:
        judged: what the head made of the nearest.
        threshold: similarity from which images are shown; None for the k nearest.
        above: how many images are at that threshold or nearer.
        count: how many were searched.
    """
    if threshold is None:
        shown = f"The {len(judged.hits):,} most likely of one kind with the query, of the"
        return f"{shown} {judged.candidates:,} nearest of {count:,} images"
    part = f"The {judged.candidates:,} nearest of " if judged.candidates < above else ""
    return f"{part}{above:,} images at {threshold:.2f} or nearer, of {count:,}; the likeliest first"


def _hits(
    found: Result, threshold: float | None, judged: Reranked | None
) -> tuple[list[Neighbour], str]:
    """The hits to show (of a threshold, one page), and a summary of them."""
    if threshold is None:
        hits = _all_hits(found, None, judged)
        if judged is not None:
            return hits, _judged_summary(judged, None, 0, found.count)
        return hits, f"The {len(hits):,} nearest of {found.count:,} images"
    total = found.count_above(threshold)
    shown = page.pager(total if judged is None else len(judged.hits), _PAGE, "hits")
    if judged is not None:
        summary = _judged_summary(judged, threshold, total, found.count)
        return judged.hits[shown], summary
    summary = f"{total:,} images at {threshold:.2f} or nearer, of {found.count:,}"
    return found.above(threshold, shown.start, shown.stop), summary


def _all_hits(found: Result, threshold: float | None, judged: Reranked | None) -> list[Neighbour]:
    """The hits of all pages."""
    if judged is not None:
        return judged.hits
    return found.nearest(state.current().k) if threshold is None else found.above(threshold)


def _amount(found: Result) -> float | None:
    """Draw the choice between the k nearest and all above a threshold; return the threshold."""
    now = state.current()
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    kinds = ["k nearest", "above a threshold"]
    # A threshold begins where the k nearest end.
    last = float(found.similarities[min(now.k, found.count) - 1])
    left.segmented_control(
        "Show",
        kinds,
        **state.bind(
            "threshold",
            kinds[now.threshold is not None],
            lambda kind: max(math.floor(last * 100) / 100, _LOWEST) if kind == kinds[1] else None,
        ),
    )
    if now.threshold is None:
        right.slider("k", 1, MAX_K, **state.bind("k", now.k))
        return None
    key = "aina.threshold.value"
    st.session_state[key] = max(now.threshold, _LOWEST)
    right.slider(
        "Similarity at least",
        _LOWEST,
        1.0,
        step=0.01,
        key=key,
        on_change=lambda: state.change(threshold=st.session_state[key]),
    )
    return now.threshold


def _header(*likely: str) -> list[str]:
    return ["rank", "id", "similarity", "percentile", *likely, "label", "caption"]


def _rows(hits: list[Neighbour]) -> Iterator[list[object]]:
    for rank, hit in enumerate(hits, start=1):
        likely = [] if hit.probability is None else [f"{hit.probability:.6f}"]
        numbers = [f"{hit.similarity:.6f}", f"{hit.percentile:.4f}", *likely]
        yield [rank, hit.id, *numbers, hit.label, hit.annotation.caption]
