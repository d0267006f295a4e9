"""A training as a command line: what a job is started with, and gone on with."""

from __future__ import annotations

from typing import Any

from aina_core.training import Settings
from aina_core.training.pairs_file import as_csv, keep_pairs

_EVERY = (
    *("hold_out", "epochs", "patience", "groups", "rate", "decay", "originals", "judged"),
    *("test_share", "seed"),
)
_ENCODER = ("model", "members")
_METRIC = ("loss", "mining", "margin", "temperature", "head_dim", "shrinkage")
_NETWORK = ("trunk", "combine", "side", "dim")


def arguments(settings: Settings, **changed: Any) -> list[str]:
    """Return the command line that trains what settings say, every one of them spelled out.

    So a training that was stopped goes on, whatever has become usual meanwhile.

    Args:
        settings: as `settle` gave them, or as they are stored.
        changed: settings that are others now, by name.
    """
    words = ["train", settings.kind, "--gallery", settings.gallery, "--name", settings.name]
    values = settings.as_dict() | changed
    if not settings.reconstructs:
        words += ["--positives", _positives(settings)]
    words += ["--changes", *settings.changes]
    for name in _names(settings):
        value = values[name]
        if value in (None, "", []):
            continue
        given = value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, given)]
    return words


def _names(settings: Settings) -> list[str]:
    """The settings that the command line takes, for this kind, beside the positives."""
    if settings.reconstructs:
        return [*_EVERY, "side", "dim"]
    # without a model there is no head to be chosen, nor beside a dense one
    head = ("head",) if settings.model and settings.kind != "siamese-dense" else ()
    idle = settings.idle()
    names = (*_EVERY, *_ENCODER, *_METRIC, *head, *_NETWORK)
    return [name for name in names if name not in idle]


def _positives(settings: Settings) -> str:
    """What belongs together; pairs as a file, which has them as they are stored."""
    if settings.positives != "pairs":
        return settings.positives
    return str(keep_pairs(as_csv(settings.pairs)))
