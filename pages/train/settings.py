"""The settings of a training that seldom change: those that apply, each as usual at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import streamlit as st

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import AinaError
from aina_core.training import Settings, settle
from aina_core.training.options import OPTIONS, Option
from aina_core.training.settings import AUGMENTED, SETS
from ui.text import plain

_SETS = {"modifications": "the 18 modifications", "profiles": "the five profiles"}
_GROUPS = {"network": "Network", "loss": "Loss", "course": "Course, and what is held out"}
_WORDS = {
    "infonce": "InfoNCE",
    "supcon": "supervised contrastive",
    "symmetric": "symmetric: |a−b| and a·b",
    "concat": "concatenated: a and b",
}
_WIDE = 4


def draw(kind: str, gallery: str, basics: dict[str, Any]) -> dict[str, Any]:
    """Draw the settings; return those that are not as usual, by the keywords of `settle`.

    Args:
        kind: of training.
        gallery: its name.
        basics: the model, the positives and the pairs that are chosen already.
    """
    drawn = _Drawn(kind, gallery, basics)
    with st.expander("Settings", icon=":material/tune:"):
        try:
            drawn.changes()
            for group, heading in _GROUPS.items():
                drawn.options(group, heading)
        except AinaError as error:  # of the basics: nothing can be settled without them
            st.caption(plain(error))
    return drawn.found


def _cells() -> Iterator[Any]:
    """Yield places of one width, row by row."""
    while True:
        yield from st.columns(_WIDE, vertical_alignment="bottom")


class _Drawn:
    """The fields of one kind of training, and what is chosen in them.

    Attributes:
        found: what is not as usual, by the keywords of `settle`.
    """

    def __init__(self, kind: str, gallery: str, basics: dict[str, Any]) -> None:
        self._kind, self._gallery, self._basics = kind, gallery, basics
        self.found: dict[str, Any] = {}

    def changes(self) -> None:
        """Draw which changes there are, and which of them training does not see."""
        usual = "profiles" if self._kind == "denoising" else "modifications"
        changes = st.multiselect(
            "Modifications and profiles",
            [*SETS, *MODIFICATIONS, *PROFILES],
            default=[usual],
            format_func=lambda name: _SETS.get(name, name),
            help="The changes that positives are made by, where they are made by changes, and by "
            "which recovery is judged at the end.",
            key=f"train.changes.{self._kind}",
        )
        if changes and changes != [usual]:
            self.found["changes"] = tuple(changes)
        offered = dict.fromkeys(n for c in changes or [usual] for n in SETS.get(c, (c,)))
        augmented = self._settled().positives == "augment"
        held = st.multiselect(
            "Of these, held out",
            [name for name in offered if not (augmented and name.startswith(AUGMENTED))],
            help="Training never sees these; the table at the end judges them on their own too.",
            key=f"train.hold_out.{self._kind}{'.augmented' if augmented else ''}",
        )
        if held:
            self.found["hold_out"] = tuple(held)

    def options(self, group: str, heading: str) -> None:
        """Draw the options of a group that apply under what is chosen so far."""
        places = None
        for option in sorted(OPTIONS, key=lambda option: not option.first):
            settled = self._settled()
            if option.group != group or not option.applies(settled):
                continue
            if places is None:
                st.markdown(f"**{heading}**")
                places = _cells()
            draw = self._choice if option.choices or option.multiple else self._number
            value = draw(next(places), option, getattr(settled, option.name))
            if value is not None:
                self.found[option.name] = value

    def _settled(self, **tried: Any) -> Settings:
        """What comes of the choices so far, but for numbers, on which no other field depends."""
        chosen = {o.name: self.found[o.name] for o in OPTIONS if o.choices and o.name in self.found}
        return settle(self._kind, self._gallery, "new", **self._basics, **{**chosen, **tried})

    def _allowed(self, option: Option, value: Any) -> bool:
        try:
            self._settled(**{option.name: value})
        except AinaError:
            return False
        return True

    def _choice(self, place: Any, option: Option, usual: Any) -> Any:
        """Draw one of some values; nothing chosen is as usual."""
        allowed: list[Any] = [value for value in option.choices if self._allowed(option, value)]
        if option.multiple and option.high:
            allowed = list(range(option.multiple, int(option.high) + 1, option.multiple))
        fewer = option.choices and len(allowed) < len(option.choices)
        return place.selectbox(
            option.label_for(self._kind),
            allowed,
            index=None,
            placeholder=f"{_WORDS.get(usual, usual)} (usual)",
            format_func=lambda one: _WORDS.get(one, str(one)),
            help=option.sentence,
            # a field of other values is another one: a value that is not allowed is not kept
            key=f"train.{option.name}.{self._kind}.{'-'.join(allowed) if fewer else ''}",
        )

    def _number(self, place: Any, option: Option, usual: Any) -> Any:
        """Draw a number; none is as usual."""
        low, high, step = option.shown
        return place.number_input(
            option.label_for(self._kind),
            min_value=option.low if low is None else low,
            max_value=option.high if high is None else high,
            value=None,
            step=step,
            format="%d" if option.type is int else "%g",
            placeholder=f"{option.default if usual is None else f'{usual:g}'} (usual)",
            help=option.sentence,
            key=f"train.{option.name}.{self._kind}",
        )
