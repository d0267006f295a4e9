"""SSCD: a descriptor for copies, trained without labels on the pictures of ISC21.

Pizzi et al., A self-supervised descriptor for image copy detection (2022): ResNet-50, generalised
mean pooling with p = 3, a dense layer. Of `sscd_disc_mixup`, pairs above a cosine of 0.75 are
copies in 90% of cases, as its authors measured on DISC.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.models import torchvision_trunks
from aina_core.models.parts import gem
from aina_core.models.spec import ModelSpec, Recipe, register
from aina_core.models.weights import FolderFile, fill, load_tensors

if TYPE_CHECKING:
    import torch

_SIDE, _DIM, _P = 320, 512, 3.0


def _network() -> Any:
    """Return the published network with random weights."""
    from torch import nn

    class Pool(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return gem(maps, _P)[:, :, None, None]  # (n, 2048, 1, 1): torchvision flattens it

    class Descriptor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone: Any = torchvision_trunks.trunk("resnet50", num_classes=_DIM)
            self.backbone.avgpool = Pool()

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.backbone(pictures)  # (n, 512)

    return Descriptor().eval()


def _load(network: Any, path: Path) -> None:
    fill(network, load_tensors(path), path)


register(
    ModelSpec(
        name="sscd",
        family="SSCD",
        dim=_DIM,
        recipe=Recipe(
            _SIDE,
            _SIDE,
            mean=torchvision_trunks.RECIPE.mean,
            std=torchvision_trunks.RECIPE.std,
            interpolation="bilinear",
            squash=True,
        ),
        weights=FolderFile(
            model="sscd",
            file="sscd_disc_mixup.torchvision.pt",
            url="https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchvision.pt",
            size=98_000_000,
        ),
        network=_network,
        load=_load,
        license="MIT",
        paper="https://arxiv.org/abs/2202.10261",
        layer="backbone.layer4.2",
        convolutional=True,
    )
)
