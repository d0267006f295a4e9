"""Neighbours in the order of a head for pairs: in the core, on the command line, on the page."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
import streamlit as st
import torch

from aina_core import models
from aina_core.embedding import load_embedder
from aina_core.errors import InputError
from aina_core.gallery import create, open_gallery, uploads
from aina_core.gallery.indexing import index
from aina_core.models import load_network
from aina_core.search import pairs
from aina_core.search.pairs import rerank
from aina_core.search.query import IMAGE, TEXT, UPLOAD, Term, embed_query, one_picture
from aina_core.search.searcher import Searcher
from aina_core.training import train
from tests.support.app import App
from tests.support.trainings import small

COMBINATIONS = {"dense": "symmetric", "ordered": "concat"}
REDUCED = "dense@pca5"


@pytest.fixture(scope="module")
def _trained_home(photo_set, _tiny, tmp_path_factory):
    """The gallery `photos`, indexed by two small networks that were trained to judge pairs."""
    folder = tmp_path_factory.mktemp("dense") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINA_HOME", str(folder))
        patch.setenv("AINA_CACHE", str(_tiny.cache))
        made = create("photos", photo_set)
        index("photos", made.root, "tiny", device="cpu")
        for name, combine in COMBINATIONS.items():
            options = {"model": "tiny", "epochs": 3, "rate": 3e-3}
            train(small("siamese-dense", name, combine=combine, **options))
        for name in (*COMBINATIONS, REDUCED):
            index("photos", made.root, name, device="cpu")
    return folder


@pytest.fixture
def dense(home, tiny, _trained_home):
    """The gallery under the symmetric network."""
    shutil.copytree(_trained_home, home, dirs_exist_ok=True)
    st.cache_resource.clear()
    return Searcher(open_gallery("photos"), "dense")


@pytest.fixture
def embedder_of():
    return lambda name: load_embedder(name, device="cpu")


def in_torch(name, first, second):
    """The probability of one pair, from the weights of the head alone: a plain composition."""
    network = load_network(models.get(name))
    weights = {key: value.double().numpy() for key, value in network.pair.state_dict().items()}
    a, b = (np.float64(each) / np.linalg.norm(np.float64(each)) for each in (first, second))

    def logit(a, b):
        both = [np.abs(a - b), a * b] if COMBINATIONS[name] == "symmetric" else [a, b]
        hidden = np.concatenate(both)
        for layer in ("0", "3"):  # dropout in between does nothing once it is trained
            hidden = weights[f"{layer}.weight"] @ hidden + weights[f"{layer}.bias"]
            hidden = np.maximum(hidden, 0)
        return (weights["5.weight"] @ hidden + weights["5.bias"])[0]

    return 1 / (1 + np.exp(-(logit(a, b) + logit(b, a)) / 2))


@pytest.mark.parametrize("name", COMBINATIONS)
def test_probabilities_are_the_networks_own(dense, embedder_of, name):
    opened, embedder = Searcher(dense.gallery, name), embedder_of(name)
    rows = np.array(opened.matrix)
    query, likely = rows[5], embedder.pair_probabilities(rows[5], rows)
    assert likely.shape == (40,) and likely.dtype == np.float32
    assert likely.min() > 0 and likely.max() < 1 and np.ptp(likely) > 0.01
    assert likely == pytest.approx([in_torch(name, query, row) for row in rows], abs=1e-6)
    network = load_network(models.get(name))
    if COMBINATIONS[name] == "symmetric":
        with torch.inference_mode():
            one, others = torch.from_numpy(rows[5:6]).expand(40, -1), torch.from_numpy(rows)
            own = network.pair_logits(one, others).sigmoid().numpy()
        assert likely == pytest.approx(own, abs=1e-7)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_pair_has_no_order_and_a_batch_no_neighbours(dense, embedder_of, name, monkeypatch):
    rows = np.array(Searcher(dense.gallery, name).matrix)
    embedder = embedder_of(name)
    whole = embedder.pair_probabilities(rows[3], rows)
    turned = [embedder.pair_probabilities(row, rows[3:4])[0] for row in rows]
    assert whole == pytest.approx(turned, abs=1e-6), "single pairs, the other way round"
    monkeypatch.setattr("aina_core.embedding.heads._ROWS", 7)
    assert embedder.pair_probabilities(rows[3], rows) == pytest.approx(whole, abs=1e-6)
    assert embedder.pair_probabilities(rows[3], rows[:0]).shape == (0,)


def test_only_what_the_head_needs_stays_in_memory(dense, embedder_of):
    embedder = embedder_of("dense")
    before = embedder.bytes
    embedder.pair_probabilities(dense.matrix[0], dense.matrix[:2])
    head = load_network(models.get("dense")).pair
    assert embedder.bytes - before == sum(weight.nbytes for weight in head.parameters())


def test_what_cannot_be_judged(dense, embedder_of, embedder):
    rows = np.array(dense.matrix)
    with pytest.raises(InputError, match=r"tiny has no head .* of the kind siamese-dense"):
        embedder.pair_probabilities(rows[0], rows)
    with pytest.raises(InputError, match=r"\(3,\) and rows of shape \(40, 24\) were given"):
        embedder_of("dense").pair_probabilities(rows[0, :3], rows)


@pytest.mark.parametrize(
    "terms",
    [
        [],
        [Term(TEXT, "a cat")],
        [Term(IMAGE, "a.jpg"), Term(UPLOAD, "b")],
        [Term(IMAGE, "a.jpg", -1.0)],
        [Term(IMAGE, "a.jpg", 0.0)],
    ],
    ids=str,
)
def test_a_pair_needs_one_picture(terms):
    with pytest.raises(InputError, match="has to be one picture"):
        one_picture(terms)
    crop = Term(IMAGE, "a.jpg", 2.0, (0, 0, 5, 5))
    assert one_picture([crop]) == crop


# ── neighbours ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def few(monkeypatch):
    """In so small a gallery, so many are judged at least."""
    monkeypatch.setattr(pairs, "FEWEST", 12)
    return 12


def expected(opened, embedder, picture, nearest):
    """The ids of some hits with their probabilities, in their order, one pair at a time."""
    likely = {
        hit.id: embedder.pair_probabilities(picture, opened.vector(hit.id)[None])[0]
        for hit in nearest
    }
    return sorted(likely.items(), key=lambda item: -item[1])


def test_the_nearest_are_ranked_anew(dense, embedder_of, few):
    embedder, own = embedder_of("dense"), dense.ids[7]
    picture = dense.vector(own)
    found = dense.search(picture, exclude=own)
    by_cosine = {hit.id: hit for hit in found.nearest(39)}
    judged = rerank(dense, found, picture, embedder, k=5)
    plain = expected(dense, embedder, picture, found.nearest(few))
    assert judged.candidates == few
    assert [hit.id for hit in judged.hits] == [image_id for image_id, _ in plain[:5]]
    likely = [hit.probability for hit in judged.hits]
    assert likely == pytest.approx([value for _, value in plain[:5]], abs=1e-6)
    assert likely == sorted(likely, reverse=True)
    for hit in judged.hits:
        assert dataclasses.replace(hit, probability=None) == by_cosine[hit.id], "both numbers"
    more = rerank(dense, found, picture, embedder, k=20)
    assert more.candidates == len(more.hits) == 20, "at least those that are shown"
    every = rerank(dense, found, picture, embedder, k=500)
    assert every.candidates == len(every.hits) == 39, "the query itself is no hit"


def test_what_is_judged_likely_comes_up_from_below(dense, embedder_of):
    embedder, up = embedder_of("dense"), 0
    for own in dense.ids[::4]:
        found = dense.search(dense.vector(own), exclude=own)
        judged = rerank(dense, found, dense.vector(own), embedder, k=5)
        up += len({hit.id for hit in judged.hits} - {hit.id for hit in found.nearest(5)})
    assert up > 0


def test_all_above_a_threshold(dense, embedder_of, monkeypatch):
    embedder, picture = embedder_of("dense"), dense.vector(dense.ids[7])
    found = dense.search(picture, exclude=dense.ids[7])
    threshold = float(found.similarities[20])
    judged = rerank(dense, found, picture, embedder, k=3, threshold=threshold)
    above = {hit.id for hit in found.above(threshold)}
    assert {hit.id for hit in judged.hits} == above and judged.candidates == len(above) >= 21
    monkeypatch.setattr(pairs, "MOST", 6)
    nearest = rerank(dense, found, picture, embedder, k=3, threshold=threshold)
    assert {hit.id for hit in nearest.hits} == {hit.id for hit in found.above(-1, 0, 6)}
    assert rerank(dense, found, picture, embedder, k=30).candidates == 6
    assert rerank(dense, found, picture, embedder, k=3, threshold=1.5).hits == []


def test_equal_probabilities_keep_the_order_of_the_similarity(dense, embedder_of, monkeypatch):
    embedder, picture = embedder_of("dense"), dense.vector(dense.ids[7])
    found = dense.search(picture)
    even = lambda vector, rows: np.full(len(rows), 0.5, np.float32)  # noqa: E731
    monkeypatch.setattr(embedder, "pair_probabilities", even)
    judged = rerank(dense, found, picture, embedder, k=9)
    assert [hit.id for hit in judged.hits] == [hit.id for hit in found.nearest(9)]


def test_a_reduced_variant_is_judged_by_whole_vectors(dense, embedder_of):
    opened, embedder = Searcher(dense.gallery, REDUCED), embedder_of("dense")
    picture = dense.vector(dense.ids[2])
    found = opened.search(opened.reduced(picture), exclude=dense.ids[2])
    judged = rerank(opened, found, picture, embedder, k=6)
    plain = expected(dense, embedder, picture, found.nearest(100))[:6]
    assert [(hit.id, hit.probability) for hit in judged.hits] == [
        (image_id, pytest.approx(likely, abs=1e-6)) for image_id, likely in plain
    ]


# ── on the command line ──────────────────────────────────────────────────────────────────────────


def test_search_by_pairs(dense, embedder_of, aina, few, photo_set, tmp_path):
    own, embedder = dense.ids[7], embedder_of("dense")
    words = ("search", "--gallery", "photos", "--model", "dense", "-k", 5)
    found = aina(*words, "--image-id", own, "--rerank", "--json").json
    search = dense.search(dense.vector(own), exclude=own)
    judged = rerank(dense, search, dense.vector(own), embedder, k=5)
    assert found["rerank"] == {"candidates": few} and found["query"] == {"image_id": own}
    assert found["neighbours"] == [
        {"id": h.id, "similarity": h.similarity, "probability": h.probability, "label": h.label}
        for h in judged.hits
    ]
    plain = aina(*words, "--image-id", own, "--json").json
    assert "rerank" not in plain and "probability" not in plain["neighbours"][0]
    text = aina(*words, "--image-id", own, "--rerank").out.splitlines()
    assert text[0] == "Of the 12 nearest, the most likely of one kind with the query:"
    first = judged.hits[0]
    assert text[1].split() == [
        *(f"{first.probability:.4f}", f"{first.similarity:.4f}"),
        *(f"{first.percentile:.1%}", first.id),
    ]
    file, crop = photo_set / own, (5, 5, 60, 60)
    uploaded = aina(*words, "--image", file, "--crop", "5,5,60,60", "--rerank", "--json").json
    picture = embed_query(embedder, file.read_bytes(), crop)
    judged = rerank(dense, dense.search(picture), picture, embedder, k=5)
    assert [hit["probability"] for hit in uploaded["neighbours"]] == pytest.approx(
        [hit.probability for hit in judged.hits], abs=1e-6
    )
    assert [hit["id"] for hit in uploaded["neighbours"]] == [hit.id for hit in judged.hits]
    many = tmp_path / "many.csv"
    aina(*words, "--images", photo_set / "brick", "--csv", many, "--rerank", "--json")
    rows = list(csv.DictReader(many.open(encoding="utf-8-sig")))
    assert len(rows) == 4 * 5
    assert rows[0].keys() == {
        *("query", "rank", "id", "similarity", "percentile", "probability", "label")
    }
    likely = [float(row["probability"]) for row in rows[:5]]
    assert likely == sorted(likely, reverse=True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "tiny", "--image-id", "ID"), "tiny has no head that judges pairs; models of"),
        (("--image-id", "ID", "--image-id", "ID:-1"), "has to be one picture, or a crop of one"),
        (("--image-id", "ID:-1"), "has to be one picture"),
        (("--text", "a cat"), "has to be one picture"),
        (("--class", "espresso"), "it does not go with --class"),
    ],
)
def test_searches_by_pairs_that_cannot_be(dense, aina, words, sentence):
    words = [word.replace("ID", dense.ids[0]) for word in words]
    run = aina("search", "--gallery", "photos", "--model", "dense", "--rerank", *words)
    assert run.status == 2 and run.out == "" and sentence in run.err


# ── on the page ──────────────────────────────────────────────────────────────────────────────────


def visit(**link):
    return App(**{"gallery": "photos", "model": "dense", "k": "5", "search.pairs": "1", **link})


def shown(app):
    return [(card["id"], card["probability"]) for card in app.component("hits")["cards"]]


def as_shown(judged):
    return [(hit.id, f"{hit.probability:.1%}") for hit in judged.hits]


def test_hits_are_ranked_by_pairs_on_the_page(dense, embedder_of, few):
    own = dense.ids[7]
    app = visit(**{"search.pairs": ""}, image=own)
    before = app.hits
    assert all("probability" not in card for card in app.component("hits")["cards"])
    app.set("toggle", "aina.search.pairs", True)
    assert app.link["search.pairs"] in ("1", ["1"])
    found = dense.search(dense.vector(own), exclude=own)
    judged = rerank(dense, found, dense.vector(own), embedder_of("dense"), k=5)
    assert shown(app) == as_shown(judged) and app.hits != before
    cards = app.component("hits")["cards"]
    assert all(card["similarity"] and card["percentile"] for card in cards), "both numbers"
    said = [element.value for element in app.test.main.markdown]
    assert any("The 5 most likely" in text and "the 12 nearest of 39" in text for text in said)
    app.send("hits", {"act": {"id": app.hits[0], "action": "more"}})
    assert any("has to be one picture" in text for text in app.said("warning"))
    assert "probability" not in app.component("hits")["cards"][0]


def test_an_upload_and_a_crop_by_pairs(dense, embedder_of, photo_set, few):
    embedder, data = embedder_of("dense"), (photo_set / dense.ids[7]).read_bytes()
    crop = (5, 5, 60, 60)
    picture = embed_query(embedder, data, crop)
    app = visit(upload=uploads.keep_query(data), crop="5,5,60,60")
    judged = rerank(dense, dense.search(picture), picture, embedder, k=5)
    assert shown(app) == as_shown(judged) and not app.said()


def test_a_threshold_by_pairs(dense, embedder_of):
    own = dense.ids[7]
    found = dense.search(dense.vector(own), exclude=own)
    app = visit(image=own, threshold="0.9")
    judged = rerank(dense, found, dense.vector(own), embedder_of("dense"), k=5, threshold=0.9)
    assert len(judged.hits) > 5 and shown(app) == as_shown(judged)
    said = [element.value for element in app.test.main.markdown]
    assert any(text.endswith("; the likeliest first**") for text in said)


def test_other_models_have_no_such_switch(dense):
    app = visit(model="tiny", image=dense.ids[7])
    assert not [toggle for toggle in app.test.toggle if toggle.key == "aina.search.pairs"]
    assert not app.said() and "probability" not in app.component("hits")["cards"][0]
