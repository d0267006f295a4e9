"""The Train page's lower half: the trained models, their gains, and where to use them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from aina_core import figures, training
from aina_core.gallery import Gallery
from aina_core.training import TrainedModel
from aina_core.training.evaluation import table
from aina_core.training.options import AUTOENCODERS
from pages.train import pictures
from pages.train.form import NAMES
from pages.train.live import curves_told
from ui import downloads, navigation, page, state
from ui.components import plot
from ui.navigation import PAGES
from ui.text import plain

_HEADER = ["figure", "before", "after", "gain, with its 95% interval"]
_MEANING = {
    "precision@5": "same label among the 5 nearest",
    "map@5": "how early the same label comes",
    "recovery_precision@1": "own changed version nearest",
    "recovery_precision@3": "own changed versions among the 3 nearest",
    "recovery_precision@5": "own changed versions among the 5 nearest",
    "recovery_r_precision": "own changed versions among as many nearest as there are",
    "auc": "own versions above others' versions (ROC AUC)",
}
#: The figures whose gains the table of all models shows.
_BRIEF = ("precision@5", "map@5", "recovery_precision@5", "recovery_r_precision", "auc")
_POSITIVES = {
    "labels": "labels",
    "modifications": "modifications",
    "augment": "random changes",
    "pairs": "pairs of a file",
    "": "—",
}
_AS_RANKED = (
    "The same search with the nearest put into the order of the dense head, the most probably "
    "alike first:"
)


def choose() -> TrainedModel | None:
    """Draw the choice of a trained model, and return it."""
    found, damaged = training.models()
    for name, reason in damaged.items():
        st.warning(plain(f"{name} is damaged: {reason}"))
        _delete(name, f"Delete {name}")
    if not found:
        st.info(
            "No model was trained here yet. An adapter takes minutes on a processor; every "
            "training ends with a table of what was gained on images that it has not seen."
        )
        return None
    st.subheader("Models that were trained")
    if len(found) > 1:
        _side_by_side(found)
    names = {one.name: one for one in found}
    wanted = state.setting("train.model", "")
    if wanted and wanted not in names:
        st.warning(plain(f"The link names a trained model that is not here: {wanted!r}."))
    newest = next(iter(names))
    chosen = wanted if wanted in names else newest
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.selectbox(
        "Look at",
        list(names),
        format_func=lambda n: (
            f"{n} · {NAMES.get(names[n].settings.kind, '?')} on {names[n].settings.gallery} · "
            f"{names[n].created[:16].replace('T', ' ')} UTC"
        ),
        **state.bind_setting("train.model", chosen, newest),
    )
    with right:
        _delete(chosen, "Delete")
    return names[chosen]


def _delete(name: str, label: str) -> None:
    """Draw the deletion of a trained model, which asks first."""
    with st.popover(plain(label), icon=":material/delete:", width="stretch"):
        st.text(
            f"{name} cannot be brought back. Galleries keep the vectors that it made, but it "
            "embeds no more."
        )
        if st.button("Delete this model", key=f"train.delete.{name}"):
            training.delete(name)
            st.rerun()


def _side_by_side(found: Sequence[TrainedModel]) -> None:
    """Draw a table of the gains of all models."""
    rows = []
    for one in found:
        gains = {cells[0]: cells[3] for cells in table(one.result.get("reranked", one.result))}
        rows.append(
            [
                one.name,
                NAMES.get(one.settings.kind, "?"),
                one.settings.gallery,
                one.settings.model or "from scratch",
                _POSITIVES[one.settings.positives],
                *(gains.get(name, "—") for name in _BRIEF),
            ]
        )
    columns = ["model", "kind", "gallery", "began as", "taught by"]
    frame = pd.DataFrame(rows, columns=[*columns, *(f"{name}: gain" for name in _BRIEF)])
    with st.expander(f"All {len(found)}, side by side", icon=":material/table_rows:"):
        st.caption(
            "Each gain is over what that model began as, on its own held-out originals; of a dense "
            "head it is that of its own ranking."
        )
        st.dataframe(frame, hide_index=True, height="content" if len(found) < 10 else 380)


def show(gallery: Gallery, model: TrainedModel) -> None:
    """Draw the gains of a model, links to where it can be used, and its curves."""
    result = model.result
    base = model.settings.model or "an untrained network"
    st.markdown(
        f"Held against {plain(base)} on {result['held_out']:,} originals that training has not "
        f"seen; trained on {result['trained_on']:,}, {result['epochs']:,} epochs in "
        f"{result['training_seconds']:,.0f} s, kept epoch {result['best_epoch']:,}."
    )
    if len(model.curves.rates) > 1:
        told = ", ".join(f"{rate:g} from epoch {n:,}" for n, rate in model.curves.rates)
        st.markdown(f"Its learning rate was changed on the way: {told}.")
    if "given_pairs" in result:
        given = result["given_pairs"]
        st.markdown(
            f"Of the pairs {given['used']:,} joined originals; {given['passed_over']:,} were "
            "passed over, since they join none of those that were drawn."
        )
    if not result["best_epoch"]:
        st.info(
            "No epoch had a better held-out retrieval than the beginning, so the model is as it "
            "began: give it more originals, other positives, or another learning rate."
        )
    _part(result)
    if "unseen" in result:
        changes = ", ".join(result["unseen"]["changes"])
        st.markdown(f"On changes alone that training has not seen ({plain(changes)}):")
        _part(result["unseen"])
    if "pairs" in result:
        low, high = result["pairs"]["interval"]
        st.markdown(
            f"The dense head tells {result['pairs']['accuracy']:.1%} of held-out pairs right "
            f"[{low:.1%}, {high:.1%}]; half of them are alike."
        )
    _use(gallery, model)
    curves = model.curves
    figure = figures.training_curves(curves.losses, curves.scores, curves.best)
    plot(figure, key="curves", name=f"training {model.name}")
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.caption(curves_told(model.settings))
    downloads.file(
        f"{model.name}.json",
        lambda: json.dumps(
            {**result, "settings": model.settings.as_dict(), "curves": curves.as_dict()},
            ensure_ascii=False,
            indent=1,
        ),
        label="JSON",
        place=right,
    )
    if model.settings.kind in AUTOENCODERS:
        pictures.show(gallery, model)


def _part(part: dict[str, Any]) -> None:
    """Draw the gains of the embedding, and of its head for pairs where it has one."""
    if "reranked" in part:
        st.markdown("By the embedding alone:")
    _gains(part)
    if "reranked" in part:
        st.markdown(_AS_RANKED)
        _gains(part["reranked"])


def _gains(part: dict[str, Any]) -> None:
    """Draw the figures before and after, and say which gains are not chance."""
    lines = table(part)
    verdicts = [_verdict(part, name) for name, *_ in lines]
    st.markdown(_in_words([name for name, *_ in lines], verdicts))
    frame = pd.DataFrame(
        [
            [name, *cells, verdict, _MEANING[name]]
            for (name, *cells), verdict in zip(lines, verdicts, strict=True)
        ],
        columns=[*_HEADER, "verdict", "what"],
    )
    st.dataframe(frame, hide_index=True, height="content")


def _verdict(part: dict[str, Any], name: str) -> str:
    """The verdict on a gain: by whether its interval contains zero."""
    whole = name == "recovery_r_precision"
    low, high = part[name]["interval"] if whole else part["intervals"][name]
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def _in_words(names: Sequence[str], verdicts: Sequence[str]) -> str:
    said = []
    for verdict in ("better", "worse"):
        mine = [name for name, one in zip(names, verdicts, strict=True) if one == verdict]
        if mine:
            said.append(f"**{verdict}** by {plain(', '.join(mine))}")
    if not said:
        return "No figure is clearly better or worse: every interval of a gain holds zero."
    rest = "; of the rest the interval of the gain holds zero" if "undecided" in verdicts else ""
    return f"After training it is {', and '.join(said)}{rest}."


def _use(gallery: Gallery, model: TrainedModel) -> None:
    """Draw what comes next: index the gallery by the model, or open a page with it."""
    if model.name not in gallery.models():
        with st.container():
            page.offer_indexing(gallery, model.name)
        return
    st.markdown(plain(f"The gallery {gallery.name} is indexed by {model.name}. Use it:"))
    base = model.settings.model
    others = (base,) if base in gallery.models() else ()
    pages = [PAGES[name] for name in ("search", "map", "compare", "explain", "robustness")]
    for place, to in zip(st.columns(len(pages)), pages, strict=True):
        if place.button(to.title, icon=to.icon, key=f"train.use.{to.title}", width="stretch"):
            state.change(model=model.name, **({"others": others} if to.name == "compare" else {}))
            navigation.go(to.name)
