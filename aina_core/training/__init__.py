"""Training: networks fitted to a gallery, and what they gain over what they started from."""

from aina_core.training.options import KINDS
from aina_core.training.run import train
from aina_core.training.settings import Settings, settle
from aina_core.training.stored import (
    TrainedModel,
    Unfinished,
    delete,
    finished_at,
    models,
    unfinished,
)

__all__ = [
    "KINDS",
    "Settings",
    "TrainedModel",
    "Unfinished",
    "delete",
    "finished_at",
    "models",
    "settle",
    "train",
    "unfinished",
]
