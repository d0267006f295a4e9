"""ISC21: the descriptor that won the Image Similarity Challenge 2021 (Yokoo).

EfficientNetV2-M, generalised mean pooling with p = 1, a dense layer and batch normalisation. It was
trained to find copies: crops, overlays and filters of one picture lie near each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.models.parts import gem, not_in_place
from aina_core.models.spec import ModelSpec, Recipe, register
from aina_core.models.weights import FolderFile, fill, load_tensors

if TYPE_CHECKING:
    import torch

_SIDE, _CHANNELS, _DIM, _P = 512, 512, 256, 1.0
_EPS = 1e-6


def _network() -> Any:
    """Return the published network with random weights."""
    import timm
    from torch import nn

    class Clamped(nn.Module):
        """The last map as it is pooled, for explanations to look at."""

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.clamp(min=_EPS)

    class Descriptor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            backbone = timm.create_model(
                "tf_efficientnetv2_m.in21k_ft_in1k", pretrained=False, features_only=True
            )
            self.backbone: Any = not_in_place(backbone)
            self.clamped = Clamped()
            self.fc = nn.Linear(_CHANNELS, _DIM, bias=False)
            self.bn = nn.BatchNorm1d(_DIM)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            maps = self.clamped(self.backbone(pictures)[-1])  # (n, 512, h / 32, w / 32)
            return self.bn(self.fc(gem(maps, _P, _EPS)))  # (n, 256)

    return Descriptor().eval()


def _load(network: Any, path: Path) -> None:
    """Fill the network from the release's file, which keeps its training options beside it."""
    tensors = load_tensors(path, inside="state_dict", namespace=True)
    fill(network, {key.removeprefix("module."): t for key, t in tensors.items()}, path)


register(
    ModelSpec(
        name="isc21",
        family="ISC21",
        dim=_DIM,
        recipe=Recipe(
            _SIDE, _SIDE, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", squash=True
        ),
        weights=FolderFile(
            model="isc21",
            file="isc_ft_v107.pth.tar",
            url="https://github.com/lyakaap/ISC21-Descriptor-Track-1st/releases/download/v1.0.1/"
            "isc_ft_v107.pth.tar",
            size=401_000_000,
        ),
        network=_network,
        load=_load,
        license="MIT",
        paper="https://arxiv.org/abs/2112.04323",
        layer="clamped",
        convolutional=True,
    )
)
