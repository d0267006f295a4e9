"""`agreement` and `pair` on the command line."""

import csv

import pytest

from tests.support.process import refused

TWO = ("--models", "tiny", "other-tiny")


@pytest.fixture
def both(home, photos, tiny, other_tiny, aina):
    """The folder of a gallery "mine" under both tiny models."""
    for model in (tiny, other_tiny):
        assert aina("index", photos, "--gallery", "mine", "--model", model).status == 0
    return photos


def test_agreement(both, aina):
    run = aina("agreement", "--gallery", "mine", *TWO, "-k", 4, "--json")
    assert run.status == 0
    found = run.json
    assert (found["k"], found["models"], found["images"]) == (4, ["tiny", "other-tiny"], 12)
    assert list(found["shared"]) == ["0", "1", "2", "3", "4"]
    assert sum(found["shared"].values()) == 12
    assert found["percent"]["4"] == pytest.approx(100 * found["shared"]["4"] / 12, abs=0.01)
    assert 0 < found["rbo"] < 1 and found["rbo_p"] == 0.9
    worst = found["most_different"]
    assert len(worst) == 10
    assert [one["shared"] for one in worst] == sorted(one["shared"] for one in worst)
    text = aina("agreement", "--gallery", "mine", *TWO).out
    assert f"4 shared: {found['shared']['4']} (" in text and "rank-biased overlap" in text


def test_agreement_of_three_models(both, aina):
    models = ("tiny", "other-tiny", "tiny@fast")
    assert aina("index", both, "--gallery", "mine", "--model", "tiny@fast").status == 0
    found = aina("agreement", "--gallery", "mine", "--models", *models, "-k", 3, "--json").json
    assert found["models"] == list(models) and sum(found["shared"].values()) == 12
    names = [tuple(one["models"]) for one in found["pairs"]]
    assert names == [models[:2], (models[0], models[2]), models[1:]]
    two = aina("agreement", "--gallery", "mine", *TWO, "-k", 3, "--json").json
    assert found["pairs"][0]["shared"] == two["shared"]


def test_agreement_as_a_table(both, aina, tmp_path):
    table = tmp_path / "images.csv"
    found = aina("agreement", "--gallery", "mine", *TWO, "--csv", table, "--json").json
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    shared = [row["shared tiny & other-tiny"] for row in rows]
    assert {n: shared.count(n) for n in found["shared"]} == found["shared"]
    (worst,) = (row for row in rows if row["id"] == found["most_different"][0]["id"])
    assert worst["shared tiny & other-tiny"] == str(found["most_different"][0]["shared"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--models", "tiny", "tiny"), "tiny is named twice"),
        (("--models", "tiny"), "give 2 to 4"),
        (("--models", "tiny", "nope"), "no model named 'nope'"),
        (("--models", "tiny", "tiny@fast"), "is not indexed by tiny@fast"),
        ((*TWO, "-k", "0"), "k is 0"),
        ((*TWO, "-k", "12"), "only 12 images"),
        ((*TWO, "-k", "four"), "invalid int value"),
        ((*TWO, "--csv", "/"), "it is a folder"),
        ((), "--models"),
    ],
)
def test_agreement_that_cannot_be(both, aina, options, sentence):
    assert sentence in refused(aina("agreement", "--gallery", "mine", *options))


def test_a_table_that_cannot_be_written(both, aina):
    run = aina("agreement", "--gallery", "mine", *TWO, "--csv", "/proc/none/x.csv")
    assert run.status == 2 and run.out == ""
    assert "/proc/none/x.csv cannot be written" in run.err.splitlines()[-1]


def test_agreement_in_a_gallery_that_is_not_there(home, tiny, other_tiny, aina):
    assert "no gallery named 'none'" in refused(aina("agreement", "--gallery", "none", *TWO))


def test_pair(both, aina):
    one, other = both / "brick" / "1.jpg", both / "camera" / "2.jpg"
    found = aina("pair", "--image", one, "--with", other, *TWO, "--json").json
    assert list(found["models"]) == ["tiny", "other-tiny"]
    assert all(m["percentile"] is None for m in found["models"].values())
    by_id = aina(
        *("pair", "--image-id", "brick/1.jpg", "--with", other, *TWO, "--gallery", "mine"),
        "--json",
    ).json["models"]
    for model, values in found["models"].items():
        assert by_id[model]["similarity"] == pytest.approx(values["similarity"], abs=1e-5)
        assert 0 <= by_id[model]["percentile"] <= 1
    (line, _) = aina(
        *("pair", "--image", one, "--with-id", "brick/1.jpg", *TWO, "--gallery", "mine")
    ).out.splitlines()
    assert line == "tiny: similarity 1.0000, nearer than 100.0% of pairs"


def test_a_pair_as_in_search(both, aina):
    query = ("--image-id", "brick/1.jpg", "--gallery", "mine")
    hits = aina("search", *query, "--model", "tiny", "-k", 11, "--json").json["neighbours"]
    found = aina("pair", *query, "--with-id", hits[4]["id"], "--models", "tiny", "--json").json
    assert found["models"]["tiny"]["similarity"] == hits[4]["similarity"]


def test_a_pair_of_crops(both, aina):
    one = both / "brick" / "1.jpg"
    same = ("pair", "--image", one, "--with", one, "--models", "tiny", "--json")
    box = ("--crop", "5,5,30,30", "--with-crop", "5,5,30,30")
    assert aina(*same, *box).json["models"]["tiny"]["similarity"] == pytest.approx(1, abs=1e-6)
    assert aina(*same, *box[:2]).json["models"]["tiny"]["similarity"] < 0.9999


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--image", "bad.jpg", "--with", "1.jpg", *TWO), "The image bad.jpg cannot be used"),
        (("--image", "1.jpg", "--with", "gone.jpg", *TWO), "gone.jpg cannot be used"),
        (("--image", "1.jpg", "--with", "1.jpg", "--models", "nope"), "no model named 'nope'"),
        (("--image", "1.jpg", "--with", "1.jpg", "--models", "tiny", "tiny"), "named twice"),
        (("--image-id", "x", "--with", "1.jpg", *TWO), "without a gallery"),
        (("--image", "1.jpg", "--with", "1.jpg", *TWO, "--gallery", "none"), "no gallery named"),
        (("--image", "1.jpg", "--with", "1.jpg", *TWO, "--crop", "900,0,5,5"), "lies outside"),
        (("--image", "1.jpg", *TWO), "--with"),
    ],
)
def test_pairs_that_cannot_be(home, photos, tiny, other_tiny, aina, monkeypatch, options, sentence):
    monkeypatch.chdir(photos / "brick")
    (photos / "brick" / "bad.jpg").write_bytes(b"no picture")
    assert sentence in refused(aina("pair", *options))
