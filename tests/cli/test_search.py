"""`search` with several terms, words and classes; `labels`."""

import csv

import pytest

from aina_core.embedding import load_embedder
from aina_core.search.searcher import Searcher
from tests.support.process import refused

SEARCH = ("search", "--gallery", "mine", "--json", "-k", 5)
CHELSEA, COFFEE = "chelsea/1.jpg", "coffee/1.jpg"


@pytest.fixture
def mine(by_two_models):
    return by_two_models


def test_terms_with_weights(mine, photo_set, aina):
    file = photo_set / "brick" / "1.jpg"
    run = aina(
        *(*SEARCH, "--model", "wordy", "--image", f"{file}:-0.5", "--text", "golden retriever:2"),
        *("--image-id", CHELSEA, "--image-id", f"{COFFEE}:0.25", "--image-id", COFFEE),
    )
    assert run.status == 0, run.err
    assert run.json["query"] == {
        "terms": [
            {"image": str(file), "weight": -0.5},
            {"text": "golden retriever", "weight": 2.0},
            {"image_id": CHELSEA, "weight": 1.0},
            {"image_id": COFFEE, "weight": 0.25},
            {"image_id": COFFEE, "weight": 1.0},
        ]
    }
    opened, embedder = Searcher(mine, "wordy"), load_embedder("wordy", device="cpu")
    total = (
        -0.5 * opened.vector("brick/1.jpg")
        + 2 * embedder.embed_text(["golden retriever"])[0]
        + opened.vector(CHELSEA)
        + 1.25 * opened.vector(COFFEE)
    )
    near = opened.matrix @ total / (total @ total) ** 0.5
    allowed = [row for row, key in enumerate(opened.ids) if key not in (CHELSEA, COFFEE)]
    order = sorted(allowed, key=lambda row: -near[row])
    hits = run.json["neighbours"]
    assert [hit["id"] for hit in hits] == [opened.ids[row] for row in order[:5]]
    assert [hit["similarity"] for hit in hits] == pytest.approx(near[order[:5]], abs=1e-5)


def test_words_alone_and_the_crop_of_the_first_picture(mine, photo_set, aina):
    run = aina(*SEARCH, "--model", "wordy", "--text", "cat")
    assert run.json["query"] == {"text": "cat"} and len(run.json["neighbours"]) == 5
    run = aina(
        *(*SEARCH, "--model", "wordy", "--text", "cat", "--image-id", CHELSEA),
        *("--crop", "0,0,30,30"),
    )
    second = run.json["query"]["terms"][1]
    assert second == {"image_id": CHELSEA, "crop": [0, 0, 30, 30], "weight": 1.0}


def test_a_file_that_is_named_like_a_weight_wins(mine, photo_set, aina, tmp_path):
    odd = tmp_path / "a.jpg:2"
    odd.write_bytes((photo_set / COFFEE).read_bytes())
    run = aina(*SEARCH, "--model", "tiny", "--image", odd)
    assert run.json["query"] == {"image": str(odd)}
    assert run.json["neighbours"][0]["id"] == COFFEE


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Give a query"),
        (("--class", "espresso", "--image-id", CHELSEA), "each alone"),
        (("--class", "espresso", "--crop", "0,0,5,5"), "--crop"),
        (("--text", "cat"), "tiny has no text tower"),
        (("--image-id", CHELSEA, "--image-id", f"{CHELSEA}:-1"), "cancel out"),
        (("--image-id", f"{CHELSEA}:0"), "cancel out"),
        (("--image-id", f"{CHELSEA}:1e9"), "weight"),
        (("--image-id", "gone.jpg:2"), "no image 'gone.jpg'"),
        (("--image", "gone.jpg:2"), "image gone.jpg cannot be used: the file is missing"),
        (("--text", " "), "empty"),
        (("--text", "cat", "--crop", "0,0,5,5"), "the query has none"),
        (("--class", "cat"), "choose one: "),
        (("--class", "expresso"), "did you mean espresso"),
        (("--class", ""), "None of the model's"),
    ],
)
def test_a_query_that_cannot_be(mine, aina, words, sentence):
    assert sentence in refused(aina(*SEARCH, "--model", "tiny", *words))


def test_a_class(mine, aina):
    run = aina(*SEARCH, "--model", "tiny", "--class", "Espresso")
    assert run.status == 0 and run.json["query"] == {"class": "espresso"}
    values = [hit["probability"] for hit in run.json["neighbours"]]
    assert len(values) == 5 and values == sorted(values, reverse=True) and 0 < values[0] < 1
    assert aina(*SEARCH[:-3], "--model", "tiny", "--class", "espresso").out.startswith(
        "espresso:\n"
    )
    assert "was not trained" in refused(aina(*SEARCH, "--model", "wordy", "--class", "espresso"))


def test_labels_in_words(mine, aina, tmp_path, photo_set):
    command = ("labels", "--gallery", "mine", "--model", "wordy")
    words = ("--label", "a cat", "--label", "a cup", "--prompt", "a photo of {}", "--prompt", "{}")
    run = aina(*command, *words, "--json")
    assert run.status == 0 and run.json["by"] == "labels" and len(run.json["images"]) == 40
    for image in run.json["images"]:
        assert {guess["label"] for guess in image["labels"]} == {"a cat", "a cup"}
        assert sum(guess["probability"] for guess in image["labels"]) == pytest.approx(1, abs=1e-5)
    target = tmp_path / "labels.csv"
    assert aina(*command, *words, "--csv", target, "--json").json["images"] == 40
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80 and [row["rank"] for row in rows[:2]] == ["1", "2"]
    first = run.json["images"][0]
    assert rows[0]["id"] == first["id"] and rows[0]["label"] == first["labels"][0]["label"]
    one = aina(*command, *words, "--image", photo_set / first["id"], "--json").json["images"]
    assert one[0]["labels"][0]["probability"] == pytest.approx(
        first["labels"][0]["probability"], abs=1e-3
    )


def test_labels_by_classes(mine, aina, photo_set):
    run = aina("labels", "--gallery", "mine", "--model", "tiny", "--top", 3, "--json")
    assert run.json["by"] == "classes"
    assert all(len(image["labels"]) == 3 for image in run.json["images"])
    text = aina(
        "labels", "--gallery", "mine", "--model", "tiny", "--image", photo_set / CHELSEA
    ).out
    assert text.count("%") == 5 and text.startswith(str(photo_set))


@pytest.mark.parametrize(
    ("model", "words", "sentence"),
    [
        ("tiny", ("--label", "a", "--label", "b"), "tiny has no text tower"),
        ("wordy", (), "give --label"),
        ("wordy", ("--label", "a"), "at least two"),
        ("wordy", ("--label", "a", "--label", "b", "--prompt", "x"), "no {}"),
        ("tiny", ("--prompt", "a {}"), "give --label"),
        ("tiny", ("--top", "0"), "--top"),
        ("tiny", ("--crop", "0,0,5,5"), "give --image"),
        ("tiny", ("--image", "gone.jpg"), "gone.jpg cannot be used"),
        ("tiny", ("--csv", "/"), "cannot be written"),
    ],
)
def test_labels_that_cannot_be(mine, aina, model, words, sentence):
    run = aina("labels", "--gallery", "mine", "--model", model, *words)
    assert sentence in refused(run)
