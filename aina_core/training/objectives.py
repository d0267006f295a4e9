"""What each kind of training minimises: a loss computed from a network and a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aina_core.training.batches import Batch
from aina_core.training.inputs import Inputs
from aina_core.training.losses import metric_loss, pair_batch, reconstruction_loss
from aina_core.training.settings import Settings

if TYPE_CHECKING:
    import torch

#: A network and a batch → the loss, a number with its gradient.
Objective = Callable[[Any, Batch], "torch.Tensor"]


def precision(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return a context for networks: bfloat16 on a CUDA device that has it, else as it is.

    Losses stay outside, in float32: bfloat16 does not resolve small distances.
    """
    import torch

    if device == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def objective(settings: Settings, inputs: Inputs) -> Objective:
    """Return what a training minimises."""
    if settings.reconstructs:
        return _reconstruction(settings, inputs)
    if settings.kind == "siamese-dense":
        return _pairs(settings, inputs)
    return _distances(settings, inputs)


def _distances(settings: Settings, inputs: Inputs) -> Objective:
    import torch

    loss = metric_loss(settings)
    augmented = settings.positives == "augment"

    def compute(network: Any, batch: Batch) -> torch.Tensor:
        taken = inputs.tensor(batch.places, batch.columns, augmented=augmented)
        with precision(inputs.device):
            embeddings = network(taken)
        return loss(embeddings.float(), torch.from_numpy(batch.groups).to(inputs.device))

    return compute


def _pairs(settings: Settings, inputs: Inputs) -> Objective:
    """Binary cross-entropy of the logits of pairs."""
    import torch
    import torch.nn.functional as F

    augmented = settings.positives == "augment"

    def compute(network: Any, batch: Batch) -> torch.Tensor:
        taken = inputs.tensor(batch.places, batch.columns, augmented=augmented)
        with precision(inputs.device):
            embeddings = network(taken)
        embeddings = embeddings.float()
        groups = torch.from_numpy(batch.groups).to(inputs.device)
        first, second, same = pair_batch(embeddings, groups)
        logits = network.pair_logits(embeddings[first], embeddings[second])
        if settings.combine == "concat":  # both orders, so that the order does not matter
            turned = network.pair_logits(embeddings[second], embeddings[first])
            logits, same = torch.cat([logits, turned]), torch.cat([same, same])
        return F.binary_cross_entropy_with_logits(logits.float(), same)

    return compute


def _reconstruction(settings: Settings, inputs: Inputs) -> Objective:
    import torch

    variational = settings.kind == "vae"

    def compute(network: Any, batch: Batch) -> torch.Tensor:
        taken = inputs.tensor(batch.places, batch.columns)
        with precision(inputs.device):
            means, log_variances = network.encode(taken)
        means, log_variances = means.float(), log_variances.float()
        drawn = means
        if variational:
            noise = torch.randn(means.shape).to(means)  # drawn on the CPU: the same on any device
            drawn = means + noise * (0.5 * log_variances).exp()
        with precision(inputs.device):
            pictures = network.decode(drawn)
        return reconstruction_loss(
            pictures.float(),
            inputs.targets(batch.places),
            means,
            log_variances if variational else None,
        )

    return compute
