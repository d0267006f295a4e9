"""Rows of originals as a network takes them: tensors, on its device, augmented where asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.models import Recipe
from aina_core.training.data import Rows

if TYPE_CHECKING:
    import torch

_BATCH = 256


class Inputs:
    """The rows of a training, as tensors.

    Args:
        rows: features or pictures.
        recipe: the normalisation of pictures.
        device: of the tensors.
    """

    def __init__(self, rows: Rows, recipe: Recipe, device: str) -> None:
        self._rows, self._recipe, self.device = rows, recipe, device
        self.are_pictures = rows.matrix.dtype == np.uint8

    def tensor(
        self, places: np.ndarray, columns: np.ndarray | int, *, augmented: bool = False
    ) -> torch.Tensor:
        """Return what a network takes: features (b, dim), or normalised pictures (b, 3, h, w).

        Args:
            places: int (b,), of originals.
            columns: int (b,) of their versions, or one for all.
            augmented: whether pictures are changed at random, each anew.
        """
        import torch

        taken = torch.from_numpy(np.ascontiguousarray(self._rows.take(places, columns)))
        if not self.are_pictures:
            return taken.to(self.device)
        pictures = taken.permute(0, 3, 1, 2)  # (b, 3, h, w)
        if augmented:
            change = augmentation(self._recipe.crop)
            pictures = torch.stack([change(picture) for picture in pictures])
        mean = torch.tensor(self._recipe.mean, device=self.device).view(1, 3, 1, 1) * 255
        std = torch.tensor(self._recipe.std, device=self.device).view(1, 3, 1, 1) * 255
        return (pictures.to(self.device).float() - mean) / std

    def targets(self, places: np.ndarray) -> torch.Tensor:
        """Return the originals as they are, (b, 3, h, w) in [0, 1]."""
        import torch

        taken = torch.from_numpy(np.ascontiguousarray(self._rows.take(places, 0)))
        return taken.permute(0, 3, 1, 2).to(self.device).float() / 255

    def unit_rows(self, embed: Any, places: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return unit embeddings, float32 (b, dim), by a function from inputs to embeddings."""
        import torch
        import torch.nn.functional as F

        found = []
        with torch.inference_mode():
            for start in range(0, len(places), _BATCH):
                part = slice(start, start + _BATCH)
                embedded = embed(self.tensor(places[part], columns[part])).float()
                found.append(F.normalize(embedded, dim=1).cpu().numpy())
        return np.concatenate(found)


def augmentation(side: int) -> Any:
    """Return torchvision's random crop, flip, colour and rotation of a uint8 picture (3, h, w)."""
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.3, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(20),
            v2.ColorJitter(0.4, 0.4, 0.4, 0.05),
        ]
    )
