"""VGG16, trained on ImageNet-1k; the embedding is the second dense layer.

Simonyan and Zisserman, Very deep convolutional networks (2014). `vgg16` is after that layer's ReLU,
`vgg16-pre-relu` before it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from aina_core.models import torchvision_trunks
from aina_core.models.spec import ModelSpec, register

if TYPE_CHECKING:
    import torch


def _network(rectified: bool) -> Any:
    """Return torchvision's network, whose embedding is its second dense layer."""
    from torch import nn

    class VGG(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk: Any = torchvision_trunks.trunk("vgg16")

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            maps = self.trunk.avgpool(self.trunk.features(pictures))  # (n, 512, 7, 7)
            dense = self.trunk.classifier[:4](maps.flatten(1))  # (n, 4096)
            return dense.relu() if rectified else dense

        def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
            return self.trunk.classifier[4:](embeddings)  # (n, 1000); its ReLU changes no ReLU's

    return VGG().eval()


for _name in ("vgg16", "vgg16-pre-relu"):
    register(
        ModelSpec(
            name=_name,
            family="VGG",
            dim=4096,
            recipe=torchvision_trunks.RECIPE,
            weights=torchvision_trunks.published(_name, "vgg16-397923af.pth", 527.796),
            network=functools.partial(_network, _name == "vgg16"),
            load=torchvision_trunks.load,
            license=torchvision_trunks.LICENSE,
            paper="https://arxiv.org/abs/1409.1556",
            layer="trunk.features.28",
            classes="imagenet-1k",
        )
    )
