"""The Heat map page: its sets of images, the pair that is open, groups, and what can fail."""

import base64
import io
import json
import shutil

import numpy as np
import pytest
import streamlit as st
from PIL import Image

from aina_core import jobs
from aina_core.gallery import Annotation, create, open_gallery, update, uploads
from aina_core.search.searcher import Searcher
from aina_core.similarity import matrix as matrices
from aina_core.similarity.distribution import distribution
from aina_core.similarity.ladder import ladder
from aina_core.similarity.sets import of_labels
from pages.heatmap import matrix, scale
from tests.support.app import CHELSEA, LITE0, App

MIRRORED, CENTER = "chelsea/mirrored.jpg", "chelsea/cropped-center.jpg"
ODD = ["<b>one<b>.png", "# two.png", "[three](x).png"]


class Page(App):
    """The Heat map page as one person sees it."""

    def __init__(self, gallery="demo", select=(), **link):
        self.select = (gallery, tuple(select))
        super().__init__("heatmap", gallery=gallery, **link)

    def run(self):
        if self.select[1]:
            self.test.session_state["aina.selection"] = self.select
        return super().run()

    @property
    def figure(self):
        return json.loads(self.component("heatmap")["figure"])

    @property
    def ids(self):
        sent = self.component("heatmap")
        return sent and [picture["id"] for picture in sent["pictures"]]

    @property
    def values(self):
        """The similarities that each heat map shows."""
        found = []
        for trace in self.figure["data"]:
            if trace["type"] == "heatmap":
                z = trace["z"]
                shape = [int(n) for n in z["shape"].split(",")]
                codes = np.frombuffer(base64.b64decode(z["bdata"]), z["dtype"]).reshape(shape)
                found.append(codes * trace["meta"]["scale"])
        return found

    @property
    def pair(self):
        return [card["id"] for card in self.component("pair")["cards"]]

    def open(self, first, second):
        places = [self.ids.index(first), self.ids.index(second)]
        self.send("heatmap", {"click": {"pictures": places}})
        return self

    @property
    def similarities(self):
        return {m.label.removeprefix("Similarity under "): m.value for m in self.test.metric}


@pytest.fixture
def opened(demo_gallery):
    return Searcher(open_gallery("demo"), LITE0)


@pytest.fixture
def tiny_gallery(searcher):
    """The 40 crops under the tiny model, without modifications."""
    st.cache_resource.clear()
    return searcher.gallery.name


@pytest.fixture
def few(home, embedder, pictures, tmp_path):
    """A gallery of three images with odd names."""
    st.cache_resource.clear()
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, picture in zip(ODD, pictures, strict=False):
        picture.save(folder / name)
    update(create("odd", folder), embedder, labels={name: Annotation("*label*") for name in ODD})
    return "odd"


# ── what is there at first ───────────────────────────────────────────────────────────────────────


def test_the_first_screen_is_the_querys_original_with_its_18_modifications(opened):
    page = Page(image=CENTER)
    assert not page.said()
    assert len(page.ids) == 19 and page.ids[0] == CHELSEA
    (values,) = page.values
    np.testing.assert_allclose(values, matrices.cosines(opened.vectors(page.ids)), atol=1e-4)
    off = values - 2 * np.eye(19)
    nearest = {page.ids[at] for at in np.unravel_index(off.argmax(), off.shape)}
    assert set(page.pair) == nearest
    assert page.component("distribution") and page.component("rung-")
    assert list(page.similarities) == [LITE0]


def test_without_originals_it_is_the_query_with_its_24_nearest(tiny_gallery, tiny):
    page = Page(tiny_gallery, model=tiny)
    assert not page.said()
    assert len(page.ids) == 25 and page.ids[0] == page.link["image"]
    kinds = page.widget("button_group", "aina.heatmap.set").options
    assert len(kinds) == 3 and not any("original" in str(kind) for kind in kinds)


def test_a_gallery_of_one_image(home, tiny, embedder, pictures, tmp_path):
    st.cache_resource.clear()
    folder = tmp_path / "one"
    folder.mkdir()
    pictures[0].save(folder / "only.png")
    update(create("one", folder), embedder)
    page = Page("one", model=tiny)
    assert any("only one image" in text for text in page.said("info"))
    assert page.ids is None


# ── the pair ─────────────────────────────────────────────────────────────────────────────────────


def test_a_click_opens_the_pair_and_its_link_shows_the_same(opened):
    page = Page(image=CHELSEA).open(MIRRORED, CENTER)
    assert page.pair == [MIRRORED, CENTER]
    expected = float(opened.vector(MIRRORED) @ opened.vector(CENTER))
    assert float(page.similarities[LITE0]) == pytest.approx(expected, abs=6e-4)
    assert page.link["reference"] == CENTER and page.link["heatmap.first"] == MIRRORED
    again = Page(**{name: value for name, value in page.link.items() if name != "gallery"})
    assert again.pair == page.pair and again.similarities == page.similarities


@pytest.mark.parametrize("places", [(CHELSEA, CENTER), (CENTER, CHELSEA)])
def test_a_pair_with_the_query_is_the_query_and_its_reference(demo_gallery, places):
    page = Page(image=CHELSEA).open(*places)
    assert page.pair == [CHELSEA, CENTER]
    assert page.link["reference"] == CENTER and "heatmap.first" not in page.link
    page.open(MIRRORED, CENTER).open(*places)
    assert page.pair == [CHELSEA, CENTER] and "heatmap.first" not in page.link


@pytest.mark.parametrize("click", [{"pictures": [3, 3]}, {"pictures": [0, 99]}, {}, "x", None])
def test_a_click_that_is_no_pair_changes_nothing(demo_gallery, click):
    page = Page(image=CHELSEA)
    before = page.pair
    page.send("heatmap", {"click": click})
    assert page.pair == before and "reference" not in page.link


def test_a_link_to_a_pair_that_is_not_in_the_set_shows_the_nearest_one(demo_gallery):
    usual = Page(image=CHELSEA).pair
    assert Page(image=CHELSEA, reference="coffee/original.jpg").pair == usual
    assert Page(image=CHELSEA, reference="no.jpg").pair == usual


def test_search_with_this(demo_gallery):
    page = Page(image=CHELSEA).open(MIRRORED, CENTER)
    page.test.session_state["pair"] = {"act": {"id": CENTER, "action": "search"}}
    page.run()
    assert page.test.title[0].value == "Search" and page.link["image"] == CENTER


# ── sets of images ───────────────────────────────────────────────────────────────────────────────


def test_labels_of_a_link_stand_in_its_order_with_lines_between(demo_gallery):
    labels = ["coffee", "brick", "chelsea", "astronaut"]
    page = Page(**{"heatmap.set": "labels", "heatmap.labels": json.dumps(labels)})
    assert len(page.ids) == 76 and [page.ids[at].split("/")[0] for at in (0, 19, 38, 57)] == labels
    assert page.figure["layout"]["yaxis"]["ticktext"] == labels
    lines = [trace for trace in page.figure["data"] if trace["type"] == "scatter"]
    assert len(lines) == 1
    page.set("button_group", "aina.heatmap.order", "label")
    assert page.figure["layout"]["yaxis"]["ticktext"] == sorted(labels)
    assert page.link["heatmap.order"] == "label"


def test_labels_begin_with_the_querys_and_none_are_all(demo_gallery):
    page = Page(image=CHELSEA, **{"heatmap.set": "labels"})
    assert len(page.ids) == 76 and page.ids[0] == CHELSEA
    page.set("multiselect", "aina.heatmap.labels", [])
    assert len(page.ids) == 323 and page.link["heatmap.labels"] == "[]"


@pytest.mark.parametrize("labels", ['["dragon"]', '["dragon", "coffee"]'])
def test_labels_that_do_not_exist_are_named(demo_gallery, labels):
    page = Page(image=CHELSEA, **{"heatmap.set": "labels", "heatmap.labels": labels})
    (warning,) = page.said()
    assert "'dragon'" in warning
    assert len(page.ids) == (19 if "coffee" in labels else 76)


@pytest.mark.parametrize("labels", ["nonsense", "{}", "[1]", '"coffee"'])
def test_labels_that_are_none_are_the_usual_ones(demo_gallery, labels):
    page = Page(image=CHELSEA, **{"heatmap.set": "labels", "heatmap.labels": labels})
    assert len(page.ids) == 76


def test_another_original(demo_gallery):
    page = Page(image=CHELSEA)
    page.set("selectbox", "aina.heatmap.original", "coffee/original.jpg")
    assert page.ids[0] == "coffee/original.jpg" and len(page.ids) == 19
    assert page.link["heatmap.original"] == "coffee/original.jpg"
    gone = Page(image=CHELSEA, **{"heatmap.original": "dragon.jpg"})
    assert "'dragon.jpg'" in gone.said("warning")[0] and gone.ids[0] == CHELSEA


def test_nothing_selected_says_how_to_select(demo_gallery):
    page = Page(**{"heatmap.set": "selection"})
    (info,) = page.said()
    assert "Map" in info and "lasso" in info
    assert page.ids is None and page.component("distribution")


def test_the_selection_stands_as_it_was_selected(demo_gallery):
    chosen = ["coffee/original.jpg", CHELSEA, "gone.jpg", "brick/mirrored.jpg"]
    page = Page(select=chosen, **{"heatmap.set": "selection"})
    assert page.ids == [chosen[0], chosen[1], chosen[3]]
    few = Page(select=chosen[2:], **{"heatmap.set": "selection"})
    assert "fewer than two images" in few.said("info")[0]


def test_the_query_and_its_neighbours(opened):
    page = Page(image=CHELSEA, k="6", **{"heatmap.set": "neighbours"})
    assert len(page.ids) == 7 and page.ids[0] == CHELSEA
    near = page.values[0][0, 1:]
    assert (np.diff(near) <= 1e-4).all()
    page.set("slider", "aina.k", 3)
    assert len(page.ids) == 4 and page.link["k"] == "3"


def test_a_crop_stands_before_its_neighbours_as_the_query(demo_gallery):
    page = Page(image=CHELSEA, crop="20,20,200,200", k="5", **{"heatmap.set": "neighbours"})
    assert not page.said()
    assert page.ids[0] == "query" and len(page.ids) == 6
    page.open("query", page.ids[2])
    assert page.pair == ["", page.ids[2]] and page.link["reference"] == page.ids[2]
    shown = page.component("pair")["cards"][0]
    assert shown["mark"] == "query" and shown["thumbnail"].startswith("/image/demo/")


def test_an_upload_stands_before_its_neighbours_as_the_query(opened):
    buffer = io.BytesIO()
    with Image.open(open_gallery("demo").root / CHELSEA) as image:
        image.resize((200, 130)).save(buffer, "JPEG")
    name = uploads.keep_query(buffer.getvalue())
    page = Page(upload=name, k="4", **{"heatmap.set": "neighbours"})
    assert page.ids[0] == "query" and page.ids[1].startswith("chelsea/")


def test_a_setting_that_does_not_exist_is_said_and_the_usual_is_shown(demo_gallery):
    page = Page(image=CHELSEA, **{"heatmap.set": "<b>all</b>", "heatmap.order": "size"})
    assert [("<b>all</b>" in w, "size" in w) for w in page.said("warning")] == [
        (True, False),
        (False, True),
    ]
    assert len(page.ids) == 19


# ── orders, models, groups ───────────────────────────────────────────────────────────────────────


def test_clustering_draws_a_dendrogram_of_the_same_images(demo_gallery):
    page = Page(image=CHELSEA, **{"heatmap.order": "cluster"})
    assert sorted(page.ids) == sorted(Page(image=CHELSEA).ids)
    assert "xaxis9" in page.figure["layout"]
    (values,) = page.values
    usual = Page(image=CHELSEA)
    at = [usual.ids.index(image_id) for image_id in page.ids]
    np.testing.assert_allclose(values, usual.values[0][np.ix_(at, at)], atol=1e-6)


@pytest.fixture
def two_models(demo_home, home):
    """The demo with a second model's vectors."""
    shutil.copytree(demo_home, home)
    st.cache_resource.clear()
    models = home / "demo" / "models"
    shutil.copytree(models / LITE0, models / f"{LITE0}@fast")
    return f"{LITE0}@fast"


def test_models_stand_side_by_side(two_models):
    page = Page(image=CHELSEA, other=two_models)
    assert not page.said()
    assert len(page.values) == 2 and list(page.similarities) == [LITE0, two_models]
    page.set("button_group", "aina.heatmap.scale", "own")
    assert {"coloraxis", "coloraxis2"} <= page.figure["layout"].keys()
    page.set("multiselect", "aina.others", [])
    assert len(page.values) == 1 and "other" not in page.link


def test_a_model_that_has_not_indexed_the_gallery_is_offered_to(demo_gallery, monkeypatch):
    started = []
    monkeypatch.setattr(jobs, "start", lambda title, words: started.append(words) or "1-1")
    page = Page(image=CHELSEA, other="efficientnet-lite1")
    assert "not indexed by efficientnet-lite1" in page.said("info")[0]
    assert len(page.values) == 1
    page.click("Index it by efficientnet\\-lite1")
    assert started[0][-1] == "efficientnet-lite1"


def test_too_many_images_are_shown_by_groups(demo_gallery, monkeypatch):
    monkeypatch.setattr(matrices, "MAX_IMAGES", 300)
    page = Page(image=CHELSEA, **{"heatmap.set": "labels", "heatmap.labels": "[]"})
    assert "323 images are too many" in page.said("info")[0]
    sent = page.component("heatmap-groups")
    names = [picture["id"] for picture in sent["pictures"]]
    assert len(names) == 17 and sent["pictures"][0]["text"] == "19 images"
    places = [names.index("coffee"), names.index("brick")]
    page.send("heatmap-groups", {"click": {"pictures": places}})
    assert [c["label"] for c in page.component("cell")["cards"]] == ["coffee", "brick"]
    assert json.loads(page.link["heatmap.cell"]) == ["coffee", "brick"]
    mean = page.component("heatmap-groups")["figure"]
    page.set("button_group", "aina.heatmap.statistic", "high")
    assert page.component("heatmap-groups")["figure"] != mean
    page.click("Show these images")
    assert len(page.ids) == 38


# ── tables, text ─────────────────────────────────────────────────────────────────────────────────


def test_the_tables_hold_what_is_drawn(opened):
    chosen = of_labels(opened, ["chelsea"])
    found = matrices.similarity_matrix([opened], chosen)
    rows = list(matrix._rows(found))
    assert len(rows) == 19
    assert rows[3][1] == chosen.ids[3]
    assert float(rows[3][2 + 7]) == pytest.approx(float(found.values[0, 3, 7]), abs=1e-6)
    found = distribution(opened)
    kinds = [kind for kind, _ in scale._distribution_rows(found)]
    assert kinds.count("one label") == len(found.within)
    assert kinds.count("random") == len(found.baseline)
    rungs = ladder(opened)
    rows = list(scale._ladder_rows(rungs))
    assert len(rows) == sum(len(rung.pairs) for rung in rungs)


def test_the_ladder_shows_its_pairs_and_says_where_there_is_none(few, tiny):
    page = Page(few, model=tiny)
    rungs = ladder(Searcher(open_gallery(few), tiny))
    missing = [rung for rung in rungs if not rung.pairs]
    said = [caption.value for caption in page.test.caption]
    assert len([text for text in said if text.startswith("No pair")]) == len(missing) > 0
    sent = [
        json.loads(element.proto.json)
        for element in page.test.get("bidi_component")
        if element.key.startswith("rung")
    ]
    shown = [[card["id"] for card in each["cards"]] for each in sent]
    assert shown == [[p.first, p.second] for rung in rungs for p in rung.pairs]


def test_names_of_files_are_shown_as_text(few, tiny):
    page = Page(few, model=tiny)
    assert sorted(page.ids) == sorted(ODD)
    assert "&lt;b&gt;one&lt;b&gt;" in page.figure["layout"]["yaxis"]["ticktext"]
