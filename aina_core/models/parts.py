"""What networks of several families are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def not_in_place(network: Any) -> Any:
    """Let no layer of a network write over its input, and return the network.

    An activation that is captured for an explanation must stay what it was.
    """
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return network


def gem(maps: torch.Tensor, p: float, eps: float = 1e-6) -> torch.Tensor:
    """Generalised mean over all places: (mean of x^p)^(1/p), of x that are at least `eps`.

    Radenović, Tolias and Chum, Fine-tuning CNN image retrieval with no human annotation (2018).

    Args:
        maps: float32 (n, channels, height, width).
        p: 1 is the mean; the larger, the nearer to the maximum.
        eps: smaller values count as this.

    Returns:
        float32 (n, channels).
    """
    return maps.clamp(min=eps).pow(p).mean((2, 3)).pow(1 / p)
