"""The Duplicates page's groups: the threshold, the groups it makes, the image of each to keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from aina_core import duplicates, jobs
from aina_core.duplicates import DuplicateGroup, Duplicates, Matched, Pair, Pairs, Suggestion
from aina_core.errors import AinaError
from aina_core.numbers import decimal_text
from aina_core.search.searcher import Searcher
from pages.duplicates import cache
from pages.duplicates.cards import cards_key, image_card, turn_text
from ui import actions, downloads, page, settings, state
from ui.components import Action, Card, cards
from ui.text import plain

_KEEP = Action("keep", "Keep this one", ":material/star:")
_STEP, _HIGHEST = 0.005, 0.999  # equal images differ from 1 in the last bit
_GROUPS, _PAIRS, _CARDS = 8, 12, 48
_RULES = {"largest": "the largest", "sharpest": "the sharpest", "oldest": "the oldest"}
Signals = dict[tuple[str, str], Matched | str]


@dataclass(frozen=True)
class Options:
    """What was chosen above the groups.

    Attributes:
        threshold: similarity from which on.
        rule: which image of a group to keep, where nobody has chosen.
        turned: whether mirrored and turned ones count too.
        signal: whether matched points give a second opinion.
    """

    threshold: float
    rule: str
    turned: bool
    signal: bool


def choose(opened: Searcher, suggestion: Suggestion) -> Options:
    """Draw the threshold, the rule and the switches, and what the threshold means in words."""
    left, middle, right = st.columns([5, 2, 3], vertical_alignment="bottom", gap="medium")
    with left:
        threshold = _threshold(suggestion)
    rules = list(duplicates.RULES)
    rule = settings.one_of("duplicates.keep", rules, rules[0])
    middle.selectbox(
        "Keep",
        rules,
        format_func=_RULES.__getitem__,
        help="Of a group that you have not decided yourself. AINA never deletes a file.",
        **state.bind_setting("duplicates.keep", rule, rules[0]),
    )
    with right:
        turned = settings.switch(
            "duplicates.turned",
            "Mirrored and turned too",
            "The eight flips and quarter turns.",
        )
        signal = settings.switch(
            "duplicates.points",
            "Second signal",
            "Corners of the one picture that lie in the other, each in its place: a check that "
            "knows nothing of the network.",
        )
    st.caption(plain(suggestion.describe(threshold)))
    return Options(threshold, rule, turned, signal)


def _threshold(suggestion: Suggestion) -> float:
    default = f"{suggestion.threshold:.3f}"
    value = settings.number_of("duplicates.threshold", float(default), suggestion.floor, _HIGHEST)
    st.slider(
        f"Similarity at least (suggested: {decimal_text(suggestion.threshold)})",
        min(suggestion.floor, _HIGHEST - _STEP),
        _HIGHEST,
        step=_STEP,
        format="%.3f",
        **state.bind_setting("duplicates.threshold", value, default, lambda v: f"{v:.3f}"),
    )
    return value


def offer_pairs(opened: Searcher) -> None:
    """Offer to look for all pairs of a gallery too large to do so at once."""
    _offer(opened, [], "All pairs of a gallery this large take a while.", "Find duplicates")


def _offer(opened: Searcher, words: list[str], sentence: str, label: str) -> None:
    """Say that something is long work, and let a person start it as a job."""
    name = opened.gallery.name
    words = ["duplicates", "--gallery", name, "--model", opened.model, "--browse", *words]
    page.offer_job(sentence, label, lambda: jobs.start(f"{label}: {name}", words))


def show(opened: Searcher, suggestion: Suggestion, options: Options) -> None:
    """Draw the groups at the threshold."""
    found, turned = _pairs(opened, suggestion, options)
    if found is None:
        return
    known = cache.duplicate_groups(opened, found, options.threshold, options.rule, turned=turned)
    if not known.pairs:
        st.info(
            f"No two images are at {decimal_text(options.threshold)} or nearer; "
            "a lower threshold finds more."
        )
        return
    inside = sum(len(group.ids) for group in known.groups)
    summary = (
        f"**Groups: {len(known.groups):,}, of {inside:,} images**, "
        f"{inside - len(known.groups):,} of which could go. Pairs in all: {known.pairs:,}"
    )
    if found.way != "exact":
        summary += f". The index finds {found.found:.1%} of a sample's pairs"
    left, middle, right = st.columns([5, 3, 1], vertical_alignment="center")
    left.markdown(summary)
    kind = settings.choice(
        "duplicates.show",
        "Show",
        {"": "Groups", "between": f"Pairs between groups ({len(known.between):,})"},
        "",
        place=middle,
        label_visibility="collapsed",
        help="Every two images of a group reach the threshold. A pair between groups reaches it "
        "too, but one of its images is not near enough to all of the other's group.",
    )
    signals: Signals = {}
    if kind == "between":
        _show_between(opened, known, options)
    else:
        signals = _show_groups(opened, known, options)
    downloads.csv(
        "duplicates.csv",
        duplicates.COLUMNS,
        lambda: duplicates.table(opened, known, options.rule, signals),
        help="A line for each image of every group: which to keep, and the others.",
        place=right,
    )


def _pairs(opened: Searcher, suggestion: Suggestion, options: Options) -> tuple[Pairs | None, bool]:
    """All pairs within the slider's range, and whether mirrored and turned ones are among them."""
    found = cache.pairs(opened, suggestion.floor, turned=options.turned)
    if found is not None:
        return found, options.turned
    if options.turned:
        _offer(
            opened,
            ["--turned"],
            "To find mirrored and turned duplicates, six turned versions of every image are "
            "embedded: six times the work of indexing.",
            "Look for mirrored and turned ones",
        )
        return cache.pairs(opened, suggestion.floor, turned=False), False
    offer_pairs(opened)
    return None, False


def _show_groups(opened: Searcher, known: Duplicates, options: Options) -> Signals:
    place = page.pager(len(known.groups), _GROUPS, "duplicates.page")
    shown = known.groups[place]
    signals: Signals = {}
    if options.signal:
        wanted = tuple((g.kept.id, one) for g in shown for one in _ordered(g) if one != g.kept.id)
        signals = cache.second_signal(opened, wanted)
    for number, group in enumerate(shown, start=place.start + 1):
        with st.container(border=True):
            _show_group(opened, group, number, options, signals)
    return signals


def _ordered(group: DuplicateGroup) -> list[str]:
    """The image to keep, then the others, the nearest first; no more than are drawn."""
    others = [image_id for image_id in group.ids if image_id != group.kept.id]
    others.sort(key=lambda image_id: -group.near[image_id][0])
    return [group.kept.id, *others][:_CARDS]


def _show_group(
    opened: Searcher, group: DuplicateGroup, number: int, options: Options, signals: Signals
) -> None:
    left, right = st.columns([6, 1], vertical_alignment="center")
    why = "your choice" if group.kept.chosen else _RULES[options.rule]
    weakest = group.weakest
    left.markdown(
        f"**{number}. {len(group.ids):,} images** · weakest pair "
        f"{decimal_text(weakest.similarity)}{turn_text(weakest.turn)}: "
        f"{plain(weakest.first)} and {plain(weakest.second)} · kept: {why}"
    )
    key = cards_key(*group.ids)
    if group.kept.chosen and right.button("Undo", key=f"duplicates.undo.{key}"):
        _try(lambda: duplicates.forget_choice(opened.gallery, group.ids))
    event = cards(
        [_card(opened, group, image_id, signals) for image_id in _ordered(group)],
        actions=[actions.SEARCH, _KEEP, actions.MAP, actions.COMPARE],
        key=f"group-{key}",
        columns=6,
    )
    if len(group.ids) > _CARDS:
        st.caption(f"and {len(group.ids) - _CARDS:,} more, which stand in the CSV")
    decided = group.kept.id if group.kept.chosen else None
    if event is not None and event.action == _KEEP.name and event.id != decided:
        _try(lambda: duplicates.choose(opened.gallery, event.id, group.ids))
    actions.follow(event)


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except AinaError as error:
        st.error(plain(error))
        return
    st.rerun()


def _card(opened: Searcher, group: DuplicateGroup, image_id: str, signals: Signals) -> Card:
    kept = image_id == group.kept.id
    near, turn = group.near.get(image_id, (None, ""))
    signal = signals.get((group.kept.id, image_id))
    return image_card(
        opened,
        image_id,
        similarity=None if kept else near,
        notes=[turn_text(turn, ""), "" if signal is None else str(signal)],
        mark="keep" if kept else None,
    )


def _show_between(opened: Searcher, known: Duplicates, options: Options) -> None:
    if not known.between:
        st.info("Every pair stands in a group.")
        return
    shown = known.between[page.pager(len(known.between), _PAIRS, "duplicates.between.page")]
    signals: Signals = {}
    if options.signal:
        signals = cache.second_signal(opened, tuple((p.first, p.second) for p in shown))
    for start in range(0, len(shown), 2):
        for place, pair in zip(st.columns(2), shown[start : start + 2], strict=False):
            with place.container(border=True):
                _show_pair(opened, pair, signals.get((pair.first, pair.second)))


def _show_pair(opened: Searcher, pair: Pair, signal: Matched | str | None) -> None:
    signal_text = "" if signal is None else f" · {plain(signal)}"
    st.markdown(f"**{decimal_text(pair.similarity)}**{turn_text(pair.turn)}{signal_text}")
    event = cards(
        [
            image_card(opened, image_id, similarity=None, notes=[])
            for image_id in (pair.first, pair.second)
        ],
        actions=actions.OF_A_HIT,
        key=f"between-{cards_key(pair.first, pair.second)}",
        columns=2,
    )
    actions.follow(event)
