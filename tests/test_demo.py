"""The demo's pictures: photographs out of wheels, stamps out of the Debian archive."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aina_core import demo
from aina_core.changes.modifications import MODIFICATIONS, apply
from aina_core.demo import PHOTOGRAPHS, Photograph, fetch_stamps, write_photographs
from aina_core.errors import AinaError, ImageError
from aina_core.images import read_image

FILES = len(PHOTOGRAPHS) * 19


def rows(labels: Path) -> list[dict[str, str]]:
    with labels.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".tmp"
    }


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs") / "new" / "folder"
    assert write_photographs(folder) == folder / "labels.csv"
    return folder


def test_every_photograph_is_credited_and_there() -> None:
    names = [photograph.name for photograph in PHOTOGRAPHS]
    assert len(set(names)) == len(names)
    assert {"astronaut", "motorcycle_left", "motorcycle_right", "china", "grace_hopper"} <= {*names}
    for photograph in PHOTOGRAPHS:
        assert photograph.caption and photograph.credit and photograph.licence
        assert min(read_image(photograph.path()).size) >= 300


def test_finding_a_photograph_imports_no_package() -> None:
    code = (
        "import sys; from aina_core.demo import PHOTOGRAPHS;"
        "[photograph.path() for photograph in PHOTOGRAPHS];"
        "assert not {'skimage', 'sklearn', 'matplotlib', 'pilgram', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("package", "file"), [("skimage", "data/no.png"), ("no_such", "a.png")])
def test_a_missing_photograph_is_named(package: str, file: str) -> None:
    missing = Photograph("gone", package, file, "nothing", "nobody", "none")
    with pytest.raises(ImageError, match=rf"'gone' is missing.*{package}.*{file}.*requirements"):
        missing.path()


def test_writes_19_files_a_photograph_and_their_labels(written: Path) -> None:
    table = rows(written / "labels.csv")
    assert list(table[0]) == ["id", "label", "modification", "group", "caption"]
    assert len(table) == FILES
    assert {row["id"] for row in table} == contents(written).keys() - {"labels.csv"}
    assert [row["modification"] for row in table[:19]] == ["original", *MODIFICATIONS]
    assert {"china/original.jpg", "china/bordered-000.jpg", "china/cropped-left_half.jpg"} <= {
        row["id"] for row in table
    }
    for row in table:
        assert row["id"].split("/")[0] == row["label"]
        assert row["group"] == row["modification"].split("/")[0]
    captions = {photograph.name: photograph.caption for photograph in PHOTOGRAPHS}
    assert all(row["caption"] == captions[row["label"]] for row in table)


def test_files_show_what_their_rows_say(written: Path) -> None:
    by_name = {photograph.name: photograph for photograph in PHOTOGRAPHS}
    for row in rows(written / "labels.csv"):
        if row["label"] not in ("coffee", "camera"):
            continue
        image = read_image(by_name[row["label"]].path())
        if row["modification"] != "original":
            image = apply(row["modification"], image)
        stored = read_image(written / row["id"])
        difference = np.asarray(stored).astype(int) - np.asarray(image)
        assert stored.size == image.size
        assert np.abs(difference).mean() < 4, row["id"]


def test_files_are_jpeg_with_full_chroma_and_capped(written: Path) -> None:
    for path in written.glob("*/original.jpg"):
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert image.mode == "RGB"
            assert max(image.size) <= demo.LONGEST_SIDE
            assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    with Image.open(written / "retina" / "original.jpg") as image:
        assert image.size == (1024, 1024)


def test_a_second_run_changes_nothing(written: Path) -> None:
    before = times(written)
    write_photographs(written)
    assert times(written) == before


def test_tells_its_progress(written: Path) -> None:
    told: list[tuple[str, int, int]] = []
    write_photographs(written, lambda *step: told.append(step))
    assert told == [("photographs", done, FILES) for done in range(1, FILES + 1)]


def test_a_killed_run_is_finished_by_the_next_one(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The process dies at its 25th rename: a whole temporary file, not yet in place.
    code = (
        "import os, signal, sys; from pathlib import Path; from aina_core import demo\n"
        "left, replace = iter(range(24)), os.replace\n"
        "def die(*paths):\n"
        "    next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(*paths)\n"
        "os.replace = die\n"
        "demo.write_photographs(Path(sys.argv[1]))\n"
    )
    folder = tmp_path / "demo"
    died = subprocess.run([sys.executable, "-c", code, str(folder)])
    assert died.returncode == -9
    partial = contents(folder)
    assert len(partial) == 24 and "labels.csv" not in partial
    kept = folder / "astronaut" / "original.jpg"
    mtime = kept.stat().st_mtime_ns

    few = PHOTOGRAPHS[:2]
    monkeypatch.setattr(demo, "PHOTOGRAPHS", few)
    labels = write_photographs(folder)
    complete = contents(folder)
    reference = contents(written)
    assert len(rows(labels)) == 38
    assert len(complete) == 38 + 1
    assert all(complete[name] == reference[name] for name in complete if name != "labels.csv")
    assert kept.stat().st_mtime_ns == mtime


def test_deleted_files_are_written_again(written: Path) -> None:
    before = contents(written)
    for name in ("coffee/original.jpg", "coffee/mirrored.jpg", "labels.csv"):
        (written / name).unlink()
    shutil.rmtree(written / "flower")
    write_photographs(written)
    assert contents(written) == before


# Stamps ---------------------------------------------------------------------------------------


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, seen empty again after the test."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def commands(folder: Path, monkeypatch: pytest.MonkeyPatch, apt_get: str, dpkg_deb: str) -> None:
    """Put shell scripts in the place of apt-get and dpkg-deb."""
    folder.mkdir()
    for name, script in (("apt-get", apt_get), ("dpkg-deb", dpkg_deb)):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_apt_the_message_says_so(
    tmp_path: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AinaError, match=r"tuxpaint-stamps-default.*no apt-get.*Debian or Ubuntu"):
        fetch_stamps(tmp_path / "stamps")
    assert not (tmp_path / "stamps").exists()


@pytest.mark.parametrize(
    ("apt_get", "dpkg_deb", "message"),
    [
        ("echo 'W: x' >&2; echo 'E: Unable to locate' >&2; exit 100", "", "E: Unable to locate"),
        ("exit 7", "", r"apt-get download failed \(exit status 7\)"),
        ("exec sleep 30", "", "it took over 1 seconds"),
        ("touch a.deb", "echo broken >&2; exit 2", r"dpkg-deb -x failed \(broken\)"),
        ("touch a.deb", "mkdir package", "holds no pictures"),
    ],
)
def test_a_failure_says_why_and_leaves_nothing(
    tmp_path: Path,
    temp: Path,
    monkeypatch: pytest.MonkeyPatch,
    apt_get: str,
    dpkg_deb: str,
    message: str,
) -> None:
    monkeypatch.setattr(demo, "_UPDATE_SECONDS", 1)
    monkeypatch.setattr(demo, "_DOWNLOAD_SECONDS", 1)
    commands(tmp_path / "bin", monkeypatch, apt_get, dpkg_deb)
    with pytest.raises(AinaError, match=message):
        fetch_stamps(tmp_path / "stamps")
    assert not (tmp_path / "stamps").exists()
    assert not list(temp.iterdir())


def test_copies_pictures_and_reads_their_captions(
    tmp_path: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source" / demo.STAMPS_FOLDER
    birds = source / "animals" / "birds"
    birds.mkdir(parents=True)
    (birds / "owl.png").write_bytes(b"owl")
    (birds / "owl.txt").write_text("An owl, “wise”.\nde.utf8=Eine Eule.\n", encoding="utf-8")
    (birds / "owl_mirror.png").write_bytes(b"mirrored owl")
    (birds / "owl.ogg").write_bytes(b"hoo")
    (birds / "owl.svg").write_bytes(b"<svg/>")
    (source / "animals" / "CAT.JPG").write_bytes(b"cat")
    (source / "animals" / "CAT.txt").write_bytes(b"A \xff cat.")
    (source / "animals" / "eel.jpeg").write_bytes(b"eel")
    (source / "animals" / "eel.txt").write_bytes(b"")
    (source / "animals" / "fox.png").write_bytes(b"fox")
    commands(tmp_path / "bin", monkeypatch, "touch a.deb", f"cp -r {tmp_path}/source package")
    folder = tmp_path / "new" / "stamps"
    told: list[tuple[str, int, int]] = []

    labels = fetch_stamps(folder, lambda *step: told.append(step))

    assert labels == folder / "labels.csv"
    assert [(row["id"], row["label"], row["caption"]) for row in rows(labels)] == [
        ("animals/CAT.JPG", "animals", "A \ufffd cat."),
        ("animals/birds/owl.png", "animals/birds", "An owl, “wise”."),
        ("animals/birds/owl_mirror.png", "animals/birds", "An owl, “wise”."),
        ("animals/eel.jpeg", "animals", ""),
        ("animals/fox.png", "animals", ""),
    ]
    assert contents(folder).keys() - {"labels.csv"} == {row["id"] for row in rows(labels)}
    assert (folder / "animals/birds/owl.png").read_bytes() == b"owl"
    assert told[-7:] == [
        ("unpack", 0, 1),
        ("unpack", 1, 1),
        *(("stamps", done, 5) for done in range(1, 6)),
    ]
    assert not list(temp.iterdir())

    before = times(folder)
    monkeypatch.setenv("PATH", "")  # a complete folder needs no apt
    assert fetch_stamps(folder) == labels
    assert times(folder) == before

    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (folder / "animals/fox.png").unlink()
    fetch_stamps(folder)
    assert (folder / "animals/fox.png").read_bytes() == b"fox"


def unusable() -> str:
    """Why the Debian archive cannot be used here; empty where it can."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "no apt-get and dpkg-deb on this machine"
    if os.geteuid() != 0:
        return "apt's lists are updated by root only"
    update = ["apt-get", "-o", "APT::Update::Error-Mode=any", "update"]
    if subprocess.run(update, capture_output=True).returncode:
        return "apt's sources cannot be reached"
    return ""


def test_the_stamps_of_debian(tmp_path: Path, temp: Path) -> None:
    folder = tmp_path / "stamps"
    try:
        table = rows(fetch_stamps(folder))
    except AinaError:
        if reason := unusable():  # asked only now: it takes as long as the update before a download
            pytest.skip(reason)
        raise
    assert len(table) == 796
    assert not list(temp.iterdir())
    captions = {row["id"]: row["caption"] for row in table}
    assert captions["animals/amphibians/frog.png"] == "A frog."
    assert captions["household/tools/measuring_tape_mirror.png"] == "Measuring tape."
    assert all(captions.values())
    assert all(row["label"] == row["id"].rpartition("/")[0] != "" for row in table)
    for row in table:
        assert read_image(folder / row["id"]).mode == "RGB"
