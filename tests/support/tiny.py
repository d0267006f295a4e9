"""A model of a few thousand weights: the real pipeline at a hundredth of the cost.

Run as a script it is AINA's command line with that model: `python tests/support/tiny.py index …`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from pathlib import Path
from typing import Any

from aina_core import models
from aina_core.models import ModelSpec, Recipe
from aina_core.models.weights import PackageFile, load_tensors

NAME = "tiny"
PACKAGE = "aina_tiny_weights"
DIM = 24
WORDS = 512
RECIPE = Recipe(40, 32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
#: Where a process of its own finds the package.
ENVIRONMENT = "AINA_TEST_TINY"


def network() -> Any:
    from torch import nn

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(
                nn.Conv2d(3, 16, 5, stride=2),
                nn.ReLU(),
                nn.Conv2d(16, DIM, 3, stride=2),
                nn.ReLU(),
            )
            self.head = nn.Linear(DIM, 1000)

        def forward(self, pictures: Any) -> Any:
            return self.trunk(pictures).mean((2, 3))  # (n, DIM)

        def classify(self, embeddings: Any) -> Any:
            return self.head(embeddings)  # (n, 1000)

    return Tiny().eval()


def wordy_network() -> Any:
    """The same with a text tower: the sum of fixed random vectors, one for each word."""
    import torch
    from torch import nn

    made = network()
    table = torch.randn(WORDS, DIM, generator=torch.Generator().manual_seed(1))

    class Wordy(type(made)):  # type: ignore[misc]
        def encode_text(self, texts: list[str]) -> Any:
            return torch.stack([self.table[word_numbers(text)].sum(0) for text in texts])

    made.__class__ = Wordy
    made.table = nn.Parameter(table)
    return made


def word_numbers(text: str) -> list[int]:
    return [zlib.crc32(word.encode()) % WORDS for word in text.lower().split()]


def load(module: Any, path: Path) -> None:
    module.load_state_dict(load_tensors(path), strict=False)


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
        network=network,
        load=load,
        license="MIT",
        paper="",
        layer="trunk.3",
        classes="imagenet-1k",
        convolutional=True,
    )


def register(folder: Path) -> ModelSpec:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return models.register(spec(folder))


if __name__ == "__main__":
    from aina_core.cli import main

    register(Path(os.environ[ENVIRONMENT]))
    sys.exit(main())
