"""ResNet-18, -34, -50 and -152, trained on ImageNet-1k; the embedding is the pooled last map.

He et al., Deep residual learning for image recognition (2015). `resnet50-logits` gives the 1000
logits instead, which some projects compared pictures by.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from aina_core.models import torchvision_trunks
from aina_core.models.spec import ModelSpec, register

if TYPE_CHECKING:
    import torch


def _network(architecture: str, logits: bool = False) -> Any:
    """Return torchvision's network, whose embedding is its pooled features, or its logits."""
    from torch import nn

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk: Any = torchvision_trunks.trunk(architecture)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            net = self.trunk
            x = net.maxpool(net.relu(net.bn1(net.conv1(pictures))))  # (n, 64, h / 4, w / 4)
            x = net.layer4(net.layer3(net.layer2(net.layer1(x))))  # (n, dim, h / 32, w / 32)
            pooled = net.avgpool(x).flatten(1)  # (n, dim)
            return net.fc(pooled) if logits else pooled

        def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
            return embeddings if logits else self.trunk.fc(embeddings)  # (n, 1000)

    return ResNet().eval()


for _name, _architecture, _dim, _last, _file, _mebibytes in (
    ("resnet18", "resnet18", 512, 1, "resnet18-f37072fd.pth", 44.661),
    ("resnet34", "resnet34", 512, 2, "resnet34-b627a593.pth", 83.275),
    ("resnet50", "resnet50", 2048, 2, "resnet50-0676ba61.pth", 97.781),
    ("resnet152", "resnet152", 2048, 2, "resnet152-394f9c45.pth", 230.434),
    ("resnet50-logits", "resnet50", 1000, 2, "resnet50-0676ba61.pth", 97.781),
):
    register(
        ModelSpec(
            name=_name,
            family="ResNet",
            dim=_dim,
            recipe=torchvision_trunks.RECIPE,
            weights=torchvision_trunks.published(_name, _file, _mebibytes),
            network=functools.partial(_network, _architecture, _name.endswith("-logits")),
            load=torchvision_trunks.load,
            license=torchvision_trunks.LICENSE,
            paper="https://arxiv.org/abs/1512.03385",
            layer=f"trunk.layer4.{_last}",
            classes="imagenet-1k",
            convolutional=True,
        )
    )
