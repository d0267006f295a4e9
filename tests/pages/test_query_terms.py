"""Queries of several terms on the pages: rows, cards, words, classes, links, other pages."""

import dataclasses

import numpy as np
import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from aina_core import models
from aina_core.embedding import load_embedder
from aina_core.errors import AinaError
from aina_core.gallery import create, open_gallery
from aina_core.projection import Settings, project
from aina_core.search.query import IMAGE, TEXT, UPLOAD, Term, combine
from aina_core.search.searcher import Searcher
from aina_core.similarity.sets import Chosen
from pages.heatmap import cache as heatmap_cache
from pages.map import data
from pages.map.data import MapAddress
from pages.search.classes import _rows
from tests.support.app import App
from ui.link import (
    MAX_TERMS,
    State,
    from_params,
    held,
    query_params,
    read,
    read_query,
    to_params,
    with_member,
    write,
)

COMPARE, HEATMAP, MAP = "compare", "heatmap", "map"
CHELSEA, COFFEE, ROCKET = "chelsea/1.jpg", "coffee/1.jpg", "brick/1.jpg"


@pytest.fixture
def gallery(by_two_models):
    st.cache_resource.clear()
    return by_two_models


def visit(page="search", model="wordy", **link):
    link = {"gallery": "mine", "model": model, "image": CHELSEA, "k": "6", **link}
    return App(page, **{name: value for name, value in link.items() if value is not None})


def terms_of(app):
    found = app.link.get("term", [])
    return [found] if isinstance(found, str) else found


def best(model, terms, k=6):
    """What the core finds for terms, left out by hand."""
    opened, embedder = Searcher(open_gallery("mine"), model), load_embedder(model, device="cpu")
    rows = [
        opened.vector(value) if kind == IMAGE else embedder.embed_text([value])[0]
        for kind, value, *_ in terms
    ]
    near = opened.matrix @ combine(np.stack(rows), [weight for _, _, weight in terms])
    left_out = {value for kind, value, _ in terms if kind == IMAGE}
    order = [opened.ids[row] for row in np.argsort(-near, kind="stable")]
    return [image_id for image_id in order if image_id not in left_out][:k]


# ── in the link ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("weight", [1.0, -0.5, 3.0, 0.0, 0.25])
def test_terms_come_back(home, weight):
    create("demo", None)
    for value in ("a", "a:b:c", "Käfer 北京", "<b>", "a=b&c", "-1", ":", "%3A", "x" * 300):
        terms = Term(IMAGE, value, weight), Term(TEXT, value, weight), Term(UPLOAD, "0f" * 32)
        kept = State(gallery="demo", image="a.jpg", crop=(0, 0, 3, 3), weight=-2.5, terms=terms)
        assert from_params(to_params(kept)) == (kept, [])
        assert read_query(query_params(kept)) == kept.query
        alone = State(gallery="demo", terms=terms, concept=value[:200])
        assert from_params(to_params(alone)) == (alone, [])


HOSTILE = [
    *("", "text", "text:1", "text:1:", "text:1: ", "text::cat", "text:nan:cat", "text:inf:cat"),
    *("text:x:cat", "file:1:/etc/passwd", "crop:1:a", "TEXT:1:a", "upload:1:../../x"),
    *("upload:1:" + "f" * 63, "text:1:" + "x" * 301, "image:1:" + "x" * 5000, "text:" + "9" * 999),
]


@pytest.mark.parametrize("term", HOSTILE)
def test_a_hostile_term_is_left_out_with_one_sentence(home, term):
    create("demo", None)
    params = {"gallery": ["demo"], "image": ["a"], "term": ["text:1:cat", term]}
    found, problems = from_params(params)
    assert found.terms == (Term(TEXT, "cat"),) and len(problems) == 1
    assert "left out" in problems[0]
    with pytest.raises((ValueError, AinaError)):
        read_query(params)


def test_weights_and_numbers_of_terms_are_bounded(home):
    create("demo", None)
    many = [f"text:{weight}:cat" for weight in ("1e9", "-1e300", "0.123456", *"1" * 30)]
    found, problems = from_params({"gallery": ["demo"], "term": many, "weight": ["99"]})
    assert len(found.terms) == MAX_TERMS and len(problems) == 1
    assert [term.weight for term in found.terms[:3]] == [3.0, -3.0, 0.12]
    assert found.weight == 3.0
    found, problems = from_params({"gallery": ["demo"], "term": ["text:1:a"], "weight": ["nan"]})
    assert found.weight == 1.0 and len(problems) == 1
    assert from_params({"gallery": ["demo"], "weight": ["2"]})[0].weight == 1.0, "of nothing else"


def test_an_image_asked_for_twice_weighs_more():
    assert read(write(Term(TEXT, "a:b", -0.5))) == Term(TEXT, "a:b", -0.5)
    one = with_member((), "a", 1.0)
    assert with_member(one, "a", 1.0) == (Term(IMAGE, "a", 2.0),)
    assert with_member(one, "a", -1.0) == () and len(with_member(one, "b", 1.0)) == 2
    assert with_member((Term(IMAGE, "a", 3.0),), "a", 1.0)[0].weight == 3.0
    assert str(held(-0.001)) == "0.0"


# ── the Search page ──────────────────────────────────────────────────────────────────────────────


def test_more_and_less_like_a_card(gallery):
    app = visit(model="tiny")
    more, less = app.hits[0], app.hits[-1]
    app.send("hits", {"act": {"id": more, "action": "more"}})
    assert terms_of(app) == [f"image:1:{more}"] and app.link["image"] == CHELSEA
    app.send("hits", {"act": {"id": less, "action": "less"}})
    assert terms_of(app) == [f"image:1:{more}", f"image:-0.5:{less}"]
    asked = [(IMAGE, CHELSEA, 1.0), (IMAGE, more, 1.0), (IMAGE, less, -0.5)]
    assert app.hits == best("tiny", asked) and not app.said()
    assert app.texts().count(f"{CHELSEA} + {more} − 0.5 × {less}") == 2  # here and in the sidebar
    assert "Query of 3 terms" in [each.value for each in app.test.sidebar.markdown]
    app.set("slider", "term.1", 2.0).set("slider", "term.picture", 0.5)
    assert terms_of(app)[1] == f"image:2:{less}" and app.link["weight"] == "0.5"
    asked = [(IMAGE, CHELSEA, 0.5), (IMAGE, more, 1.0), (IMAGE, less, 2.0)]
    assert app.hits == best("tiny", asked)
    app.widget("button", "term.0.drop").click()
    assert terms_of(app.run()) == [f"image:2:{less}"]
    app.widget("button", "term.picture.drop").click()
    assert app.run().link["image"] == less and not terms_of(app) and "weight" not in app.link
    app.send("hits", {"act": {"id": app.hits[0], "action": "more"}})
    chosen = app.hits[0]
    app.send("hits", {"act": {"id": chosen, "action": "search"}})
    assert app.link["image"] == chosen and not terms_of(app), "a new query begins anew"


def test_words_are_typed_weighed_and_stand_alone(gallery):
    app = visit()
    app.set("text_input", "query-words", " golden retriever ")
    assert terms_of(app) == ["text:1:golden retriever"]
    assert app.widget("text_input", "query-words").value == ""
    assert app.hits == best("wordy", [(IMAGE, CHELSEA, 1.0), (TEXT, "golden retriever", 1.0)])
    app.set("text_input", "query-words", "**fruit**").set("slider", "term.1", -1.0)
    app.widget("button", "term.picture.drop").click()
    app.run()
    assert "image" not in app.link and app.component("cropper") is None
    asked = [(TEXT, "golden retriever", 1.0), (TEXT, "**fruit**", -1.0)]
    assert app.hits == best("wordy", asked) and not app.said()
    assert app.texts().count("“golden retriever” − “**fruit**”") == 2
    assert all("**fruit" not in slider.label for slider in app.test.slider), "text, not Markdown"
    for place in (1, 0):
        app.widget("button", f"term.{place}.drop").click()
        app.run()
    assert app.link["image"], "an empty query becomes the first image again"


def test_an_upload_is_added_where_that_is_switched_on(gallery, photo_set):
    app = visit(model="tiny")
    app.set("toggle", "query-add", True)
    app.upload((photo_set / COFFEE).read_bytes())
    assert app.link["image"] == CHELSEA and terms_of(app)[0].startswith("upload:1:")
    assert app.hits[0] == COFFEE or COFFEE in app.hits
    app.set("toggle", "query-add", False)
    app.upload((photo_set / ROCKET).read_bytes(), "other.jpg")
    assert len(app.link["upload"]) == 64 and not terms_of(app)


def test_too_many_terms(gallery):
    app = visit(term=[f"text:1:word{n}" for n in range(MAX_TERMS)])
    app.set("text_input", "query-words", "one more")
    assert len(terms_of(app)) == MAX_TERMS and "at most" in app.said("error")[0]
    app.widget("button", "term.0.drop").click()
    app.run().set("text_input", "query-words", "one more")
    assert not app.said() and terms_of(app)[-1] == "text:1:one more"


@pytest.mark.parametrize(
    ("model", "term", "sentence"),
    [
        ("tiny", "text:1:cat", "tiny has no text tower"),
        ("wordy", f"image:-1:{CHELSEA}", "cancel out"),
        ("wordy", "image:1:<b>gone", "no image '<b>gone'"),
        ("wordy", "upload:1:" + "f" * 64, "is not kept any more"),
    ],
)
def test_what_cannot_be_searched_costs_one_sentence(gallery, model, term, sentence):
    app = visit(model=model, term=[term])
    (said,) = app.said()
    assert sentence in said and app.hits is None
    app.has_sidebar()
    app.widget("button", "term.0.drop").click()
    assert app.run().hits and not app.said()


# ── classes, and what it is ──────────────────────────────────────────────────────────────────────


def test_a_class_ranks_the_gallery(gallery):
    app = visit(model="tiny")
    before = app.hits
    app.set("selectbox", "aina.concept", "espresso")
    assert app.link["class"] == "espresso" and not app.said()
    opened, embedder = Searcher(gallery, "tiny"), load_embedder("tiny", device="cpu")
    place = models.class_names(embedder.spec).index("espresso")
    shares = embedder.probabilities(opened.matrix, opened.norms, place)
    order = np.argsort(-shares, kind="stable")
    assert app.hits == [opened.ids[row] for row in order[:6]]
    card = app.component("hits")["cards"][0]
    assert card["probability"] == f"{shares.max():.1%}" and "similarity" not in card
    assert "percentile" not in card
    assert any("most probably espresso" in each.value for each in app.test.markdown)
    rows = _rows(opened.of_class(shares))
    assert len(rows) == 40 and rows[0][:2] == [1, app.hits[0]]
    app.set("multiselect", "aina.labels", ["brick"])
    assert {hit.partition("/")[0] for hit in app.hits} == {"brick"}
    app.set("multiselect", "aina.labels", []).click("Back to the query")
    assert app.hits == before and "class" not in app.link


@pytest.mark.parametrize(
    ("model", "concept", "sentence"),
    [
        ("tiny", "cat", "8 classes have 'cat' in their names"),
        ("tiny", "**x**", "None of the model's 1,000 classes is named '**x**'"),
        ("wordy", "espresso", "was not trained to tell classes apart"),
    ],
)
def test_a_class_of_a_link_that_is_none(gallery, model, concept, sentence):
    app = visit(model=model, **{"class": concept})
    (said,) = app.said()
    assert sentence in said and app.hits is None
    assert app.click("Back to the query").hits


def shown_guesses(app):
    return [each.proto.text for each in app.test.get("progress")]


def test_what_is_it_by_classes(gallery):
    app = visit(model="tiny")
    assert not shown_guesses(app)
    app.set("toggle", "aina.search.what", True)
    assert app.link["search.what"] == "1" and len(shown_guesses(app)) == 5
    opened, embedder = Searcher(gallery, "tiny"), load_embedder("tiny", device="cpu")
    row = opened.rows([CHELSEA])
    shares = embedder.probabilities(opened.matrix[row], opened.norms[row])[0]
    assert shown_guesses(app)[0].endswith(f"{shares.max():.1%}")
    whole = shown_guesses(app)
    app.crop([5, 5, 40, 40], 1)
    assert shown_guesses(app) != whole, "of the crop"


def test_what_is_it_by_labels(gallery):
    app = visit(**{"search.what": "1", "search.labels": "a cat\n a **dog**\na cat\n\n"})
    assert len(shown_guesses(app)) == 2 and not app.said()
    assert not any("**dog" in text for text in shown_guesses(app))
    app.set("text_area", "aina.search.labels", "only one")
    assert "give at least two" in app.said("error")[0] and app.hits
    app.set("text_area", "aina.search.labels", "one\ntwo\nthree")
    assert len(shown_guesses(app)) == 3


# ── other pages ──────────────────────────────────────────────────────────────────────────────────


def test_compare_says_in_a_column_that_its_model_knows_no_words(gallery):
    app = visit(COMPARE, other=["tiny"], term=["text:1:cat"], reference=COFFEE)
    first, second = app.component("ranks")["columns"]
    assert [row["id"] for row in first["rows"]] == best(
        "wordy", [(IMAGE, CHELSEA, 1.0), (TEXT, "cat", 1.0)]
    )
    assert not first["note"] and not second["rows"]
    assert second["note"].startswith("tiny has no text tower")
    table = app.test.dataframe[0].value
    assert list(table["model"]) == ["wordy"], "the pair under the model that can"
    app = visit(COMPARE, model="tiny", term=["text:1:cat"])
    assert app.component("ranks") is None or app.component("ranks")["columns"][0]["note"]


def test_compare_holds_the_sum_against_the_reference(gallery):
    app = visit(
        COMPARE, model="tiny", other=["wordy"], term=[f"image:1:{ROCKET}"], reference=COFFEE
    )
    opened = Searcher(gallery, "tiny")
    total = opened.vector(CHELSEA) + opened.vector(ROCKET)
    near = float(opened.vector(COFFEE) @ total / np.linalg.norm(total))
    shown = app.test.dataframe[0].value["similarity"][0].replace("−", "-")
    assert float(shown) == pytest.approx(near, abs=6e-4)
    assert not app.said()


def test_the_heat_map_shows_a_query_of_words(gallery):
    app = visit(HEATMAP, image=None, term=["text:1:cat"], **{"heatmap.set": "neighbours"})
    assert not app.said("error")
    found = heatmap_cache.matrix(
        (Searcher(gallery, "wordy"),),
        Chosen((CHELSEA, COFFEE), ("", "")),
        "given",
        (Term(TEXT, "cat"),),
    )
    row = load_embedder("wordy", device="cpu").embed_text(["cat"])[0]
    expected = Searcher(gallery, "wordy").vectors([CHELSEA, COFFEE]) @ row
    assert found.values[0][0, 1:] == pytest.approx(expected, abs=1e-5)


def test_the_map_takes_a_query_of_terms(gallery):
    project(gallery, "wordy", Settings(method="pca"))
    app = visit(MAP, image=None, term=["text:2:cat"], **{"map.method": "pca"})
    assert not app.said("error")
    url = app.component("map-")["similarities"]
    assert "term=text%3A2%3Acat" in url
    client = TestClient(Starlette(routes=data.ROUTES))
    codes = np.frombuffer(client.get(url).content, "<i2") / 32767
    row = load_embedder("wordy", device="cpu").embed_text(["cat"])[0]
    near = Searcher(gallery, "wordy").matrix @ row
    assert sorted(codes) == pytest.approx(sorted(near.tolist()), abs=1e-4)
    for hostile in ("file%3A1%3A%2Fetc%2Fpasswd", "text%3Anan%3Acat", "x"):
        assert client.get(url.replace("text%3A2%3Acat", hostile)).status_code == 404


def test_addresses_of_maps_name_the_whole_query(gallery):
    address = MapAddress("mine", "wordy", Settings(), "v")
    one = State(gallery="mine", image="a", terms=(Term(TEXT, "x", 2.0), Term(TEXT, "y")))
    two = dataclasses.replace(one, weight=2.0)
    urls = {address.url("similarities", **query_params(each)) for each in (one, two)}
    assert len(urls) == 2
