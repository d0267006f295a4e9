"""`duplicates` and `check`: on the command line, and what they are made of."""

import csv
import json
import os
import shutil
import signal
import threading

import pytest
from PIL import Image

from aina_core.duplicates import against
from aina_core.duplicates.against import Checker, arriving, keep_checked, stored_checked
from aina_core.duplicates.keep import choose
from aina_core.errors import GalleryError, InputError
from aina_core.gallery import create, open_gallery, update
from aina_core.gallery.indexing import index
from aina_core.search.searcher import Searcher
from tests.support.process import refused, start_tiny

G = ("--gallery", "mine", "--model", "tiny")


@pytest.fixture
def twice(home, photos, embedder):
    """Twelve photographs, four of them a second time: re-encoded or just so, one like a formula."""
    for name in ("camera/1.jpg", "brick/2.jpg"):
        with Image.open(photos / name) as image:
            image.save(photos / f"{name}.again.jpg", quality=70)
    shutil.copy(photos / "camera/2.jpg", photos / "=cmd()|x.jpg")
    shutil.copy(photos / "camera/2.jpg", photos / "camera/third.jpg")
    gallery = create("mine", photos)
    update(gallery, embedder)
    return gallery


def groups(run):
    return sorted(sorted(group["ids"]) for group in run.json["groups"])


COPIES = [
    ["=cmd()|x.jpg", "camera/2.jpg", "camera/third.jpg"],
    ["brick/2.jpg", "brick/2.jpg.again.jpg"],
    ["camera/1.jpg", "camera/1.jpg.again.jpg"],
]


def test_duplicates(twice, aina):
    run = aina("duplicates", *G, "--threshold", 0.9999, "--json")
    assert run.status == 0 and groups(run) == COPIES
    found = run.json
    assert found["pairs"] == 5 and found["threshold"] == 0.9999 and found["between"] == []
    for group in found["groups"]:
        assert group["weakest"] >= 0.9999 and group["keep"] in group["ids"]
        assert set(group["weakest_pair"]) <= set(group["ids"]) and group["chosen"] is False
    lines = aina("duplicates", *G, "--threshold", 0.9999).out.splitlines()
    assert "5 pairs, 3 groups, 0 pairs between groups" in lines[0] and len(lines) == 4
    by_index = aina("duplicates", *G, "--threshold", 0.9999, "--index", "annoy", "--json")
    assert groups(by_index) == COPIES and by_index.json["index"] == "annoy"


def test_duplicates_at_what_the_gallery_suggests(twice, aina):
    found = aina("duplicates", *G, "--json").json
    assert "of true copies are found" in found["suggested"] and 0 < found["threshold"] < 1
    again = aina("duplicates", *G)
    assert found["suggested"] in again.out.splitlines()


def test_browsing_stores_pairs_further_down(twice, aina):
    run = aina("duplicates", *G, "--threshold", 0.9999, "--browse", "--json")
    assert run.json["pairs"] == 5 and run.json["threshold"] == 0.9999
    folder = twice.store("tiny").folder / "duplicates" / "exact"
    assert json.loads((folder / "manifest.json").read_text())["record"]["floor"] < 0.9


def test_the_images_to_keep_and_the_table(twice, aina, tmp_path):
    choose(twice, "camera/third.jpg", ["camera/2.jpg"])
    table = tmp_path / "found.csv"
    words = ("--threshold", 0.9999, "--keep", "oldest", "--verify", "--csv", table, "--json")
    run = aina("duplicates", *G, *words)
    kept = {tuple(sorted(g["ids"])): (g["keep"], g["chosen"]) for g in run.json["groups"]}
    assert kept[tuple(COPIES[0])] == ("camera/third.jpg", True)
    signals = [pair for group in run.json["groups"] for pair in group["verified"]]
    assert len(signals) == 4 and all(pair["words"] for pair in signals)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert sorted(row["decision"] for row in rows) == ["keep"] * 3 + ["other"] * 4
    assert "'=cmd()|x.jpg" in [row["id"] for row in rows], "a spreadsheet must not run it"
    assert {row["decided by"] for row in rows} == {"you", "oldest"}
    again = aina("duplicates", *G, "--threshold", 0.9999, "--csv", table)
    assert again.status == 0 and "matched point" not in again.out
    said = aina("duplicates", *G, "--threshold", 0.9999, "--verify").out
    assert "matched point" in said or "too few details" in said


def test_a_folder_against_the_gallery(twice, photos, aina, tmp_path, photo_set):
    folder, table = tmp_path / "new", tmp_path / "new.csv"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(photos / "camera/1.jpg", folder / "sub" / "@sum.jpg")
    shutil.copy(photo_set / "coffee" / "1.jpg", folder / "new.jpg")
    (folder / "bad.png").write_bytes(b"no picture")
    words = ("--threshold", 0.99999, "--against", folder, "--csv", table)
    run = aina("duplicates", *G, *words, "--json")
    assert run.status == 0 and run.json["files"] == 3
    (found,) = run.json["found"]
    assert found["file"] == "sub/@sum.jpg"
    assert found["matches"][0]["id"] == "camera/1.jpg"
    assert run.json["failed"] == [
        {"file": "bad.png", "reason": "not a picture in a format that AINA reads"}
    ]
    with table.open(newline="") as file:
        row, *_ = csv.DictReader(file)
    assert row["file"] == "sub/@sum.jpg" and row["id"] == "camera/1.jpg"
    assert "1 of 3 pictures" in aina("duplicates", *G, *words).out
    known = stored_checked(Searcher(twice, "tiny"), folder)
    assert known.files == 3 and list(known.found) == ["sub/@sum.jpg"] and "bad.png" in known.failed
    assert stored_checked(Searcher(twice, "tiny"), photos) is None


def test_a_result_of_another_gallery_does_not_hold(twice, embedder, photos, tmp_path):
    searcher = Searcher(twice, "tiny")
    checker = Checker(searcher, embedder, 0.9)
    keep_checked(searcher, photos, 0.9, list(checker.check_folder(photos)))
    assert len(stored_checked(searcher, photos).found) == 16
    searcher.shown[0] = False
    assert stored_checked(searcher, photos) is None
    searcher.shown[0] = True
    (path,) = twice.store("tiny").folder.glob("duplicates/against/*.json")
    path.write_text(path.read_text().replace('"found"', '"lost"'))
    assert stored_checked(searcher, photos) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--threshold", "2"), "The threshold 2.0 is no similarity"),
        (("--threshold", "nan"), "no similarity"),
        (("--threshold", "much"), "invalid float"),
        (("--keep", "best"), "Known: largest, oldest, sharpest"),
        (("--index", "guess"), "Known: annoy, exact"),
        (("--csv", "/"), "it is a folder"),
        (("--against", "/nowhere"), "The folder /nowhere is missing"),
        (("--model", "nope"), "no model named 'nope'"),
        (("--gallery", "none"), "no gallery named 'none'"),
    ],
)
def test_duplicates_options_that_are_refused(twice, aina, options, sentence):
    run = aina(
        "duplicates", *G, *(("--threshold", 0.9) if "--threshold" not in options else ()), *options
    )
    assert sentence in refused(run)


@pytest.mark.parametrize("words", [(), ("--threshold", 0.9), ("--threshold", 0.9, "--turned")])
def test_a_stopped_run_ends_well_and_stores_nothing(twice, aina, monkeypatch, words):
    monkeypatch.setattr("aina_core.cli.console.Terminal.stop", lambda reporter: True)
    run = aina("duplicates", *G, *words, "--json")
    assert run.status == 0 and run.json == {"stopped": True}
    assert "Stopped" in aina("duplicates", *G, *words).out
    assert not list(twice.store("tiny").folder.glob("duplicates/*/manifest.json"))


# ── check ────────────────────────────────────────────────────────────────────────────────────────

NEAR = ("--threshold", 0.99999)


def test_check(twice, photos, photo_set, aina, tmp_path):
    known, new = photos / "camera/1.jpg", photo_set / "coffee" / "1.jpg"
    bad, missing = tmp_path / "bad.jpg", tmp_path / "missing.jpg"
    bad.write_bytes(b"no picture")
    flagged = aina("check", known, new, *G, *NEAR, "--json")
    assert flagged.status == 1 and flagged.json["flagged"] == 1 and flagged.json["failed"] == 0
    first, second = flagged.json["files"]
    assert first["file"] == str(known) and first["flagged"]
    assert first["matches"][0]["id"] == first["nearest"]["id"] == "camera/1.jpg"
    assert first["nearest"]["similarity"] == pytest.approx(1, abs=1e-5)
    assert not second["flagged"] and second["matches"] == [] and second["nearest"]["similarity"] < 1
    clean = aina("check", new, *G, *NEAR, "--json")
    assert clean.status == 0 and clean.json["flagged"] == 0
    failed = aina("check", new, bad, missing, *G, *NEAR, "--json")
    assert failed.status == 2 and failed.json["failed"] == 2
    assert failed.json["files"][1]["error"] == "not a picture in a format that AINA reads"
    assert failed.json["files"][2]["error"] == "the file is missing"
    both = aina("check", bad, known, *G, *NEAR, "--json")
    assert both.status == 1, "what is flagged is flagged, whatever else happened"
    text = aina("check", bad, known, new, *G, *NEAR).out.splitlines()
    assert [line.split()[0] for line in text] == ["error", "FLAGGED", "clean"]


def test_check_as_search(twice, photo_set, aina):
    query = photo_set / "coffee" / "2.jpg"
    (one,) = aina("check", query, *G, "--threshold", -1, "--json").json["files"]
    hits = aina("search", "--image", query, *G, "--exact", "--json").json["neighbours"]
    assert [(m["id"], m["similarity"]) for m in one["matches"]] == [
        (hit["id"], hit["similarity"]) for hit in hits
    ]


def test_check_with_turned(twice, photos, tmp_path, aina):
    turned = tmp_path / "turned.png"
    with Image.open(photos / "camera/1.jpg") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(turned)
    near = ("--threshold", 0.9999)
    assert aina("check", turned, *G, *near).status == 0
    run = aina("check", turned, *G, *near, "--turned", "--json")
    assert run.status == 1
    assert run.json["files"][0]["nearest"]["relation"] == "turned by 270°"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Give the files to check, or --watch"),
        (("a.jpg", "--watch", "."), "Give the files to check, or --watch"),
        (("--watch", "/nowhere"), "The folder /nowhere is missing"),
        (("--watch", ".", "--every", "0"), "give 0.05 to 3600 seconds"),
        (("a.jpg", "--threshold", "7"), "is no similarity"),
        (("a.jpg", "--gallery", "none"), "no gallery named 'none'"),
    ],
)
def test_a_check_that_is_refused(twice, aina, words, sentence):
    assert sentence in refused(aina("check", *G, *words))


def test_watching_a_queue(twice, photos, photo_set, tiny, tmp_path):
    queue = tmp_path / "queue"
    queue.mkdir()
    shutil.copy(photos / "camera/1.jpg", queue / "there.jpg")
    words = ("--watch", queue, "--every", 0.1, "--json")
    process = start_tiny("check", *G, *NEAR, *words)
    try:
        first = json.loads(process.stdout.readline())
        assert first["file"] == str(queue / "there.jpg") and first["flagged"]
        (queue / "bad.jpg").write_bytes(b"no picture")
        second = json.loads(process.stdout.readline())
        assert "bad.jpg" in second["file"] and second["error"]
        shutil.copy(photo_set / "coffee" / "1.jpg", queue / "new.jpg")
        third = json.loads(process.stdout.readline())
        assert "new.jpg" in third["file"] and not third["flagged"]
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert rest == b"" and process.returncode == 1, err


def test_a_file_comes_once_it_is_whole_and_again_when_it_changes(tmp_path):
    stop = threading.Event()
    path, given = tmp_path / "a.jpg", []
    path.write_bytes(b"0")
    looks = iter(range(1000))

    def grow():
        """Asked between two looks, about: the file grows at first, and later is written anew."""
        number = next(looks)
        if number in (1, 2, 3):
            path.write_bytes(b"0" * (number + 1))
            os.utime(path, ns=(number, number))
        return stop.is_set() or number > 400

    for batch in arriving(tmp_path, every=0.02, stop=grow):
        given.append([(one.name, one.stat().st_size) for one in batch])
        if len(given) == 1:
            path.write_bytes(b"another")
        elif len(given) == 2:
            path.unlink()
            (tmp_path / "b.png").write_bytes(b"b")
            (tmp_path / "notes.txt").write_bytes(b"no picture's name")
        else:
            stop.set()
    assert given == [[("a.jpg", 4)], [("a.jpg", 7)], [("b.png", 1)]]


def test_a_queue_that_vanishes(tmp_path):
    folder = tmp_path / "queue"
    folder.mkdir()
    looks = arriving(folder, every=0.05, stop=lambda: folder.exists() and folder.rmdir())
    with pytest.raises(GalleryError, match="is missing"):
        list(looks)


def test_a_large_gallery_is_searched_by_its_index(twice, embedder, photos, monkeypatch):
    monkeypatch.setattr(against, "MOST_EXACT", 3)
    (one,) = Checker(Searcher(open_gallery("mine"), "tiny"), embedder, 0.9999).check(
        [photos / "camera/1.jpg"]
    )
    assert one.flagged and one.nearest.neighbour.id == "camera/1.jpg"
    with pytest.raises(InputError):
        Checker(Searcher(twice, "tiny"), embedder, float("nan"))


def test_under_a_reduced_variant_too(searcher, photo_set, aina, tmp_path):
    model = f"{searcher.model}@pca8"
    index("photos", photo_set, model)
    found = aina("duplicates", "--gallery", "photos", "--model", model, "--turned", "--json")
    assert found.status == 0 and -1 < found.json["threshold"] <= 1
    file = next(photo_set.rglob("*.jpg"))
    options = ("--gallery", "photos", "--model", model, "--threshold", "0.99", "--json")
    assert aina("check", file, *options).status == 1
    against = ("--threshold", "0.99", "--against", file.parent, "--json")
    assert aina("duplicates", "--gallery", "photos", "--model", model, *against).status == 0


def test_a_fault_is_no_flag(searcher, photo_set, aina, monkeypatch):
    monkeypatch.setattr(Checker, "check", lambda *_, **__: 1 / 0)
    file = next(photo_set.rglob("*.jpg"))
    options = ("--gallery", "photos", "--model", searcher.model, "--threshold", "0.5")
    assert aina("check", file, *options).status == 2
