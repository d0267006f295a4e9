"""What a training leaves behind after each epoch: enough to go on as if nothing had happened.

::

    AINA_HOME/.trained/.runs/NAME/
      run.json                 settings, curves, the best epoch, checksums of the tensors, and
                               whether the last process ended because something was not finite
      state-7.safetensors      what is trained, and Adam's moments, after epoch 7
      best-5.safetensors       what is trained, as it was when the retrieval score was best
      spent.json               the seconds that processes have been at it
      pictures.u8, .json       small pictures (`pictures.py`)
      pairs-….csv              the pairs, where it is by a file of them (`pairs_file.py`)
      model/                   what is about to be put in its place, once it has ended
      lock                     held while it is trained

run.json switches to new files in one step, so a kill costs at most an epoch.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.errors import DamagedError, InputError
from aina_core.models import load_tensors
from aina_core.models.trained import folder as trained_folder
from aina_core.progress import Progress
from aina_core.training.pairs_file import store_pairs
from aina_core.training.settings import Settings

_OPTIMIZER = "optimizer."
# What may differ when a training goes on: how long, and how fast.
_FREE = ("epochs", "patience", "rate")
_SECONDS_BETWEEN_NOTES = 5.0


@dataclass
class Curves:
    """How a training went, epoch by epoch; number 0 is before the first step.

    Attributes:
        losses: mean over the batches of each epoch; None for number 0.
        scores: the retrieval score that early stopping looks at.
        seconds: spent on training so far.
        best: the epoch of the best score; of an autoencoder not number 0, once there is another.
        rates: (number of an epoch, the learning rate from it on); empty where it was not kept.
    """

    losses: list[float | None] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best: int = 0
    rates: list[tuple[int, float]] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The last one that is complete."""
        return len(self.scores) - 1

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {**asdict(self), "rates": [list(pair) for pair in self.rates]}

    def go_on_at(self, rate: float) -> None:
        """Note the rate of the next epoch, where it is another than before."""
        kept = [(epoch, used) for epoch, used in self.rates if epoch <= self.epoch]
        if not kept or kept[-1][1] != rate:
            kept.append((self.epoch + 1, rate))
        self.rates = kept

    @classmethod
    def from_dict(cls, value: Any) -> Curves:
        """Read what `as_dict` gave.

        Raises:
            DamagedError: it is something else.
        """
        try:
            rates = [(int(epoch), float(rate)) for epoch, rate in value.get("rates", [])]
            found = cls(**{**value, "rates": rates})
            told: list[Any] = [*found.losses[1:], *found.scores, found.seconds]
            whole = len(found.losses) == len(found.scores)
            whole &= all(isinstance(n, int | float) and math.isfinite(n) for n in told)
            whole &= isinstance(found.best, int)
            whole &= 0 <= found.best < max(len(found.scores), 1)
        except (TypeError, ValueError, AttributeError) as error:
            raise DamagedError(f"The curves of a training cannot be read: {error}") from None
        if not whole:
            raise DamagedError("The curves of a training cannot be read: they do not fit together.")
        return found


class Checkpoint:
    """The folder of one run.

    Args:
        settings: what is asked for.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._settings = settings.as_dict()
        self.folder = runs_folder() / settings.name
        self._record = self.folder / "run.json"

    def begin(self, key: str) -> Curves:
        """Return the curves as far as an earlier run has come; note that this one has begun.

        Args:
            key: what the training is of: plans of equal keys can go on.

        Raises:
            InputError: an earlier run of that name was of something else, and has come to an epoch.
        """
        try:
            record = paths.read_json(self._record)
            kept = Settings.from_dict(record["settings"], self.folder)
            curves = Curves.from_dict(record["curves"])
            files = {name: str(file) for name, file in record["files"].items()}
            other, checksums = record["key"] != key, dict(record["checksums"])
        except (DamagedError, KeyError, TypeError, ValueError, AttributeError):
            self._write(Curves(), {}, key)
            return Curves()
        other |= _fixed(kept) != _fixed(self.settings)
        if other and curves.epoch >= 0:
            what = "images" if record["key"] != key else "settings"
            raise InputError(
                f"A training named {self.settings.name} with other {what} has not ended; choose "
                f"another name, or run: python -m aina_core train delete {self.settings.name}"
            )
        if other or any(not self._whole(name, checksums) for name in files.values()):
            self._write(Curves(), {}, key)
            return Curves()
        if record.get("diverged"):
            self._write(curves, files, key)  # it may fail for another reason now
        return curves

    def _whole(self, name: str, checksums: Mapping[str, str]) -> bool:
        path = self.folder / Path(name).name
        return path.is_file() and paths.file_checksum(path) == checksums.get(name)

    def save(self, curves: Curves, state: Mapping[str, Any], optimizer: Any, key: str) -> None:
        """Keep what was trained, after an epoch.

        Args:
            curves: up to it.
            state: tensors by name.
            optimizer: with its moments.
            key: see `begin`.
        """
        moments = {
            f"{_OPTIMIZER}{number}.{name}": tensor
            for number, parts in optimizer.state_dict()["state"].items()
            for name, tensor in parts.items()
        }
        files = self._files()
        files["state"] = f"state-{curves.epoch}.safetensors"
        write_tensors(self.folder / files["state"], {**state, **moments})
        if curves.best == curves.epoch:
            files["best"] = f"best-{curves.epoch}.safetensors"
            write_tensors(self.folder / files["best"], state)
        self._write(curves, files, key)
        for path in self.folder.glob("*.safetensors"):
            if path.name not in files.values():
                path.unlink()

    def step_back(self, curves: Curves, key: str) -> None:
        """Make the best epoch the last one, to go on from without moments.

        Args:
            curves: up to the last one.
            key: see `begin`.
        """
        count = curves.best + 1
        best = self._files()["best"]
        rates = [pair for pair in curves.rates if pair[0] < count]
        scores = curves.losses[:count], curves.scores[:count]
        kept = Curves(*scores, curves.seconds, curves.best, rates)
        self._write(kept, {"state": best, "best": best}, key, diverged=True)

    def forget(self, key: str) -> None:
        """Begin anew the next time, since this diverged; see `begin` for the key."""
        self._write(Curves(), {}, key, diverged=True)

    def state(self) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
        """Return the tensors of the last epoch, and the optimizer's by number and name."""
        tensors = load_tensors(self.folder / self._files()["state"])
        moments: dict[int, dict[str, Any]] = {}
        for key in [key for key in tensors if key.startswith(_OPTIMIZER)]:
            number, _, name = key.removeprefix(_OPTIMIZER).partition(".")
            moments.setdefault(int(number), {})[name] = tensors.pop(key)
        return tensors, moments

    def best(self) -> dict[str, Any]:
        """Return the tensors of the best epoch."""
        return load_tensors(self.folder / self._files()["best"])

    def _files(self) -> dict[str, str]:
        with contextlib.suppress(DamagedError):
            return dict(paths.read_json(self._record).get("files", {}))
        return {}

    def _write(
        self, curves: Curves, files: Mapping[str, str], key: str, *, diverged: bool = False
    ) -> None:
        store_pairs(self.folder, self.settings.pairs, self._settings["pairs"])
        checksums = {name: paths.file_checksum(self.folder / name) for name in files.values()}
        paths.write_json(
            self._record,
            {
                "settings": self._settings,
                "key": key,
                "curves": curves.as_dict(),
                "files": dict(files),
                "checksums": checksums,
                "diverged": diverged,
            },
        )


class Spent:
    """The seconds that all processes have been at one training.

    A process that is killed has noted them up to a few seconds before.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "spent.json"
        self._before = self._noted()
        self._began = self._last = time.monotonic()

    def _noted(self) -> float:
        with contextlib.suppress(DamagedError, KeyError, TypeError, ValueError):
            seconds = float(paths.read_json(self._file)["seconds"])
            if math.isfinite(seconds) and seconds >= 0:
                return seconds
        return 0.0

    def seconds(self) -> float:
        """Return how many so far."""
        return self._before + time.monotonic() - self._began

    def note(self) -> None:
        """Keep them for the next process."""
        self._last = time.monotonic()
        paths.write_json(self._file, {"seconds": round(self.seconds(), 2)})

    def noting(self, progress: Progress) -> Progress:
        """Return a progress that also notes them now and then."""

        def told(phase: str, done: int, total: int) -> None:
            progress(phase, done, total)
            if time.monotonic() - self._last >= _SECONDS_BETWEEN_NOTES:
                self.note()

        return told


def runs_folder() -> Path:
    """Where trainings that have not ended are."""
    return trained_folder() / ".runs"


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors as a file of safetensors, all or nothing."""
    from safetensors.torch import save

    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    with paths.replacing(path) as file:
        file.write(data)


def _fixed(settings: Settings) -> dict[str, Any]:
    free = {*_FREE, *settings.idle()}
    return {name: value for name, value in settings.as_dict().items() if name not in free}
