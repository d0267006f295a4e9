"""The Models page: what there is, fetching a model, adding one by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from aina_core import jobs, models
from aina_core.models import spec
from tests.support.app import App, unescaped


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights, and no models but AINA's own."""
    for name in ("tiny", "other-tiny"):  # where a test before has registered them
        monkeypatch.delitem(spec._SPECS, name, raising=False)
    monkeypatch.setenv("AINA_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def started(monkeypatch):
    """The jobs that the page starts, which are only written down."""
    found = []
    monkeypatch.setattr(jobs, "start", lambda title, words: found.append(list(words)) or "1-1")
    return found


def frame(app):
    return app.test.dataframe[0].value.set_index("model")


def test_the_table_says_what_can_be_used_and_how_to_get_the_rest(demo_gallery, folder):
    (folder / "resnet34-b627a593.pth").write_text("<html>not found</html>")
    app = App("models")
    table = frame(app)
    assert table.state["efficientnet-lite0"] == "ready" and table.reason["sscd"]
    assert table.state["resnet18"] == "missing" and "models fetch resnet18" in table.reason.resnet18
    assert table.state["resnet34"] == "refused" and "SHA-256 differs" in table.reason.resnet34
    assert table.dimension["vgg16"] == 4096 and table["input (px)"]["isc21"] == 512
    assert table["images/s here"]["efficientnet-lite0"] > 0, "the demo was indexed by it"
    assert table["images/s here"].drop("efficientnet-lite0").isna().all()
    assert table.texts.sum() == 3 and table.explains.all()
    assert "3 can be used · 12 to be fetched · 1 not accepted" in app.texts()


def test_fetching_is_a_job(home, folder, started):
    app = App("models")
    app.set("selectbox", "models.get", "sscd")
    said = [code.value for code in app.test.code]
    assert models.get("sscd").weights.url in said
    assert str(folder / "sscd_disc_mixup.torchvision.pt") in said
    app.click("Fetch")
    assert started == [["models", "fetch", "sscd"]]


def test_a_refused_file_says_why(home, folder):
    (folder / "resnet34-b627a593.pth").write_text("<html>not found</html>")
    app = App("models")
    app.set("selectbox", "models.get", "resnet34")
    assert "SHA-256 differs" in app.said("error")[0]


def test_adding_and_removing_a_model(home, folder):
    app = App("models")
    app.set("text_input", "models.name", "timm:resnet9x")
    app.click("Add")
    assert "timm has no network 'resnet9x'" in app.said("error")[0]
    app.set("text_input", "models.name", "timm:resnet18")
    app.click("Add")
    assert not app.said() and frame(app).state["timm:resnet18"] == "missing"
    assert frame(app).dimension["timm:resnet18"] == 512
    app.click("Remove")
    assert "timm:resnet18" not in frame(app).index


def test_a_description_that_cannot_be_followed_hides_nothing_else(home, folder):
    (folder / "birds.toml").write_text('base = "keras:x"')
    app = App("models")
    assert frame(app).state["local:birds"] == "refused"
    assert "base is 'keras:x'" in frame(app).reason["local:birds"]
    app.set("selectbox", "models.get", "local:birds")
    assert "base is 'keras:x'" in app.said("error")[0]


def test_the_sidebar_offers_what_can_be_used(demo_gallery, folder):
    app = App()
    (box,) = [box for box in app.test.sidebar.selectbox if box.label == "Model"]
    assert box.options[0] == "efficientnet-lite0"
    assert set(box.options) == {
        "efficientnet-lite0",
        "efficientnet-lite1 (not indexed)",
        "efficientnet-lite2 (not indexed)",
    }
    app = App(model="resnet18", gallery="demo")
    (box,) = [box for box in app.test.sidebar.selectbox if box.label == "Model"]
    assert box.options[-1] == "resnet18 (not indexed)" and box.value == "resnet18"
    captions = [unescaped(caption.value) for caption in app.test.sidebar.caption]
    assert any(text.startswith("missing: The weights resnet18-f37072fd.pth") for text in captions)
    assert any("resnet18 cannot be used here" in text for text in app.said("error"))
