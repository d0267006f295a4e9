"""The whole of a model as one torch module: from a picture's bytes to its unit row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aina_core.models import ModelSpec, load_network

if TYPE_CHECKING:
    import torch
    from torch import nn


def whole_network(spec: ModelSpec) -> nn.Module:
    """Return a model with its weights: bytes (n, h, w, 3) in, unit rows and former lengths out.

    Raises:
        ModelError: its weights are missing or refused.
    """
    import torch
    from torch import nn

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = load_network(spec)
            mean = torch.tensor(spec.recipe.mean).view(1, 3, 1, 1) * 255
            std = torch.tensor(spec.recipe.std).view(1, 3, 1, 1) * 255
            self.mean, self.std = nn.Buffer(mean), nn.Buffer(std)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            x = pictures.permute(0, 3, 1, 2).float()  # (n, 3, h, w)
            x = self.network((x - self.mean) / self.std).float()  # (n, dim)
            lengths = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # (n, 1)
            return torch.cat([nn.functional.normalize(x, dim=1), lengths], 1)  # (n, dim + 1)

    return Whole().eval().requires_grad_(False)
