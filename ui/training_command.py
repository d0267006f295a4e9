"""A training as a command line: what a job is started with, and gone on with."""

from __future__ import annotations

import csv
import io
from typing import Any

from aina_core.training import Settings
from aina_core.training.pairs_file import keep_pairs

_EVERY = (
    *("hold_out", "epochs", "patience", "groups", "rate", "decay", "originals", "judged"),
    *("test_share", "seed"),
)
_ENCODER = ("model", "members")
_METRIC = (*("loss", "mining", "margin", "temperature", "head", "head_dim", "shrinkage"),)
_NETWORK = ("trunk", "side", "dim")


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
        if value in (None, "", []) or (name in ("head_dim", "side", "dim") and not value):
            continue
        given = value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, given)]
    return words


def _names(settings: Settings) -> list[str]:
    """The settings that the command line takes, for this kind, beside the positives."""
    names = list(_EVERY)
    if settings.reconstructs:
        return [*names, "side", "dim"]
    names += _ENCODER
    if settings.kind == "siamese-dense":
        names.append("combine")
    else:
        names += [name for name in _METRIC if name != "head" or settings.head != "none"]
        # without a head, over a trunk that is trained: said, since another is usual
        names += ["head"] if settings.head == "none" and settings.model else []
    if settings.kind != "adapter":
        names += [name for name in _NETWORK if name != "trunk" or settings.model]
    return names


def _positives(settings: Settings) -> str:
    """What belongs together; pairs as a file, which has them as they are stored."""
    if settings.positives != "pairs":
        return settings.positives
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["first image", "second image"])
    writer.writerows(settings.pairs)
    return str(keep_pairs(text.getvalue().encode()))
