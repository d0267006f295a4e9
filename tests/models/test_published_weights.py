"""Loading the published files: checkpoints in exactly their format, held against compositions that
know nothing of AINA.

Each is written from a network with random weights, put into the folder of weights, and loaded as a
fetched one would be. Only the published hash, which no random file can have, is replaced by the
file's own.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aina_core import images, models
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import preprocess
from aina_core.models import checksum
from aina_core.models import spec as registry
from aina_core.models.weights import FirstOf, FolderFile

slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights."""
    monkeypatch.setenv("AINA_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a checkpoint to where a model's published file belongs; returns the model's spec."""

    def write(name: str, save: Any, form: int = 0) -> models.ModelSpec:
        known = models.get(name)
        source = known.weights
        file = source.files[form] if isinstance(source, FirstOf) else source
        assert isinstance(file, FolderFile)
        path = folder / file.file
        path.parent.mkdir(parents=True, exist_ok=True)
        assert models.state(name).status == "missing"
        save(path)
        if file.sha256:
            assert models.state(name).status == "refused", "a random file is not the published one"
            assert "SHA-256" in models.state(name).reason
            own = checksum(path)[: len(file.sha256)]
            known = dataclasses.replace(known, weights=dataclasses.replace(file, sha256=own))
            if file.script:
                load = functools.partial(known.load.func, script_sha256=own)
                known = dataclasses.replace(known, load=load)
            monkeypatch.setitem(registry._SPECS, name, known)
        assert models.state(name).status == "ready"
        assert models.state(name).path == path
        return known

    return write


@functools.cache
def photographs(count: int = 2) -> tuple[np.ndarray, ...]:
    """Real photographs, uint8 (height, width, 3)."""
    return tuple(np.asarray(images.read_image(p.path())) for p in PHOTOGRAPHS[:count])


def batch_of(spec: models.ModelSpec) -> Any:
    """The photographs as the network takes them, float32 (n, 3, crop, crop)."""
    seen = np.stack([preprocess(pixels, spec.recipe) for pixels in photographs()])
    batch = torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (spec.recipe.mean, spec.recipe.std))
    return (batch - mean) / std


def unit(rows: Any) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def same(ours: Any, reference: Any) -> None:
    assert ours.dtype == torch.float32 and ours.shape == reference.shape
    np.testing.assert_allclose(unit(ours), unit(reference), rtol=0, atol=1e-5)


def lively(module: Any, seed: int = 0) -> Any:
    """Give batch normalisations statistics of their own: fresh ones hide exchanged tensors."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            for tensor, low, high in (
                *((part.running_mean, -0.1, 0.1), (part.running_var, 0.8, 1.2)),
                *((part.weight.data, 0.8, 1.2), (part.bias.data, -0.1, 0.1)),
            ):
                tensor.copy_(torch.empty_like(tensor).uniform_(low, high, generator=generator))
    return module.eval()


# ── torchvision ──────────────────────────────────────────────────────────────────────────────────


def old_tensors(module: Any) -> dict[str, Any]:
    """The tensors as those files keep them that are older than counts of batches."""
    state = module.state_dict()
    return {key: value for key, value in state.items() if "num_batches" not in key}


def torchvision_network(architecture: str) -> Any:
    import torchvision

    torch.manual_seed(7)
    return lively(getattr(torchvision.models, architecture)(weights=None))


@pytest.mark.parametrize(
    ("name", "legacy"),
    [
        ("resnet18", True),
        ("resnet18", False),
        pytest.param("resnet34", True, marks=slow),
        pytest.param("resnet50", True, marks=slow),
        pytest.param("resnet152", True, marks=slow),
    ],
)
def test_resnet(name, legacy, published):
    reference = torchvision_network(name)
    tensors = old_tensors(reference) if legacy else reference.state_dict()
    spec = published(
        name,
        lambda path: torch.save(tensors, path, _use_new_zipfile_serialization=not legacy),
    )
    ours, batch = models.load_network(spec), batch_of(spec)
    with torch.inference_mode():
        logits = reference(batch)
        reference.fc = torch.nn.Identity()
        rows = ours(batch)
        same(rows, reference(batch))
        same(ours.classify(rows), logits)


@slow
def test_resnet50_logits(published):
    reference = torchvision_network("resnet50")
    spec = published("resnet50-logits", lambda path: torch.save(old_tensors(reference), path))
    ours, batch = models.load_network(spec), batch_of(spec)
    with torch.inference_mode():
        rows = ours(batch)
        same(rows, reference(batch))
        assert rows.shape[1] == spec.dim == 1000 and torch.equal(ours.classify(rows), rows)


@slow
@pytest.mark.parametrize(("name", "layers"), [("vgg16", 5), ("vgg16-pre-relu", 4)])
def test_vgg16(name, layers, published):
    reference = torchvision_network("vgg16")
    spec = published(name, lambda path: torch.save(reference.state_dict(), path))
    ours, batch = models.load_network(spec), batch_of(spec)
    with torch.inference_mode():
        maps = reference.avgpool(reference.features(batch)).flatten(1)
        expected = maps
        for number in range(layers):  # dense, ReLU, dropout, dense and, for vgg16, ReLU
            expected = reference.classifier[number](expected)
        assert bool((expected < 0).any()) == (layers == 4)
        rows = ours(batch)
        same(rows, expected)
        same(ours.classify(rows), reference(batch))


def test_densenet201_in_its_old_names(published):
    reference = torchvision_network("densenet201")
    old = {
        # "denselayer1.norm1.weight" was "denselayer1.norm.1.weight" when the file was written
        ".".join(
            f"{part[:-1]}.{part[-1]}" if part in ("norm1", "norm2", "conv1", "conv2") else part
            for part in key.split(".")
        )
        if "denselayer" in key
        else key: tensor
        for key, tensor in old_tensors(reference).items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    spec = published("densenet201", lambda path: torch.save(old, path))
    ours, batch = models.load_network(spec), batch_of(spec)
    with torch.inference_mode():
        logits = reference(batch)
        reference.classifier = torch.nn.Identity()
        rows = ours(batch)
        same(rows, reference(batch))
        same(ours.classify(rows), logits)


# ── CLIP ─────────────────────────────────────────────────────────────────────────────────────────

TEXTS = ["a photograph of a cat", "coffee", "ein Wort, that nobody says: 🙂", ""]


def clip_network(architecture: str) -> Any:
    """open_clip's network with weights that half precision keeps, as OpenAI published them."""
    import open_clip

    torch.manual_seed(3)
    network = lively(open_clip.create_model(architecture, pretrained=None, force_quick_gelu=True))
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().float())
    return network


def save_openai(network: Any, path: Path) -> None:
    """Write a TorchScript archive in half precision with OpenAI's settings beside the weights."""

    class Archive(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, child in network.named_children():
                self.add_module(name, plain_tree(child))
            for name, tensor in network.named_parameters(recurse=False):
                self.register_parameter(name, torch.nn.Parameter(tensor.half()))
            for name, number in (
                ("input_resolution", 224),
                ("context_length", 77),
                ("vocab_size", 49408),
            ):
                self.register_buffer(name, torch.tensor(number))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.save(torch.jit.script(Archive()), path)


def plain_tree(module: Any) -> Any:
    """Modules without code that hold the same tensors under the same names."""

    class Node(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    node = Node()
    for name, tensor in module.named_parameters(recurse=False):
        node.register_parameter(name, torch.nn.Parameter(tensor.half()))
    for name, tensor in module.named_buffers(recurse=False):
        kept = tensor.half() if tensor.is_floating_point() else tensor
        node.register_buffer(name, kept, persistent=name in module.state_dict())
    for name, child in module.named_children():
        node.add_module(name, plain_tree(child))
    return node


def save_hub(network: Any, path: Path) -> None:
    from safetensors.torch import save_file

    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)


@pytest.mark.parametrize(
    ("name", "architecture", "form"),
    [
        ("clip-vit-b-32", "ViT-B-32", "archive"),
        pytest.param("clip-vit-b-32", "ViT-B-32", "hub", marks=slow),
        pytest.param("clip-vit-b-16", "ViT-B-16", "archive", marks=slow),
        pytest.param("clip-vit-b-16", "ViT-B-16", "hub", marks=slow),
        pytest.param("clip-rn50", "RN50", "archive", marks=slow),
        pytest.param("clip-rn50", "RN50", "hub", marks=slow),
    ],
)
def test_clip(name, architecture, form, published):
    reference = clip_network(architecture)
    save = save_openai if form == "archive" else save_hub
    spec = published(name, lambda path: save(reference, path), form=int(form == "hub"))
    check_clip(spec, architecture, reference)


def check_clip(spec: models.ModelSpec, architecture: str, reference: Any) -> None:
    import open_clip

    ours, batch = models.load_network(spec), batch_of(spec)
    tokens = open_clip.get_tokenizer(architecture)(TEXTS)
    with torch.inference_mode():
        same(ours(batch), reference.encode_image(batch))
        same(ours.encode_text(TEXTS), reference.encode_text(tokens))
        assert ours.encode_text(TEXTS).shape == (len(TEXTS), spec.dim)


@slow
def test_clip_with_the_other_gelu_would_differ(published):
    """OpenAI's weights in a network with the usual GELU load without a word, and are worse."""
    import open_clip

    reference = clip_network("ViT-B-32")
    spec = published("clip-vit-b-32", lambda path: save_openai(reference, path))
    other = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    other.load_state_dict(reference.state_dict())
    batch = batch_of(spec)
    with torch.inference_mode():
        ours = models.load_network(spec)(batch)
        cosines = (unit(ours) * unit(other.encode_image(batch))).sum(1)
    assert cosines.max() < 1 - 1e-4


@slow
def test_another_tag_of_open_clip(published):
    """A tag of the hub, trained with the usual GELU, in a training run's container."""
    import open_clip

    torch.manual_seed(5)
    reference = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    spec = published(
        "open_clip:ViT-B-32/laion2b_s34b_b79k",
        lambda path: torch.save(
            {
                "epoch": 3,
                "state_dict": {f"module.{k}": v for k, v in reference.state_dict().items()},
            },
            path,
        ),
        form=1,
    )
    assert spec.weights.locate().name == "open_clip_pytorch_model.bin"
    check_clip(spec, "ViT-B-32", reference)


# ── descriptors of copies ────────────────────────────────────────────────────────────────────────


def gem(maps: Any, p: float) -> Any:
    """Generalised mean pooling, term by term."""
    n, channels = maps.shape[:2]
    places = torch.clamp(maps, min=1e-6).reshape(n, channels, -1)
    return ((places**p).sum(2) / places.shape[2]) ** (1 / p)


def test_isc21(published):
    import timm

    torch.manual_seed(11)
    backbone = lively(
        timm.create_model("tf_efficientnetv2_m.in21k_ft_in1k", pretrained=False, features_only=True)
    )
    for part in backbone.modules():  # they measure what they see: else the last maps are nothing
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        backbone.train()(torch.randn(2, 3, 128, 128))
        backbone.eval()
    fc, bn = torch.nn.Linear(512, 256, bias=False), lively(torch.nn.BatchNorm1d(256))
    parts = {"backbone": backbone, "fc": fc, "bn": bn}
    state = {
        f"module.{part}.{key}": tensor
        for part, module in parts.items()
        for key, tensor in module.state_dict().items()
    }
    assert len(state) == 1118, "as many as the published file has"
    checkpoint = {
        "epoch": 7,
        "arch": "tf_efficientnetv2_m_in21ft1k",
        "state_dict": state,
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
        "args": argparse.Namespace(input_size=512, gem_p=1.0, dim=256, workers=8, seed=None),
    }
    spec = published("isc21", lambda path: torch.save(checkpoint, path))
    batch = batch_of(spec)
    with torch.inference_mode():
        maps = backbone(batch)[-1]
        assert 0.1 < (maps > 1e-6).float().mean() < 0.9, "what is clamped, and what is not"
        same(models.load_network(spec)(batch), bn(fc(gem(maps, 1.0))))


def test_sscd(published):
    import torchvision

    torch.manual_seed(13)
    reference = lively(torchvision.models.resnet50(num_classes=512))
    state = {f"backbone.{key}": tensor for key, tensor in reference.state_dict().items()}
    assert len(state) == 320, "as many as the published file has"
    spec = published("sscd", lambda path: torch.save(state, path))
    batch = batch_of(spec)
    maps = {}
    reference.layer4.register_forward_hook(lambda *call: maps.update(last=call[2]))
    with torch.inference_mode():
        reference(batch)
        same(models.load_network(spec)(batch), reference.fc(gem(maps["last"], 3.0)))


# ── timm ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_network_of_timms(published):
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(17)
    reference = lively(timm.create_model("mobilenetv3_small_050", pretrained=False))
    name = "timm:mobilenetv3_small_050"
    spec = published(name, lambda path: save_file(reference.state_dict(), path))
    assert spec.weights.locate().name == "model.safetensors"
    ours, batch = models.load_network(spec), batch_of(spec)
    with torch.inference_mode():
        rows = ours(batch)
        same(rows, reference.forward_head(reference.forward_features(batch), pre_logits=True))
        same(ours.classify(rows), reference(batch))


# ── EfficientNet-Lite: real weights ──────────────────────────────────────────────────────────────

SEEN = {
    "camera": {"tripod"},
    "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
    "china": {"palace"},
    "coffee": {"espresso"},
    "motorcycle_left": {"moped", "motor scooter"},
    "motorcycle_right": {"moped", "motor scooter"},
}


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_efficientnet_lite_names_what_it_sees(name):
    spec = models.get(name)
    network, names = models.load_network(spec), models.class_names(spec)
    found = {}
    for photograph in PHOTOGRAPHS:
        if photograph.name in SEEN:
            seen = preprocess(np.asarray(images.read_image(photograph.path())), spec.recipe)
            batch = torch.from_numpy(seen)[None].permute(0, 3, 1, 2).float()
            batch = (batch / 255 - 127 / 255) / (128 / 255)
            with torch.inference_mode():
                found[photograph.name] = names[int(network.classify(network(batch)).argmax())]
    assert found.keys() == SEEN.keys()
    assert {who: what for who, what in found.items() if what not in SEEN[who]} == {}
