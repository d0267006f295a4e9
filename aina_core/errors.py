"""The errors of AINA: everything that a caller or a user can fix.

::

    AinaError
    ├── InputError                what was given cannot be used as it is
    │   ├── ImageError            a file or upload that is not a usable image
    │   └── UnknownNameError      a name that nothing is registered under
    ├── GalleryError              a gallery that is missing, or does not fit what was asked
    │   ├── GalleryBusyError      another process is writing to it
    │   └── DamagedError          stored data that does not match its manifest
    ├── StoppedError              work that was asked to stop before it had a result
    ├── TrainingError             a training that cannot go on as it was asked for
    └── ModelError                a model that cannot be used
        ├── WeightsMissingError   its weights are not on this machine
        └── WeightsRefusedError   its weights are damaged, foreign or unsafe

A message is one sentence: what was given, what was expected, what to do next. The command line
prints it and exits with 2; pages show it. Any other exception is a fault of AINA's own.
"""

from __future__ import annotations

from collections.abc import Iterable


class AinaError(Exception):
    """Base of all errors that are meant for the user's eyes."""


class InputError(AinaError):
    """What was given cannot be used as it is."""


class ImageError(InputError):
    """A file or an upload is not an image that can be used; the message is the reason."""


class UnknownNameError(InputError):
    """A name is not registered; the message lists the names that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = ", ".join(sorted(known)) or "none yet"
        super().__init__(f"There is no {kind} named {name!r}. Known: {names}.")


class GalleryError(AinaError):
    """A gallery is missing, or does not fit what was asked of it."""


class GalleryBusyError(GalleryError):
    """Another process is writing to the gallery."""


class DamagedError(GalleryError):
    """Stored data does not match its manifest."""


class StoppedError(AinaError):
    """Work was asked to stop before it had a result; what is stored is as it was."""


class TrainingError(AinaError):
    """A training cannot go on as it was asked for; its last good epoch is kept."""


class ModelError(AinaError):
    """A model cannot be used."""


class WeightsMissingError(ModelError):
    """A model's weights are not on this machine."""


class WeightsRefusedError(ModelError):
    """A model's weights are damaged, foreign or unsafe."""
