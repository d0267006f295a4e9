"""The settings of a study: checked, completed, read back from the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import DamagedError, InputError, UnknownNameError
from aina_core.models import ModelName
from aina_core.studies.kind import Kind, Settings
from aina_core.studies.kinds import KINDS

#: Sets of changes by name, and how people call them.
SETS: Mapping[str, tuple[str, ...]] = {
    "modifications": tuple(MODIFICATIONS),
    "profiles": tuple(PROFILES),
}
SET_TITLES = {"modifications": "the 18 modifications", "profiles": "the five profiles"}
#: How many models one study compares, how many neighbours it can judge.
MOST_MODELS = 8
MOST_NEIGHBOURS = 100


def read(value: Any) -> Settings:
    """Read what `Settings.as_dict` gave.

    Raises:
        DamagedError: it is something else.
    """
    try:
        return settle(
            value["kind"],
            value["gallery"],
            value["models"],
            originals=value["originals"],
            changes=value["changes"],
            ks=value["ks"],
            seed=value["seed"],
            known_models=False,
        )
    except (KeyError, TypeError, InputError) as error:
        raise DamagedError(f"The settings of a study cannot be read: {error}") from None


def settle(
    kind: str,
    gallery: str,
    models: Any,
    *,
    originals: int | None = None,
    changes: Any = (),
    ks: Any = (),
    seed: int = 0,
    known_models: bool = True,
) -> Settings:
    """Check the settings of a study, and complete them with those that are usual for its kind.

    Args:
        kind: name of one of `KINDS`.
        gallery: its name.
        models: names, with or without a variant.
        originals: how many images are drawn; None for all.
        changes: names of modifications and profiles, or of `SETS`; none for those of the kind.
        ks: numbers of neighbours; none for those of the kind.
        seed: not negative.
        known_models: whether the models must be registered; those of a stored study need not be.

    Raises:
        InputError: there is no such study.
    """
    if kind not in KINDS:
        raise UnknownNameError("study", kind, KINDS)
    meant = KINDS[kind]
    names = tuple(str(ModelName.parse(model)) if known_models else str(model) for model in models)
    _check_once("model", names)
    if known_models and meant.changes:
        for name in names:
            if ModelName.parse(name).components:
                raise InputError(
                    f"{name} is reduced by one gallery's axes, which changed images are not in; "
                    f"study {ModelName.parse(name).source}, or retrieval by {name}."
                )
    if not 1 <= len(names) <= MOST_MODELS:
        raise InputError(f"{len(names)} models were given; give 1 to {MOST_MODELS}.")
    if originals is not None and originals < 2:
        raise InputError(f"{originals} originals were asked for; a study needs at least 2.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give 0 or more.")
    return Settings(
        kind,
        gallery,
        names,
        originals,
        _changes(meant, tuple(changes)),
        _ks(meant, tuple(ks)),
        seed,
    )


def _changes(kind: Kind, given: tuple[str, ...]) -> tuple[str, ...]:
    if not kind.changes:
        if given:
            raise InputError(f"A study of {kind.name} changes no images; leave the changes out.")
        return ()
    named: list[str] = []
    for name in given or (kind.changes,):
        if name not in SETS and name not in MODIFICATIONS and name not in PROFILES:
            raise UnknownNameError(
                "modification, profile or set of them", name, (*SETS, *MODIFICATIONS, *PROFILES)
            )
        named += SETS.get(name, (name,))
    return tuple(dict.fromkeys(named))


def _ks(kind: Kind, given: tuple[int, ...]) -> tuple[int, ...]:
    if not kind.ks:
        if given:
            raise InputError(f"A study of {kind.name} judges no neighbours; leave k out.")
        return ()
    ks = tuple(sorted(set(given or kind.ks)))
    wrong = [k for k in ks if not 1 <= k <= MOST_NEIGHBOURS]
    if wrong:
        raise InputError(f"k is {wrong[0]}; give numbers from 1 to {MOST_NEIGHBOURS}.")
    return ks


def _check_once(kind: str, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"The {kind} {twice[0]} is named twice; name each once.")
