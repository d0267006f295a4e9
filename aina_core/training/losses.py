"""Losses of embeddings and groups: pytorch-metric-learning's, by the names used here.

All take embeddings, float32 (b, dim), of any length, and the group of each, int64 (b,): images of
one group are positives of each other, all others negatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aina_core.training.settings import Settings

if TYPE_CHECKING:
    import torch

#: Embeddings and groups → a number.
Loss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]

_SEMI_HARD = {"semi-hard": "semihard"}


def metric_loss(settings: Settings) -> Loss:
    """Return the loss of a training.

    contrastive  Σ d(a, p)² … by the library: mean of d over positive pairs that are not 0, plus
                 mean of max(margin − d, 0) over negative pairs that are not 0; d is the Euclidean
                 distance of unit vectors, so that the cosine ranks alike (Hadsell et al., 2006)
    triplet      mean of max(d(a, p) − d(a, n) + margin, 0) over mined triplets (Schroff et al.,
                 2015; Hermans et al., 2017)
    multi-similarity  (Wang et al., 2019), with its own miner
    infonce      NT-Xent with a temperature (van den Oord et al., 2018; Chen et al., 2020)
    supcon       (Khosla et al., 2020)
    """
    from pytorch_metric_learning import distances, losses, miners

    euclidean: Any = distances.LpDistance(normalize_embeddings=True, p=2, power=1)
    if settings.loss == "contrastive":
        loss: Any = losses.ContrastiveLoss(0.0, settings.margin, distance=euclidean)
        return lambda embeddings, groups: loss(embeddings, groups)
    if settings.loss == "infonce":
        loss = losses.NTXentLoss(settings.temperature)
        return lambda embeddings, groups: loss(embeddings, groups)
    if settings.loss == "supcon":
        loss = losses.SupConLoss(settings.temperature)
        return lambda embeddings, groups: loss(embeddings, groups)
    if settings.loss == "multi-similarity":
        miner: Any = miners.MultiSimilarityMiner()
        loss = losses.MultiSimilarityLoss()
    else:
        loss = losses.TripletMarginLoss(settings.margin, distance=euclidean)
        if settings.mining == "batch-hard":
            miner = miners.BatchHardMiner(distance=euclidean)
        else:
            kind = _SEMI_HARD[settings.mining]
            miner = miners.TripletMarginMiner(
                settings.margin, type_of_triplets=kind, distance=euclidean
            )
    return lambda embeddings, groups: loss(embeddings, groups, miner(embeddings, groups))


def pair_batch(
    embeddings: torch.Tensor, groups: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose the pairs of a batch for a head for pairs: as many negatives as positives.

    Half of the negatives are the nearest to their anchors, the others are random.

    Args:
        embeddings: (b, dim).
        groups: int64 (b,).

    Returns:
        int64 (p,) first, int64 (p,) second, float32 (p,) 1 for pairs of one group, else 0.
    """
    import torch
    from pytorch_metric_learning.utils import loss_and_miner_utils

    anchors, positives, first, second = loss_and_miner_utils.get_all_pairs_indices(groups)
    unit = torch.nn.functional.normalize(embeddings.detach().float(), dim=1)
    alike = unit @ unit.T  # (b, b)
    alike.masked_fill_(groups[:, None] == groups[None], -2.0)
    random = torch.randint(len(first), (len(anchors),)).to(groups.device)
    hard = torch.arange(len(anchors), device=groups.device) % 2 == 0
    negative_first = torch.where(hard, anchors, first[random])
    negative_second = torch.where(hard, alike.argmax(1)[anchors], second[random])
    same = torch.cat([torch.ones(len(anchors)), torch.zeros(len(anchors))]).to(embeddings.device)
    return torch.cat([anchors, negative_first]), torch.cat([positives, negative_second]), same


def reconstruction_loss(
    pictures: torch.Tensor,
    targets: torch.Tensor,
    means: torch.Tensor,
    log_variances: torch.Tensor | None,
) -> torch.Tensor:
    """Return the loss of an autoencoder: squared error, and for a variational one the divergence.

    mean over the batch of ( Σ over pixels and channels of (picture − target)²
    − ½ Σ over dimensions of (1 + log σ² − μ² − σ²) ) / number of pixels and channels

    Kingma, Welling: Auto-encoding variational Bayes (2014), with a Gaussian likelihood of variance
    ½; divided by the number of numbers in a picture, so that losses of different sides compare.

    Args:
        pictures: (b, 3, side, side) in [0, 1].
        targets: of the same shape.
        means: (b, dim).
        log_variances: (b, dim); None where there are none.
    """
    error = (pictures - targets).square().flatten(1).sum(1)  # (b,)
    if log_variances is not None:
        spread = 1 + log_variances - means.square() - log_variances.exp()
        error = error - 0.5 * spread.sum(1)
    loss: torch.Tensor = error.mean() / targets[0].numel()
    return loss
