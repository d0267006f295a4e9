"""The models of AINA: one registry, one file a family.

A family's file registers its specs when it is imported; to add one, write the file and name it
below. Importing this package imports neither torch nor any network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aina_core.errors import WeightsMissingError, WeightsRefusedError
from aina_core.models import efficientnet_lite  # noqa: F401  registers its models
from aina_core.models.spec import (
    EXACT,
    FAST,
    MODES,
    ModelName,
    ModelSpec,
    Recipe,
    get,
    names,
    register,
)
from aina_core.models.weights import checksum, load_tensors

__all__ = [
    "DEFAULT",
    "EXACT",
    "FAST",
    "MODES",
    "ModelName",
    "ModelSpec",
    "ModelState",
    "Recipe",
    "checksum",
    "get",
    "load_tensors",
    "names",
    "register",
    "state",
]

#: The model that is chosen when nobody has chosen.
DEFAULT = "efficientnet-lite0"


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
    """Say whether the model `name` can be used on this machine.

    Raises:
        UnknownNameError: no model of that name is registered.
    """
    try:
        return ModelState("ready", "", get(name).weights.locate())
    except WeightsMissingError as error:
        return ModelState("missing", str(error), None)
    except WeightsRefusedError as error:
        return ModelState("refused", str(error), None)
