"""The models that are offered, and whether each can be used on this machine.

Offered are the registered, the trained and the described models, and those that people have added
(`timm:convnext_tiny`), whose names are in `AINA_HOME/models.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aina_core.disk import paths
from aina_core.errors import (
    DamagedError,
    InputError,
    UnknownNameError,
    WeightsMissingError,
    WeightsRefusedError,
)
from aina_core.models.local import described
from aina_core.models.spec import get, registered
from aina_core.models.trained import trained

_MOST = 200


def names() -> tuple[str, ...]:
    """Return the names of all models in the order in which they are offered."""
    return tuple(dict.fromkeys([*registered(), *trained(), *described(), *added_names()]))


def add(name: str) -> str:
    """Offer another model: `timm:NAME`, `open_clip:ARCHITECTURE/TAG` or `local:NAME`.

    Raises:
        InputError: it is offered already, or cannot be resolved, or too many are offered.
    """
    name = name.strip()
    get(name)
    if name in names():
        raise InputError(f"The model {name} is offered already.")
    added = added_names()
    if len(added) >= _MOST:
        raise InputError(f"{_MOST} models were added; take one away first.")
    paths.write_json(_file(), {"models": [*added, name]})
    return name


def forget(name: str) -> None:
    """Stop offering a model that was added; its weights stay where they are.

    Raises:
        InputError: it was not added.
    """
    added = added_names()
    if name not in added:
        raise InputError(f"The model {name} was not added; added: {', '.join(added) or 'none'}.")
    paths.write_json(_file(), {"models": [kept for kept in added if kept != name]})


def _file() -> Path:
    return paths.home() / "models.json"


def added_names() -> list[str]:
    """Return the names that people added."""
    try:
        found = paths.read_json(_file()).get("models")
    except (
        DamagedError
    ):  # none were added, or the file is damaged: the other models are still there
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


@dataclass(frozen=True)
class ModelState:
    """Whether a model can be used here.

    Attributes:
        status: "ready", "missing" or "refused".
        reason: why it is not ready, in one sentence; empty when it is.
        path: its weights; None unless ready.
    """

    status: str
    reason: str
    path: Path | None


def state(name: str) -> ModelState:
    """Return whether a model can be used on this machine; cheap when asked again.

    Raises:
        UnknownNameError: no model of that name is registered.
    """
    try:
        return ModelState("ready", "", get(name).weights.locate())
    except WeightsMissingError as error:
        return ModelState("missing", str(error), None)
    except WeightsRefusedError as error:
        return ModelState("refused", str(error), None)
    except UnknownNameError:
        raise
    except InputError as error:  # a name of a scheme that cannot be resolved any more
        return ModelState("refused", str(error), None)
