"""A model of a few thousand weights: the real pipeline at a hundredth of the cost.

Run as a script it is AINA's command line with that model: `python tests/tiny.py index …`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from aina_core import models
from aina_core.models import ModelSpec, Recipe
from aina_core.models.weights import PackageFile

NAME = "tiny"
PACKAGE = "aina_tiny_weights"
DIM = 24
RECIPE = Recipe(40, 32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
#: Where a process of its own finds the package.
ENVIRONMENT = "AINA_TEST_TINY"


def network() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, DIM, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()


def build(tensors: dict[str, Any]) -> Any:
    module = network()
    module.load_state_dict(tensors)
    return module.eval()


def write_package(folder: Path) -> None:
    """Write a package like those that carry real weights."""
    import torch

    torch.manual_seed(0)
    (folder / PACKAGE).mkdir(parents=True)
    (folder / PACKAGE / "__init__.py").write_text("raise RuntimeError('never imported')\n")
    torch.save(network().state_dict(), folder / PACKAGE / "tiny.pth")


def spec(folder: Path, name: str = NAME) -> ModelSpec:
    digest = hashlib.sha256((folder / PACKAGE / "tiny.pth").read_bytes()).hexdigest()
    return ModelSpec(
        name=name,
        family="Tiny",
        dim=DIM,
        recipe=RECIPE,
        weights=PackageFile(PACKAGE, "aina-tiny-weights", "tiny.pth", digest),
        build=build,
        license="MIT",
        paper="",
    )


def register(folder: Path) -> ModelSpec:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return models.register(spec(folder))


if __name__ == "__main__":
    from aina_core.cli import main

    register(Path(os.environ[ENVIRONMENT]))
    sys.exit(main())
