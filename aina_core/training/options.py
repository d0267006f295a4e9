"""The options of a training, one row each: to add one, add a row here and use it in the network.

The command line makes its arguments of the rows, the Train page its fields, `settle` its checks,
`Settings` what is stored, and `command.arguments` the words that a job is started with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aina_core.errors import InputError
from aina_core.models.encoders import COMBINATIONS, HEADS, SIDES

#: The kinds of training, with what each is.
KINDS = {
    "siamese": "Two images through one encoder; contrastive loss on their distance.",
    "siamese-dense": "Two images through one encoder; a dense head says whether they are alike.",
    "triplet": "Anchor, positive and negative; triplet loss with mined negatives.",
    "autoencoder": "Every image through a bottleneck and back; the bottleneck is the embedding.",
    "vae": "A variational autoencoder: the bottleneck is a distribution that can be sampled.",
    "denoising": "From a changed image back to the original; the bottleneck is the embedding.",
    "adapter": "A small head over a strong model's stored embeddings: minutes on a CPU.",
}
AUTOENCODERS = ("autoencoder", "vae", "denoising")
ENCODERS = tuple(kind for kind in KINDS if kind not in AUTOENCODERS)
#: Kinds that are trained by a loss on the distances of embeddings.
METRIC = ("siamese", "triplet", "adapter")
POSITIVES = ("labels", "modifications", "augment")
#: The usual positives of a kind, where they are not the modifications.
USUAL_POSITIVES = {"siamese": "augment"}
LOSSES = ("contrastive", "triplet", "multi-similarity", "infonce", "supcon")

_LARGEST_SIDE, _LARGEST_DIM = 256, 4096
_LARGEST_SEED = 2**31 - 1  # PyTorch still takes its product with what tells epochs apart


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a training.

    Attributes:
        name: a keyword of `settle`, an attribute of `Settings`, and with hyphens a flag.
        type: str, int or float.
        label: of its field on the page.
        text: what it does: a clause without capital or full stop.
        usual: its value where none is given, or a function of the other choices that returns it;
            None stands for all there are.
        default: the usual value in words, where it depends on other choices or is None.
        group: of fields on the page: "network", "loss" or "course".
        first: whether its field comes before the others of its group, which depend on it.
        kinds: the kinds of training that have it.
        needs: whether it applies under the other choices, for one of these kinds.
        taker: what has it, for a refusal; empty where `settle` refuses it in words of its own.
        choices: all values that a str can have.
        low: the least number.
        above: whether it must be above `low`.
        high: the greatest number; None for no limit.
        multiple: what an int must be a multiple of; 0 for nothing.
        shown: least and greatest value and step of its field on the page, where the range is
            narrower than what is allowed, or the step is not 1; None as a limit for that of the
            option.
        noun: what a message calls it, where that is not its name.
        unit: of a number, for messages.
        labels: other labels, by kind.
    """

    name: str
    type: type
    label: str
    text: str
    usual: Any
    default: str = ""
    group: str = "course"
    first: bool = False
    kinds: tuple[str, ...] = tuple(KINDS)
    needs: Callable[[Any], bool] = _always
    taker: str = ""
    choices: tuple[str, ...] = ()
    low: float = 0
    above: bool = False
    high: float | None = None
    multiple: int = 0
    shown: tuple[float | None, float | None, float] = (None, None, 1)
    noun: str = ""
    unit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        """What the command line says of it."""
        choices = f" ({', '.join(self.choices)})" if self.choices else ""
        usual = self.default or (f"{self.usual:g}" if self.type is float else self.usual)
        return f"{self.text}{choices}; default: {usual}"

    @property
    def sentence(self) -> str:
        """What the page says of it."""
        return f"{self.text[0].upper()}{self.text[1:]}."

    def label_for(self, kind: str) -> str:
        """Return the label of its field on the page, for a kind of training."""
        return self.labels.get(kind, self.label)

    def usual_of(self, chosen: Any) -> Any:
        """Return its value where none is given, under the other choices."""
        return self.usual(chosen) if callable(self.usual) else self.usual

    def applies(self, chosen: Any) -> bool:
        """Whether a training has it, by its settings or by what is chosen of them so far."""
        return chosen.kind in self.kinds and self.needs(chosen)

    def check(self, value: Any) -> None:
        """Refuse a value that it cannot have, whatever else is chosen.

        Raises:
            InputError: the value is not one of the choices, or not in the range.
        """
        noun = self.noun or self.name.replace("_", " ")
        if self.type is str:
            if value not in self.choices:
                choices = ", ".join(self.choices)
                raise InputError(f"There is no {noun} {value!r}; choose from: {choices}.")
            return
        low = value > self.low if self.above else value >= self.low
        high = self.high is None or value <= self.high
        if not (math.isfinite(value) and low and high) or (self.multiple and value % self.multiple):
            shown = f"{value:g}" if self.type is float else f"{value}{self.unit}"
            raise InputError(f"The {noun} is {shown}; give {self._range()}.")

    def fits(self, value: Any) -> bool:
        """Whether a stored value is of its type, and a finite number where it is one."""
        if value is None:
            return self.usual is None
        if isinstance(value, bool):
            return False
        if self.type is float:
            return isinstance(value, int | float) and math.isfinite(value)
        return isinstance(value, self.type)

    def _range(self) -> str:
        if self.multiple:
            return f"a multiple of {self.multiple} up to {self.high}"
        if self.above:
            return f"a number above {self.low}"
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"


def _loss(chosen: Any) -> str:
    by_code = chosen.positives in ("labels", "pairs")
    usual = {"siamese": "contrastive", "triplet": "triplet"}
    usual["adapter"] = "supcon" if by_code else "infonce"
    return usual.get(chosen.kind, "")


def _head(chosen: Any) -> str:
    if not chosen.model or chosen.kind == "siamese-dense":
        return "none"
    if chosen.positives in ("labels", "pairs"):
        return "linear"
    stored = chosen.trunk == "frozen" and chosen.positives == "modifications"
    return "whitening" if stored else "residual"


def _epochs(chosen: Any) -> int:
    over_frozen = chosen.model and chosen.trunk == "frozen"
    return 100 if over_frozen else 60 if chosen.kind in AUTOENCODERS else 30


def _unless_autoencoder(usual: int, of_autoencoders: int) -> Callable[[Any], int]:
    return lambda chosen: of_autoencoders if chosen.kind in AUTOENCODERS else usual


#: In the order in which they are stored.
OPTIONS: list[Option] = [
    Option(
        name="loss",
        type=str,
        label="Loss",
        text="what is minimised: contrastive and triplet hold distances against a margin; "
        "multi-similarity weighs pairs by how hard they are; InfoNCE and supervised contrastive "
        "(supcon) compare every pair with all others in the batch",
        usual=_loss,
        default="contrastive for siamese, triplet for triplet; for adapter supcon with labels or "
        "pairs, else infonce",
        group="loss",
        kinds=METRIC,
        choices=LOSSES,
    ),
    Option(
        name="mining",
        type=str,
        label="Mining",
        text="which negatives the triplet loss holds an anchor against: batch-hard takes the "
        "nearest in the batch, semi-hard those farther than the positive but within the margin",
        usual="batch-hard",
        group="loss",
        kinds=METRIC,
        needs=lambda chosen: chosen.loss == "triplet",
        taker="of the loss triplet",
        choices=("batch-hard", "semi-hard"),
    ),
    Option(
        name="margin",
        type=float,
        label="Margin",
        text="how far apart the contrastive or triplet loss moves what does not belong together, "
        "as the Euclidean distance of unit embeddings (0 to 2)",
        usual=lambda chosen: 0.2 if chosen.loss == "triplet" else 1.0,
        default="1, of the triplet loss 0.2",
        group="loss",
        kinds=METRIC,
        needs=lambda chosen: chosen.loss in ("contrastive", "triplet"),
        taker="of the losses contrastive and triplet",
        above=True,
        shown=(1e-3, 2.0, 0.05),
    ),
    Option(
        name="temperature",
        type=float,
        label="Temperature",
        text="of the losses infonce and supcon: the lower, the more the hardest negatives count",
        usual=0.1,
        group="loss",
        kinds=METRIC,
        needs=lambda chosen: chosen.loss in ("infonce", "supcon"),
        taker="of the losses infonce and supcon",
        above=True,
        shown=(1e-3, 10.0, 0.01),
    ),
    Option(
        name="head",
        type=str,
        label="Head",
        text="what is put over the features of a registered model: linear maps them to another "
        "length; residual adds a correction; whitening begins by evening out the differences "
        "within what belongs together; none leaves them as they are",
        usual=_head,
        default="linear with labels or pairs, whitening with modifications over a frozen trunk, "
        "else residual",
        group="network",
        kinds=METRIC,
        needs=lambda chosen: bool(chosen.model),
        choices=tuple(HEADS),
    ),
    Option(
        name="head_dim",
        type=int,
        label="Length of the embedding",
        text="how many numbers an image becomes after the linear head",
        usual=lambda chosen: 256 if chosen.head == "linear" else 0,
        default="256",
        group="network",
        kinds=METRIC,
        needs=lambda chosen: chosen.head == "linear",
        taker="of the head linear",
        low=2,
        high=_LARGEST_DIM,
        shown=(None, None, 16),
        noun="head dimension",
    ),
    Option(
        name="shrinkage",
        type=float,
        label="Shrinkage",
        text="how far the whitening head is drawn towards doing nothing: larger is more cautious",
        usual=1.0,
        group="network",
        kinds=METRIC,
        needs=lambda chosen: chosen.head == "whitening",
        taker="of the head whitening",
        above=True,
        shown=(1e-6, 1e6, 0.1),
    ),
    Option(
        name="trunk",
        type=str,
        label="Trunk",
        text="frozen keeps a registered model's own weights and trains what comes after them; "
        "trained changes them too, which takes many times as long",
        usual=lambda chosen: "frozen" if chosen.model else "trained",
        default="frozen",
        group="network",
        first=True,
        kinds=("siamese", "siamese-dense", "triplet"),
        needs=lambda chosen: bool(chosen.model),
        taker="of a registered model in a Siamese or triplet training",
        choices=("frozen", "trained"),
    ),
    Option(
        name="combine",
        type=str,
        label="The head sees",
        text="how the dense head takes the features of two images: symmetric (|a−b| and a·b), so "
        "that it cannot matter which comes first, or one after the other",
        usual=COMBINATIONS[0],
        group="network",
        first=True,
        kinds=("siamese-dense",),
        taker="of the kind siamese-dense",
        choices=tuple(COMBINATIONS),
    ),
    Option(
        name="side",
        type=int,
        label="Side, pixels",
        text="pictures for a network from scratch are squeezed to a square of so many pixels a "
        f"side, a multiple of {SIDES}; twice as many take four times as long",
        usual=lambda chosen: 0 if chosen.model else 64,
        default="64",
        group="network",
        kinds=tuple(kind for kind in KINDS if kind != "adapter"),
        needs=lambda chosen: not chosen.model,
        taker="of a network from scratch",
        low=SIDES,
        high=_LARGEST_SIDE,
        multiple=SIDES,
        unit=" pixels",
    ),
    Option(
        name="dim",
        type=int,
        label="Length of the embedding",
        text="how many numbers an image becomes under a network from scratch",
        usual=lambda chosen: 0 if chosen.model else 128,
        default="128",
        group="network",
        kinds=tuple(kind for kind in KINDS if kind != "adapter"),
        needs=lambda chosen: not chosen.model,
        taker="of a network from scratch",
        low=2,
        high=_LARGEST_DIM,
        shown=(None, None, 16),
        noun="dimension",
    ),
    Option(
        name="epochs",
        type=int,
        label="Epochs",
        text="how often training goes through its images, at most",
        usual=_epochs,
        default="100 over a frozen trunk, 60 for autoencoders, else 30",
        low=1,
        high=100_000,
    ),
    Option(
        name="patience",
        type=int,
        label="Patience",
        text="training ends after so many epochs without a better held-out retrieval; 0 for never",
        usual=_unless_autoencoder(8, 20),
        default="8, for autoencoders 20",
        high=100_000,
    ),
    Option(
        name="groups",
        type=int,
        label="Groups in a batch",
        text="how many groups (for autoencoders, images) are compared in one step; more need more "
        "memory",
        usual=_unless_autoencoder(32, 16),
        default="32, for autoencoders 16",
        low=2,
        high=4096,
        labels=dict.fromkeys(AUTOENCODERS, "Images in a batch"),
    ),
    Option(
        name="members",
        type=int,
        label="Images of a group",
        text="how many images that belong together come into a batch",
        usual=_unless_autoencoder(4, 1),
        default="4",
        kinds=ENCODERS,
        low=2,
        high=256,
    ),
    Option(
        name="rate",
        type=float,
        label="Learning rate",
        text="the size of Adam's steps; try a tenth of it if the loss stops being a number",
        usual=lambda chosen: 1e-4 if chosen.head == "whitening" else 1e-3,
        default="0.001, of the head whitening 0.0001",
        above=True,
        shown=(1e-7, 1.0, 1e-4),
    ),
    Option(
        name="decay",
        type=float,
        label="Weight decay",
        text="pulls weights towards 0, against learning single images by heart",
        usual=1e-4,
        shown=(0.0, 10.0, 1e-4),
    ),
    Option(
        name="originals",
        type=int,
        label="Originals",
        text="how many originals are drawn at random from the gallery",
        usual=None,
        default="all",
        low=8,
    ),
    Option(
        name="judged",
        type=int,
        label="Judged by changes",
        text="for how many held-out originals the changed versions are searched at the end; more "
        "make intervals narrower",
        usual=100,
        low=2,
    ),
    Option(
        name="test_share",
        type=float,
        label="Held-out share",
        text="the share of the originals that is kept for the table at the end: neither training "
        "nor stopping sees them",
        usual=0.5,
        low=0.05,
        high=0.9,
        shown=(0.05, 0.9, 0.05),
    ),
    Option(
        name="seed",
        type=int,
        label="Seed",
        text="the same seed gives the same split and weights",
        usual=0,
        high=_LARGEST_SEED,
    ),
]
