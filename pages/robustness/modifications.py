"""Studies of modifications on the page: the heat table, and the pairs behind a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from aina_core.gallery import Gallery
from aina_core.numbers import decimal_text, estimate_text, percentile_text
from aina_core.studies import Run
from aina_core.studies.modifications import (
    SHOWN,
    by_separation,
    change_table,
    heat_table,
    multiples,
)
from pages.robustness.cards import Pair, Shown, original_card, show_pairs, version_card
from ui import settings
from ui.components import Card, Picture, plot
from ui.text import plain

_PAIRS = 3  # at each end


def show_modifications(gallery: Gallery, run: Run) -> None:
    """Draw models × modifications, the pairs of a cell, and all distributions under a model."""
    figure = settings.choice(
        "robustness.shown",
        "Shown",
        SHOWN,
        "auc",
        help="Separation: the chance that a version is nearer to its original than to another "
        "image. Percentile: how many random pairs lie below the median similarity.",
    )
    models, changes = by_separation(run.results), run.settings.changes
    clicked = plot(
        heat_table(run, figure),
        key="robustness-table",
        name=f"{run.id}-{figure}",
        pictures=[Picture(name, "") for name in (*models, *changes)],
    )
    if clicked is not None and len(clicked) == 2:
        row, column = clicked
        if row < len(models) <= column:
            cell = [models[row], changes[column - len(models)]]
            settings.put({"robustness.cell": settings.names_text(cell)})
    st.caption("Click a cell to see its pairs.")
    model, change = _cell(run)
    _pairs(gallery, run, model, change)
    st.subheader(plain(f"All similarities under {model}"))
    plot(multiples(run, model), key="robustness-multiples", name=f"{run.id}-similarities")
    header, lines = change_table(run, model)
    with st.expander("As numbers", icon=":material/table:"):
        st.dataframe(pd.DataFrame(lines, columns=header), hide_index=True, height="content")


def _cell(run: Run) -> tuple[str, str]:
    """The open cell: by default the hardest modification of the model that separates best."""
    changes = run.settings.changes
    if asked := settings.pair_of("robustness.cell", run.settings.models, changes):
        return asked
    best = by_separation(run.results)[0]
    parts = run.results["models"][best]["modifications"]
    return best, min(changes, key=lambda one: (parts[one]["auc"], parts[one]["median"]))


def _pairs(gallery: Gallery, run: Run, model: str, change: str) -> None:
    """Draw the least and the most similar pairs of a cell."""
    found = run.results["models"][model]["modifications"][change]
    base = run.results["models"][model]["baseline"]
    st.subheader(plain(f"{change} under {model}"))
    st.markdown(
        plain(
            f"Median cosine {estimate_text(found['median'], found['intervals']['median'])}, mean "
            f"{estimate_text(found['mean'], found['intervals']['mean'])}, n = {found['n']}; random "
            f"pairs: median {decimal_text(base['median'])}, mean {decimal_text(base['mean'])}. "
            f"ROC AUC {estimate_text(found['auc'], found['intervals']['auc'])}."
        )
    )
    places = run.settings.models.index(model), run.settings.changes.index(change)
    cosines = run.arrays["cosines"][places[0], :, places[1]]
    below = run.arrays["placements"][places[0], :, places[1]]
    order = np.argsort(cosines, kind="stable")
    count = min(_PAIRS, len(order) // 2)
    st.caption(
        "In per cent: how many pairs of different originals, made the same way, are less alike."
    )
    for title, chosen in (("Least similar", order[:count]), ("Most similar", order[::-1][:count])):
        st.markdown(f"**{title}**")
        drawn: list[Card] = []
        pairs = {}
        for at in chosen.tolist():
            image = run.images[at]
            said = percentile_text(float(below[at])).removesuffix(" of pairs")
            version = version_card(
                gallery, image, change, float(cosines[at]), label="", caption=said
            )
            drawn += [original_card(gallery, image), version]
            made = Shown(image, change)
            pairs[version.id] = Pair(made, made, image.id)
            pairs[image.id] = Pair(Shown(image), made, image.id)
        key = f"robustness-{title.split()[0].lower()}"
        show_pairs(gallery, drawn, pairs, key=key, columns=6)
