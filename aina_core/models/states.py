"""Whether a model can be used on this machine, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aina_core.errors import (
    InputError,
    UnknownNameError,
    WeightsMissingError,
    WeightsRefusedError,
)
from aina_core.models.spec import get


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
    """Say whether the model `name` can be used on this machine; cheap when asked again.

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
