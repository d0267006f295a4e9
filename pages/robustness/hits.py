"""Studies of recovery and of labelled retrieval on the page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from aina_core.gallery import Gallery
from aina_core.studies import Run
from aina_core.studies.hits import curves
from aina_core.studies.recovery import recovered_bars
from aina_core.studies.retrieval import confusion_figure, label_table
from aina_core.studies.shown import cost_line
from pages.robustness.cards import Pair, Shown, original_card, show_pairs, version_card
from ui import page, settings, state
from ui.components import Card, Picture, plot
from ui.text import plain

_IMAGES = 6
_EXAMPLES = 6
_ROW = 6  # cards


# ── recovery ─────────────────────────────────────────────────────────────────────────────────────


def show_recovery(gallery: Gallery, run: Run) -> None:
    """Draw the curves, which versions are found again, and those that are not."""
    st.subheader("How many are found, and how many of the found are right")
    plot(curves(run), key="robustness-curves", name=f"{run.id}-curves")
    st.caption(
        "Dashed: the best that can be, when every first hit is a version. By exact search; the "
        "table says what the index loses."
    )
    st.subheader("Which versions are found again")
    plot(recovered_bars(run), key="robustness-recovered", name=f"{run.id}-recovered")
    st.subheader("Image by image")
    model = _model(run)
    counts = run.results["by_count"][model]
    total = len(run.settings.changes)
    said = [f"{n} of {total}: {counts[n]:,}" for n in range(total, -1, -1) if counts[n]]
    st.markdown(
        plain(f"Versions found again under {model}, by number of images: {'; '.join(said)}.")
    )
    place = run.settings.models.index(model)
    recovered = run.arrays["recovered"][place]
    _missed(gallery, run, recovered, run.arrays["found"][place])


def _model(run: Run) -> str:
    models = list(run.settings.models)
    chosen = settings.one_of("robustness.model", models, models[0])
    st.selectbox(
        "Under the model",
        models,
        width=400,
        **state.bind_setting("robustness.model", chosen, models[0]),
    )
    st.caption(plain(cost_line(run.results["costs"][chosen])))
    return chosen


def _missed(gallery: Gallery, run: Run, recovered: np.ndarray, found: np.ndarray) -> None:
    """Draw the images whose versions are missed most, with what was found instead."""
    changes = run.settings.changes
    numbers = recovered.sum(axis=1)
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] < len(changes)]
    if not len(order):
        st.success("Every version of every image was found again.")
        return
    for at in order[page.pager(len(order), _IMAGES, f"robustness.page.{run.id}")].tolist():
        _image(gallery, run, at, recovered[at], found[at])


def _image(gallery: Gallery, run: Run, at: int, recovered: np.ndarray, found: np.ndarray) -> None:
    """Draw one original, its missed versions, and what was found instead."""
    changes = run.settings.changes
    image = run.images[at]
    mark = f"{int(recovered.sum())} of {len(changes)}"
    drawn: list[Card] = [original_card(gallery, image, mark=mark)]
    pairs: dict[str, Pair] = {}
    missed = [changes[place] for place in np.flatnonzero(~recovered).tolist()]
    for change in missed:
        card = version_card(gallery, image, change, mark="missed")
        drawn.append(card)
        pairs[card.id] = Pair(Shown(image, change), Shown(image, change), image.id)
    pairs[image.id] = Pair(Shown(image), Shown(image, missed[0]), image.id)
    for hit in found[: len(changes)].tolist():
        other, version = divmod(hit, 1 + len(changes))
        if other == at:
            continue
        theirs = Shown(run.images[other], changes[version - 1] if version else "")
        if version:
            card = version_card(gallery, *theirs, mark="found instead", caption=theirs.image.id)
        else:
            card = original_card(gallery, theirs.image, mark="found instead")
        pairs[card.id] = Pair(theirs, theirs, image.id)
        drawn.append(card)
    show_pairs(gallery, drawn, pairs, key=f"robustness-image-{at}", columns=max(_ROW, 8))


# ── labelled retrieval ───────────────────────────────────────────────────────────────────────────


def show_retrieval(gallery: Gallery, run: Run) -> None:
    """Draw labels, which label the neighbours have, and examples of a cell."""
    if len(run.settings.ks) > 1:
        plot(curves(run), key="robustness-curves", name=f"{run.id}-curves")
    st.subheader("Label by label")
    model = _model(run)
    header, lines = label_table(run, model)
    st.dataframe(
        pd.DataFrame(lines, columns=header),
        hide_index=True,
        height="content" if len(lines) <= 8 else 320,
    )
    st.subheader("Which label do the neighbours have?")
    figure, kept = confusion_figure(run, model)
    names = run.results["label_names"]
    if len(kept) < len(names):
        st.caption(
            f"The {len(kept)} of {len(names):,} labels that are most often taken for others."
        )
    both = [*kept, *kept]
    clicked = plot(
        figure,
        key="robustness-confusion",
        name=f"{run.id}-confusion",
        pictures=[Picture(names[at] or "no label", "") for at in both],
    )
    if clicked is not None and len(clicked) == 2:
        cell = [names[both[place]] for place in clicked]
        settings.put({"robustness.labels": settings.names_text(cell)})
    st.caption("Rows: the query's label. Click a cell to see queries and such neighbours.")
    _examples(gallery, run, model)


def _examples(gallery: Gallery, run: Run, model: str) -> None:
    """Draw queries of a label beside neighbours of another: by default the commonest mistake."""
    label, other = _labels(run, model)
    if label is None:
        st.success("No neighbour has another label than its query.")
        return
    labels = np.array([image.label for image in run.images])
    queries = run.arrays["queries"]
    found = run.arrays["found"][run.settings.models.index(model)]
    hits = (labels[queries] == label)[:, None] & (labels[found] == other)
    rows, ranks = np.nonzero(hits)
    share = len(rows) / max(int((labels[queries] == label).sum()) * found.shape[1], 1)
    st.markdown(
        plain(f"{len(rows):,} neighbours of {label} are {other} ({share:.1%} of its neighbours).")
    )
    order = np.lexsort((rows, ranks))
    drawn: list[Card] = []
    pairs: dict[str, Pair] = {}
    seen: set[str] = set()
    for at in order.tolist():
        query, hit = run.images[queries[rows[at]]], run.images[found[rows[at], ranks[at]]]
        if query.id in seen or hit.id in seen or len(seen) >= 2 * _EXAMPLES:
            continue
        seen |= {query.id, hit.id}
        drawn += [
            original_card(gallery, query, mark="query"),
            original_card(gallery, hit, mark=f"neighbour {ranks[at] + 1}"),
        ]
        pairs[query.id] = Pair(Shown(query), Shown(query), hit.id)
        pairs[hit.id] = Pair(Shown(hit), Shown(query), hit.id)
    if drawn:
        show_pairs(gallery, drawn, pairs, key="robustness-examples", columns=_ROW)


def _labels(run: Run, model: str) -> tuple[str | None, str | None]:
    names = run.results["label_names"]
    if asked := settings.pair_of("robustness.labels", names, names):
        return asked
    worst = run.results["confusion"][model]
    return (worst[0]["label"], worst[0]["neighbour"]) if worst else (None, None)
