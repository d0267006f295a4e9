"""The command line: its fixed shapes, exit statuses, and one line for what the user can mend."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from aina_core import models
from aina_core.cli import main
from aina_core.gallery import open_gallery
from aina_core.images import read_image
from tests.support.process import ROOT, refused, start_tiny

INDEX_KEYS = {
    "gallery",
    "model",
    "dim",
    "added",
    "updated",
    "removed",
    "unchanged",
    "failed",
    "seconds",
    "images_per_second",
    "device",
    "runtime",
    "mode",
}


@pytest.fixture
def indexed(home, photos, tiny, aina) -> Path:
    """The folder of a gallery "mine"."""
    assert aina("index", photos, "--gallery", "mine", "--model", tiny).status == 0
    return photos


# ── index ────────────────────────────────────────────────────────────────────────────────────────


def test_index(home, photos, tiny, aina):
    (photos / "bad.jpg").write_bytes(b"bad")
    run = aina("index", photos, "--gallery", "mine", "--model", tiny, "--json")
    assert run.status == 0 and set(run.json) >= INDEX_KEYS
    expected = {"gallery": "mine", "model": "tiny", "dim": 24, "added": 12, "updated": 0}
    assert run.json.items() >= expected.items()
    assert (run.json["removed"], run.json["unchanged"], run.json["mode"]) == (0, 0, "exact")
    reason = "not a picture in a format that AINA reads"
    assert run.json["failed"] == [{"id": "bad.jpg", "reason": reason}]
    assert run.json["seconds"] > 0 and run.json["images_per_second"] > 0
    assert (run.json["device"], run.json["runtime"]) in (("cpu", "openvino"), ("cuda", "torch"))
    again = aina("index", photos, "--gallery", "mine", "--model", tiny, "--json").json
    assert (again["added"], again["unchanged"], len(again["failed"])) == (0, 12, 1)
    text = aina("index", photos, "--gallery", "mine", "--model", tiny)
    assert "12 unchanged, 1 failed" in text.out and f"\n  bad.jpg: {reason}" in text.out


def test_index_in_every_way(home, photos, tiny, aina):
    run = aina(
        *("index", photos, "--gallery", "mine", "--model", tiny, "--json"),
        *("--mode", "fast", "--device", "cpu", "--runtime", "torch"),
    )
    assert run.json["model"] == "tiny@fast" and run.json["mode"] == "fast"
    assert (run.json["device"], run.json["runtime"]) == ("cpu", "torch")


def test_index_with_labels(home, photos, tiny, aina, tmp_path):
    (tmp_path / "labels.csv").write_text("id;label;year\nbrick/1.jpg;wall;1999\n")
    run = aina(
        *("index", photos, "--gallery", "mine", "--model", tiny),
        *("--labels", tmp_path / "labels.csv"),
    )
    assert run.status == 0
    found = aina("search", "--gallery", "mine", "--model", tiny, "--json", "-k", 3).status
    assert found == 2  # without a query
    run = aina(
        *("search", "--gallery", "mine", "--model", tiny, "--json"),
        *("--image", photos / "brick" / "1.jpg"),
    )
    assert run.json["neighbours"][0]["label"] == "wall"


# ── search ───────────────────────────────────────────────────────────────────────────────────────


def test_search(indexed, tiny, aina):
    image = indexed / "brick" / "1.jpg"
    run = aina("search", "--gallery", "mine", "--model", tiny, "--image", image, "--json")
    assert run.status == 0 and run.err == ""
    assert set(run.json) == {"gallery", "model", "query", "index", "neighbours"}
    assert (run.json["gallery"], run.json["model"]) == ("mine", "tiny")
    assert run.json["query"] == {"image": str(image)}
    assert run.json["index"] == {"kind": "annoy", "recall_at_10": 1.0}
    hits = run.json["neighbours"]
    assert len(hits) == 10 and all(set(hit) == {"id", "similarity", "label"} for hit in hits)
    assert hits[0]["id"] == "brick/1.jpg" and hits[0]["label"] == "brick"
    assert hits[0]["similarity"] == pytest.approx(1, abs=1e-5)
    values = [hit["similarity"] for hit in hits]
    assert values == sorted(values, reverse=True)


def test_search_exactly(indexed, tiny, aina):
    command = ("search", "--gallery", "mine", "--model", tiny, "--json", "--exact", "-k", 99)
    run = aina(*command, "--image", indexed / "brick" / "1.jpg")
    assert run.json["index"] == {"kind": "exact", "recall_at_10": 1.0}
    assert len(run.json["neighbours"]) == 12


def test_search_by_a_member_leaves_it_out(indexed, tiny, aina):
    command = ("search", "--gallery", "mine", "--model", tiny, "--json", "-k", 99)
    run = aina(*command, "--image-id", "brick/1.jpg")
    assert run.json["query"] == {"image_id": "brick/1.jpg"}
    ids = {hit["id"] for hit in run.json["neighbours"]}
    assert len(ids) == 11 and "brick/1.jpg" not in ids
    assert "no image 'gone.jpg'" in refused(aina(*command, "--image-id", "gone.jpg"))


def test_search_by_a_crop(indexed, tiny, aina, tmp_path):
    picture = read_image(indexed / "brick" / "1.jpg")
    wide = Image.new("RGB", (400, 300), "white")
    wide.paste(picture, (100, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side; the crop counts in upright pixels
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "q.png", exif=exif)
    box = [100, 50, picture.width, picture.height]
    command = ("search", "--gallery", "mine", "--model", tiny, "--json")
    run = aina(*command, "--image", tmp_path / "q.png", "--crop", ",".join(map(str, box)))
    assert run.json["query"] == {"image": str(tmp_path / "q.png"), "crop": box}
    assert run.json["neighbours"][0]["id"] == "brick/1.jpg"
    assert run.json["neighbours"][0]["similarity"] > 0.9999
    run = aina(*command, "--image-id", "brick/1.jpg", "--crop", "0,0,20,20")
    assert run.json["query"] == {"image_id": "brick/1.jpg", "crop": [0, 0, 20, 20]}
    assert "brick/1.jpg" not in {hit["id"] for hit in run.json["neighbours"]}


@pytest.mark.parametrize("crop", ["1,2,3", "a,b,c,d", "0,0,0,5", "0,0,5,-1", "", "1;2;3;4"])
def test_a_crop_that_is_none(crop, indexed, tiny, aina):
    image = indexed / "brick" / "1.jpg"
    run = aina("search", "--gallery", "mine", "--model", tiny, "--image", image, "--crop", crop)
    assert "crop" in refused(run)


@pytest.mark.parametrize("by", ["--image", "--image-id"])
def test_a_crop_outside(by, indexed, tiny, aina):
    query = "brick/1.jpg" if by == "--image-id" else indexed / "brick" / "1.jpg"
    run = aina(
        *("search", "--gallery", "mine", "--model", tiny, by, query, "--crop", "900,900,5,5"),
    )
    line = refused(run)
    assert "lies outside" in line and ".." not in line


def test_many_queries_with_one_start(indexed, tiny, aina, tmp_path, pictures):
    folder = tmp_path / "queries"
    folder.mkdir()
    pictures[1].save(folder / "a.png")
    pictures[5].save(folder / "ü,b.png")
    (folder / "bad.png").write_bytes(b"bad")
    command = ("search", "--gallery", "mine", "--model", tiny, "--images", folder, "-k", 3)
    run = aina(*command, "--csv", tmp_path / "out.csv", "--json")
    assert run.status == 0
    assert run.json["queries"] == 2 and [f["id"] for f in run.json["failed"]] == ["bad.png"]
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["query"], row["rank"]) for row in rows] == [
        *(("a.png", str(rank)) for rank in (1, 2, 3)),
        *(("ü,b.png", str(rank)) for rank in (1, 2, 3)),
    ]
    for name in ("a.png", "ü,b.png"):
        single = aina(*command[:-4], "-k", 3, "--image", folder / name, "--json").json
        found = [row for row in rows if row["query"] == name]
        for row, hit in zip(found, single["neighbours"], strict=True):
            assert (row["id"], row["label"]) == (hit["id"], hit["label"])
            assert float(row["similarity"]) == pytest.approx(hit["similarity"], abs=1e-6)
    assert "--csv" in refused(aina(*command))
    assert "cannot be written" in refused(aina(*command, "--csv", tmp_path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"only text", "not a picture"),
        (None, "the file is missing"),
        ("folder", "not a regular file"),
    ],
)
def test_a_query_that_is_no_picture(content, reason, indexed, tiny, aina, tmp_path):
    path = tmp_path / "query.jpg"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    run = aina("search", "--gallery", "mine", "--model", tiny, "--image", path, "--json")
    assert reason in refused(run) and "query.jpg" in run.err


def test_a_query_by_a_name_with_a_newline_is_refused_in_one_line(indexed, tiny, aina, tmp_path):
    refused(aina("search", "--gallery", "mine", "--model", tiny, "--image", tmp_path / "a\nb.jpg"))


def test_a_query_by_a_name_that_is_not_utf8(indexed, tiny):
    name = os.fsencode(indexed) + b"/\xff.png"
    Path(os.fsdecode(name)).write_bytes((indexed / "brick" / "0.png").read_bytes())
    command = ("search", "--gallery", "mine", "--model", tiny, "--json", "--image")
    process = start_tiny(*command, os.fsdecode(name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    document = json.loads(out.decode("utf-8"))
    assert os.fsencode(document["query"]["image"]) == name


# ── the others ───────────────────────────────────────────────────────────────────────────────────


def test_models(aina, home):
    run = aina("models", "--json")
    assert run.status == 0 and [entry["name"] for entry in run.json] == list(models.names())
    keys = {
        *("name", "family", "dim", "input_size", "status", "reason", "license", "paper", "text"),
        *("classes", "explainable", "convolutional", "weights", "file", "bytes", "source"),
    }
    for entry in run.json:
        assert set(entry) == keys and entry["status"] in ("ready", "missing", "refused")
        assert bool(entry["reason"]) == (entry["status"] != "ready")
        assert (entry["weights"] is None) == (entry["status"] != "ready")
    lite0 = run.json[0]
    assert (lite0["name"], lite0["dim"], lite0["input_size"]) == ("efficientnet-lite0", 1280, 224)
    assert lite0["status"] == "ready" and Path(lite0["weights"]).is_file()
    assert "efficientnet-lite0: ready, 1280-d" in aina("models").out


def test_galleries(indexed, tiny, aina, home):
    run = aina("galleries", "--json")
    (entry,) = run.json
    assert entry["name"] == "mine" and entry["folder"] == str(indexed)
    assert (entry["images"], entry["failed"], entry["models"]) == (12, 0, ["tiny"])
    assert entry["bytes"] > 1000
    assert aina("galleries", "--rename", "mine", "yours", "--json").json[0]["name"] == "yours"
    assert aina("galleries", "--delete", "yours", "--model", tiny, "--json").json[0]["models"] == []
    assert aina("galleries", "--delete", "yours", "--json").json == []
    assert "no gallery yet" in aina("galleries").out
    assert len(list(indexed.rglob("*.*"))) == 12
    assert "no gallery named 'gone'" in refused(aina("galleries", "--delete", "gone"))


def test_verify(indexed, tiny, aina):
    run = aina("verify", "--gallery", "mine", "--json")
    assert run.status == 0 and run.json == {"ok": True, "problems": []}
    store = open_gallery("mine").store(tiny)
    (vectors,) = store.folder.glob("vectors-*.npy")
    content = bytearray(vectors.read_bytes())
    content[300] ^= 1
    vectors.write_bytes(content)
    for _ in range(2):  # it repairs nothing unless told
        run = aina("verify", "--gallery", "mine", "--json")
        assert run.status == 2 and run.json["ok"] is False
        (problem,) = run.json["problems"]
        assert problem.startswith("tiny: ") and vectors.name in problem
        assert run.err.startswith("aina: ") and len(run.err.splitlines()) == 1
    run = aina("verify", "--gallery", "mine", "--repair", "--json")
    assert run.status == 0 and run.json == {"ok": True, "problems": []}
    assert "is whole" in aina("verify", "--gallery", "mine").out


def test_verify_finds_and_mends_a_damaged_index(demo_home, aina, home, tmp_path):
    import shutil

    shutil.copytree(demo_home / "demo", home / "demo")
    folder = open_gallery("demo").store("efficientnet-lite0").index_folder
    native = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(native, native.stat().st_size // 2)
    run = aina("verify", "--gallery", "demo", "--json")
    assert run.status == 2 and native.name in run.json["problems"][0]
    assert aina("verify", "--gallery", "demo", "--repair", "--json").json["ok"] is True
    assert aina("verify", "--gallery", "demo").status == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["index", "/gone", "--gallery", "g"], "/gone is missing"),
        (["index", ".", "--gallery", "../g"], "cannot name a gallery"),
        (["index", ".", "--gallery", "g", "--model", "vgg"], "no model named 'vgg'"),
        (["index", ".", "--gallery", "g", "--model", "tiny@x"], "no variant 'x'"),
        (["index", ".", "--gallery", "g", "--mode", "x"], "no mode 'x'"),
        (["index", ".", "--gallery", "g", "--device", "x"], "no device 'x'"),
        (["index", ".", "--gallery", "g", "--runtime", "x"], "no runtime 'x'"),
        (["index", ".", "--gallery", "g", "--labels", "gone.csv"], "gone.csv"),
        (["index", "x" * 300, "--gallery", "g"], "is missing"),
        (["index", "."], "--gallery"),
        (["search", "--gallery", "gone", "--image", "a.jpg"], "no gallery named 'gone'"),
        (["search", "--image", "a.jpg", "--class", "b"], "each alone"),
        (["search", "--image", "a.jpg", "-k", "x"], "invalid int"),
        (["search", "--image", "a.jpg", "-k", "0"], "at least 1"),
        (["search"], "Give a query"),
        (["verify", "--gallery", "gone"], "no gallery named 'gone'"),
        (["galleries", "--rename", "gone", "new"], "no gallery named 'gone'"),
        (["nonsense"], "invalid choice"),
        ([], "required"),
        (["models", "--nonsense"], "unrecognized"),
    ],
)
def test_what_the_user_can_mend_is_one_line(command, said, home, tiny, aina, photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert said in refused(aina(*command))


def test_a_model_that_has_not_indexed_the_gallery(indexed, aina):
    run = aina("search", "--gallery", "mine", "--model", "efficientnet-lite1", "--image", "a.jpg")
    assert "not indexed by efficientnet-lite1 (indexed by: tiny)" in refused(run)


def test_a_home_that_cannot_be_written_to(photos, tiny, aina, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AINA_HOME", str(tmp_path / "file"))
    assert "file" in refused(aina("index", photos, "--gallery", "mine", "--model", tiny))


def test_a_fault_of_ainas_own_is_not_hidden(home, monkeypatch):
    monkeypatch.setattr(models, "names", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["models"])


@pytest.mark.parametrize(
    "command", ["", "index", "search", "galleries", "models", "demo", "verify"]
)
def test_help(command, aina):
    run = aina(*command.split(), "--help")
    assert run.status == 0 and "usage: python -m aina_core" in run.out


def completed(script, *words):
    """What bash offers for the last of some words."""
    line = " ".join(f"'{word}'" for word in words)
    code = (
        f"source <(cat '{script}'); COMP_WORDS=(aina {line}); COMP_CWORD={len(words)}; _shtab_aina"
    )
    code += '; _shtab_aina; complete -p aina >&2; printf "%s\\n" "${COMPREPLY[@]}"'
    run = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=script.parent)
    assert run.returncode == 0 and "-F _shtab_aina aina" in run.stderr, run.stderr
    return run.stdout.split()


def test_the_completion_that_bash_sources(home, aina, tmp_path):
    script = tmp_path / "completion.sh"
    script.write_text(aina("--print-completion", "bash").out)
    assert completed(script, "spark-") == ["spark-index", "spark-neighbours", "spark-duplicates"]
    assert completed(script, "train", "ad") == ["adapter"]
    assert completed(script, "train", "adapter", "--hea") == ["--head", "--head-dim"]
    (tmp_path / "labels.csv").touch()
    assert completed(script, "index", ".", "--labels", "lab") == ["labels.csv"]


def test_the_completion_of_zsh_and_of_no_other(home, aina):
    run = aina("--print-completion", "zsh")
    assert run.status == 0 and run.out.startswith("#compdef aina\n") and "spark-index" in run.out
    assert "invalid choice: 'fish'" in refused(aina("--print-completion", "fish"))


def test_stdout_is_one_json_document_in_a_process_of_its_own(indexed, tiny):
    process = start_tiny("index", indexed, "--gallery", "mine", "--model", tiny, "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out)["unchanged"] == 12
    assert err  # progress


def test_nothing_is_loaded_for_an_error(home):
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "aina_core", "models"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0
    assert not {" torch", " openvino", " streamlit"} & {
        line.rpartition("|")[2].rstrip() for line in run.stderr.splitlines()
    }


# ── the demo, with real weights ──────────────────────────────────────────────────────────────────


def test_the_demo_gallery(demo_gallery, aina):
    (entry,) = aina("galleries", "--json").json
    assert entry["name"] == "demo" and entry["failed"] == 0 and entry["images"] % 19 == 0
    assert entry["models"] == ["efficientnet-lite0"]
    assert aina("verify", "--gallery", "demo", "--json").json["ok"] is True
    run = aina("search", "--image-id", "chelsea/original.jpg", "--json", "-k", 5)
    hits = run.json["neighbours"]
    assert run.json["gallery"] == "demo" and run.json["index"]["recall_at_10"] >= 0.99
    assert sum(hit["label"] == "chelsea" for hit in hits) >= 4
    exact = aina("search", "--image-id", "chelsea/original.jpg", "--json", "-k", 5, "--exact").json
    assert exact["neighbours"] == hits


def test_a_second_demo_is_quick_and_changes_nothing(demo_gallery, aina):
    run = aina("demo", "--json")
    assert run.json["added"] == run.json["removed"] == 0 and run.json["failed"] == []
    assert aina("demo", "--first").status == 0


def test_originals_find_their_own_mirror_images(demo_gallery, aina):
    root = open_gallery("demo").root
    run = aina("search", "--image", root / "coffee" / "mirrored.jpg", "--json", "-k", 2)
    ids = [hit["id"] for hit in run.json["neighbours"]]
    assert ids == ["coffee/mirrored.jpg", "coffee/original.jpg"]
