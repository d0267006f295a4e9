"""The training loop of every kind of training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aina_core.errors import StoppedError, TrainingError
from aina_core.models.trained import fill_parts
from aina_core.progress import Progress, Stop
from aina_core.training.batches import Sampler
from aina_core.training.checkpoints import Checkpoint, Curves
from aina_core.training.objectives import Objective


@dataclass(frozen=True, eq=False)
class Training:
    """What the loop needs.

    Attributes:
        network: what is trained, on its device.
        frozen: whether its trunk is not trained.
        objective: the loss.
        sampler: draws the batches.
        score: the retrieval score on validation originals; NaN where an embedding is not finite.
        checkpoint: where it is stored.
        key: see `Checkpoint.begin`.
    """

    network: Any
    frozen: bool
    objective: Objective
    sampler: Sampler
    score: Callable[[Any], float]
    checkpoint: Checkpoint
    key: str


def fit(training: Training, *, progress: Progress, stop: Stop) -> Curves:
    """Train until the last epoch, or until the score stops rising; load the best epoch at the end.

    Randomness depends only on the seed and the epoch, so a training that is stopped and resumed
    ends with the same tensors as one that is not.

    Args:
        training: what is trained, and how.
        progress: told of steps.
        stop: asked before each step, and by the score; the unfinished epoch is lost.

    Returns:
        The curves.

    Raises:
        StoppedError: it was stopped; the last complete epoch is stored.
        TrainingError: the loss, a tensor or an embedding became infinite or NaN; the best epoch is
            stored as the last one.
    """
    import torch

    settings, checkpoint = training.checkpoint.settings, training.checkpoint
    network = training.network
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=settings.decay)
    curves = checkpoint.begin(training.key)
    if curves.epoch < 0:
        score = training.score(network.eval())
        if problem := _problem(training, optimizer, score):
            raise TrainingError(f"{problem} before the first step; nothing can be trained from it.")
        curves.losses.append(None)
        curves.scores.append(round(score, 6))
        checkpoint.save(curves, trained_state(training), optimizer, training.key)
    else:
        _resume(training, optimizer)
    steps = training.sampler.steps()
    total = settings.epochs * steps
    while curves.epoch < settings.epochs and not _stale(curves, settings.patience):
        began = time.monotonic()
        curves.go_on_at(settings.rate)
        try:
            loss = _epoch(training, optimizer, curves.epoch + 1, progress, stop, total)
            score = _score(training, curves.epoch)
            if problem := _problem(training, optimizer, score):
                raise _DivergedError(problem)
        except _DivergedError as diverged:
            raise _stepped_back(training, curves, diverged) from None
        curves.losses.append(round(loss, 6))
        curves.scores.append(round(score, 6))
        if _is_best(curves, settings.reconstructs):
            curves.best = curves.epoch
        curves.seconds = round(curves.seconds + time.monotonic() - began, 2)
        checkpoint.save(curves, trained_state(training), optimizer, training.key)
    progress("training", total, total)
    fill_parts(network, checkpoint.best(), checkpoint.folder / "best")
    network.eval()
    return curves


class _DivergedError(Exception):
    """The loss, a tensor or an embedding became infinite or NaN.

    Args:
        problem: which, as the beginning of a sentence.
        stepped: whether the epoch had already made a step.
    """

    def __init__(self, problem: str, *, stepped: bool = True) -> None:
        super().__init__(problem)
        self.stepped = stepped


def _problem(training: Training, optimizer: Any, score: float) -> str:
    """Return what is not finite of all that a checkpoint would store; empty if everything is.

    A step with a finite loss can still make weights or moments of Adam overflow, and finite weights
    can give embeddings that are not.
    """
    import torch

    tensors = dict(trained_state(training))
    for number, parts in optimizer.state_dict()["state"].items():
        tensors |= {f"the moments of tensor {number}, {name}": part for name, part in parts.items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            return f"What is trained overflowed ({name})"
    return "" if math.isfinite(score) else "The embeddings of the validation originals overflowed"


def _stepped_back(training: Training, curves: Curves, diverged: _DivergedError) -> TrainingError:
    """Make the best epoch the last one, and return the error to raise.

    The last epoch may already be close to overflowing, so that no learning rate helps. Where the
    best epoch is the last, and its loss is not finite before any step, training starts over.
    """
    number, rate = curves.epoch + 1, training.checkpoint.settings.rate
    if curves.best == curves.epoch and not diverged.stepped:
        training.checkpoint.forget(training.key)
        kept = "nothing of it can be gone on from"
        then = "starts again"
    else:
        training.checkpoint.step_back(curves, training.key)
        kept = f"what was trained until epoch {curves.best}, the best, is kept"
        then = "goes on from there"
    return TrainingError(
        f"{diverged} in epoch {number}; {kept}: the same command with a smaller --rate than "
        f"{rate:g} {then}."
    )


def _is_best(curves: Curves, reconstructs: bool) -> bool:
    """Whether the last epoch is the best so far.

    An untrained encoder can be a fair one, but an untrained decoder draws noise: for an autoencoder
    any epoch is better than none.
    """
    untrained = reconstructs and curves.best == 0
    return untrained or curves.scores[-1] > curves.scores[curves.best]


def _stale(curves: Curves, patience: int) -> bool:
    return bool(patience) and curves.epoch - curves.best >= patience


def _epoch(
    training: Training,
    optimizer: Any,
    number: int,
    progress: Progress,
    stop: Stop,
    total: int,
) -> float:
    """Train for one epoch, and return the mean loss of its batches."""
    import torch

    settings, steps = training.checkpoint.settings, training.sampler.steps()
    done, losses = (number - 1) * steps, list[float]()
    training.network.train()
    if training.frozen:
        training.network.trunk.eval()
    torch.manual_seed(settings.seed * 1_000_003 + number)
    for batch in training.sampler.epoch(settings.seed, number):
        if stop():
            raise _stopped(training, number - 1)
        loss = training.objective(training.network, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise _DivergedError(f"The loss became {value}", stepped=bool(losses))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        try:
            optimizer.step()
        except RuntimeError as error:  # raised by PyTorch for a rate beyond float32
            if "overflow" not in str(error):
                raise
            raise _DivergedError("The step overflowed") from None
        losses.append(value)
        progress("training", done + len(losses), total)
    return sum(losses) / len(losses)


def _score(training: Training, kept: int) -> float:
    """Return the validation score after an epoch; a stop then says which epoch is stored."""
    try:
        return training.score(training.network.eval())
    except StoppedError:
        raise _stopped(training, kept) from None


def _stopped(training: Training, kept: int) -> StoppedError:
    epochs = training.checkpoint.settings.epochs
    return StoppedError(
        f"Stopped: epoch {kept} of {epochs} is kept; the same command goes on from there."
    )


def _resume(training: Training, optimizer: Any) -> None:
    """Load the tensors and moments of the last complete epoch; the rate is that of the settings."""
    tensors, moments = training.checkpoint.state()
    fill_parts(training.network, tensors, training.checkpoint.folder / "state")
    known = optimizer.state_dict()
    optimizer.load_state_dict({**known, "state": moments})


def trained_state(training: Training) -> Mapping[str, Any]:
    """Return the tensors that are trained: all but those of a frozen trunk."""
    state: dict[str, Any] = training.network.state_dict()
    if training.frozen:
        return {name: t for name, t in state.items() if not name.startswith("trunk.")}
    return state
