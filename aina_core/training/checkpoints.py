"""What a training stores after each epoch: all that it takes to resume exactly.

::

    AINA_HOME/.trained/.runs/NAME/
      run.json                 settings, curves, the best epoch, checksums of the tensors, and
                               whether the last process ended because a value was not finite
      state-7.safetensors      what is trained, and Adam's moments, after epoch 7
      best-5.safetensors       what is trained, after the epoch with the best retrieval score
      spent.json               the seconds that processes have spent on it
      pictures.u8, .json       small pictures (`pictures.py`)
      pairs-….csv              the pairs, where positives come from a file (`pairs_file.py`)
      model/                   the finished model, just before it is moved into place
      lock                     held while it is being trained

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
# Options that may differ when a training is resumed.
_FREE = ("epochs", "patience", "rate")
_SECONDS_BETWEEN_NOTES = 5.0


@dataclass
class Curves:
    """How a training went, epoch by epoch; epoch 0 is before the first step.

    Attributes:
        losses: mean over the batches of each epoch; None for epoch 0.
        scores: the retrieval score that early stopping looks at.
        seconds: spent on training so far.
        best: the epoch of the best score; for an autoencoder, not epoch 0 once there is another.
        rates: (an epoch, the learning rate from it on); empty where earlier versions kept none.
    """

    losses: list[float | None] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best: int = 0
    rates: list[tuple[int, float]] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The last complete epoch; −1 before epoch 0."""
        return len(self.scores) - 1

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {**asdict(self), "rates": [list(pair) for pair in self.rates]}

    def go_on_at(self, rate: float) -> None:
        """Note the rate of the next epoch, where it has changed."""
        kept = [(epoch, used) for epoch, used in self.rates if epoch <= self.epoch]
        if not kept or kept[-1][1] != rate:
            kept.append((self.epoch + 1, rate))
        self.rates = kept

    @classmethod
    def from_dict(cls, value: Any) -> Curves:
        """Read what `as_dict` returned.

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
        """Return the curves of an earlier run, and record that this one has begun.

        Args:
            key: of the plan: a run of another key cannot be resumed.

        Raises:
            InputError: an earlier run of that name trained something else, for an epoch or more.
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
        """Store what was trained, after an epoch.

        Args:
            curves: up to that epoch.
            state: tensors by name.
            optimizer: AdamW with its moments.
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
        """Make the best epoch the last one, to be resumed without moments.

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
        """Start over the next time, since this diverged; see `begin` for the key."""
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
    """The seconds that all processes have spent on one training.

    A process that is killed loses the last few of them.

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
        """Store them for the next process."""
        self._last = time.monotonic()
        paths.write_json(self._file, {"seconds": round(self.seconds(), 2)})

    def noting(self, progress: Progress) -> Progress:
        """Return a progress callback that also stores them now and then."""

        def told(phase: str, done: int, total: int) -> None:
            progress(phase, done, total)
            if time.monotonic() - self._last >= _SECONDS_BETWEEN_NOTES:
                self.note()

        return told


def runs_folder() -> Path:
    """The folder of trainings that have not ended."""
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
