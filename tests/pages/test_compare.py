"""The Compare page: without a gallery, in a normal one, and when something is missing."""

import json

import pytest
import streamlit as st

from aina_core import jobs
from aina_core.embedding import load_embedder
from aina_core.gallery import update, uploads
from aina_core.search import neighbours
from aina_core.search.searcher import Searcher
from aina_core.similarity import agreement
from tests.support.app import App, without_weights
from ui.components.ranks import Row, _drawn, climb_text
from ui.text import plain

COMPARE = "compare"
CHELSEA = "chelsea/1.jpg"


@pytest.fixture
def gallery(by_both):
    """Forty photographs under two models."""
    st.cache_resource.clear()
    return by_both


@pytest.fixture
def started(monkeypatch):
    """The jobs that pages start, which are only written down."""
    found = []
    monkeypatch.setattr(jobs, "start", lambda title, words: found.append(list(words)) or "1-1")
    return found


def visit(**link):
    link = {"gallery": "mine", "model": "tiny", "image": CHELSEA, "k": "6", **link}
    return App(COMPARE, **{name: value for name, value in link.items() if value is not None})


def columns(app):
    """The ids of each column by its model."""
    sent = app.component("ranks")
    return sent and {c["name"]: [row["id"] for row in c["rows"]] for c in sent["columns"]}


def frame(app, at=0):
    return app.test.dataframe[at].value


# ── a normal page ────────────────────────────────────────────────────────────────────────────────


def test_it_begins_with_a_second_model(gallery):
    app = visit()
    app.has_sidebar()
    assert not app.said()
    assert app.link["other"] in ("other-tiny", ["other-tiny"])
    found = columns(app)
    assert list(found) == ["tiny", "other-tiny"]
    for model, ids in found.items():
        opened = Searcher(gallery, model)
        hits = opened.search(opened.vector(CHELSEA), exclude=CHELSEA).nearest(6)
        assert ids == [hit.id for hit in hits]


def test_numbers_climbs_and_percentiles_travel(gallery):
    first, second = visit().component("ranks")["columns"]
    numbers = {row["id"]: row["number"] for row in first["rows"]}
    shared = {*numbers} & {row["id"] for row in second["rows"]}
    assert {key for key, number in numbers.items() if number} == shared
    for row in second["rows"]:
        assert row["number"] == numbers.get(row["id"])
        assert row["climb"] == "=" or row["climb"][0] in "▲▼"
        assert row["percentile"].endswith("%") and row["words"].startswith("nearer than ")
    assert all("climb" not in row for row in first["rows"])


def test_models_can_be_chosen_and_taken_away(gallery, other_tiny):
    app = visit(other=["other-tiny"])
    app.set("multiselect", "aina.others", [])
    assert app.said("info") == ["Choose a model to compare with."]
    assert list(columns(app)) == ["tiny"] and "other" not in app.link
    assert not app.test.subheader, "one model agrees with itself"
    app.run()
    assert list(columns(app)) == ["tiny"], "nobody is given it again"
    app.set("multiselect", "aina.others", ["other-tiny"])
    assert list(columns(app)) == ["tiny", "other-tiny"]


def test_the_sidebars_model_never_stands_there_twice(gallery):
    app = visit(model="other-tiny", other=["other-tiny", "tiny"])
    assert list(columns(app)) == ["other-tiny", "tiny"]


def test_filters_of_the_search_page_do_not_hide_neighbours(gallery):
    assert columns(visit(label="coffee")) == columns(visit())


def test_search_with_this(gallery):
    app = visit()
    chosen = columns(app)["other-tiny"][2]
    app.send("ranks", {"act": {"id": chosen, "action": "search"}})
    assert app.link["image"] == chosen
    assert all(chosen not in ids for ids in columns(app).values())


@pytest.mark.parametrize("act", [{"id": "none", "action": "search"}, {"id": CHELSEA}, "x", None])
def test_a_foreign_click_changes_nothing(gallery, act):
    app = visit()
    before = columns(app)
    app.send("ranks", {"act": act})
    assert columns(app) == before and app.link["image"] == CHELSEA


def test_one_image_with_one_other(gallery):
    app = visit()
    other = columns(app)["tiny"][3]
    app.send("ranks", {"act": {"id": other, "action": "pair"}})
    assert app.link["reference"] == other and app.link["image"] == CHELSEA
    rows = frame(app).set_index("model")
    hits = app.component("ranks")["columns"][0]["rows"]
    assert rows.similarity["tiny"] == hits[3]["similarity"]
    assert rows.percentile["tiny"] == hits[3]["words"]
    assert list(rows.index) == ["tiny", "other-tiny"]
    app.click("Close")
    assert "reference" not in app.link


def test_an_uploaded_picture_is_compared_too(gallery, photo_set):
    name = uploads.keep_query((photo_set / CHELSEA).read_bytes())
    app = visit(image=None, upload=name, reference=CHELSEA)
    assert not app.said("error")
    assert [ids[0] for ids in columns(app).values()] == [CHELSEA] * 2, "it is no member"
    assert list(frame(app).similarity) == ["1.000", "1.000"]


def test_a_crop_of_the_query_counts_for_the_pair(gallery):
    whole = frame(visit(reference="coffee/1.jpg"))
    crop = frame(visit(reference="coffee/1.jpg", crop="0,0,40,40"))
    assert list(whole.similarity) != list(crop.similarity)


# ── the whole gallery ────────────────────────────────────────────────────────────────────────────


def test_the_agreement_table(gallery):
    app = visit()
    expected = agreement([Searcher(gallery, name) for name in ("tiny", "other-tiny")], 4)
    table = frame(app)
    assert list(table["shared"]) == [4, 3, 2, 1, 0]
    assert list(table["images"]) == expected.counts[::-1].tolist()
    assert list(table["%"]) == pytest.approx(list(2.5 * expected.counts[::-1]))
    cards = [card["id"] for card in app.component("differ")["cards"]]
    worst = expected.pairs[0].most_different(12)
    assert cards == [expected.ids[place] for place in worst]
    bars = json.loads(app.component("agreement")["figure"])
    assert len(bars["data"]) == 1
    app.set("slider", "aina.compare.shared", 7)
    assert app.link["compare.shared"] == "7" and frame(app)["shared"].iloc[0] == 7


def test_an_image_on_which_they_differ_becomes_the_query(gallery):
    app = visit()
    chosen = app.component("differ")["cards"][1]["id"]
    app.send("differ", {"act": {"id": chosen, "action": "search"}})
    assert app.link["image"] == chosen
    assert f"**The nearest to {plain(chosen)}**" in [text.value for text in app.test.markdown]


def test_three_models(gallery):
    update(gallery, load_embedder("tiny@fast", device="cpu"))
    app = visit(other=["other-tiny", "tiny@fast"])
    table = frame(app).set_index("models")
    names = ["tiny and other-tiny", "tiny and tiny@fast", "other-tiny and tiny@fast", "all of them"]
    assert list(table.index) == names
    assert sum(int(table[f"{n} shared"][names[0]].split()[0]) for n in range(5)) == 40
    first = [card["id"] for card in app.component("differ")["cards"]]
    app.set("selectbox", "aina.compare.pair", names[1])
    assert app.link["compare.pair"] == names[1]
    assert [card["id"] for card in app.component("differ")["cards"]] != first


@pytest.mark.parametrize("text", ["0", "99", "four", "²", "-1", "9" * 5000])
def test_a_link_with_an_odd_number(gallery, text):
    app = visit(**{"compare.shared": text})
    assert not app.said("error") and len(frame(app)) in (5, 2, 21)


def test_a_large_gallery_is_compared_by_a_job(gallery, started, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_QUICK", 10)
    app = visit()
    assert "takes a while" in app.said("info")[0] and not app.test.dataframe
    app.click("Compare over the whole gallery")
    words = ["agreement", "--gallery", "mine", "--models", "tiny", "other-tiny", "-k", "4"]
    assert started == [words]
    agreement([Searcher(gallery, name) for name in ("tiny", "other-tiny")], 4)
    app.run()
    assert not app.said() and len(frame(app)) == 5


# ── what is missing or damaged ───────────────────────────────────────────────────────────────────


def test_a_home_without_galleries(home):
    assert "There is no gallery yet" in App(COMPARE).said("info")[0]


def test_a_model_that_has_not_indexed_the_gallery(gallery, started, monkeypatch):
    app = visit(other=["other-tiny", "efficientnet-lite0"])
    assert app.said("info") == ["The gallery mine is not indexed by efficientnet-lite0 yet."]
    assert list(columns(app)) == ["tiny", "other-tiny"]
    app.click("Index it by efficientnet\\-lite0")
    assert started[0][-1] == "efficientnet-lite0"
    without_weights(monkeypatch, "efficientnet-lite0")
    assert "cannot be used here" in app.run().said("error")[0]
    app = visit(model="efficientnet-lite1")
    assert app.said("info") == ["The gallery mine is not indexed by efficientnet-lite1 yet."]


def test_damaged_vectors_of_one_model(gallery):
    (vectors,) = gallery.store("other-tiny").folder.glob("vectors-*.npy")
    vectors.write_bytes(vectors.read_bytes()[:-100])
    app = visit()
    assert columns(app)["tiny"] and not columns(app)["other-tiny"]
    first, second = app.component("ranks")["columns"]
    assert not first["note"] and "damaged" in second["note"]
    assert all("damaged" in sentence for sentence in app.said("error")) and app.said("error")


@pytest.mark.parametrize("link", [{"image": "none.jpg"}, {"image": None, "upload": "0" * 64}])
def test_a_query_that_is_gone(gallery, link):
    app = visit(**link)
    app.has_sidebar()
    assert len(app.said("error")) == 1 and columns(app) is None
    assert len(frame(app)) == 5, "the gallery is still there"


def test_a_reference_that_is_gone(gallery):
    app = visit(reference="<b>.jpg")
    assert app.said("error") == ["The gallery mine has no image '<b>.jpg'."]
    assert columns(app) is not None
    assert not app.click("Close").said()


# ── the component ────────────────────────────────────────────────────────────────────────────────


def test_climbs_read_as_people_say_them():
    assert [climb_text(n) for n in (3, -12, 0, 1234)] == ["▲3", "▼12", "=", "▲1,234"]


def test_a_percentile_is_rounded_down():
    assert _drawn(Row("a", "/a", 0.5, 0.99999), first=True)["percentile"] == "99.9%"
    assert _drawn(Row("a", "/a", 0.5, 1.0), first=True)["percentile"] == "100.0%"


def test_csv_is_what_is_shown(gallery):
    from pages.compare.agreement import _counts, _images

    found = agreement([Searcher(gallery, name) for name in ("tiny", "other-tiny")], 4)
    assert [row[2] for row in _counts(found)] == found.counts[::-1].tolist()
    assert [row[0] for row in _images(found)] == found.ids
