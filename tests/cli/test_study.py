"""`study` on the command line: the forms that it promises, files, and what cannot be."""

import csv

import pytest

from aina_core.changes.modifications import MODIFICATIONS
from tests.support.process import refused
from tests.support.studies import CHANGES, TWO


@pytest.fixture
def both(studied, other_tiny, monkeypatch):
    """The home with one study of each kind."""
    monkeypatch.setenv("AINA_HOME", str(studied.home))
    return studied


@pytest.fixture
def made(aina):
    """Run a study, and delete it afterwards."""
    ids = []

    def run(*words):
        found = aina("study", *words, "--json")
        assert found.status == 0, found.err
        ids.append(found.json["id"])
        return found.json

    yield run
    for study_id in ids:
        aina("study", "delete", study_id)


def test_modifications(both, made):
    found = made("modifications", "--gallery", "photos", "--models", *TWO, "--originals", 3)
    assert list(found["models"]) == list(TWO)
    for model in found["models"].values():
        assert list(model["modifications"]) == list(MODIFICATIONS)
        for one in model["modifications"].values():
            assert one.keys() >= {"median", "mean", "std", "n"} and one["n"] == 3
        assert model["baseline"].keys() >= {"median", "mean", "std"}
        assert 0.5 < model["auc"] <= 1
    assert found["settings"]["originals"] == 3 and found["gallery"] == "photos"
    assert found["costs"]["tiny"]["images"] == 3 * 19


def test_recovery(both, made):
    words = ("--gallery", "photos", "--models", *TWO, "--originals", 6, "-k", 1, 3, 5)
    found = made("recovery", *words)
    for model in TWO:
        assert list(found["models"][model]) == ["1", "3", "5"]
        for figures in found["models"][model].values():
            assert list(figures) == ["precision", "recall", "f1"]
            for one in figures.values():
                assert one.keys() >= {"mean", "std", "low", "high"}
    again = made("recovery", *words)
    assert again["models"] == found["models"] and again["differences"] == found["differences"]


def test_retrieval(both, made):
    found = made("retrieval", "--gallery", "photos", "--models", *TWO, "-k", 5)
    for model in TWO:
        (figures,) = found["models"][model].values()
        assert list(figures) == ["precision", "recall", "map"]
        assert all(0 < one["low"] <= one["mean"] <= one["high"] <= 1 for one in figures.values())
    assert list(found["models"]["tiny"]) == ["5"]


def test_in_the_demo_the_originals_are_the_photographs(demo_gallery):
    from aina_core.changes.originals import find_originals
    from aina_core.gallery import open_gallery

    found = find_originals(open_gallery("demo"), None, 0)
    assert len(found) == 17 and all(o.id.endswith("/original.jpg") for o in found)


def test_studies_are_listed_shown_and_deleted(both, made, aina):
    listed = aina("study", "list", "--json").json
    assert [one["settings"]["kind"] for one in listed["studies"]] and listed["damaged"] == []
    kept = both.runs["recovery"]
    shown = aina("study", "show", kept.id, "--json").json
    assert shown == kept.document()
    text = aina("study", "show", kept.id).out
    assert text.startswith(kept.summary.verdict) and "precision@5: " in text
    assert "images/s here: " in text and "peak memory (MB): " in text
    extra = made("recovery", "--gallery", "photos", "--models", "tiny", "--originals", 4)
    assert aina("study", "delete", extra["id"]).status == 0
    assert "no stored study" in refused(aina("study", "show", extra["id"]))
    assert kept.id in aina("study", "list").out


def test_two_studies_side_by_side(both, made, aina):
    kept = both.runs["recovery"]
    extra = made("recovery", "--gallery", "photos", "--models", "tiny", "--originals", 6)
    found = aina("study", "compare", kept.id, extra["id"], "--json").json
    assert "The originals differ: 20 and 6." in found["notes"]
    assert "The models differ: tiny, other-tiny and tiny." in found["notes"]
    assert any("different images" in note for note in found["notes"])
    (one,) = (
        f
        for f in found["figures"]
        if (f["model"], f["what"], f["k"], f["figure"]) == ("tiny", "all", 5, "precision")
    )
    first = kept.results["models"]["tiny"]["5"]["precision"]["mean"]
    second = extra["models"]["tiny"]["5"]["precision"]["mean"]
    assert (one["first"], one["second"]) == (first, second)
    assert one["difference"] == pytest.approx(second - first, abs=1e-6)
    assert "tiny, all, precision@5: " in aina("study", "compare", kept.id, extra["id"]).out
    itself = aina("study", "compare", kept.id, kept.id, "--json").json
    assert itself["notes"] == ["Settings, images and models are the same."]
    assert {f["difference"] for f in itself["figures"]} == {0}
    assert not any(f["apart"] for f in itself["figures"])
    other = both.runs["retrieval"].id
    assert "compare two of one kind" in refused(aina("study", "compare", kept.id, other))


def test_every_figure_as_a_table(both, aina, tmp_path):
    for kind, run in both.runs.items():
        table = tmp_path / f"{kind}.csv"
        assert aina("study", "show", run.id, "--csv", table).status == 0
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["model"] for row in rows} == set(TWO)
        keys = [(row["model"], row["what"], row["k"], row["figure"]) for row in rows]
        assert len(set(keys)) == len(keys)
        named = {"modifications": "auc", "recovery": "precision", "retrieval": "map"}[kind]
        mine = [row for row in rows if row["figure"] == named]
        assert all(float(r["low"]) <= float(r["value"]) <= float(r["high"]) for r in mine)
    by_change = {row["what"] for row in csv_rows(tmp_path / "modifications.csv")}
    assert by_change >= {*CHANGES, "all", "random pairs", "cost"}


def csv_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("dance",), "invalid choice: 'dance'"),
        (("recovery",), "--models"),
        (("recovery", "--models", "nope"), "no model named 'nope'"),
        (("recovery", "--models", "tiny", "--gallery", "none"), "no gallery named 'none'"),
        (("recovery", "--models", "tiny", "--originals", "1"), "at least 2"),
        (("recovery", "--models", "tiny", "-k", "five"), "invalid int value"),
        (("recovery", "--models", "tiny", "--changes", "x"), "set of them named 'x'"),
        (("recovery", "--models", "tiny", "--html", "/"), "it is a folder"),
        (
            ("modifications", "--models", "tiny", "--gallery", "photos", "--device", "tpu"),
            "no device 'tpu'",
        ),
        (("modifications", "--models", "tiny", "-k", "3"), "unrecognized arguments"),
        (("retrieval", "--models", "tiny@fast", "--gallery", "photos"), "is not indexed by"),
        (("show", "20260101-000000-recovery-0000"), "no stored study"),
        (("delete", "../photos"), "no stored study"),
        ((), "the following arguments are required"),
    ],
)
def test_studies_that_are_refused(both, aina, words, sentence):
    assert sentence in refused(aina("study", *words))


def test_no_study_yet(home, aina):
    assert aina("study", "list").out.startswith("no study yet")
    assert aina("study", "list", "--json").json == {"studies": [], "damaged": []}


def test_a_report_that_cannot_be_written(both, aina):
    run = aina("study", "show", both.runs["recovery"].id, "--html", "/proc/none/x.html")
    assert "/proc/none/x.html cannot be written" in refused(run)
