"""Rows of originals as tensors on a network's device, augmented on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.changes.wanted import Rows
from aina_core.errors import StoppedError
from aina_core.models import Recipe
from aina_core.progress import Stop, never

if TYPE_CHECKING:
    import torch

_BATCH = 256
#: Called with how many rows are done, and of how many.
Told = Callable[[int, int], None]


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
            augmented: whether each picture is changed at random.
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
        """Return the unchanged originals, (b, 3, h, w) in [0, 1]."""
        import torch

        taken = torch.from_numpy(np.ascontiguousarray(self._rows.take(places, 0)))
        return taken.permute(0, 3, 1, 2).to(self.device).float() / 255

    def unit_rows(
        self,
        embed: Any,
        places: np.ndarray,
        columns: np.ndarray,
        *,
        told: Told = lambda done, total: None,
        stop: Stop = never,
    ) -> np.ndarray:
        """Return unit embeddings, float32 (b, dim), by a function from inputs to embeddings.

        Args:
            embed: that function.
            places: int (b,), of originals.
            columns: int (b,) of their versions.
            told: called after each batch.
            stop: asked before each batch.

        Raises:
            StoppedError: it was stopped.
        """

        def tensor(part: slice) -> torch.Tensor:
            return self.tensor(places[part], columns[part])

        return _unit(embed, tensor, len(places), told, stop)


class FrozenTrunk:
    """Rows of pictures by a network with a frozen trunk, whose features are computed once.

    Args:
        inputs: pictures.
        network: the network.
        shape: how many originals, and how many columns of versions.
    """

    def __init__(self, inputs: Inputs, network: Any, shape: tuple[int, ...]) -> None:
        self._inputs, self._network = inputs, network
        self._at = np.full(shape, -1, np.int64)
        self._features = np.empty((0, 0), np.float32)

    def unit_rows(
        self,
        embed: Any,
        places: np.ndarray,
        columns: np.ndarray,
        *,
        told: Told = lambda done, total: None,
        stop: Stop = never,
    ) -> np.ndarray:
        """Return unit embeddings; see `Inputs.unit_rows`, but `embed` takes features."""
        import torch

        asked = np.unique(np.stack([places, columns]), axis=1)
        new = asked[:, self._at[asked[0], asked[1]] < 0]
        if new.size:
            make = self._inputs.unit_rows
            made = make(self._network.features, *new, told=told, stop=stop)
            before = self._features if len(self._features) else made[:0]
            self._at[new[0], new[1]] = len(before) + np.arange(len(made))
            self._features = np.concatenate([before, made])
        rows = self._at[places, columns]

        def tensor(part: slice) -> torch.Tensor:
            return torch.from_numpy(self._features[rows[part]]).to(self._inputs.device)

        return _unit(embed, tensor, len(places), told, stop)


def _unit(
    embed: Any, tensor: Callable[[slice], torch.Tensor], count: int, told: Told, stop: Stop
) -> np.ndarray:
    import torch
    import torch.nn.functional as F

    found = []
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            if stop():
                raise StoppedError(
                    "Stopped while embeddings were judged: the last whole epoch is kept; the same "
                    "command goes on from there."
                )
            embedded = embed(tensor(slice(start, start + _BATCH))).float()
            found.append(F.normalize(embedded, dim=1).cpu().numpy())
            told(min(start + _BATCH, count), count)
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
