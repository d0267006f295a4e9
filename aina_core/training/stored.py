"""The models that were trained here, and the trainings that have not ended."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from aina_core.disk import folders, paths
from aina_core.disk.locks import alone, is_busy
from aina_core.errors import AinaError, DamagedError, GalleryBusyError, UnknownNameError
from aina_core.models.trained import MANIFEST, folder, is_name, manifest, trained
from aina_core.training.checkpoints import Curves, runs_folder
from aina_core.training.settings import Settings


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model and its record.

    Attributes:
        name: that people type.
        created: when, ISO 8601, UTC.
        settings: of its training.
        curves: of its training.
        result: what the command line prints.
    """

    name: str
    created: str
    settings: Settings
    curves: Curves
    result: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Unfinished:
    """A training that runs, or was stopped or killed.

    Attributes:
        name: of the model that it trains.
        settings: of the training.
        curves: so far.
        running: whether a process trains it now.
        diverged: whether it ended because a value became infinite or NaN.
    """

    name: str
    settings: Settings
    curves: Curves
    running: bool
    diverged: bool = False


def models() -> tuple[list[TrainedModel], dict[str, str]]:
    """Return the trained models, newest first; and, by name, why others cannot be read."""
    found, damaged = [], {}
    for name in trained():
        try:
            found.append(load(name))
        except AinaError as error:
            damaged[name] = str(error)
    return sorted(found, key=lambda one: one.created, reverse=True), damaged


def load(name: str) -> TrainedModel:
    """Return the record of a trained model.

    Raises:
        InputError: there is none of that name.
        DamagedError: its record cannot be read.
    """
    record = manifest(name)
    try:
        return TrainedModel(
            name,
            str(record["created"]),
            Settings.from_dict(record["settings"], folder() / name),
            Curves.from_dict(record["curves"]),
            dict(record["result"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"The record of the model {name} cannot be read: {error}.") from None


def unfinished() -> list[Unfinished]:
    """Return the trainings that have not ended, by name.

    What a killed process left of one that has ended, or was deleted, is removed.
    """
    _sweep()
    found = []
    for path in sorted(runs_folder().glob("*/run.json")):
        if not is_name(path.parent.name) or _has_ended(path.parent.name):
            continue
        try:
            record = paths.read_json(path)
            settings = Settings.from_dict(record["settings"], path.parent)
            curves = Curves.from_dict(record["curves"])
            told = is_busy(path.parent), bool(record.get("diverged"))
            found.append(Unfinished(path.parent.name, settings, curves, *told))
        except (AinaError, KeyError, TypeError):  # being written for the first time, or damaged
            continue
    return found


def finished_at(name: str) -> float:
    """Return when a training became a model, in seconds since 1970; 0 if it has not."""
    with contextlib.suppress(OSError):
        return (folder() / name / MANIFEST).stat().st_mtime
    return 0.0


def delete(name: str) -> None:
    """Delete a trained model, or a training that has not ended.

    Raises:
        UnknownNameError: there is neither.
        GalleryBusyError: it is being trained.
    """
    places = [folder() / name, runs_folder() / name] if is_name(name) else []
    there = [path for path in places if path.is_dir()]
    if not there:
        raise UnknownNameError("trained model", name, [*trained(), *(u.name for u in unfinished())])
    for path in reversed(there):  # a model without its run is whole, a run without it is not
        with alone(path, f"training a model named {name}"):
            folders.discard(path)


def _has_ended(name: str) -> bool:
    """Whether a training has become a model, so that what its run has left is of no use."""
    return (folder() / name / MANIFEST).is_file()


def _sweep() -> None:
    """Remove what processes that were killed have left in their last moment."""
    for path in runs_folder().glob("*/"):
        if is_name(path.name) and _has_ended(path.name):
            # it is held while the model is being put in its place, and is then removed
            with contextlib.suppress(GalleryBusyError, OSError), alone(path, "training"):
                if _has_ended(path.name):
                    folders.discard(path)
    for parent in (folder(), runs_folder()):
        folders.sweep(parent)
