"""The network of a training before the first step: its parts and their initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from aina_core.changes.wanted import Rows
from aina_core.models import get
from aina_core.models.encoders import Architecture, encoder
from aina_core.training.batches import Sampler
from aina_core.training.settings import Settings


def architecture(settings: Settings) -> Architecture:
    """Return the parts of the network of a training."""
    pair = settings.combine if settings.kind == "siamese-dense" else ""
    if settings.model:
        return Architecture(
            trunk="model",
            base=settings.model,
            dim=get(settings.model).dim,
            head=settings.head,
            head_dim=settings.head_dim,
            pair=pair,
        )
    decoder = {"vae": "variational"}.get(settings.kind, "plain") if settings.reconstructs else ""
    return Architecture(
        trunk="convolutional" if settings.reconstructs else "residual",
        dim=settings.dim,
        side=settings.side,
        pair=pair,
        decoder=decoder,
    )


def beginning(settings: Settings, rows: Rows, sampler: Sampler) -> Any:
    """Return the network before the first step, a torch module; the seed determines its weights.

    Args:
        settings: of the training.
        rows: of the originals, for a whitening head.
        sampler: says which of them belong together.
    """
    import torch

    torch.manual_seed(settings.seed)
    network = encoder(architecture(settings))
    if settings.over_features:
        network.trunk = torch.nn.Identity()  # the rows are its output
    elif settings.model:
        base = get(settings.model)
        base.load(network.trunk, base.weights.locate())
    if settings.frozen:
        network.trunk.requires_grad_(False)
    if settings.head == "whitening":
        _whiten(network.head, rows, sampler, settings.shrinkage)
    return network


def _whiten(head: Any, rows: Rows, sampler: Sampler, shrinkage: float) -> None:
    """Initialise a head with the whitening of the differences within groups of training images."""
    import torch

    members = np.concatenate(sampler.pools)
    groups = np.repeat(np.arange(len(sampler.pools)), [len(pool) for pool in sampler.pools])
    weight, bias = whitening(rows.take(members[:, 0], members[:, 1]), groups, shrinkage)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))


def whitening(
    rows: np.ndarray, groups: np.ndarray, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the map x → W x + b that whitens the differences within groups.

    W = (S + shrinkage · mean eigenvalue of S · I)^(−½), b = −W · mean of the rows, where S is the
    covariance of rows about the mean of their group; W is scaled so that its largest singular value
    is 1. Shrinkage as in regularised discriminant analysis (Friedman, 1989).

    Mikolajczyk, Matas: Improving descriptors for fast tree matching by optimal linear projection
    (ICCV 2007); for retrieval Radenović, Tolias, Chum: Fine-tuning CNN image retrieval with no
    human annotation (2018), section 3.4.

    Args:
        rows: float32 (m, dim), unit rows.
        groups: int64 (m,).
        shrinkage: above 0; the larger, the closer W is to the identity.

    Returns:
        float32 (dim, dim) and (dim,).
    """
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    given = rows.astype(np.float64)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, inverse, given)
    within = given - (means / counts[:, None])[inverse]  # (m, dim)
    values, vectors = np.linalg.eigh(within.T @ within / len(rows))
    values = values.clip(0)
    floor = shrinkage * max(float(values.mean()), 1e-12)
    scales = (values + floor) ** -0.5
    weight = (vectors * (scales / scales.max())) @ vectors.T
    bias = -weight @ given.mean(axis=0)
    return weight.astype(np.float32), bias.astype(np.float32)
