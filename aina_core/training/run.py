"""Train a model: from settings to a registered model with the table of its gains."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.changes.wanted import Rows
from aina_core.disk import folders, paths
from aina_core.disk.locks import alone
from aina_core.embedding import Embedder, load_embedder
from aina_core.errors import InputError
from aina_core.gallery import Gallery, open_gallery
from aina_core.models import checksum, get
from aina_core.models.trained import FORMAT, MANIFEST, WEIGHTS, folder, recipe_of, valid_name
from aina_core.progress import Progress, Stop, never, silent
from aina_core.training.checkpoints import Checkpoint, Curves, Spent, write_tensors
from aina_core.training.evaluation import ALL, UNSEEN, Judged, Logits, gains, validation_score
from aina_core.training.inputs import FrozenTrunk, Inputs
from aina_core.training.loop import Training, fit, trained_state
from aina_core.training.networks import architecture, beginning
from aina_core.training.objectives import objective
from aina_core.training.pair_head import (
    calibrate,
    head_logits,
    held_out_pairs,
    logits_of,
    pair_accuracy,
    validation_pairs,
)
from aina_core.training.pairs_file import store_pairs
from aina_core.training.plan import Plan, plan, rows_of, sampler
from aina_core.training.settings import Settings

#: A model's name → the loaded model.
Load = Callable[[str], Embedder]
_LIBRARIES = ("numpy", "pillow", "pytorch-metric-learning", "torch", "torchvision")
_UNUSED_SECONDS = 14 * 24 * 3600.0


def train(
    settings: Settings,
    *,
    load: Load = load_embedder,
    device: str | None = None,
    progress: Progress = silent,
    stop: Stop = never,
) -> dict[str, Any]:
    """Train a model, register it, and return what is recorded of it.

    It can be stopped or killed at any moment: the same settings resume it.

    Args:
        settings: see `settle`.
        load: loads the registered model whose embeddings are trained on.
        device: "cpu" or "cuda"; by default a CUDA device where there is one.
        progress: called in every phase.
        stop: asked now and then.

    Returns:
        The manifest; its "result" is what the command line prints.

    Raises:
        AinaError: the gallery or the model cannot be used, or there is too little to train on.
        StoppedError: it was stopped.
        TrainingError: the loss became infinite or NaN.
    """
    valid_name(settings.name)
    device = _device(device)
    gallery = open_gallery(settings.gallery)
    checkpoint = Checkpoint(settings)
    what = f"training a model named {settings.name}"
    with alone(checkpoint.folder, what), _own_randomness(), _repeatable():
        valid_name(settings.name)  # another process may have finished it meanwhile
        made = plan(settings, gallery)
        key = made.key()
        checkpoint.begin(key)  # refuses to touch the files of another training
        spent = Spent(checkpoint.folder)
        progress = spent.noting(progress)
        try:
            rows = rows_of(
                settings,
                made,
                gallery,
                recipe_of(architecture(settings)),
                load,
                (_shared_folder(), checkpoint.folder),
                progress=progress,
                stop=stop,
            )
            if rows.failures:
                made = made.without(set(rows.failures), settings)
            run = _Run(settings, made, rows, checkpoint, device, progress, stop)
            curves, found = run.train(key)
        finally:
            spent.note()
        result = run.result(curves, found, spent.seconds())
        record = _manifest(settings, made, gallery, curves, result)
        _register(settings, record, run.state, checkpoint.folder)
        folders.discard(checkpoint.folder)
    return record


class _Run:
    """A training with its network and rows."""

    def __init__(
        self,
        settings: Settings,
        made: Plan,
        rows: Rows,
        checkpoint: Checkpoint,
        device: str,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self.settings, self.made, self.rows, self.checkpoint = settings, made, rows, checkpoint
        self.device, self.progress, self.stop = device, progress, stop
        self.sampler = sampler(settings, made)
        self.network: Any = beginning(settings, rows, self.sampler).to(device)
        self.inputs = Inputs(rows, recipe_of(architecture(settings)), device)
        at_rest = settings.frozen and self.inputs.are_pictures
        self._trunk = FrozenTrunk(self.inputs, self.network, rows.at.shape) if at_rest else None
        pair = architecture(settings).pair
        self._logits = head_logits(self.network, device, pair) if pair else None

    def train(self, key: str) -> tuple[Curves, dict[str, Any]]:
        """Train, and return the curves and the table of gains."""
        settings, made = self.settings, self.made
        # a registered trunk is compared with its own features, however the head is initialised
        phase, method = "judging the network as it is", "features" if settings.model else "forward"
        before = self._judge(self._rows(method, phase))
        training = Training(
            network=self.network,
            frozen=settings.frozen,
            objective=objective(settings, self.inputs),
            sampler=self.sampler,
            score=lambda _: validation_score(self._rows("forward"), made, self._logits),
            checkpoint=self.checkpoint,
            key=key,
        )
        curves = fit(training, progress=self.progress, stop=self.stop)
        rows, ranked = self._rows("forward", "judging what was trained"), dict[str, Judged]()
        if self._logits is not None:
            if known := validation_pairs(made, settings.seed):
                said = logits_of(self._logits, rows, known)
                calibrate(self.network.pair, said, known.alike)
            ranked = self._judge(rows, self._logits)
        self.state = dict(trained_state(training))
        found = gains(settings, before, self._judge(rows), ranked)
        if self._logits is not None and (pairs := held_out_pairs(made, settings.seed)):
            found["pairs"] = pair_accuracy(self._logits, rows, pairs, settings.seed)
        return curves, found

    def result(self, curves: Curves, found: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return what the command line prints."""
        failed = sorted(self.rows.failures.items())
        return {
            "name": self.settings.name,
            "kind": self.settings.kind,
            "epochs": curves.epoch,
            "best_epoch": curves.best,
            "seconds": round(seconds, 1),
            "training_seconds": round(curves.seconds, 1),
            **found,
            "held_out": len(self.made.split.test),
            "judged": len(self.made.judged),
            "trained_on": len(self.sampler.originals()),
            **self._given_pairs(),
            "device": self.device,
            "failed": [
                {"id": self.made.originals[place].id, "reason": reason} for place, reason in failed
            ],
        }

    def _given_pairs(self) -> dict[str, Any]:
        """How many pairs of a file joined originals, and how many did not."""
        given, used = len(self.settings.pairs), self.made.pairs_used
        return {"given_pairs": {"used": used, "passed_over": given - used}} if given else {}

    def _rows(self, method: str, phase: str = "") -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Return what makes unit rows by a method of the network.

        Progress is reported only with a phase; between epochs the phase stays "training".
        """
        unit_rows, embed = self.inputs.unit_rows, getattr(self.network, method)
        if self._trunk is not None:
            unit_rows = self._trunk.unit_rows
            embed = self.network.project if method == "forward" else lambda features: features

        def told(done: int, total: int) -> None:
            if phase:
                self.progress(phase, done, total)

        if phase:
            self.progress(phase, 0, 0)
        return lambda places, columns: unit_rows(embed, places, columns, told=told, stop=self.stop)

    def _judge(
        self,
        rows: Callable[[np.ndarray, np.ndarray], np.ndarray],
        logits: Logits | None = None,
    ) -> dict[str, Judged]:
        """Judge by all changes, and by those that training has not seen."""
        self.network.eval()
        held, seed = self.settings.hold_out, self.settings.seed
        parts = {ALL: self.made.changes, **({UNSEEN: held} if held else {})}
        return {part: Judged(rows, self.made, names, seed, logits) for part, names in parts.items()}


def _manifest(
    settings: Settings, made: Plan, gallery: Gallery, curves: Curves, result: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest of a trained model, without the checksum of its weights.

    Args:
        settings: of the training.
        made: its plan.
        gallery: of the originals.
        curves: of the training.
        result: what the command line prints.
    """
    base = settings.model
    ids = {
        part: [made.originals[place].id for place in getattr(made.split, part)]
        for part in ("train", "validation", "test")
    }
    return {
        "format": FORMAT,
        "name": settings.name,
        "kind": settings.kind,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "architecture": architecture(settings).as_dict(),
        "trunk_trained": not settings.frozen,
        "base_sha256": checksum(get(base).weights.locate()) if base else "",
        "settings": settings.as_dict(),
        "data": {
            "gallery": gallery.name,
            "folder": str(gallery.root),
            "catalogue": gallery.catalogue.version(),
            "split": ids,
        },
        "curves": curves.as_dict(),
        "result": result,
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def _register(settings: Settings, record: dict[str, Any], state: dict[str, Any], run: Path) -> None:
    """Move a trained model into place, in one step.

    It is made in the folder of its run, so that what a killed process leaves is replaced by the
    next one, or deleted with the training.
    """
    made = run / "model"
    shutil.rmtree(made, ignore_errors=True)
    name = settings.name
    write_tensors(made / WEIGHTS, state)
    store_pairs(made, settings.pairs, record["settings"]["pairs"])
    paths.write_json(made / MANIFEST, {**record, "sha256": paths.file_checksum(made / WEIGHTS)})
    try:
        folders.put_in_place(made, folder() / name)
    except FileExistsError:
        raise InputError(
            f"There is a model named {name} already; delete it, and run this again: what was "
            "trained is kept until then."
        ) from None


def _shared_folder() -> Path:
    """Return the folder of embeddings that trainings share, without those unused for two weeks."""
    shared = folder() / ".features"
    folders.sweep_unused(shared, _UNUSED_SECONDS)
    return shared


def _device(given: str | None) -> str:
    """Return the device to train on.

    Raises:
        InputError: it is unknown or missing.
    """
    from aina_core.embedding.runtimes import choose

    return choose(given, "torch")[0]


@contextlib.contextmanager
def _own_randomness() -> Iterator[None]:
    """Restore torch's random state at the end."""
    import torch

    with torch.random.fork_rng():
        yield


def _repeatable() -> contextlib.AbstractContextManager[Any]:
    """Make a CUDA device deterministic, and compute in float32, as for embeddings."""
    import torch

    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
