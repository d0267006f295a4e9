"""Vectors of a model that AINA does not have: `external:NAME`, known by the galleries that hold
them.

Nothing can be embedded by such a model, so only images of the gallery can be queries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, unquote

from aina_core.disk import paths
from aina_core.errors import DamagedError, InputError, WeightsMissingError
from aina_core.models.spec import ModelSpec, Recipe, register_scheme

SCHEME = "external"

_NAME = re.compile(r"\w[\w .-]{0,62}\w|\w")
_RECIPE = Recipe(224, 224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # of nothing


def is_external(name: str) -> bool:
    """Whether a model's name, with or without variants, is of vectors made elsewhere."""
    return name.startswith(f"{SCHEME}:")


def valid_external(name: str) -> str:
    """Return the name of a model that AINA does not have.

    Raises:
        InputError: it cannot be one.
    """
    if not is_external(name) or not _NAME.fullmatch(name.partition(":")[2]):
        raise InputError(
            f"{name!r} cannot name vectors made elsewhere: give {SCHEME}: and 1 to 64 letters, "
            "digits, spaces, dots, hyphens or underscores."
        )
    return name


def only_members(name: str) -> str:
    """Return the sentence that says what such a model can be used for."""
    return (
        f"The vectors of {name} were made elsewhere, and AINA does not have that model: only "
        "images of the gallery can be queries, and nothing can be embedded or explained."
    )


def require_network(name: str) -> None:
    """Raise a `WeightsMissingError` where a model is not AINA's."""
    if is_external(name):
        raise WeightsMissingError(only_members(name.partition("@")[0]))


@dataclass(frozen=True)
class _Elsewhere:
    """Weights that are not here."""

    model: str
    file: str = ""
    size: int = 0
    origin: str = "made elsewhere"

    def locate(self) -> Path:
        """Refuse; see `Source.locate`."""
        raise WeightsMissingError(only_members(self.model))

    def network(self) -> NoReturn:
        """Refuse to build a network."""
        raise WeightsMissingError(only_members(self.model))

    def load(self, network: Any, path: Path) -> None:
        """Refuse to fill one."""
        raise WeightsMissingError(only_members(self.model))


def dimension(name: str) -> int | None:
    """Return how many numbers the vectors of `external:NAME` have; None where no gallery has any.

    Galleries agree on it (`exchange` sees to that).
    """
    for path in sorted(paths.home().glob(f"*/models/{quote(name, safe='@')}/manifest.json")):
        try:
            dim = paths.read_json(path).get("dim")
        except DamagedError:
            continue
        if isinstance(dim, int) and dim > 0:
            return dim
    return None


def known() -> list[str]:
    """Return the names that galleries have vectors of."""
    pattern = f"*/models/{SCHEME}%3A*/manifest.json"
    names = {unquote(path.parent.name).partition("@")[0] for path in paths.home().glob(pattern)}
    return sorted(names)


def _resolve(name: str) -> ModelSpec:
    """Return the spec of `external:NAME`.

    Raises:
        InputError: no gallery has vectors of it.
    """
    dim = dimension(valid_external(name))
    if dim is None:
        raise InputError(
            f"No gallery has vectors of {name}; known: {', '.join(known()) or 'none yet'}; "
            "bring them by `import`."
        )
    elsewhere = _Elsewhere(name)
    return ModelSpec(
        name=name,
        family=SCHEME,
        dim=dim,
        recipe=_RECIPE,
        weights=elsewhere,
        network=elsewhere.network,
        load=elsewhere.load,
        license="not said",
        paper="",
    )


register_scheme(SCHEME, _resolve)
