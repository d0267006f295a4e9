"""What a network's shapes reveal: its embedding, and where to look inside.

It is built and called on torch's meta device, where tensors have shapes but no values, so nothing
is loaded or computed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

#: Where the maps that are pooled come out, by the habits of timm and torchvision.
_LAST_MAPS = ("bn2", "conv_head", "layer4", "features")
_MORE = (64, 32)  # pixels by which a picture of another shape is larger


class Facts:
    """What was seen.

    Attributes:
        dim: length of an embedding.
        classes: how many the classifier tells apart; 0 where none reads embeddings.
        layer: see `ModelSpec`.
        prefix_tokens: see `ModelSpec`.
        convolutional: see `ModelSpec`.
    """

    def __init__(self, network: Any, side: int) -> None:
        import torch

        self.layer, self.prefix_tokens = _layer(network, side)
        embedding = network(torch.zeros(1, 3, side, side))  # (1, dim)
        self.dim = int(embedding.shape[1])
        classified = _attempt(lambda: network.classify(embedding))
        is_new = torch.is_tensor(classified) and classified is not embedding
        self.classes = int(classified.shape[1]) if is_new else 0
        larger = torch.zeros(1, 3, side + _MORE[0], side + _MORE[1])
        other = _attempt(lambda: network(larger))
        self.convolutional = other is not None and other.shape == embedding.shape


def facts_of(build: Callable[[], Any], side: int) -> Facts:
    """Inspect a network.

    Args:
        build: makes it; its trunk, of timm or torchvision, is its attribute `trunk`.
        side: of the pictures that it takes, in pixels.
    """
    import torch

    with warnings.catch_warnings(), torch.device("meta"), torch.inference_mode():
        warnings.simplefilter("ignore")
        return Facts(build(), side)


def _attempt(compute: Callable[[], Any]) -> Any:
    """What a computation on the meta device gives; None where a network does not allow it."""
    try:
        return compute()
    except Exception:  # networks refuse by assertions, and in many other ways
        return None


def _layer(network: Any, side: int) -> tuple[str, int | None]:
    """Find what explanations read: the maps that are pooled, or the tokens before the last mixing.

    A vision transformer is looked into before its last attention: of the last block's output often
    only the class token is used, so places have no gradient there.
    """
    trunk = network.trunk
    blocks = getattr(trunk, "blocks", None)
    if hasattr(trunk, "num_prefix_tokens") and blocks and hasattr(blocks[-1], "norm1"):
        name, prefix = f"trunk.blocks.{len(blocks) - 1}.norm1", int(trunk.num_prefix_tokens)
        shape = _output_shape(network, name, side)
        places = getattr(trunk.patch_embed, "num_patches", None)
        whole = places is not None and len(shape) == 3 and shape[1] == places + prefix
        return (name, prefix) if whole else ("", None)
    if type(trunk).__module__ == "torchvision.models.densenet":
        return "", None  # its forward writes over the maps
    stages = getattr(trunk, "feature_info", None) or [{}]
    for name in (*_LAST_MAPS, str(dict(stages[-1]).get("module", ""))):
        shape = _output_shape(network, f"trunk.{name}", side) if name else ()
        if len(shape) == 4 and shape[2] == shape[3] > 1:
            return f"trunk.{name}", None
    return "", None


def _output_shape(network: Any, name: str, side: int) -> tuple[int, ...]:
    """The shape of what a layer gives for a picture; () where there is none, or it gives none."""
    import torch

    found: list[Any] = []
    try:
        layer = network.get_submodule(name)
    except AttributeError:
        return ()
    hook = layer.register_forward_hook(lambda *call: found.append(call[2]))
    _attempt(lambda: network(torch.zeros(1, 3, side, side)))
    hook.remove()
    return tuple(found[-1].shape) if found and torch.is_tensor(found[-1]) else ()
