"""What a training is asked for: checked, completed by what is usual, and stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import DamagedError, InputError, UnknownNameError
from aina_core.models import ModelName, get
from aina_core.models.trained import trained, valid_name
from aina_core.training.options import (
    AUTOENCODERS,
    KINDS,
    METRIC,
    OPTIONS,
    POSITIVES,
    USUAL_POSITIVES,
)
from aina_core.training.pairs_file import record_of, stored_pairs

SETS: Mapping[str, tuple[str, ...]] = {
    "modifications": tuple(MODIFICATIONS),
    "profiles": tuple(PROFILES),
}
#: Prefixes of the changes that random augmentation already makes.
AUGMENTED = ("mirrored", "cropped/")


@dataclass(frozen=True)
class Settings:
    """What a training is asked for, completed by `settle`.

    Every option of `OPTIONS` is an attribute too: settings.rate.

    Attributes:
        kind: one of `KINDS`.
        gallery: name of the gallery that is trained on.
        name: of the model that is trained.
        model: the registered model that is the trunk; empty for a network from scratch.
        positives: what belongs together: one of `POSITIVES`, or "pairs" of a file; empty for
            autoencoders.
        pairs: (image id, image id), where positives are pairs.
        changes: names of the modifications and profiles.
        hold_out: those of `changes` that are seen only in the table at the end.
        options: (name, value), in the order of `OPTIONS`.
    """

    kind: str
    gallery: str
    name: str
    model: str
    positives: str
    pairs: tuple[tuple[str, str], ...]
    changes: tuple[str, ...]
    hold_out: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]

    def __getattr__(self, name: str) -> Any:
        """Return the value of an option."""
        for key, value in self.__dict__.get("options", ()):
            if key == name:
                return value
        raise AttributeError(f"{type(self).__name__} has no option {name!r}")

    @property
    def seen_changes(self) -> tuple[str, ...]:
        """The changes that training may see."""
        return tuple(change for change in self.changes if change not in self.hold_out)

    @property
    def reconstructs(self) -> bool:
        """Whether it trains an autoencoder."""
        return self.kind in AUTOENCODERS

    @property
    def frozen(self) -> bool:
        """Whether its trunk is a registered one whose weights are not trained."""
        return bool(self.model) and self.trunk == "frozen"

    @property
    def over_features(self) -> bool:
        """Whether only what comes after a frozen trunk is trained, so that features suffice."""
        return self.frozen and self.positives != "augment"

    def idle(self) -> set[str]:
        """Return the names of the options that do not apply to it."""
        return {option.name for option in OPTIONS if not option.applies(self)}

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values; of pairs their number and checksum."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        found |= {name: list(found[name]) for name in ("changes", "hold_out")}
        found |= dict(found.pop("options"))
        return {**found, "pairs": record_of(self.pairs) if self.pairs else []}

    @classmethod
    def from_dict(cls, value: Any, folder: Path) -> Settings:
        """Read what `as_dict` gave; an option that was not there yet is as usual.

        Args:
            value: what `as_dict` gave; earlier versions stored the pairs themselves in it.
            folder: where the pairs are stored.

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
            names = {option.name for option in OPTIONS}
            given = {name: each for name, each in value.items() if name in names}
            basics = {name: each for name, each in value.items() if name not in names}
            found = _completed({**basics, **listed, "pairs": pairs}, given)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"The settings of a training cannot be read: {error}") from None
        if wrong := next(found._wrong(), ""):
            raise DamagedError(
                f"The settings of a training cannot be read: its {wrong} is not one that can be."
            )
        return found

    def _wrong(self) -> Iterator[str]:
        """Yield the names of values of a wrong type, and of unknown kinds and positives."""
        for name in ("kind", "gallery", "name", "model", "positives"):
            if not isinstance(getattr(self, name), str):
                yield name
        for option in OPTIONS:
            if not option.fits(getattr(self, option.name)):
                yield option.name
        for name, known in (("kind", tuple(KINDS)), ("positives", ("", "pairs", *POSITIVES))):
            if getattr(self, name) not in known:
                yield name
        if not all(isinstance(name, str) for name in (*self.changes, *self.hold_out)):
            yield "changes"


class _Choices:
    """What is chosen of settings so far: the basics, and every option as given or as usual."""

    def __init__(self, basics: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self.__dict__.update({**basics, **given})

    def __getattr__(self, name: str) -> Any:
        option = next((option for option in OPTIONS if option.name == name), None)
        if option is None:
            raise AttributeError(name)
        return option.usual_of(self)


def _completed(basics: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """Return settings with the usual value of each option that is not given."""
    chosen = _Choices(basics, given)
    return Settings(
        **basics, options=tuple((option.name, getattr(chosen, option.name)) for option in OPTIONS)
    )


def settle(
    kind: str,
    gallery: str,
    name: str,
    *,
    model: str | None = None,
    positives: str | None = None,
    pairs: tuple[tuple[str, str], ...] = (),
    changes: tuple[str, ...] = (),
    hold_out: tuple[str, ...] = (),
    **options: Any,
) -> Settings:
    """Check what is asked for, and complete it by what is usual; see `Settings`.

    Args:
        kind: one of `KINDS`.
        gallery: name of the gallery.
        name: of the model that is trained.
        model: the trunk; None for a network from scratch.
        positives: what belongs together; None for what is usual.
        pairs: image ids that belong together, in place of positives.
        changes: names of modifications, profiles, or sets of them; empty for what is usual.
        hold_out: those of the changes that training does not see.
        options: those of `OPTIONS`; None for what is usual.

    Raises:
        InputError: a value is not allowed, or two do not go together.
        TypeError: there is no option of a name.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of training", kind, KINDS)
    if unknown := options.keys() - {option.name for option in OPTIONS}:
        raise TypeError(f"settle() got an unexpected keyword argument {min(unknown)!r}")
    valid_name(name)
    base = _base(kind, model)
    kept = _positives(kind, positives, bool(pairs))
    named = _changes(kind, changes)
    held = _changes(kind, hold_out) if hold_out else ()
    _check_held(named, held, kept)
    given = {key: value for key, value in options.items() if value not in (None, "")}
    if "loss" in given and kind not in METRIC:
        raise InputError(f"The kind {kind} has a loss of its own; leave the loss out.")
    for option in OPTIONS:
        if option.name in given:
            option.check(given[option.name])
    basics = {"kind": kind, "gallery": gallery, "name": name, "model": base, "positives": kept}
    made = _completed({**basics, "pairs": pairs, "changes": named, "hold_out": held}, given)
    _check_network(made, given)
    for option in OPTIONS:
        if option.taker and option.name in given and not option.applies(made):
            raise InputError(
                f"{option.flag} is {option.taker}, which this training has not; leave it out."
            )
    return made


def _base(kind: str, model: str | None) -> str:
    if kind in AUTOENCODERS:
        if model:
            raise InputError(f"The kind {kind} is trained from scratch; leave the model out.")
        return ""
    if not model:
        if kind == "adapter":
            raise InputError("An adapter needs the model whose embeddings it adapts: give --model.")
        return ""
    name = ModelName.parse(model)
    if model != name.base:
        raise InputError(f"Give the model without a variant: {name.base}, not {model}.")
    if name.base in trained():
        raise InputError(f"{model} was itself trained here; give a published model.")
    get(name.base)
    return name.base


def _positives(kind: str, given: str | None, pairs: bool) -> str:
    if kind in AUTOENCODERS:
        if given or pairs:
            raise InputError(f"The kind {kind} needs no positives; leave them out.")
        return ""
    if pairs:
        return "pairs"
    chosen = given or USUAL_POSITIVES.get(kind, "modifications")
    if chosen not in POSITIVES:
        choices = ", ".join(POSITIVES)
        raise InputError(f"There is no positives {chosen!r}; choose from: {choices}.")
    if kind == "adapter" and chosen == "augment":
        raise InputError(
            "An adapter is trained over stored embeddings, which cannot be augmented; "
            "choose the positives modifications or labels."
        )
    return chosen


def _changes(kind: str, given: tuple[str, ...]) -> tuple[str, ...]:
    named: list[str] = []
    for name in given or ("profiles" if kind == "denoising" else "modifications",):
        if name not in SETS and name not in MODIFICATIONS and name not in PROFILES:
            raise UnknownNameError(
                "modification, profile or set of them", name, (*SETS, *MODIFICATIONS, *PROFILES)
            )
        named += SETS.get(name, (name,))
    return tuple(dict.fromkeys(named))


def _check_held(named: tuple[str, ...], held: tuple[str, ...], positives: str) -> None:
    if foreign := [change for change in held if change not in named]:
        raise InputError(f"{foreign[0]} is held out, but is not among the changes; add it there.")
    if held and len(held) == len(named):
        raise InputError("Every change is held out; leave some to be trained on.")
    shown = [name for name in held if name.startswith(AUGMENTED)]
    if positives == "augment" and shown:
        raise InputError(
            f"Random augmentation mirrors and crops, so {shown[0]} cannot be held out; leave it "
            "out there, or choose the positives modifications."
        )


def _check_network(made: Settings, given: Mapping[str, Any]) -> None:
    """Refuse a trunk and a head that do not go together, or not with the kind of training."""
    base, frozen = made.model, made.trunk == "frozen"
    dense = made.kind == "siamese-dense"
    if given.get("trunk") == "trained" and (not base or made.kind == "adapter"):
        raise InputError(
            "Only the trunk of a registered model in a Siamese or triplet training "
            "can be frozen or trained; leave the trunk out."
        )
    if made.head != "none" and (not base or dense):
        raise InputError(
            "A network from scratch, or with a dense head, has no other head; leave the head out."
        )
    if base and made.head == "none" and frozen and not dense:
        raise InputError(
            "With a frozen trunk and no head there is nothing to train; choose the "
            "head linear or residual, or let the trunk be trained."
        )
    if made.head == "whitening" and (not frozen or made.positives == "augment"):
        raise InputError(
            "The head whitening begins from stored embeddings; with a trained trunk or random "
            "augmentation choose the head linear or residual."
        )
