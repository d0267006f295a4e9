"""Maps from a layer's activations and gradients, by the package pytorch-grad-cam.

Grad-CAM: Selvaraju et al. (2017). Grad-CAM++: Chattopadhyay et al. (2018). HiResCAM: Draelos and
Carin (2020). Eigen-CAM: Muhammad and Yeasin (2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

GRADCAM, GRADCAM_PLUS, HIRESCAM, EIGENCAM = "gradcam", "gradcam++", "hirescam", "eigencam"
METHODS = (GRADCAM, GRADCAM_PLUS, HIRESCAM, EIGENCAM)


@dataclass(frozen=True, eq=False)
class Cells:
    """A method's raw result on a layer's grid.

    Attributes:
        values: float32 (rows, columns), positive where a place raises the objective; not scaled.
        influence: the sum over places and channels of |activation × gradient|: how far the
            objective would move, to first order; None where no gradient was taken.
        embeddings: float32 (1, dim), of the picture.
    """

    values: np.ndarray
    influence: float | None
    embeddings: torch.Tensor


def cam(
    network: Any,
    layer: str,
    prefix_tokens: int | None,
    picture: torch.Tensor,
    objective: Callable[[torch.Tensor], torch.Tensor],
    method: str,
) -> Cells:
    """Compute a map of one picture. Hooks the network: nobody else may run it meanwhile.

    Args:
        network: torch module, picture → embeddings; its parameters need no gradients.
        layer: dotted name of the module whose output is read.
        prefix_tokens: as in `ModelSpec`.
        picture: float32 (1, 3, height, width), normalised.
        objective: embeddings (1, dim) → float32 (1,), differentiable.
        method: one of `METHODS`.
    """
    import torch

    module = network.get_submodule(layer)
    grid = _grid(prefix_tokens, picture.shape[2] / picture.shape[3])
    # Gradients end here: what lies before the layer costs a forward pass without a graph. The
    # copy may be changed in place by what follows, which a leaf of the graph may not.
    cut = module.register_forward_hook(lambda *call: call[2].detach().requires_grad_().clone())
    method_of = _keeping(method)(network, [module], grid)
    try:
        with torch.enable_grad():
            method_of(picture, [lambda row: objective(row[None])[0]])
        return Cells(method_of.raw[0], method_of.influence, method_of.outputs.detach())
    finally:
        method_of.activations_and_grads.release()
        cut.remove()


def features(
    network: Any, layer: str, prefix_tokens: int | None, picture: torch.Tensor
) -> tuple[np.ndarray, torch.Tensor]:
    """Return a layer's output, float32 (channels, rows, columns), and the embeddings (1, dim).

    Hooks the network: nobody else may run it meanwhile.
    """
    grid = _grid(prefix_tokens, picture.shape[2] / picture.shape[3])
    found: list[torch.Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(
        lambda *call: found.append(grid(call[2]))
    )
    try:
        embeddings = network(picture)
    finally:
        hook.remove()
    return found[0][0].float().cpu().numpy(), embeddings


def _grid(prefix_tokens: int | None, aspect: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what brings a layer's output into (n, channels, rows, columns), as a copy.

    A copy, because what follows the layer may change its output in place (DenseNet's ReLU).
    """

    def maps(output: torch.Tensor) -> torch.Tensor:
        return output.clone()  # (n, channels, rows, columns)

    def tokens(output: torch.Tensor) -> torch.Tensor:
        places = output[:, prefix_tokens:]  # (n, rows · columns, channels)
        count = places.shape[1]
        rows = max(round((count * aspect) ** 0.5), 1)
        if count % rows:
            raise ValueError(f"{count} tokens do not fill a grid of the aspect {aspect:.3f}")
        return places.reshape(len(places), rows, count // rows, -1).permute(0, 3, 1, 2).clone()

    return maps if prefix_tokens is None else tokens


def _keeping(method: str) -> Any:
    """Return the package's class for a method, which also keeps what it scales away."""
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection_with_sign_correction

    parent: Any = {
        GRADCAM: package.GradCAM,
        GRADCAM_PLUS: package.GradCAMPlusPlus,
        HIRESCAM: package.HiResCAM,
        EIGENCAM: package.EigenCAM,
    }[method]

    class Keeping(parent):
        raw: np.ndarray
        influence: float | None = None

        def get_cam_image(self, *given: Any, **options: Any) -> np.ndarray:
            activations, gradients = given[3], given[4]
            if method == EIGENCAM:
                # a principal axis has no sign of its own: the stronger end is taken as positive
                self.raw = get_2d_projection_with_sign_correction(activations)
                return self.raw
            self.influence = float(np.abs(activations * gradients).sum())
            self.raw = np.asarray(super().get_cam_image(*given, **options), np.float32)
            return self.raw

    return Keeping
