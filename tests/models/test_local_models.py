"""Models without code: by timm's and open_clip's names, and by descriptions of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from aina_core import models
from aina_core.embedding import load_embedder
from aina_core.errors import InputError, WeightsRefusedError

NAMES = [f"bird {number}" for number in range(6)] + ["bird 0"]
TOML = """
base = "{base}"
file = "{file}"
dim = {dim}
"""
RECIPE = """
[recipe]
resize = 80
crop = 64
mean = [0.5, 0.4, 0.3]
std = [0.2, 0.25, 0.3]
interpolation = "bilinear"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AINA_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("AINA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def describe(folder: Path, text: str, name: str = "birds") -> str:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return f"local:{name}"


@pytest.fixture
def birds(folder: Path) -> str:
    """A resnet18 of torchvision's that tells seven birds apart, at 64 pixels."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None, num_classes=7)
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, folder / "birds.pth")
    (folder / "birds.txt").write_text("\n".join(NAMES) + "\n")
    text = TOML.format(base="torchvision:resnet18", file="birds.pth", dim=512)
    return describe(folder, text + 'classes = "birds.txt"\nlicense = "CC0 1.0"\n' + RECIPE)


def test_a_checkpoint_of_ones_own(birds, folder, home, pictures):
    assert birds in models.names() and models.state(birds).status == "ready"
    spec = models.get(birds)
    assert (spec.dim, spec.license, spec.convolutional) == (512, "CC0 1.0", True)
    assert spec.layer == "trunk.layer4" and spec.recipe.crop == 64
    names = models.class_names(spec)
    assert names == ("bird 0 (0)", *NAMES[1:6], "bird 0 (6)")
    network = models.load_network(spec)
    reference = torchvision.models.resnet18(weights=None, num_classes=7)
    reference.load_state_dict(torch.load(folder / "birds.pth", weights_only=True)["state_dict"])
    batch = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        logits = reference.eval()(batch)
        np.testing.assert_allclose(network.classify(network(batch)), logits, atol=1e-5)
    rows = load_embedder(birds, device="cpu", runtime="torch").embed(pictures[:1])
    assert rows.shape == (1, 512)
    np.testing.assert_allclose(np.linalg.norm(rows), 1, atol=1e-5)
    assert models.get("local:birds.toml").dim == 512


def test_a_description_is_read_again_when_it_changes(birds, folder):
    assert models.get(birds).license == "CC0 1.0"
    describe(folder, (folder / "birds.toml").read_text().replace("CC0 1.0", "CC BY 4.0"))
    assert models.get(birds).license == "CC BY 4.0"


def test_a_network_of_timms_with_classes_of_ones_own(folder):
    import timm

    torch.manual_seed(0)
    network = timm.create_model("test_resnet", pretrained=False, num_classes=7).eval()
    save_file(network.state_dict(), folder / "b.safetensors")
    text = TOML.format(base="timm:test_resnet", file="b.safetensors", dim=network.num_features)
    spec = models.get(describe(folder, text + "classes = 7\n"))
    assert spec.classes == "" and spec.layer and spec.recipe.crop == 160
    ours, batch = models.load_network(spec), torch.randn(1, 3, 160, 160)
    with torch.inference_mode():
        np.testing.assert_allclose(ours.classify(ours(batch)), network(batch), atol=1e-5)


def test_weights_that_are_not_there_or_others(birds, folder):
    (folder / "birds.pth").rename(folder / "gone.pth")
    state = models.state(birds)
    assert state.status == "missing" and str(folder / "birds.pth") in state.reason
    with pytest.raises(InputError, match=r"not fetched: they come from birds\.toml"):
        models.fetch(birds)
    torch.save({"a": torch.zeros(1)}, folder / "birds.pth")
    with pytest.raises(WeightsRefusedError, match="do not fit the network"):
        models.load_network(models.get(birds))
    text = (folder / "birds.toml").read_text()
    describe(folder, text.replace("dim = 512", 'dim = 512\nsha256 = "00000000"'))
    assert models.state(birds).status == "refused" and "SHA-256" in models.state(birds).reason


BASE = TOML.format(base="torchvision:resnet18", file="birds.pth", dim=512)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("base = [", "birds.toml cannot be read: "),
        ("", "base is missing; it must be a text"),
        ('base = "resnet18"', "base is 'resnet18'; it must be like \"timm:resnet50\""),
        ('base = "keras:x"', 'must be like "timm:resnet50"'),
        ('base = "torchvision:resnet9"', "one of torchvision's classifiers"),
        ('base = "timm:resnet9x"', "timm has no network 'resnet9x'"),
        ('base = "open_clip:nope"', "open_clip has no architecture 'nope'"),
        ('base = "open_clip:ViT-B-32"\nclasses = 3', "classes is 3; it must be left out"),
        (BASE.replace("512", "2048"), "dim is 2048; it must be 512, as resnet18 gives"),
        (BASE.replace("dim = 512", ""), "dim is missing; it must be 512"),
        (BASE.replace('file = "birds.pth"', "file = 3"), "file is 3; it must be a text"),
        (BASE + "colour = 1", "colour means nothing; known: base, classes, dim"),
        (BASE + 'sha256 = "xyz"', "sha256 is 'xyz'; it must be 8 to 64 digits"),
        (BASE + 'paper = "javascript:x"', "paper is 'javascript:x'; it must be an address"),
        (BASE + "classes = true", "classes is True; it must be a file of names"),
        (BASE + 'classes = "no.txt"', r"names of classes in .*no\.txt cannot be read: No such"),
        (BASE + "recipe = 3", "recipe is 3; it must be a table of its own"),
        (BASE + RECIPE + "zoom = 3", "zoom means nothing; known: crop, interpolation"),
        (BASE + RECIPE.replace("80", "20"), "recipe.crop is 64; it must be at most resize, 20"),
        (BASE + RECIPE.replace("80", "true"), "recipe.resize is True; it must be a whole number"),
        (BASE + RECIPE.replace("80", "400000"), "recipe.resize is 400000"),
        (BASE + RECIPE.replace("0.2, ", ""), r"recipe.std is \[0.25, 0.3\]; it must be three"),
        (BASE + RECIPE.replace("0.2, ", "0, "), "recipe.std is "),
        (BASE + RECIPE.replace("0.5, ", "nan, "), "recipe.mean is "),
        (BASE + RECIPE.replace("bilinear", "nearest"), "recipe.interpolation is 'nearest'"),
        (BASE + RECIPE + "squash = 1", "recipe.squash is 1; it must be true or false"),
    ],
)
def test_a_wrong_description_is_refused_in_one_sentence(text, reason, folder, home):
    name = describe(folder, text)
    with pytest.raises(InputError, match=reason) as caught:
        models.get(name)
    assert "\n" not in str(caught.value)
    state = models.state(name)
    assert state.status == "refused" and state.reason == str(caught.value)
    assert name in models.names(), "it stands in the list with its reason"


@pytest.mark.parametrize("name", ["local:nope", "local:../birds", "local:/etc/passwd", "local:a/b"])
def test_a_description_is_looked_for_among_the_weights_only(name, folder, birds):
    (folder.parent / "birds.toml").write_text((folder / "birds.toml").read_text())
    with pytest.raises(InputError, match=r"no description .* described there: local:birds"):
        models.get(name)


# ── names ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("timm:resnet9x", "timm has no network 'resnet9x'; some that it has: resnet"),
        ("timm:resnet18.nope", "no weights 'nope' of resnet18; its tags: a1_in1k"),
        ("timm:resnet18/../../x", "timm has no network"),
        ("open_clip:nope", "no architecture 'nope'; some that it has: ViT-B-32"),
        ("open_clip:ViT-B-32/nope", "no weights 'nope' of ViT-B-32; its tags: openai"),
        ("nope:x", "no model named 'nope:x'. Known: .*open_clip:….*timm:…"),
        ("timm:", "no model named 'timm:'"),
    ],
)
def test_names_that_do_not_exist(name, reason, home):
    with pytest.raises(InputError, match=reason):
        models.get(name)
    with pytest.raises(InputError):
        models.add(name)
    assert name not in models.names()


@pytest.mark.parametrize(
    ("name", "dim", "layer", "prefix", "convolutional", "classes"),
    [
        ("timm:resnet18", 512, "trunk.layer4", None, True, "imagenet-1k"),
        ("timm:mobilenetv3_small_050", 1024, "trunk.blocks.5", None, True, "imagenet-1k"),
        ("timm:swin_tiny_patch4_window7_224", 768, "", None, False, "imagenet-1k"),
        ("timm:vit_small_patch14_dinov2", 384, "trunk.blocks.11.norm1", 1, False, ""),
    ],
)
def test_what_is_found_out_of_timms_networks(name, dim, layer, prefix, convolutional, classes):
    spec = models.get(name)
    assert (spec.dim, spec.layer, spec.prefix_tokens) == (dim, layer, prefix)
    assert (spec.convolutional, spec.classes) == (convolutional, classes)


def test_added_models_are_offered_until_they_are_forgotten(home, folder):
    before = models.names()
    assert models.add(" timm:resnet18 ") == "timm:resnet18"
    assert models.names() == (*before, "timm:resnet18")
    assert models.state("timm:resnet18").status == "missing"
    assert "timm/resnet18.a1_in1k/model.safetensors" in models.state("timm:resnet18").reason
    with pytest.raises(InputError, match="is offered already"):
        models.add("timm:resnet18")
    models.forget("timm:resnet18")
    assert models.names() == before
    with pytest.raises(InputError, match="was not added; added: none"):
        models.forget("timm:resnet18")


@pytest.mark.parametrize("content", ["{", "[]", '{"models": 3}', '{"models": [3, null]}'])
def test_a_damaged_list_of_added_models_hides_no_other(content, home):
    home.mkdir()
    (home / "models.json").write_text(content)
    assert models.names() == models.registered()
