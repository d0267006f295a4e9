"""Galleries of imported vectors on the screen: without pictures, without a model."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from aina_core.exchange import export, import_vectors, open_source
from aina_core.gallery import open_gallery, uploads
from pages.map import data
from tests.support.app import App
from ui import serve
from ui.placeholder import placeholder

EXTERNAL = "external:theirs"
COMPARE, EXPLAIN, MAP = "compare", "explain", "map"
HEATMAP, DUPLICATES = "heatmap", "duplicates"
SENTENCE = "AINA does not have that model: only images of the gallery can be queries"


def vectors(count=40, dim=8):
    found = np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)
    return found


@pytest.fixture
def bare(home, tmp_path):
    """A gallery of 40 vectors under a model that AINA does not have, without pictures."""
    np.save(tmp_path / "v.npy", vectors())
    (tmp_path / "labels.csv").write_text(
        "id,label\n" + "".join(f"row {n:07},{'even' if n % 2 else 'odd'}\n" for n in range(1, 41))
    )
    source = open_source(tmp_path / "v.npy", model=EXTERNAL)
    import_vectors(source, "bare", labels=tmp_path / "labels.csv")
    return open_gallery("bare")


def jpeg():
    file = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(file, "JPEG")
    return file.getvalue()


def link(**more):
    return {"gallery": "bare", "model": EXTERNAL, **more}


def test_search_shows_neighbours_and_says_once_what_cannot_be_asked(bare):
    app = App(**link(image="row 0000005", k="7"))
    assert len(app.hits) == 7 and app.component("cropper") is None
    assert [said for said in app.said() if SENTENCE in said] == app.said()
    assert len(app.said("info")) == 1
    app = App(**link(image="row 0000005", label="odd", k="30"))
    assert len(app.hits) == 20 and {int(i[-1]) % 2 for i in app.hits} == {0}
    assert any("made elsewhere" in caption.value for caption in app.test.sidebar.caption)


@pytest.mark.parametrize("asked", ["upload", "term", "class", "crop"])
def test_what_needs_the_model_is_refused_in_one_sentence(bare, asked):
    given = {
        "upload": {"upload": uploads.keep_query(jpeg())},
        "term": {"image": "row 0000005", "term": "text:1:a cat"},
        "class": {"image": "row 0000005", "class": "cat"},
        "crop": {"image": "row 0000005", "crop": "0,0,9,9"},
    }[asked]
    app = App(**link(**given))
    assert not app.hits and any(SENTENCE in said for said in app.said("error"))


@pytest.mark.parametrize("page", [COMPARE, EXPLAIN, MAP, HEATMAP, DUPLICATES, "galleries"])
def test_no_page_fails(bare, page):
    app = App(page, **link(image="row 0000005", reference="row 0000007"))
    app.healthy()
    if page in (COMPARE, EXPLAIN):
        assert SENTENCE in " ".join(app.said())
    if page == "galleries":
        assert any("import it again with --images" in said for said in app.said("info"))


def test_compare_shows_two_imported_models_and_the_pair(bare, tmp_path):
    np.save(tmp_path / "w.npy", vectors() + 0.1)
    import_vectors(open_source(tmp_path / "w.npy", model="external:other"), "bare")
    given = link(image="row 0000005", other="external:other", reference="row 0000007")
    app = App(COMPARE, **given)
    columns = app.component("ranks")["columns"]
    assert len(columns) == 2 and not app.said("error")


def test_explaining_needs_the_picture(home, gallery, tiny, photos, tmp_path):
    export(gallery, tiny, tmp_path / "out")
    photos.rename(tmp_path / "moved")
    import_vectors(open_source(tmp_path / "out"), "copy")
    app = App(EXPLAIN, gallery="copy", model=tiny, image="brick/1.jpg")
    assert any("only what is seen can be explained" in said for said in app.said("error"))
    app = App("search", gallery="copy", model=tiny, upload=uploads.keep_query(jpeg()))
    assert len(app.hits) == 12 and not app.said()
    app = App("search", gallery="copy", model="resnet18", image="brick/1.jpg")
    assert any("imported without its pictures" in said for said in app.said("error"))


# ── pictures that are not there ──────────────────────────────────────────────────────────────────


def texts(svg):
    return [each.text for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")]


@pytest.mark.parametrize(
    "image_id",
    ["a.jpg", "dir/<b>&amp;</svg>\"'.jpg", "x\x00\x1b\ufffe\ud800", "слон 象 🐘", "n" * 500],
)
def test_a_placeholder_is_the_id_as_text_whatever_it_holds(image_id):
    shown = "".join(texts(placeholder(image_id).encode()))
    assert placeholder(image_id).isprintable()
    if image_id.isprintable() and len(image_id) < 50:
        assert shown == image_id
    assert len(shown) <= 72 and len(texts(placeholder(image_id))) <= 4
    tags = {
        each.tag.rpartition("}")[2] for each in ElementTree.fromstring(placeholder(image_id)).iter()
    }
    assert tags <= {"svg", "rect", "g", "path", "circle", "text"}


def test_in_the_place_of_a_picture_its_id_is_served(bare, gallery, tiny, photos, tmp_path):
    client = TestClient(Starlette(routes=[*serve.ROUTES, *data.ROUTES]))
    record = bare.catalogue.image("row 0000005")
    for url in (serve.thumbnail_url, serve.image_url):
        answer = client.get(url("bare", record.sha256))
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/svg+xml"
        assert "".join(texts(answer.content)) == "row 0000005"
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert "immutable" not in answer.headers["cache-control"]
        assert client.get(url("bare", "0" * 64)).status_code == 404
        assert client.get(url("nosuch", record.sha256)).status_code == 404
    export(gallery, tiny, tmp_path / "out")
    import_vectors(open_source(tmp_path / "out"), "copy")
    record = open_gallery("copy").catalogue.image("brick/1.jpg")
    for url in (serve.thumbnail_url, serve.image_url):
        answer = client.get(url("copy", record.sha256))
        assert answer.headers["content-type"] == "image/jpeg"
    (photos / "brick/1.jpg").unlink()
    assert client.get(serve.image_url("copy", record.sha256)).headers["content-type"][-3:] == "xml"
    kept = client.get(serve.thumbnail_url("copy", record.sha256))
    assert kept.headers["content-type"] == "image/jpeg"  # it was made when it was asked for
