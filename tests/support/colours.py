"""A network whose maps are known: it sees nothing but mean colours."""

from __future__ import annotations

import numpy as np

from aina_core.explain import Explainer
from aina_core.models import ModelSpec, Recipe
from aina_core.models.weights import PackageFile

RED, GREEN, BLUE = range(3)
#: A class whose logit never changes.
CONSTANT = 500
SIDE, CELL = 64, 4
CELLS = SIDE // CELL
SQUARE = Recipe(SIDE, SIDE, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bilinear")
SQUASHED = Recipe(SIDE, SIDE, (0, 0, 0), (1, 1, 1), interpolation="bilinear", squash=True)


def colours(recipe: Recipe = SQUARE, **facts: object) -> Explainer:
    """An explainer whose embedding is the mean (red, green, blue), and whose first three logits are
    ten times that."""
    import torch
    from torch import nn

    class Colours(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.AvgPool2d(CELL)
            self.scale = nn.Parameter(torch.tensor(10.0))

        def forward(self, pictures):
            return self.cells(pictures).mean((2, 3))  # (n, 3)

        def classify(self, embeddings):
            return nn.functional.pad(embeddings * self.scale, (0, 997))  # (n, 1000)

    spec = ModelSpec(
        name="colours",
        family="Colours",
        dim=3,
        recipe=recipe,
        weights=PackageFile("none", "none", "none", "0"),
        network=Colours,
        load=lambda network, path: None,
        license="MIT",
        paper="",
        **{"layer": "cells", "classes": "imagenet-1k", **facts},  # type: ignore[arg-type]
    )
    return Explainer(spec, Colours())


def painted(height: int, width: int, box: tuple[int, int, int, int], colour=RED) -> np.ndarray:
    """A black picture, uint8 (height, width, 3), with one bright box (top, left, height, width)."""
    picture = np.zeros((height, width, 3), np.uint8)
    top, left, tall, wide = box
    picture[top : top + tall, left : left + wide, colour] = 255
    return picture
