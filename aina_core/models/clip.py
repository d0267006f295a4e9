"""CLIP by open_clip: pictures and texts in one space.

Radford et al., Learning transferable visual models from natural language supervision (2021). Three
of OpenAI's networks have names of their own; `open_clip:ARCHITECTURE/TAG` names any that open_clip
publishes, such as `open_clip:ViT-B-32/laion2b_s34b_b79k`, with its own preprocessing.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.errors import InputError, WeightsRefusedError
from aina_core.models.parts import not_in_place
from aina_core.models.spec import ModelSpec, Recipe, register, register_scheme
from aina_core.models.weights import FirstOf, FolderFile, fill, hub_file, load_tensors

if TYPE_CHECKING:
    import torch

_SCHEME = "open_clip"
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_PAPER = "https://arxiv.org/abs/2103.00020"
_LICENSE_OF_TAG = {"openai": "MIT", "laion": "MIT"}
#: What OpenAI's archives keep beside their weights.
_SETTINGS = ("input_resolution", "context_length", "vocab_size")


def network(architecture: str, quick_gelu: bool) -> Any:
    """Return open_clip's network with random weights; its image tower is what is called.

    Args:
        architecture: open_clip's name.
        quick_gelu: OpenAI's networks, and some others, were trained with x · sigmoid(1.702 x) for
            GELU; with the other one their embeddings are silently worse.
    """
    import open_clip
    from torch import nn

    class CLIP(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with _quiet():
                model = open_clip.create_model(
                    architecture, pretrained=None, force_quick_gelu=quick_gelu
                )
            self.model: Any = not_in_place(model)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.model.encode_image(pictures)  # (n, dim)

        def encode_text(self, texts: list[str]) -> torch.Tensor:
            tokens = _tokenizer(architecture)(texts).to(self.model.logit_scale.device)
            return self.model.encode_text(tokens)  # (n, dim)

    return CLIP().eval()


@functools.cache
def _tokenizer(architecture: str) -> Any:
    import open_clip

    return open_clip.get_tokenizer(architecture)


class _quiet:  # noqa: N801  used as a statement
    """Without open_clip's warning that a network was made without weights: they come after."""

    def __enter__(self) -> None:
        logging.getLogger().addFilter(self.passes)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeFilter(self.passes)

    @staticmethod
    def passes(record: logging.LogRecord) -> bool:
        return "No pretrained weights loaded" not in record.getMessage()


def load(wrapped: Any, path: Path, script_sha256: str = "") -> None:
    """Fill the network from a file of any of open_clip's sources, as open_clip itself would.

    Args:
        wrapped: what `network` returned.
        path: of the file.
        script_sha256: see `load_tensors`.
    """
    import torch
    from open_clip.convert import convert_state_dict
    from open_clip.model import (
        convert_to_custom_text_state_dict,
        resize_pos_embed,
        resize_text_pos_embed,
    )

    model = wrapped.model
    tensors = load_tensors(path, inside="state_dict", script_sha256=script_sha256)
    tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    for setting in _SETTINGS:
        tensors.pop(setting, None)
    own = model.state_dict()
    try:
        tensors = convert_state_dict(model, tensors)
        if "positional_embedding" in tensors and "positional_embedding" not in own:
            tensors = convert_to_custom_text_state_dict(tensors)
        for scalar in ("logit_scale", "logit_bias"):
            if scalar in tensors and scalar in own:
                tensors[scalar] = tensors[scalar].reshape(own[scalar].shape)
        tensors.pop("text.transformer.embeddings.position_ids", None)
        if "logit_bias" in own and "logit_bias" not in tensors:
            tensors["logit_bias"] = torch.zeros_like(own["logit_bias"])
        resize_pos_embed(tensors, model)
        resize_text_pos_embed(tensors, model)
    except (KeyError, RuntimeError, ValueError, AttributeError, TypeError):
        raise WeightsRefusedError(f"The weights {path.name} are not those of a CLIP.") from None
    fill(model, tensors, path)


def _openai(model: str, file: str, sha256: str, size: int, repository: str) -> FirstOf:
    """OpenAI's own TorchScript archive, or open_clip's copy of it as plain tensors."""
    url = f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}"
    archive = FolderFile(model, file, url, sha256, size, script=True)
    return FirstOf((archive, hub_file(model, f"timm/{repository}", "open_clip_model.safetensors")))


_VIT_LAYER = "model.visual.transformer.resblocks.11.ln_1"
for _name, _architecture, _dim, _layer, _prefix, _sha256, _size, _repository in (
    (
        "clip-vit-b-32",
        "ViT-B-32",
        512,
        _VIT_LAYER,
        1,
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        354_000_000,
        "vit_base_patch32_clip_224.openai",
    ),
    (
        "clip-vit-b-16",
        "ViT-B-16",
        512,
        _VIT_LAYER,
        1,
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        351_000_000,
        "vit_base_patch16_clip_224.openai",
    ),
    (
        "clip-rn50",
        "RN50",
        1024,
        "model.visual.layer4.2",
        None,
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        256_000_000,
        "resnet50_clip.openai",
    ),
):
    register(
        ModelSpec(
            name=_name,
            family="CLIP",
            dim=_dim,
            recipe=Recipe(224, 224, mean=_MEAN, std=_STD),
            weights=_openai(_name, f"{_architecture}.pt", _sha256, _size, _repository),
            network=functools.partial(network, _architecture, quick_gelu=True),
            load=functools.partial(load, script_sha256=_sha256),
            license="MIT",
            paper=_PAPER,
            layer=_layer,
            prefix_tokens=_prefix,
            text=True,
        )
    )


# ── any of open_clip's ───────────────────────────────────────────────────────────────────────────


@functools.lru_cache(maxsize=64)
def _resolve(name: str) -> ModelSpec:
    """Return the spec of `open_clip:ARCHITECTURE/TAG`, the tag being the first one by default.

    Raises:
        InputError: open_clip knows no such architecture or tag, or its preprocessing is not ours.
    """
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    architecture, _, tag = name.partition(":")[2].partition("/")
    if architecture not in open_clip.list_models():
        raise InputError(
            f"open_clip has no architecture {architecture!r}; some that it has: ViT-B-32, "
            "ViT-L-14, RN50, convnext_base_w."
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    tag = tag or next(iter(tags), "")
    if tag not in tags:
        known = ", ".join(tags) or "none"
        raise InputError(f"open_clip has no weights {tag!r} of {architecture}; its tags: {known}.")
    config = open_clip.get_model_config(architecture)
    published = get_pretrained_cfg(architecture, tag)
    layer, prefix = _layer_of(config["vision_cfg"])
    weights = _source_of(name, published)
    script_sha256 = weights.files[0].sha256 if weights.files[0].script else ""
    return ModelSpec(
        name=name,
        family="open_clip",
        dim=config["embed_dim"],
        recipe=_recipe(name, config["vision_cfg"], published),
        weights=weights,
        network=functools.partial(network, architecture, bool(published.get("quick_gelu"))),
        load=functools.partial(load, script_sha256=script_sha256),
        license=next((of for start, of in _LICENSE_OF_TAG.items() if tag.startswith(start)), ""),
        paper=_PAPER if tag == "openai" else "",
        layer=layer,
        prefix_tokens=prefix,
        text=_own_tokenizer(architecture, config["text_cfg"]),
    )


def _recipe(name: str, vision: dict[str, Any], published: dict[str, Any]) -> Recipe:
    side, mode = vision["image_size"], published.get("resize_mode", "shortest")
    interpolation = published.get("interpolation", "bicubic")
    if isinstance(side, (list, tuple)):
        side = side[0] if side[0] == side[1] else None
    if side is None or mode == "longest" or interpolation not in ("bicubic", "bilinear"):
        raise InputError(f"The preprocessing of {name} is not one that AINA has.")
    mean, std = tuple(published.get("mean", _MEAN)), tuple(published.get("std", _STD))
    return Recipe(side, side, mean, std, interpolation, squash=mode == "squash")


def _layer_of(vision: dict[str, Any]) -> tuple[str, int | None]:
    """Where explanations look, and how many tokens are not of a place there."""
    layers: Any = vision.get("layers")
    if "timm_model_name" in vision:
        return "", None
    if isinstance(layers, list):
        return f"model.visual.layer4.{layers[3] - 1}", None
    return f"model.visual.transformer.resblocks.{layers - 1}.ln_1", 1


def _own_tokenizer(architecture: str, text: dict[str, Any]) -> bool:
    """Whether texts can be tokenised without a download that was not asked for."""
    return not text.get("hf_tokenizer_name") and "siglip" not in architecture.lower()


def _source_of(name: str, published: dict[str, Any]) -> FirstOf:
    """The file that a tag stands for, at its address or on the hub."""
    found: list[FolderFile] = []
    if url := published.get("url", ""):
        *_, folder, file = url.split("/")
        sha256 = folder if "openaipublic" in url else ""
        if "mlfoundations" in url:
            sha256 = Path(file).stem.rpartition("-")[2]
        found.append(FolderFile(name, file, url, sha256, script=bool(folder == sha256)))
    if hub := published.get("hf_hub", ""):
        repository, _, file = hub.rpartition("/")
        wanted = [file] if file else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
        found.extend(hub_file(name, repository, each) for each in wanted)
    return FirstOf(tuple(found))


register_scheme(_SCHEME, _resolve)
