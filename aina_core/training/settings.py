"""What a training is asked for, as people give it and as it is stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import DamagedError
from aina_core.training.pairs_file import record_of, stored_pairs

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
POSITIVES = ("labels", "modifications", "augment")
#: What is usual for a kind; of those that are not here the modifications.
USUAL_POSITIVES = {"siamese": "augment"}
#: Of the pictures of a network from scratch, in pixels; and of an embedding.
LARGEST_SIDE, LARGEST_DIM = 256, 4096
LARGEST_SEED = 2**31 - 1  # times what tells epochs apart, PyTorch still takes it
LOSSES = ("contrastive", "triplet", "multi-similarity", "infonce", "supcon")
MINING = ("batch-hard", "semi-hard")
TRUNKS = ("frozen", "trained")
SETS: Mapping[str, tuple[str, ...]] = {
    "modifications": tuple(MODIFICATIONS),
    "profiles": tuple(PROFILES),
}
#: What random augmentation mirrors and crops by itself: the beginnings of names of changes.
AUGMENTED = ("mirrored", "cropped/")
#: Of the images, by which share they are held out for the table at the end, and, of the others,
#: for early stopping.
TEST_SHARE, VALIDATION_SHARE = 0.5, 0.2


@dataclass(frozen=True)
class Settings:
    """What a training is asked for; see `settle` for what is usual.

    Attributes:
        kind: one of `KINDS`.
        gallery: its name.
        name: of the model that comes of it.
        model: the registered model that is the trunk; empty for one from scratch.
        positives: what belongs together: one of `POSITIVES`, or "pairs" of a file; empty for
            autoencoders.
        pairs: (image id, image id), where positives are pairs.
        changes: names of the modifications and profiles.
        hold_out: those of `changes` that are seen only in the table at the end.
        loss: one of `LOSSES`; empty where there is no choice.
        mining: one of `MINING`, of the triplet loss.
        margin: of the contrastive and the triplet loss.
        temperature: of the losses infonce and supcon.
        head: one of `models.encoders.HEADS`.
        head_dim: length of the embedding under a linear head.
        shrinkage: of the head "whitening" (`whitening.py`).
        trunk: "frozen" or "trained", of a registered trunk.
        combine: how the dense head sees two features.
        side: of the pictures, for a network from scratch, in pixels.
        dim: length of the embedding of a network from scratch.
        epochs: at most.
        patience: ends after so many epochs without a better retrieval score; 0 for never.
        groups: in a batch; of an autoencoder images.
        members: of each group in a batch.
        rate: the learning rate of Adam.
        decay: weight decay (decoupled).
        originals: how many are drawn; None for all.
        judged: of how many held-out originals the changed versions are judged.
        test_share: share of the originals that is held out.
        seed: of every draw.
    """

    kind: str
    gallery: str
    name: str
    model: str
    positives: str
    pairs: tuple[tuple[str, str], ...]
    changes: tuple[str, ...]
    hold_out: tuple[str, ...]
    loss: str
    mining: str
    margin: float
    temperature: float
    head: str
    head_dim: int
    shrinkage: float
    trunk: str
    combine: str
    side: int
    dim: int
    epochs: int
    patience: int
    groups: int
    members: int
    rate: float
    decay: float
    originals: int | None
    judged: int
    test_share: float
    seed: int

    @property
    def seen_changes(self) -> tuple[str, ...]:
        """The changes that training may see."""
        return tuple(change for change in self.changes if change not in self.hold_out)

    @property
    def reconstructs(self) -> bool:
        """Whether it is an autoencoder."""
        return self.kind in AUTOENCODERS

    @property
    def frozen(self) -> bool:
        """Whether its trunk is a registered one that stays as it is."""
        return bool(self.model) and self.trunk == "frozen"

    @property
    def over_features(self) -> bool:
        """Whether only what comes after a frozen trunk is trained, so that features suffice."""
        return self.frozen and self.positives != "augment"

    def idle(self) -> dict[str, str]:
        """Return the names of the settings that nothing here asks for, with what takes them."""
        takers = {
            "mining": (self.loss == "triplet", "of the loss triplet"),
            "margin": (
                self.loss in ("contrastive", "triplet"),
                "of the losses contrastive and triplet",
            ),
            "temperature": (
                self.loss in ("infonce", "supcon"),
                "of the losses infonce and supcon",
            ),
            "head_dim": (self.head == "linear", "of the head linear"),
            "shrinkage": (self.head == "whitening", "of the head whitening"),
            "combine": (self.kind == "siamese-dense", "of the kind siamese-dense"),
            "trunk": (
                bool(self.model) and self.kind != "adapter",
                "of a registered model in a Siamese or triplet training",
            ),
            "side": (not self.model, "of a network from scratch"),
            "dim": (not self.model, "of a network from scratch"),
        }
        return {name: taker for name, (taken, taker) in takers.items() if not taken}

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values; of pairs their number and checksum."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        listed = {name: list(found[name]) for name in ("changes", "hold_out")}
        return {**found, **listed, "pairs": record_of(self.pairs) if self.pairs else []}

    @classmethod
    def from_dict(cls, value: Any, folder: Path) -> Settings:
        """Read what `as_dict` gave.

        Args:
            value: of it; earlier versions had the pairs themselves in it.
            folder: where the pairs are.

        Raises:
            DamagedError: it is something else.
        """
        try:
            listed = {name: tuple(value[name]) for name in ("changes", "hold_out")}
            kept = value["pairs"]
            if isinstance(kept, dict):
                pairs = stored_pairs(folder, kept)
            else:
                pairs = tuple((str(first), str(second)) for first, second in kept)
            found = cls(**{**value, **listed, "pairs": pairs})
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"The settings of a training cannot be read: {error}") from None
        if wrong := next(found._wrong(), ""):
            raise DamagedError(
                f"The settings of a training cannot be read: its {wrong} is not one that can be."
            )
        return found

    def _wrong(self) -> Iterator[str]:
        """Yield the names of what is of another type than it can be, or not one of those known."""
        kinds: dict[str, tuple[type, ...]] = {"float": (int, float), "int": (int,), "str": (str,)}
        kinds["int | None"] = (int, type(None))
        for each in fields(self):
            value = getattr(self, each.name)
            right = kinds.get(str(each.type), (tuple,))
            endless = isinstance(value, float) and not math.isfinite(value)
            if not isinstance(value, right) or isinstance(value, bool) or endless:
                yield each.name
        for name, known in (("kind", tuple(KINDS)), ("positives", ("", "pairs", *POSITIVES))):
            if getattr(self, name) not in known:
                yield name
        if not all(isinstance(name, str) for name in (*self.changes, *self.hold_out)):
            yield "changes"
