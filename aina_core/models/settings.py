"""What people have settled for a model: on which device it runs, and how precisely by default.

They are kept in `models-settings.json` in `AINA_HOME`: {"resnet50": {"device": "cuda"}}.

The precision is settled for names that leave it open, as people type them: `resnet50` then means
`resnet50@fast`. A name that was stored, or is part of an address, always means what it says, since
vectors of two precisions are never mixed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.errors import DamagedError, InputError
from aina_core.models.spec import get
from aina_core.models.variants import FAST, MODES, ModelName

DEVICES = ("cpu", "cuda")
#: What can be settled, and to what.
CHOICES = {"device": DEVICES, "precision": MODES}


def _path() -> Path:
    return paths.home() / "models-settings.json"


def all_settings() -> dict[str, dict[str, str]]:
    """Return what is settled, by the models' names.

    Raises:
        DamagedError: the file holds anything else.
    """
    if not _path().exists():
        return {}
    found = paths.read_json(_path())
    for name, chosen in found.items():
        for key, value in chosen.items() if isinstance(chosen, dict) else [("?", chosen)]:
            if value not in CHOICES.get(key, ()):
                raise DamagedError(
                    f"{_path().name} says {value!r} for {key!r} of the model {name!r}, which "
                    "cannot be; mend the file, or delete it."
                )
    return found


def of(base: str) -> dict[str, str]:
    """Return what is settled for a model: "device" and "precision", where they are.

    Raises:
        DamagedError: see `all_settings`.
    """
    return all_settings().get(base, {})


def device(base: str) -> str | None:
    """Return the device that is settled for a model; None where that is open."""
    return of(base).get("device")


def settle(base: str, **chosen: str | None) -> dict[str, str]:
    """Settle something for a model, and return all that is settled for it.

    Args:
        base: a registered name, without a variant.
        chosen: by the keys of `CHOICES`; None leaves that open again.

    Raises:
        InputError: the name has a variant, or a choice does not exist.
        UnknownNameError: no model of that name is registered.
    """
    name, _, variant = base.partition("@")
    get(name)
    if variant:
        raise InputError(f"Settings are of a model with all its variants; give {name} alone.")
    for key, value in chosen.items():
        if value is not None and value not in CHOICES.get(key, ()):
            possible = ", ".join(CHOICES.get(key, ()))
            raise InputError(f"There is no {key} {value!r}; choose from: {possible}.")
    known = all_settings()
    merged: dict[str, Any] = {**known.get(base, {}), **chosen}
    kept = {key: value for key, value in merged.items() if value is not None}
    others = {key: value for key, value in known.items() if key != base}
    paths.write_json(_path(), {**others, base: kept} if kept else others)
    return kept


def chosen_name(text: str, mode: str | None = None) -> ModelName:
    """Read a name as people type it; what it leaves open follows the settings.

    Args:
        text: the name.
        mode: "exact" or "fast", given beside it.

    Raises:
        AinaError: see `ModelName.parse` and `all_settings`.
    """
    name = ModelName.parse(text, mode)
    if mode is None and of(name.base).get("precision") == FAST:
        return dataclasses.replace(name, mode=FAST)
    return name
