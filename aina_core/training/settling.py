"""From what people ask for to settings: what is usual filled in, what cannot be refused."""

from __future__ import annotations

import math

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import InputError, UnknownNameError
from aina_core.models import ModelName, get
from aina_core.models.encoders import COMBINATIONS, HEADS, SIDES
from aina_core.models.trained import trained, valid_name
from aina_core.training.settings import (
    AUGMENTED,
    AUTOENCODERS,
    KINDS,
    LARGEST_DIM,
    LARGEST_SEED,
    LARGEST_SIDE,
    LOSSES,
    MINING,
    POSITIVES,
    SETS,
    TEST_SHARE,
    TRUNKS,
    USUAL_POSITIVES,
    Settings,
)

_USUAL_LOSSES = {"siamese": "contrastive", "triplet": "triplet"}


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
    loss: str | None = None,
    mining: str | None = None,
    margin: float | None = None,
    temperature: float | None = None,
    head: str | None = None,
    head_dim: int | None = None,
    shrinkage: float | None = None,
    trunk: str | None = None,
    combine: str | None = None,
    side: int | None = None,
    dim: int | None = None,
    epochs: int | None = None,
    patience: int | None = None,
    groups: int | None = None,
    members: int | None = None,
    rate: float | None = None,
    decay: float = 1e-4,
    originals: int | None = None,
    judged: int = 100,
    test_share: float = TEST_SHARE,
    seed: int = 0,
) -> Settings:
    """Check what is asked for, and fill in what is usual. See `Settings` for each.

    Raises:
        InputError: something cannot be, or does not go together.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of training", kind, KINDS)
    asked = {
        **{"mining": mining, "margin": margin, "temperature": temperature, "head_dim": head_dim},
        **{"shrinkage": shrinkage, "trunk": trunk, "combine": combine, "side": side, "dim": dim},
    }
    mining, trunk = mining or MINING[0], trunk or TRUNKS[0]
    combine, side, dim = combine or COMBINATIONS[0], _or(side, 64), _or(dim, 128)
    head_dim = _or(head_dim, 256)
    valid_name(name)
    base = _base(kind, model)
    kept = _positives(kind, positives, bool(pairs))
    named = _changes(kind, changes)
    held = _changes(kind, hold_out) if hold_out else ()
    if foreign := [change for change in held if change not in named]:
        raise InputError(f"{foreign[0]} is held out, but is not among the changes; add it there.")
    if held and len(held) == len(named):
        raise InputError("Every change is held out; leave some to be trained on.")
    if kept == "augment" and (shown := [name for name in held if name.startswith(AUGMENTED)]):
        raise InputError(
            f"Random augmentation mirrors and crops, so {shown[0]} cannot be held out; leave it "
            "out there, or choose the positives modifications."
        )
    usual_loss = _USUAL_LOSSES.get(kind, "supcon" if kept in ("labels", "pairs") else "infonce")
    chosen_loss = "" if kind in (*AUTOENCODERS, "siamese-dense") else loss or usual_loss
    if loss and loss != chosen_loss:
        raise InputError(f"The kind {kind} has a loss of its own; leave the loss out.")
    _one_of("loss", chosen_loss, ("", *LOSSES))
    _one_of("mining", mining, MINING)
    _one_of("trunk", trunk, TRUNKS)
    _one_of("combine", combine, COMBINATIONS)
    if trunk == "trained" and (not base or kind == "adapter"):
        raise InputError(
            "Only the trunk of a registered model in a Siamese or triplet training "
            "can be frozen or trained; leave the trunk out."
        )
    usual_head = "none"
    if base and kind != "siamese-dense":
        stored = trunk == "frozen" and kept == "modifications"
        by_label = kept in ("labels", "pairs")
        usual_head = "linear" if by_label else "whitening" if stored else "residual"
    chosen_head = head or usual_head
    _one_of("head", chosen_head, HEADS)
    if chosen_head != "none" and (not base or kind == "siamese-dense"):
        raise InputError(
            "A network from scratch, or with a dense head, has no other head; leave the head out."
        )
    if base and chosen_head == "none" and trunk == "frozen" and kind != "siamese-dense":
        raise InputError(
            "With a frozen trunk and no head there is nothing to train; choose the "
            "head linear or residual, or let the trunk be trained."
        )
    if chosen_head == "whitening" and (trunk != "frozen" or kept == "augment"):
        raise InputError(
            "The head whitening begins from stored embeddings; with a trained trunk or random "
            "augmentation choose the head linear or residual."
        )
    if side % SIDES or not SIDES <= side <= LARGEST_SIDE:
        raise InputError(
            f"The side is {side} pixels; give a multiple of {SIDES} up to {LARGEST_SIDE}."
        )
    features = bool(base) and trunk == "frozen"
    made = Settings(
        kind=kind,
        gallery=gallery,
        name=name,
        model=base,
        positives=kept,
        pairs=pairs,
        changes=named,
        hold_out=held,
        loss=chosen_loss,
        mining=mining,
        margin=margin if margin is not None else (0.2 if chosen_loss == "triplet" else 1.0),
        temperature=temperature if temperature is not None else 0.1,
        head=chosen_head,
        head_dim=head_dim if chosen_head == "linear" else 0,
        shrinkage=shrinkage if shrinkage is not None else 1.0,
        trunk=trunk if base else "trained",
        combine=combine,
        side=0 if base else side,
        dim=0 if base else dim,
        epochs=epochs
        if epochs is not None
        else (100 if features else 60 if kind in AUTOENCODERS else 30),
        patience=patience if patience is not None else (20 if kind in AUTOENCODERS else 8),
        groups=groups if groups is not None else (16 if kind in AUTOENCODERS else 32),
        members=members if members is not None else (1 if kind in AUTOENCODERS else 4),
        rate=rate if rate is not None else (1e-4 if chosen_head == "whitening" else 1e-3),
        decay=decay,
        originals=originals,
        judged=judged,
        test_share=test_share,
        seed=seed,
    )
    _check_numbers(made, head_dim, dim)
    for setting, taker in made.idle().items():
        if asked[setting] is not None:
            raise InputError(
                f"--{setting.replace('_', '-')} is {taker}, which this training has not; leave "
                "it out."
            )
    return made


def _or(given: int | None, usual: int) -> int:
    return usual if given is None else given


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
    _one_of("positives", chosen, POSITIVES)
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


def _one_of(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        choices = ", ".join(filter(None, known))
        raise InputError(f"There is no {what} {given!r}; choose from: {choices}.")


def _check_numbers(made: Settings, head_dim: int, dim: int) -> None:
    least_members = 1 if made.reconstructs else 2
    whole = (
        ("epochs", made.epochs, 1, 100_000),
        ("patience", made.patience, 0, 100_000),
        ("groups", made.groups, 2, 4096),
        ("members", made.members, least_members, 256),
        ("originals", made.originals, 8, None),
        ("judged", made.judged, 2, None),
        ("seed", made.seed, 0, LARGEST_SEED),
        ("head dimension", head_dim, 2, LARGEST_DIM),
        ("dimension", dim, 2, LARGEST_DIM),
    )
    for what, number, low, high in whole:
        if number is not None and (number < low or (high is not None and number > high)):
            upto = f" to {high}" if high is not None else " or more"
            raise InputError(f"The {what} is {number}; give {low}{upto}.")
    positive = (
        *(("rate", made.rate), ("margin", made.margin)),
        *(("temperature", made.temperature), ("shrinkage", made.shrinkage)),
    )
    for what, value in positive:
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"The {what} is {value:g}; give a number above 0.")
    if not (math.isfinite(made.decay) and made.decay >= 0):
        raise InputError(f"The decay is {made.decay:g}; give 0 or more.")
    if not 0.05 <= made.test_share <= 0.9:
        raise InputError(f"The test share is {made.test_share:g}; give .05 to .9.")
