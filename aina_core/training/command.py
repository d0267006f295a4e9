"""A training as a command line: what a job is started and resumed with."""

from __future__ import annotations

from typing import Any

from aina_core.training.options import OPTIONS
from aina_core.training.pairs_file import as_csv, keep_pairs
from aina_core.training.settings import Settings


def arguments(settings: Settings, **changed: Any) -> list[str]:
    """Return the command line that trains what settings say, every option spelled out.

    So a training that was stopped resumes as it began, even where the usual values have changed.

    Args:
        settings: as `settle` returned them, or as they are stored.
        changed: options with another value now, by name.
    """
    words = ["train", settings.kind, "--gallery", settings.gallery, "--name", settings.name]
    if settings.model:
        words += ["--model", settings.model]
    if not settings.reconstructs:
        pairs = settings.positives == "pairs"
        given = str(keep_pairs(as_csv(settings.pairs))) if pairs else settings.positives
        words += ["--positives", given]
    words += ["--changes", *settings.changes]
    if settings.hold_out:
        words += ["--hold-out", *settings.hold_out]
    for option in OPTIONS:
        value = changed.get(option.name, getattr(settings, option.name))
        if option.applies(settings) and value is not None:
            words += [option.flag, str(value)]
    return words
