"""The settings of a training that seldom change: only those that apply, each as usual at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import streamlit as st

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import AinaError
from aina_core.models.encoders import COMBINATIONS, HEADS, SIDES
from aina_core.training import Settings, settle
from aina_core.training.settings import (
    AUGMENTED,
    LARGEST_DIM,
    LARGEST_SEED,
    LARGEST_SIDE,
    LOSSES,
    MINING,
    SETS,
    TRUNKS,
)
from ui.text import plain

_SETS = {"modifications": "the 18 modifications", "profiles": "the five profiles"}
_WORDS = {
    "contrastive": "contrastive",
    "triplet": "triplet",
    "multi-similarity": "multi-similarity",
    "infonce": "InfoNCE",
    "supcon": "supervised contrastive",
    "batch-hard": "batch-hard",
    "semi-hard": "semi-hard",
    "symmetric": "symmetric: |a−b| and a·b",
    "concat": "concatenated: a and b",
}
_LOSS_HELP = (
    "What is made small: contrastive and triplet hold distances against a margin; "
    "multi-similarity weighs pairs by how hard they are; InfoNCE and supervised contrastive "
    "compare every pair with all others of the batch."
)
_WIDE = 4


def draw(kind: str, gallery: str, basics: dict[str, Any]) -> dict[str, Any]:
    """Draw the settings; return, by the names of `settle`, those that are not as usual.

    Args:
        kind: of training.
        gallery: its name.
        basics: the model, the positives and the pairs that are chosen already.
    """
    drawn = _Drawn(kind, gallery, basics)
    with st.expander("Settings", icon=":material/tune:"):
        try:
            drawn.changes()
            drawn.network()
            drawn.loss()
            drawn.course()
        except AinaError as error:  # of the basics: nothing can be settled without them
            st.caption(plain(error))
    return drawn.found


def _cells() -> Iterator[Any]:
    """Yield places of one width, row by row."""
    while True:
        yield from st.columns(_WIDE, vertical_alignment="bottom")


class _Drawn:
    """What is drawn and found of one kind of training.

    Attributes:
        found: what is not as usual, by the names of `settle`.
    """

    def __init__(self, kind: str, gallery: str, basics: dict[str, Any]) -> None:
        self._kind, self._gallery, self._basics = kind, gallery, basics
        self.found: dict[str, Any] = {}
        self._places: Iterator[Any] = iter(())

    def changes(self) -> None:
        """Which changes there are, and which of them are kept from training."""
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

    def network(self) -> None:
        """What is trained: trunk, head, or sizes from scratch."""
        st.markdown("**Network**")
        self._places = _cells()
        kind, model = self._kind, self._basics.get("model")
        if model and kind != "adapter":
            self._one_of(
                "trunk",
                "Trunk",
                TRUNKS,
                "Frozen keeps the model's own weights and trains what comes after them; trained "
                "changes them too, which takes many times as long.",
            )
        if kind == "siamese-dense":
            self._one_of(
                "combine",
                "The head sees",
                COMBINATIONS,
                "How the features of two images come together: symmetric, so that it cannot matter "
                "which comes first, or one after the other.",
            )
        if model and kind != "siamese-dense":
            self._head()
        if not model:
            sides = tuple(range(SIDES, LARGEST_SIDE + 1, SIDES))
            self._one_of(
                "side",
                "Side, pixels",
                sides,
                "Pictures are squeezed to a square of so many pixels a side; twice as many take "
                "four times as long.",
            )
            self._number(
                *("dim", "Length of the embedding", 2, LARGEST_DIM, 16),
                "How many numbers an image becomes.",
            )

    def _head(self) -> None:
        frozen, kept = self._settled().trunk == "frozen", self._settled().positives
        offered = [
            head
            for head in HEADS
            if not (head == "none" and frozen)
            and not (head == "whitening" and (not frozen or kept == "augment"))
        ]
        self._one_of(
            "head",
            "Head",
            offered,
            "What is put over the features: linear maps them to another length; residual adds a "
            "correction; whitening begins by evening out the differences within what belongs "
            "together; none leaves them.",
            variant=f"{frozen}.{kept}",
        )
        head = self._settled().head
        if head == "linear":
            self._number(
                *("head_dim", "Length of the embedding", 2, LARGEST_DIM, 16),
                "How many numbers an image becomes after the linear head.",
            )
        if head == "whitening":
            self._number(
                *("shrinkage", "Shrinkage", 1e-6, 1e6, 0.1),
                "How far the whitening is drawn towards doing nothing: larger is more cautious.",
            )

    def loss(self) -> None:
        """What is made small, and the numbers of just that loss."""
        if self._kind not in ("adapter", "siamese", "triplet"):
            return
        st.markdown("**Loss**")
        self._places = _cells()
        self._one_of("loss", "Loss", LOSSES, _LOSS_HELP)
        chosen = self._settled().loss
        if chosen == "triplet":
            self._one_of(
                "mining",
                "Mining",
                MINING,
                "Which negatives an anchor is held against: the nearest of the batch, or those "
                "that are farther than the positive and within the margin.",
            )
        if chosen in ("contrastive", "triplet"):
            self._number(
                *("margin", "Margin", 1e-3, 2.0, 0.05),
                "How far apart what does not belong together shall come at least, as Euclidean "
                "distance of unit embeddings (0 to 2).",
            )
        if chosen in ("infonce", "supcon"):
            self._number(
                *("temperature", "Temperature", 1e-3, 10.0, 0.01),
                "Lower ones look at the hardest negatives alone.",
            )

    def course(self) -> None:
        """How long, how fast, and what is held out."""
        st.markdown("**Course, and what is held out**")
        self._places = _cells()
        number = self._number
        number("epochs", "Epochs", 1, 100_000, 1, "Training goes through its images so often.")
        number(
            *("patience", "Patience", 0, 100_000, 1),
            "It ends after so many epochs without a better held-out retrieval; 0 for never.",
        )
        number(
            *("rate", "Learning rate", 1e-7, 1.0, 1e-4),
            "The size of Adam's steps: a tenth of it where the loss is not a number any more.",
        )
        number("decay", "Weight decay", 0.0, 10.0, 1e-4, "Pulls weights to 0: against learning "
               "single images by heart.")  # fmt: skip
        several = "images" if "positives" not in self._basics else "groups"
        number(
            *("groups", f"{several.capitalize()} in a batch", 2, 4096, 1),
            f"So many {several} are compared in one step; more need more memory.",
        )
        if several == "groups":
            number(
                *("members", "Images of a group", 2, 256, 1),
                "So many images that belong together come into a batch.",
            )
        number(
            *("originals", "Originals", 8, None, 1),
            "So many are drawn at random; as usual, all of the gallery.",
        )
        number(
            *("test_share", "Held-out share", 0.05, 0.9, 0.05),
            "Of the originals, so many are kept for the table at the end alone: neither training "
            "nor stopping sees them.",
        )
        number(
            *("judged", "Judged by changes", 2, None, 1),
            "Of so many held-out originals the changed versions are searched for at the end; more "
            "make intervals narrower.",
        )
        number(
            "seed", "Seed", 0, LARGEST_SEED, 1, "The same seed gives the same split and weights."
        )

    def _settled(self) -> Settings:
        """What comes of what is chosen so far."""
        names = ("trunk", "combine", "head", "loss")
        chosen = {name: self.found[name] for name in names if name in self.found}
        return settle(self._kind, self._gallery, "new", **self._basics, **chosen)

    def _one_of(
        self, name: str, label: str, offered: Any, about: str, *, variant: str = ""
    ) -> None:
        """Draw one of some; nothing chosen is as usual."""
        usual = getattr(self._settled(), name)
        chosen = next(self._places).selectbox(
            label,
            offered,
            index=None,
            placeholder=f"{_WORDS.get(usual, usual)} (usual)",
            format_func=lambda one: _WORDS.get(one, str(one)),
            help=about,
            key=f"train.{name}.{self._kind}.{variant}",
        )
        if chosen is not None:
            self.found[name] = chosen

    def _number(
        self, name: str, label: str, low: float, high: float | None, step: float, about: str
    ) -> None:
        """Draw a number; none is as usual."""
        usual = getattr(self._settled(), name)
        given = next(self._places).number_input(
            label,
            min_value=low,
            max_value=high,
            value=None,
            step=step,
            format="%d" if isinstance(step, int) else "%g",
            placeholder=f"{'all' if usual is None else f'{usual:g}'} (usual)",
            help=about,
            key=f"train.{name}.{self._kind}",
        )
        if given is not None:
            self.found[name] = given
