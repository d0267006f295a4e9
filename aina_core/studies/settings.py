"""What a study is asked for, as people give it and as it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aina_core.changes.modifications import MODIFICATIONS, PROFILES
from aina_core.errors import DamagedError, InputError, UnknownNameError
from aina_core.models import ModelName

#: The kinds of study, with what each asks.
KINDS = {
    "modifications": "How similar does an image stay to itself when it is changed?",
    "recovery": "Are the changed versions of an image found again among all others?",
    "retrieval": "Do the nearest images have the same label?",
}
#: Sets of changes by name.
SETS: Mapping[str, tuple[str, ...]] = {
    "modifications": tuple(MODIFICATIONS),
    "profiles": tuple(PROFILES),
}
#: How many models one study compares, how many neighbours it can judge.
MOST_MODELS = 8
MOST_NEIGHBOURS = 100

_DEFAULT_SETS = {"modifications": "modifications", "recovery": "profiles"}
_DEFAULT_KS = {"recovery": (1, 3, 5), "retrieval": (5,)}


@dataclass(frozen=True)
class Settings:
    """What a study is asked for.

    Attributes:
        kind: one of `KINDS`.
        gallery: its name.
        models: full names, each once.
        originals: how many images are drawn; None for all. In "retrieval" they are the queries.
        changes: names of modifications and profiles, each once; () in "retrieval".
        ks: how many neighbours are judged, ascending; () in "modifications".
        seed: of every draw: of originals, of random pairs, of resamples.
    """

    kind: str
    gallery: str
    models: tuple[str, ...]
    originals: int | None = None
    changes: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {**asdict(self), **{n: list(getattr(self, n)) for n in ("models", "changes", "ks")}}

    @classmethod
    def from_dict(cls, value: Any) -> Settings:
        """Read what `as_dict` gave.

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
    """Check what a study is asked for, and fill in what was not said.

    Args:
        kind: one of `KINDS`.
        gallery: its name.
        models: names, with or without a variant.
        originals: how many images are drawn; None for all.
        changes: names of modifications and profiles, or of `SETS`; none for what the kind usually
            takes: the 18 for "modifications", the five profiles for "recovery".
        ks: numbers of neighbours; none for 1, 3, 5 in "recovery" and 5 in "retrieval".
        seed: not negative.
        known_models: whether the models must be registered; a stored study's need not be any more.

    Raises:
        InputError: something cannot be asked for.
    """
    if kind not in KINDS:
        raise UnknownNameError("study", kind, KINDS)
    names = tuple(str(ModelName.parse(model)) if known_models else str(model) for model in models)
    _check_once("model", names)
    if known_models and kind in _DEFAULT_SETS:
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
        kind, gallery, names, originals, _changes(kind, tuple(changes)), _ks(kind, tuple(ks)), seed
    )


def _changes(kind: str, given: tuple[str, ...]) -> tuple[str, ...]:
    if kind not in _DEFAULT_SETS:
        if given:
            raise InputError("A study of retrieval changes no images; leave the changes out.")
        return ()
    named: list[str] = []
    for name in given or (_DEFAULT_SETS[kind],):
        if name not in SETS and name not in MODIFICATIONS and name not in PROFILES:
            raise UnknownNameError(
                "modification, profile or set of them", name, (*SETS, *MODIFICATIONS, *PROFILES)
            )
        named += SETS.get(name, (name,))
    return tuple(dict.fromkeys(named))


def _ks(kind: str, given: tuple[int, ...]) -> tuple[int, ...]:
    if kind not in _DEFAULT_KS:
        if given:
            raise InputError("A study of modifications judges no neighbours; leave k out.")
        return ()
    ks = tuple(sorted(set(given or _DEFAULT_KS[kind])))
    wrong = [k for k in ks if not 1 <= k <= MOST_NEIGHBOURS]
    if wrong:
        raise InputError(f"k is {wrong[0]}; give numbers from 1 to {MOST_NEIGHBOURS}.")
    return ks


def _check_once(kind: str, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"The {kind} {twice[0]} is named twice; name each once.")
