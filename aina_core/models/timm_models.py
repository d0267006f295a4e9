"""Any of timm's networks, as `timm:NAME` or `timm:NAME.TAG`, with timm's own preprocessing.

What AINA must know of a network is found on torch's meta device, where tensors have shapes but no
values, so nothing is loaded or computed.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.errors import InputError, WeightsRefusedError
from aina_core.models.parts import not_in_place
from aina_core.models.shapes import Facts, facts_of
from aina_core.models.spec import ModelSpec, Recipe, register_scheme
from aina_core.models.weights import FirstOf, FolderFile, fill, hub_file, load_tensors

if TYPE_CHECKING:
    import torch

_SCHEME = "timm"
_INTERPOLATIONS = ("bicubic", "bilinear")


def network(architecture: str, classes: int | None = None) -> Any:
    """Return timm's network with random weights; its embedding is what its classifier reads.

    Args:
        architecture: timm's name.
        classes: how many it tells apart, where that is not as published.
    """
    import timm
    from torch import nn

    class Timm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            options: Any = {} if classes is None else {"num_classes": classes}
            trunk = timm.create_model(architecture, pretrained=False, **options)
            self.trunk: Any = not_in_place(trunk)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            features = self.trunk.forward_features(pictures)
            return self.trunk.forward_head(features, pre_logits=True)  # (n, dim)

        def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
            return self.trunk.get_classifier()(embeddings)  # (n, classes)

    return Timm().eval()


def load(wrapped: Any, path: Path, published: bool = True) -> None:
    """Fill the network from a file of timm's, or of one that was trained by timm's code.

    Args:
        wrapped: what `network` returned.
        path: of the file.
        published: whether it is timm's own, whose keys timm may still have to rename.
    """
    tensors = load_tensors(path, inside="state_dict")
    tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
    # where the names of a published file differ from the network's, its module has this function
    rename = getattr(sys.modules[type(wrapped.trunk).__module__], "checkpoint_filter_fn", None)
    if published and rename is not None and tensors.keys() != wrapped.trunk.state_dict().keys():
        try:
            tensors = rename(tensors, wrapped.trunk)
        except (KeyError, RuntimeError, ValueError, AttributeError, TypeError, IndexError):
            raise WeightsRefusedError(f"The weights {path.name} do not fit the network.") from None
    fill(wrapped.trunk, tensors, path)


def known(name: str, architecture: str) -> dict[str, Any]:
    """Return timm's description of a pretrained network.

    Args:
        name: for what is said of it.
        architecture: timm's name, with or without a tag.

    Raises:
        InputError: timm knows no such network, or no such tag of it.
    """
    import timm

    base, _, tag = architecture.partition(".")
    if not timm.is_model(base):
        near = timm.list_models(f"{base[:6]}*") or timm.list_models("resnet*")
        raise InputError(f"timm has no network {base!r}; some that it has: {', '.join(near[:8])}.")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise InputError(
            f"timm has no weights {tag!r} of {base}; its tags: {', '.join(tags) or 'none'}."
        )
    found = timm.get_pretrained_cfg(architecture)
    if found is None:
        raise InputError(f"timm says nothing of the preprocessing of {name}.")
    return found.to_dict()


def look_at(architecture: str, published: dict[str, Any], classes: int | None = None) -> Facts:
    """Return what the shapes of one of timm's networks reveal."""
    return facts_of(functools.partial(network, architecture, classes), published["input_size"][-1])


@functools.lru_cache(maxsize=64)
def _resolve(name: str) -> ModelSpec:
    """Return the spec of `timm:NAME`.

    Raises:
        InputError: timm knows no such network, or its preprocessing is not ours.
    """
    architecture = name.partition(":")[2]
    published = known(name, architecture)
    recipe = recipe_of(name, published)
    facts = look_at(architecture, published)
    papers = [paper.partition(":")[2] for paper in _listed(published.get("paper_ids"))]
    return ModelSpec(
        name=name,
        family="timm",
        dim=facts.dim,
        recipe=recipe,
        weights=_source(name, published),
        network=functools.partial(network, architecture),
        load=load,
        license=published.get("license") or "",
        paper=f"https://arxiv.org/abs/{papers[0]}" if papers else "",
        layer=facts.layer,
        prefix_tokens=facts.prefix_tokens,
        classes="imagenet-1k" if facts.classes == 1000 and _is_imagenet(published) else "",
        convolutional=facts.convolutional,
    )


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _is_imagenet(published: dict[str, Any]) -> bool:
    return published.get("num_classes") == 1000 and "in1k" in (published.get("tag") or "in1k")


def recipe_of(name: str, published: dict[str, Any]) -> Recipe:
    """Return timm's own preprocessing of a network.

    Args:
        name: for what is said of it.
        published: timm's description of the pretrained network.

    Raises:
        InputError: AINA cannot do it.
    """
    import timm

    config = timm.data.resolve_data_config(pretrained_cfg=published)
    channels, height, width = config["input_size"]
    mode, interpolation = config["crop_mode"], config["interpolation"]
    for wrong, reason in (
        (channels != 3 or height != width, f"takes pictures of {width} × {height} × {channels}"),
        (mode not in ("center", "squash"), f"is cropped by {mode!r}"),
        (interpolation not in _INTERPOLATIONS, f"is resized by {interpolation!r}"),
    ):
        if wrong:
            raise InputError(f"{name} {reason}, which AINA does not do.")
    resize = int(height / config["crop_pct"])
    mean, std = tuple(config["mean"]), tuple(config["std"])
    return Recipe(resize, height, mean, std, interpolation, squash=mode == "squash")


def _source(name: str, published: dict[str, Any]) -> FirstOf:
    """The file on the hub, or the one at an address whose name carries its hash."""
    found: list[FolderFile] = []
    if hub := published.get("hf_hub_id"):
        file = published.get("hf_hub_filename")
        wanted = [file] if file else ["model.safetensors", "pytorch_model.bin"]
        found.extend(hub_file(name, hub, each) for each in wanted)
    if url := published.get("url"):
        file = url.rpartition("/")[2]
        ending = Path(file).stem.rpartition("-")[2]
        hexadecimal = len(ending) == 8 and set(ending) <= set("0123456789abcdef")
        found.append(FolderFile(name, file, url, ending if hexadecimal else ""))
    if not found:
        raise InputError(f"timm has published no weights of {name}.")
    return FirstOf(tuple(found))


register_scheme(_SCHEME, _resolve)
