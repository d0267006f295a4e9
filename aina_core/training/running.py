"""Train a model: from settings to a registered model and the table of what it gained."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from aina_core import paths
from aina_core.embedding import Embedder, load_embedder
from aina_core.errors import InputError
from aina_core.gallery import Gallery, open_gallery
from aina_core.models import checksum, get
from aina_core.models.encoders import Architecture, encoder
from aina_core.models.trained import FORMAT, MANIFEST, WEIGHTS, folder, recipe_of, valid_name
from aina_core.training.checkpoints import Checkpoint, Curves, write_tensors
from aina_core.training.data import Rows, alone
from aina_core.training.evaluation import (
    Judged,
    compare,
    compare_r_precision,
    pair_accuracy,
    validation_score,
)
from aina_core.training.inputs import Inputs
from aina_core.training.loop import Training, fit, trained_state
from aina_core.training.material import Plan, plan, rows_of, sampler
from aina_core.training.objectives import objective
from aina_core.training.settings import Settings
from aina_core.training.whitening import whitening
from aina_core.work import Progress, Stop, never, silent

#: A model's name → the loaded model.
Load = Callable[[str], Embedder]
_UNUSED_SECONDS = 14 * 24 * 3600.0


def architecture(settings: Settings) -> Architecture:
    """Return what the network of a training is made of."""
    decoder = {"vae": "variational"}.get(settings.kind, "plain") if settings.reconstructs else ""
    if settings.model:
        return Architecture(
            trunk="model",
            base=settings.model,
            dim=get(settings.model).dim,
            head=settings.head,
            head_dim=settings.head_dim,
            pair=settings.combine if settings.kind == "siamese-dense" else "",
        )
    return Architecture(
        trunk="convolutional" if settings.reconstructs else "residual",
        dim=settings.dim,
        side=settings.side,
        pair=settings.combine if settings.kind == "siamese-dense" else "",
        decoder=decoder,
    )


def train(
    settings: Settings,
    *,
    load: Load = load_embedder,
    device: str | None = None,
    progress: Progress = silent,
    stop: Stop = never,
) -> dict[str, Any]:
    """Train a model, register it, and return what is recorded of it.

    It can be stopped or killed at any moment: the same settings go on from there.

    Args:
        settings: what is asked for, see `settle`.
        load: loads a registered model, whose embeddings are trained over.
        device: "cpu" or "cuda"; by default a CUDA device where there is one.
        progress: told of every phase.
        stop: asked now and then.

    Returns:
        The manifest; its "result" is what the command line prints.

    Raises:
        AinaError: the gallery or the model cannot be used, or there is too little to train on.
        StoppedError: it was stopped.
        TrainingError: the loss is not a number any more.
    """
    started = time.monotonic()
    valid_name(settings.name)
    device = _device(device)
    gallery = open_gallery(settings.gallery)
    checkpoint = Checkpoint(settings)
    what = f"training a model named {settings.name}"
    with alone(checkpoint.folder, what), _own_randomness():
        made = plan(settings, gallery)
        recipe = recipe_of(architecture(settings))
        shared = _shared_folder()
        rows = rows_of(
            *(settings, made, gallery, recipe, load, (shared, checkpoint.folder)),
            progress=progress,
            stop=stop,
        )
        key = made.key()
        if rows.failures:
            made = made.without(set(rows.failures), settings)
        run = _Run(settings, made, rows, checkpoint, device, started)
        record = run.train(gallery, key, progress, stop)
        _register(settings.name, record, run.state())
    shutil.rmtree(checkpoint.folder, ignore_errors=True)
    return record


class _Run:
    """One training with its network and rows."""

    def __init__(
        self,
        settings: Settings,
        made: Plan,
        rows: Rows,
        checkpoint: Checkpoint,
        device: str,
        started: float,
    ) -> None:
        import torch

        self.settings, self.made, self.rows, self.checkpoint = settings, made, rows, checkpoint
        self.device, self.started = device, started
        self.architecture = architecture(settings)
        torch.manual_seed(settings.seed)
        self.network: Any = encoder(self.architecture)
        self.frozen = bool(settings.model) and settings.trunk == "frozen"
        if settings.over_features:
            self.network.trunk = torch.nn.Identity()  # the rows are its output
        elif settings.model:
            base = get(settings.model)
            base.load(self.network.trunk, base.weights.locate())
        if self.frozen:
            self.network.trunk.requires_grad_(False)
        if settings.head == "whitening":
            self._whiten()
        self.network.to(device)
        self.inputs = Inputs(rows, recipe_of(self.architecture), device)

    def train(self, gallery: Gallery, key: str, progress: Progress, stop: Stop) -> dict[str, Any]:
        settings, made = self.settings, self.made
        progress("judging the network as it is", 0, 0)
        # a registered trunk is held against its own features, whatever the head begins as
        before_rows = self._rows("features" if settings.model else "forward")
        before = {name: self._judge(before_rows, part) for name, part in self._parts().items()}
        training = Training(
            network=self.network,
            frozen=self.frozen,
            objective=objective(settings, self.inputs),
            sampler=sampler(settings, made),
            score=lambda _: self._score(),
            checkpoint=self.checkpoint,
            key=key,
        )
        self._training = training
        curves = fit(training, self.device, progress=progress, stop=stop)
        progress("judging what was trained", 0, 0)
        after_rows = self._rows("forward")
        after = {name: self._judge(after_rows, part) for name, part in self._parts().items()}
        result = self._result(before, after, curves, time.monotonic() - self.started)
        if self.architecture.pair:
            columns = np.arange(1, 1 + len(made.changes))
            told = pair_accuracy(self._probability, after_rows, made.judged, columns, settings.seed)
            if told:
                result["pairs"] = told
        return self._record(gallery, result, curves)

    def _score(self) -> float:
        """The score that early stopping looks at; of a head for pairs also how often it is right.

        A head for pairs over a frozen trunk changes no embedding: retrieval alone would keep it as
        it began.
        """
        settings, made, rows = self.settings, self.made, self._rows("forward")
        score = validation_score(rows, made, settings.positives in ("labels", "pairs"))
        if not self.architecture.pair:
            return score
        columns = made.check_columns[1:]
        told = pair_accuracy(self._probability, rows, made.checked, columns, settings.seed)
        return (score + float(told["accuracy"])) / 2 if told else score

    def _whiten(self) -> None:
        """Let the head begin as what whitens the differences of training images of one group."""
        import torch

        pools = sampler(self.settings, self.made).pools
        members = np.concatenate(pools)
        groups = np.repeat(np.arange(len(pools)), [len(pool) for pool in pools])
        rows = self.rows.take(members[:, 0], members[:, 1])
        weight, bias = whitening(rows, groups, self.settings.shrinkage)
        with torch.no_grad():
            self.network.head.weight.copy_(torch.from_numpy(weight))
            self.network.head.bias.copy_(torch.from_numpy(bias))

    def state(self) -> dict[str, Any]:
        """The tensors that were trained."""
        return dict(trained_state(self._training))

    def _parts(self) -> dict[str, tuple[str, ...]]:
        """Which changes are judged: all of them, and those that training has not seen."""
        held = self.settings.hold_out
        return {"all": self.made.changes, **({"unseen": held} if held else {})}

    def _rows(self, method: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        embed = getattr(self.network, method)
        return lambda places, columns: self.inputs.unit_rows(embed, places, columns)

    def _judge(
        self, rows: Callable[[np.ndarray, np.ndarray], np.ndarray], changes: tuple[str, ...]
    ) -> Judged:
        self.network.eval()
        return Judged(rows, self.made, changes, self.settings.seed)

    def _probability(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            one, other = (torch.from_numpy(each).to(self.device) for each in (first, second))
            logits = self.network.pair_logits(one, other)
            if self.settings.combine == "concat":
                logits = (logits + self.network.pair_logits(other, one)) / 2
            found: np.ndarray = logits.sigmoid().float().cpu().numpy()
        return found

    def _result(
        self, before: dict[str, Judged], after: dict[str, Judged], curves: Curves, took: float
    ) -> dict[str, Any]:
        seed = self.settings.seed
        shown = {
            part: {
                "before": before[part].figures,
                "after": after[part].figures,
                "intervals": compare(before[part], after[part], seed),
                "recovery_r_precision": compare_r_precision(before[part], after[part], seed),
            }
            for part in before
        }
        result: dict[str, Any] = {
            "name": self.settings.name,
            "kind": self.settings.kind,
            "epochs": curves.epoch,
            "best_epoch": curves.best,
            "seconds": round(took, 1),
            "training_seconds": round(curves.seconds, 1),
            **shown["all"],
            "held_out": len(self.made.split.test),
            "judged": len(self.made.judged),
            "trained_on": len(self.made.split.train),
            "device": self.device,
        }
        if "unseen" in shown:
            result["unseen"] = {"changes": list(self.settings.hold_out), **shown["unseen"]}
        failed = sorted(self.rows.failures.items())
        result["failed"] = [
            {"id": self.made.originals[place].id, "reason": reason} for place, reason in failed
        ]
        return result

    def _record(self, gallery: Gallery, result: dict[str, Any], curves: Curves) -> dict[str, Any]:
        base = self.architecture.base
        libraries = ("numpy", "pillow", "pytorch-metric-learning", "torch", "torchvision")
        ids = {
            part: [self.made.originals[place].id for place in getattr(self.made.split, part)]
            for part in ("train", "validation", "test")
        }
        return {
            "format": FORMAT,
            "name": self.settings.name,
            "kind": self.settings.kind,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "architecture": self.architecture.as_dict(),
            "trunk_trained": not self.frozen,
            "base_sha256": checksum(get(base).weights.locate()) if base else "",
            "settings": self.settings.as_dict(),
            "data": {
                "gallery": gallery.name,
                "folder": str(gallery.root),
                "catalogue": gallery.catalogue.version(),
                "split": ids,
            },
            "curves": curves.as_dict(),
            "result": result,
            "versions": {name: version(name) for name in libraries},
        }


def _register(name: str, record: dict[str, Any], state: dict[str, Any]) -> None:
    """Put a trained model in its place, in one step."""
    folder().mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder(), prefix=".new-"))
    try:
        write_tensors(aside / WEIGHTS, state)
        record["sha256"] = paths.file_checksum(aside / WEIGHTS)
        paths.write_json(aside / MANIFEST, record)
        aside.chmod(0o755)  # mkdtemp made it private
        try:
            aside.rename(folder() / name)
        except OSError:
            raise InputError(
                f"There is a model named {name} already; what was trained was not kept."
            ) from None
        paths.sync_folder(folder())
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _shared_folder() -> Path:
    """Where embeddings that trainings share are; those unused for two weeks are removed."""
    shared = folder() / ".features"
    for path in shared.glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    return shared


def _device(given: str | None) -> str:
    """Settle the device.

    Raises:
        InputError: it is unknown, or not there.
    """
    from aina_core.embedding.runtimes import choose

    return choose(given, "torch")[0]


@contextlib.contextmanager
def _own_randomness() -> Iterator[None]:
    """Leave torch's random numbers to others as they were."""
    import torch

    with torch.random.fork_rng():
        yield
