"""The models that are offered: those registered here, those trained here, those described, and
those that were added.

What people add (`timm:convnext_tiny`) stands in `AINA_HOME/models.json`.
"""

from __future__ import annotations

from pathlib import Path

from aina_core.disk import paths
from aina_core.errors import DamagedError, InputError
from aina_core.models.local import described
from aina_core.models.spec import get, registered
from aina_core.models.trained import trained

_MOST = 200


def names() -> tuple[str, ...]:
    """Return the names of all models in the order in which they are offered."""
    return tuple(dict.fromkeys([*registered(), *trained(), *described(), *added_names()]))


def add(name: str) -> str:
    """Offer a further model: `timm:NAME`, `open_clip:ARCHITECTURE/TAG` or `local:NAME`.

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
    """Offer a model that was added no longer; its weights stay where they are.

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
    except DamagedError:  # none were added, or nobody can say which: the others are still there
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
