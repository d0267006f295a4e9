"""DenseNet-201, trained on ImageNet-1k; the embedding is the pooled last map.

Huang et al., Densely connected convolutional networks (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aina_core.models import torchvision_trunks
from aina_core.models.spec import ModelSpec, register

if TYPE_CHECKING:
    import torch


def _network() -> Any:
    """Return torchvision's network, whose embedding is its pooled features."""
    from torch import nn

    class DenseNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk: Any = torchvision_trunks.trunk("densenet201")

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            maps = self.trunk.features(pictures)  # (n, 1920, h / 32, w / 32)
            # torchvision's own forward rectifies in place, over what an explanation has captured
            return maps.relu().mean((2, 3))  # (n, 1920)

        def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
            return self.trunk.classifier(embeddings)  # (n, 1000)

    return DenseNet().eval()


register(
    ModelSpec(
        name="densenet201",
        family="DenseNet",
        dim=1920,
        recipe=torchvision_trunks.RECIPE,
        weights=torchvision_trunks.published("densenet201", "densenet201-c1103571.pth", 77.373),
        network=_network,
        load=torchvision_trunks.load,
        license=torchvision_trunks.LICENSE,
        paper="https://arxiv.org/abs/1608.06993",
        layer="trunk.features.norm5",
        classes="imagenet-1k",
        convolutional=True,
    )
)
