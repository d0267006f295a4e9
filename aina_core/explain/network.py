"""A network opened for explanation: one caller at a time, in full precision, on any device."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.embedding import preprocess, view
from aina_core.explain import gradients
from aina_core.explain.explanation import Seen
from aina_core.models import ModelSpec

if TYPE_CHECKING:
    import torch

#: Pictures at once: on a processor few, so that a layer's maps stay in its caches.
_BATCH = {"cpu": 4, "cuda": 64}


class OpenNetwork:
    """A loaded network and what can be asked of its inside. Safe to share between threads.

    Attributes:
        spec: the registered model's spec.
        module: the torch module, its parameters frozen.
        device: "cpu" or "cuda".
        reduced: whether similarities are taken on principal axes.
    """

    def __init__(self, spec: ModelSpec, network: Any, device: str) -> None:
        import torch

        self.spec, self.device = spec, device
        network = network.eval().requires_grad_(False).to(device)
        self.module = network.to(memory_format=torch.channels_last)
        # Hooks belong to the network, which all threads share: whoever runs it holds this.
        self._lock = threading.Lock()
        self._axes: tuple[Any, Any] | None = None

    @property
    def bytes(self) -> int:
        """The memory that the weights take."""
        return sum(weight.nbytes for weight in self.module.parameters())

    @property
    def reduced(self) -> bool:
        return self._axes is not None

    def on(self, mean: np.ndarray, axes: np.ndarray) -> OpenNetwork:
        """Return the same network, whose unit embeddings are taken to principal axes.

        Args:
            mean: float32 (dim,), of unit embeddings.
            axes: float32 (dim, a), orthonormal columns.
        """
        import torch

        light = copy.copy(self)
        light._axes = (
            torch.as_tensor(np.array(mean, np.float32), device=self.device),
            torch.as_tensor(np.array(axes, np.float32), device=self.device),
        )
        return light

    def see(self, pixels: np.ndarray) -> np.ndarray:
        """The network's input for a picture: uint8 (rows, columns, 3)."""
        return preprocess(pixels, self.spec.recipe)

    def seen(self, pixels: np.ndarray) -> Seen:
        """The part of a picture that this is: (top, left, height, width) in its pixels."""
        return view(self.spec.recipe, *pixels.shape[:2]).seen

    def _tensor(self, pictures: np.ndarray) -> torch.Tensor:
        """Normalise uint8 (n, rows, columns, 3) to float32 (n, 3, rows, columns)."""
        import torch

        mean, std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) * 255
            for values in (self.spec.recipe.mean, self.spec.recipe.std)
        )
        batch = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float()
        return ((batch - mean) / std).contiguous(memory_format=torch.channels_last)

    def embed(self, pictures: np.ndarray) -> torch.Tensor:
        """uint8 (n, rows, columns, 3) → float32 (n, dim), not of unit length."""
        import torch

        rows, step = [], _BATCH[self.device]
        for start in range(0, len(pictures), step):
            batch = self._tensor(pictures[start : start + step])
            with self._lock, torch.no_grad(), _precise():
                rows.append(self.module(batch).float())
        return torch.cat(rows)

    def unit(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Bring embeddings (n, dim) to unit length; on principal axes, where there are."""
        import torch.nn.functional as F

        unit = F.normalize(embeddings.float(), dim=1)
        if self._axes is None:
            return unit
        mean, axes = self._axes
        return F.normalize((unit - mean) @ axes, dim=1)

    def cam(
        self, picture: np.ndarray, objective: Callable[[torch.Tensor], torch.Tensor], method: str
    ) -> gradients.Cells:
        """Return a method's map of one picture, on the layer's grid.

        Args:
            picture: uint8 (rows, columns, 3), as `see` gives it.
            objective: embeddings (1, dim), not of unit length → what gradients are taken of, (1,).
            method: one of `gradients.METHODS`.
        """
        layer, prefix = self.spec.layer, self.spec.prefix_tokens
        batch = self._tensor(picture[None])
        with self._lock, _precise():
            return gradients.cam(self.module, layer, prefix, batch, objective, method)

    def features(self, picture: np.ndarray) -> np.ndarray:
        """Return what the layer gives for one picture, as `see` gives it."""
        import torch

        layer, prefix = self.spec.layer, self.spec.prefix_tokens
        batch = self._tensor(picture[None])
        with self._lock, torch.no_grad(), _precise():
            return gradients.features(self.module, layer, prefix, batch)[0]

    def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, dim), not of unit length → logits (n, classes)."""
        return self.module.classify(embeddings)

    def encode_text(self, text: str) -> torch.Tensor:
        """Return the embedding of a text, float32 (1, dim), not of unit length."""
        import torch

        with self._lock, torch.no_grad():
            return self.module.encode_text([text]).float()


def _precise() -> Any:
    """Full fp32 and reproducible maps: no TF32, no nondeterministic algorithms."""
    import torch

    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
