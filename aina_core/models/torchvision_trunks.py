"""Torchvision's classifiers as trunks: how they are built, explained, fetched and filled.

The classic weights are taken (`IMAGENET1K_V1`): those are what the projects that AINA grew from
used, and what published figures of these networks refer to. They are under torchvision's licence.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.errors import InputError
from aina_core.models.parts import not_in_place
from aina_core.models.spec import Recipe
from aina_core.models.weights import FolderFile, fill, load_tensors

if TYPE_CHECKING:
    import torch

LICENSE = "BSD-3-Clause"
#: Of all these weights: short side 256, centre 224, ImageNet's mean and standard deviation.
RECIPE = Recipe(
    256, 224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bilinear"
)
# Before torchvision 0.3, DenseNet's layers were called norm.1, conv.2 and so on: its file still
# says so.
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")


def trunk(architecture: str, **options: Any) -> Any:
    """Return torchvision's network with random weights, in which nothing works in place."""
    import torchvision

    return not_in_place(torchvision.models.get_model(architecture, weights=None, **options))


def published(model: str, file: str, mebibytes: float) -> FolderFile:
    """Return torchvision's file of weights; its name ends with the beginning of its SHA-256."""
    return FolderFile(
        model,
        file=file,
        url=f"https://download.pytorch.org/models/{file}",
        sha256=file.rpartition("-")[2].partition(".")[0],
        size=round(mebibytes * 2**20),
    )


def load(network: Any, path: Path) -> None:
    """Fill `network.trunk` from a file of torchvision's."""
    tensors = load_tensors(path)
    fill(network.trunk, {_OLD_DENSENET.sub(r"\1\2", key): t for key, t in tensors.items()}, path)


# ── any of torchvision's classifiers ─────────────────────────────────────────────────────────────


def architectures() -> list[str]:
    """Return the names of torchvision's classifiers of pictures."""
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def network(architecture: str, classes: int | None = None) -> Any:
    """Return a classifier with random weights, whose embedding is what its last layer reads.

    Args:
        architecture: torchvision's name.
        classes: how many it tells apart, where not 1000; 0 for no last layer.
    """
    from torch import nn

    class Torchvision(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk: Any = trunk(architecture, **({"num_classes": classes} if classes else {}))
            linear = [n for n, m in self.trunk.named_modules() if isinstance(m, nn.Linear)]
            self.last = linear[-1] if linear else ""
            if not self.last:
                raise InputError(f"torchvision's {architecture} does not end in a dense layer.")
            head = self.trunk.get_submodule(self.last)
            self.head = nn.Identity() if classes == 0 else head
            self.trunk.set_submodule(self.last, nn.Identity())

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.trunk(pictures)  # (n, dim)

        def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
            return self.head(embeddings)  # (n, classes)

    return Torchvision().eval()


def load_split(wrapped: Any, path: Path) -> None:
    """Fill what `network` returned from a checkpoint of the whole classifier."""
    tensors = load_tensors(path, inside="state_dict")
    renamed = {}
    for key, tensor in tensors.items():
        key = _OLD_DENSENET.sub(r"\1\2", key.removeprefix("module."))
        _, is_head, rest = key.partition(f"{wrapped.last}.")
        renamed[f"head.{rest}" if is_head and key.startswith(wrapped.last) else f"trunk.{key}"] = (
            tensor
        )
    fill(wrapped, renamed, path)
