"""`train` on the command line: the form that it promises, and what cannot be."""

import pytest

from aina_core import models
from aina_core.training.options import ENCODERS, KINDS, OPTIONS, USUAL_POSITIVES
from aina_core.training.pairs_file import read_pairs
from tests.support.process import refused

WORDS = ("--gallery", "photos", "--judged", 4, "--epochs", 2)


def test_an_adapter_and_what_can_be_done_with_it(searcher, aina):
    run = aina(
        "train",
        "adapter",
        *WORDS,
        "--model",
        "tiny",
        "--name",
        "mine",
        "--seed",
        3,
        "--changes",
        "mirrored",
        "rotated/90",
        "--hold-out",
        "mirrored",
        "--json",
    )
    assert run.status == 0, run.err
    found = run.json
    figures = {"precision@5", "map@5", "auc"} | {f"recovery_precision@{k}" for k in (1, 3, 5)}
    assert found.keys() >= {"name", "kind", "epochs", "seconds", "before", "after", "held_out"}
    assert found["before"].keys() == found["after"].keys() == found["intervals"].keys() == figures
    assert (found["name"], found["kind"], found["epochs"]) == ("mine", "adapter", 2)
    assert found["unseen"]["changes"] == ["mirrored"]
    listed = aina("train", "list", "--json").json
    assert [one["name"] for one in listed["models"]] == ["mine"] and not listed["unfinished"]
    assert aina("train", "show", "mine", "--json").json["before"] == found["before"]
    assert "gain" in aina("train", "show", "mine").out
    root = searcher.gallery.root
    assert aina("index", root, "--gallery", "photos", "--model", "mine").status == 0
    neighbours = aina(
        *("search", "--gallery", "photos", "--model", "mine", "--image-id", searcher.ids[0]),
        *("-k", 3, "--json"),
    )
    assert neighbours.status == 0 and len(neighbours.json["neighbours"]) == 3
    assert "mine: ready, 24-d" in aina("models").out
    assert aina("train", "delete", "mine").status == 0 and "mine" not in models.names()


def test_pairs_from_a_file(searcher, aina, tmp_path):
    file = tmp_path / "pairs.csv"
    lines = [f"{searcher.ids[4 * n]},{searcher.ids[4 * n + 1]}" for n in range(10)]
    file.write_text("\n".join(["first,second", *lines]))
    words = ("train", "adapter", *WORDS, "--model", "tiny", "--changes", "mirrored")
    run = aina(*words, "--name", "p", "--positives", file)
    assert run.status == 0 and "use it as --model p" in run.out
    file.write_text("first,second\nonly-one\n")
    assert "Line 2" in refused(aina(*words, "--name", "q", "--positives", file))
    file.write_text("first,second\n")
    assert "holds no pair" in refused(aina(*words, "--name", "q", "--positives", file))
    missing = tmp_path / "none.csv"
    assert "cannot be read" in refused(aina(*words, "--name", "q", "--positives", missing))


def test_pairs_without_a_first_line_of_names(searcher, aina, tmp_path):
    file = tmp_path / "pairs.txt"  # any suffix will do
    ids = searcher.ids
    lines = [f"{ids[4 * n]},{ids[4 * n + 1]}" for n in range(10)]
    file.write_text("\n".join(lines))
    assert len(read_pairs(file, ids)) == 10
    file.write_text("\n".join(["first,second", *lines]))
    assert len(read_pairs(file, ids)) == 10
    words = ("train", "adapter", *WORDS, "--model", "tiny", "--changes", "mirrored")
    assert aina(*words, "--name", "p", "--positives", file).status == 0
    file.write_text("\n".join([*lines, f"gone.png,{ids[1]}", "lost.png,gone.png"]))
    said = refused(aina(*words, "--name", "q", "--positives", file))
    assert "2 are not in the gallery, the first is 'gone.png'" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "the following arguments are required"),
        (("dance", "--name", "x"), "invalid choice: 'dance'"),
        (("siamese",), "--name"),
        (("adapter", "--name", "x"), "--model"),
        (("siamese", "--name", "tiny"), "already"),
        (("siamese", "--name", "a/b"), "cannot name a model"),
        (("siamese", "--name", "x", "--gallery", "none"), "no gallery named 'none'"),
        (("siamese", "--name", "x", "--positives", "smell"), "no positives 'smell'"),
        (("siamese", "--name", "x", "--model", "nope"), "no model named 'nope'"),
        (("vae", "--name", "x", "--changes", "sing"), "set of them named 'sing'"),
        (("vae", "--name", "x", "--device", "tpu", "--gallery", "photos"), "no device 'tpu'"),
        (("siamese", "--name", "x", "--seed", 99999999999999), "give 0 to 2147483647"),
        (("show", "nobody"), "No model named 'nobody' was trained"),
        (("delete", "nobody"), "no trained model named 'nobody'"),
        (("delete", "../photos"), "no trained model"),
    ],
)
def test_trainings_that_cannot_be(searcher, aina, words, sentence):
    assert sentence in refused(aina("train", *words))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_command_with_its_options_and_what_is_usual(aina, kind):
    told = " ".join(aina("train", kind, "--help").out.split())
    for option in OPTIONS:
        assert (f" {option.flag} {option.flag[2:].upper().replace('-', '_')} " in told) == (
            kind in option.kinds
        )
    if kind in ENCODERS:
        assert f"default: {USUAL_POSITIVES.get(kind, 'modifications')} --changes" in told


def test_nothing_trained_yet(home, aina):
    assert aina("train", "list").out.startswith("no model was trained here yet")
    empty = {"models": [], "unfinished": [], "damaged": []}
    assert aina("train", "list", "--json").json == empty
