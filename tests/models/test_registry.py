"""What holds for every model, with random weights: the contract of the registry with the rest."""

from __future__ import annotations

import dataclasses
import gc
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aina_core import images, models
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import load_embedder, preprocess
from aina_core.models import spec as registry
from aina_core.models.weights import FirstOf

#: Built in every run; the others stand for the same families and are larger.
QUICK = ["efficientnet-lite0", "resnet18", "densenet201", "clip-vit-b-32"]
FURTHER = [
    "timm:mobilenetv3_small_050",
    "timm:vit_tiny_patch16_224",
    "open_clip:ViT-B-32/laion2b_s34b_b79k",
]
CONVERTED = ["resnet18"]
BUILT = [
    pytest.param(name, marks=() if name in QUICK or name.startswith("timm") else pytest.mark.slow)
    for name in (*models.registered(), *FURTHER)
]


@dataclass(frozen=True)
class AnyFile:
    """A source of weights whose file nobody reads."""

    path: Path
    file: str = "random"
    size: int = 0
    origin: str = "a test"

    def locate(self) -> Path:
        return self.path


@pytest.fixture(scope="module", params=BUILT)
def model(request, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A model whose network has random weights, built once for all that is asked of it."""
    gc.collect()  # the network before
    folder = tmp_path_factory.mktemp("random")
    (folder / "weights").write_text(request.param)
    torch.manual_seed(1)
    spec = models.get(request.param)
    network = spec.network()
    if spec.family == "ISC21":
        calibrate(network.backbone)
    spec = dataclasses.replace(
        spec,
        weights=AnyFile(folder / "weights"),
        network=lambda: network,
        load=lambda network, path: None,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._SPECS, spec.name, spec)
        patch.setenv("AINA_CACHE", str(folder))
        yield SimpleNamespace(name=request.param, spec=spec, network=network)


def calibrate(network: Any) -> None:
    """Give a deep network of residual blocks maps that are more than nothing, and not chaotic: each
    block adds little to its input, and batch normalisations have measured what they see."""
    for name, part in network.named_modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
            if name.endswith(("bn2", "bn3")):
                torch.nn.init.constant_(part.weight, 0.1)
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 256, 256))
    network.eval()


def photograph(number: int = 0) -> Image.Image:
    return images.read_image(PHOTOGRAPHS[number].path())


def batch_of(spec: models.ModelSpec, count: int = 2) -> Any:
    """Photographs as the network takes them, float32 (n, 3, crop, crop)."""
    seen = [preprocess(np.asarray(photograph(number)), spec.recipe) for number in range(count)]
    batch = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (spec.recipe.mean, spec.recipe.std))
    return (batch - mean) / std


def unit(rows: Any) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ── embeddings ───────────────────────────────────────────────────────────────────────────────────


def test_an_embedding_is_a_unit_row_and_the_same_every_time(model):
    embedder = load_embedder(model.name, device="cpu", runtime="torch")
    first, again = embedder.embed([photograph()]), embedder.embed([photograph()])
    assert first.shape == (1, model.spec.dim) and first.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(first, again)
    with torch.inference_mode():
        rows = model.network(batch_of(model.spec, 1))
    np.testing.assert_allclose(first, unit(rows), atol=1e-5)


def test_a_batch_gives_what_its_pictures_give_alone(model):
    batch = batch_of(model.spec)
    with torch.inference_mode():
        together = model.network(batch)
        alone = torch.cat([model.network(picture[None]) for picture in batch])
    np.testing.assert_allclose(unit(together), unit(alone), rtol=0, atol=1e-5)
    assert not np.allclose(unit(together)[0], unit(together)[1], atol=1e-4), "two photographs"


def test_convolutional_networks_take_pictures_of_any_size(model):
    side = model.spec.recipe.crop
    if model.spec.convolutional:
        with torch.inference_mode():
            rows = model.network(torch.rand(1, 3, side + 64, side + 32))
        assert rows.shape == (1, model.spec.dim) and bool(rows.isfinite().all())


# ── classes, texts, explanations ─────────────────────────────────────────────────────────────────


def test_classes(model):
    names = models.class_names(model.spec)
    assert bool(names) == bool(model.spec.classes)
    if names:
        with torch.inference_mode():
            logits = model.network.classify(model.network(batch_of(model.spec)))
        assert logits.shape == (2, len(names)) and len(set(names)) == len(names)


def test_texts(model):
    if model.spec.text:
        with torch.inference_mode():
            rows = model.network.encode_text(["a cat", "a teapot", "a cat"])
        assert rows.shape == (3, model.spec.dim) and rows.dtype == torch.float32
        np.testing.assert_allclose(rows[0], rows[2], atol=1e-5)
        assert not np.allclose(unit(rows)[0], unit(rows)[1], atol=1e-3)


def test_explanations_look_at_what_the_head_reads(model):
    spec, seen = model.spec, []
    assert spec.layer, "each of these can be looked into"

    def replace(layer: Any, given: Any, output: Any) -> Any:
        seen.append(output.detach().clone().requires_grad_())
        return seen[-1]

    hook = model.network.get_submodule(spec.layer).register_forward_hook(replace)
    try:
        row = model.network(batch_of(spec, 1))
    finally:
        hook.remove()
    (maps,) = seen
    before = maps.detach().clone()
    (row * torch.linspace(-1, 1, spec.dim)).sum().backward()
    assert torch.equal(maps.detach(), before), "nothing writes over what was captured"
    places = maps.grad
    if spec.prefix_tokens is not None:
        places = maps.grad[:, spec.prefix_tokens :]  # (1, h·w, channels)
        assert math.isqrt(places.shape[1]) ** 2 == places.shape[1] > 1
    else:
        assert maps.ndim == 4 and maps.shape[2] == maps.shape[3] > 1
    assert bool((places != 0).any()), "places have a gradient"


# ── runtimes ─────────────────────────────────────────────────────────────────────────────────────


def test_openvino_computes_the_same(model, request):
    if model.name not in CONVERTED and "not slow" in request.config.getoption("-m"):
        pytest.skip("converted with -m slow")
    check_openvino(model)


def check_openvino(model: SimpleNamespace) -> None:
    embedder = load_embedder(model.name, device="cpu", runtime="openvino")
    rows = embedder.embed([photograph(0), photograph(1)])
    with torch.inference_mode():
        expected = unit(model.network(batch_of(model.spec)))
    assert (rows * expected).sum(1).min() > 1 - 1e-5
    np.testing.assert_array_equal(rows, embedder.embed([photograph(0), photograph(1)]))


# ── what is published ────────────────────────────────────────────────────────────────────────────


def published_transform(name: str) -> Any:
    """The publisher's own preprocessing of a model."""
    import torchvision
    from torchvision import transforms

    spec = models.get(name)
    if spec.family in ("ResNet", "VGG", "DenseNet"):
        architecture = name.removesuffix("-logits").removesuffix("-pre-relu")
        return torchvision.models.get_model_weights(architecture)["IMAGENET1K_V1"].transforms()
    if spec.family in ("CLIP", "open_clip"):
        from open_clip.pretrained import get_pretrained_cfg
        from open_clip.transform import PreprocessCfg, image_transform_v2

        architecture, tag = CLIPS[name]
        config = get_pretrained_cfg(architecture, tag)
        known = {f.name for f in dataclasses.fields(PreprocessCfg)}
        settings = {key: value for key, value in config.items() if key in known}
        return image_transform_v2(PreprocessCfg(**{"size": 224, **settings}), is_train=False)
    if spec.family == "timm":
        import timm

        published = timm.get_pretrained_cfg(name.partition(":")[2]).to_dict()
        return timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=published))
    if spec.family == "EfficientNet-Lite":
        side, short = spec.recipe.crop, {224: 256, 240: 272, 260: 292}[spec.recipe.crop]
        resize = transforms.Resize(short, transforms.InterpolationMode.BICUBIC)
        grey = transforms.Normalize((127 / 255,) * 3, (128 / 255,) * 3)
        return transforms.Compose(
            [resize, transforms.CenterCrop(side), transforms.ToTensor(), grey]
        )
    side, mean, std = {
        "ISC21": (512, (0.5,) * 3, (0.5,) * 3),
        "SSCD": (320, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    }[spec.family]
    return transforms.Compose(
        [
            transforms.Resize([side, side]),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )


CLIPS = {
    "clip-vit-b-32": ("ViT-B-32", "openai"),
    "clip-vit-b-16": ("ViT-B-16", "openai"),
    "clip-rn50": ("RN50", "openai"),
    "open_clip:ViT-B-32/laion2b_s34b_b79k": ("ViT-B-32", "laion2b_s34b_b79k"),
}


@pytest.mark.parametrize("name", [*models.registered(), *FURTHER])
def test_preprocessing_is_as_published(name):
    recipe = models.get(name).recipe
    picture = photograph(3)
    assert picture.width != picture.height
    ours = torch.from_numpy(preprocess(np.asarray(picture), recipe)).permute(2, 0, 1).float()
    theirs = published_transform(name)(picture)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (recipe.mean, recipe.std))
    theirs = (theirs * std + mean) * 255
    assert ours.shape == theirs.shape
    difference = (ours - theirs).abs()
    assert difference.max() <= 2.01 and difference.mean() < 0.1  # grey levels: rounding alone


def test_torchvisions_files_are_those_of_its_own_list():
    import torchvision

    checked = 0
    for name in models.registered():
        spec = models.get(name)
        if spec.family in ("ResNet", "VGG", "DenseNet"):
            architecture = name.removesuffix("-logits").removesuffix("-pre-relu")
            published = torchvision.models.get_model_weights(architecture)["IMAGENET1K_V1"]
            assert spec.weights.url == published.url
            assert published.url.endswith(f"-{spec.weights.sha256}.pth")
            assert abs(spec.weights.size - published.meta["_file_size"] * 2**20) < 1000
            checked += 1
    assert checked == 8


@pytest.mark.parametrize("name", ["clip-vit-b-32", "clip-vit-b-16", "clip-rn50"])
def test_clips_files_are_those_of_open_clips_list(name):
    architecture, tag = CLIPS[name]
    named, listed = models.get(name), models.get(f"open_clip:{architecture}/{tag}")
    same = ("dim", "recipe", "layer", "prefix_tokens", "text", "convolutional", "classes")
    assert all(getattr(named, field) == getattr(listed, field) for field in same)
    assert isinstance(named.weights, FirstOf)
    for ours, theirs in zip(named.weights.files, listed.weights.files, strict=False):
        assert (ours.file, ours.url, ours.sha256) == (theirs.file, theirs.url, theirs.sha256)
        assert ours.script == theirs.script and ours.model == name
    assert named.network.keywords["quick_gelu"] and listed.network.args[1]


def test_all_the_names_of_the_sources_are_there():
    assert set(models.registered()) >= {
        *("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"),
        *("resnet18", "resnet34", "resnet50", "resnet152", "resnet50-logits"),
        *("vgg16", "vgg16-pre-relu", "densenet201", "isc21", "sscd"),
        *("clip-vit-b-32", "clip-vit-b-16", "clip-rn50"),
    }
