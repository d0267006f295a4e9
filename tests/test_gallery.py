"""Galleries: what changes in a folder, what is killed, what is damaged, who else is there."""

import contextlib
import fcntl
import io
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import start_tiny, wait_until
from PIL import Image

from aina_core import images, paths
from aina_core.embedding import load_embedder
from aina_core.errors import (
    AinaError,
    DamagedError,
    GalleryBusyError,
    GalleryError,
    InputError,
    UnknownNameError,
)
from aina_core.gallery import (
    Annotation,
    Gallery,
    LabelsFile,
    create,
    galleries,
    open_gallery,
    update,
)
from aina_core.gallery.update import CHUNK
from aina_core.indexing import index
from aina_core.search import Searcher
from aina_core.verify import repair, verify


def bring_up(gallery, embedder, **options):
    """Update and return (added, updated, removed, unchanged)."""
    report = update(gallery, embedder, **options)
    assert report.gallery == gallery.name and report.model == embedder.model
    return report.added, report.updated, report.removed, report.unchanged


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stored(gallery: Gallery, model: str) -> tuple[bytes, bytes, bytes]:
    """The bytes of vectors, rows and baseline of the generation that counts."""
    store = gallery.store(model)
    names = gallery.manifest(model)["files"]
    return tuple((store.folder / name).read_bytes() for name in names)  # type: ignore[return-value]


def thumbnails(gallery: Gallery) -> set[str]:
    """The checksums of the files that have a thumbnail."""
    with contextlib.closing(sqlite3.connect(gallery.folder / "catalogue.sqlite")) as catalogue:
        return {row[0] for row in catalogue.execute("SELECT sha256 FROM thumbnails")}


@pytest.fixture
def gallery(home, photos, embedder) -> Gallery:
    """Twelve photographs, indexed by the tiny model."""
    made = create("mine", photos)
    assert bring_up(made, embedder) == (12, 0, 0, 0)
    return made


# ── a folder changes ─────────────────────────────────────────────────────────────────────────────


def test_rows_are_the_images_own_embeddings(gallery, embedder, photos):
    vectors = gallery.vectors("tiny")
    assert vectors.ids == sorted(files_of(photos))
    pictures = [images.read_image(photos / key) for key in vectors.ids]
    assert (vectors.matrix == embedder.embed(pictures)).all()
    assert vectors.matrix.dtype == np.float32 and not vectors.matrix.flags.writeable
    records = gallery.catalogue.images()
    for key, checksum, picture in zip(vectors.ids, vectors.checksums, pictures, strict=True):
        assert records[key].sha256 == checksum == paths.file_checksum(photos / key)
        assert (records[key].width, records[key].height) == picture.size
        with Image.open(io.BytesIO(gallery.catalogue.thumbnail(checksum))) as small:
            assert max(small.size) <= images.THUMBNAIL_SIDE
    pairs = vectors.matrix @ vectors.matrix.T
    expected = np.sort(pairs[np.triu_indices(12, 1)])
    np.testing.assert_allclose(vectors.baseline, expected, atol=1e-6)


def test_nothing_changed(gallery, embedder):
    before, generation = stored(gallery, "tiny"), gallery.generation("tiny")
    assert bring_up(gallery, embedder) == (0, 0, 0, 12)
    assert stored(gallery, "tiny") == before and gallery.generation("tiny") == generation


def test_add_change_remove_touch_and_rename(gallery, embedder, photos, pictures):
    first = gallery.vectors("tiny")
    kept = np.array(first.matrix)
    pictures[30].save(photos / "brick" / "new.png")  # added
    pictures[31].save(photos / "camera" / "1.jpg")  # changed
    (photos / "brick" / "2.jpg").unlink()  # removed
    os.utime(photos / "astronaut" / "0.png", (1, 1))  # touched
    (photos / "astronaut" / "3.jpg").rename(photos / "astronaut" / "9.jpg")  # renamed
    assert bring_up(gallery, embedder) == (2, 1, 2, 9)
    now = gallery.vectors("tiny")
    assert set(now.ids) ^ set(first.ids) == {
        "brick/new.png",
        "brick/2.jpg",
        "astronaut/3.jpg",
        "astronaut/9.jpg",
    }
    for key, row in zip(now.ids, now.matrix, strict=True):
        (own,) = embedder.embed([images.read_image(photos / key)])
        assert (row == own).all(), key
        if key in first.ids and key != "camera/1.jpg":
            assert (row == kept[first.ids.index(key)]).all()
    assert set(gallery.catalogue.images()) == set(now.ids)
    assert thumbnails(gallery) >= set(now.checksums)
    assert bring_up(gallery, embedder) == (0, 0, 0, 12)


def test_only_what_is_new_is_embedded(gallery, embedder, photos, pictures, monkeypatch):
    pictures[30].save(photos / "new.png")
    os.utime(photos / "astronaut" / "0.png", (1, 1))
    embedded = []
    launch = embedder.runtime.launch
    monkeypatch.setattr(embedder.runtime, "launch", lambda p: embedded.append(1) or launch(p))
    bring_up(gallery, embedder)
    assert len(embedded) == 1


def test_equal_files_have_equal_rows_and_one_thumbnail(gallery, embedder, photos):
    shutil.copy(photos / "brick" / "1.jpg", photos / "copy.jpg")
    bring_up(gallery, embedder)
    vectors = gallery.vectors("tiny")
    rows = [vectors.matrix[vectors.ids.index(key)] for key in ("brick/1.jpg", "copy.jpg")]
    assert (rows[0] == rows[1]).all()
    assert len(thumbnails(gallery)) == 12
    (photos / "copy.jpg").unlink()
    bring_up(gallery, embedder)
    assert len(thumbnails(gallery)) == 12


def test_hidden_files_and_other_files_are_passed_over(gallery, embedder, photos):
    for name in (".hidden.jpg", "notes.txt", "labels.csv"):
        (photos / name).write_bytes(b"x")
    (photos / ".hidden").mkdir()
    shutil.copy(photos / "brick" / "1.jpg", photos / ".hidden" / "1.jpg")
    shutil.copy(photos / "brick" / "1.jpg", photos / "UPPER.JPG")
    assert bring_up(gallery, embedder) == (1, 0, 0, 12)
    assert not gallery.catalogue.failures()


def test_links_to_files_are_followed_and_links_to_folders_are_not(gallery, embedder, photos):
    (photos / "link.jpg").symlink_to(photos / "brick" / "1.jpg")
    (photos / "again").symlink_to(photos)
    (photos / "again.jpg").symlink_to(photos)
    assert bring_up(gallery, embedder) == (1, 0, 0, 12)


def test_stop_commits_what_is_done_and_the_next_run_goes_on(home, photo_set, embedder):
    made = create("mine", photo_set)
    seen = []
    update(
        made,
        embedder,
        progress=lambda phase, done, total: seen.append((phase, done, total)),
        stop=lambda: any(done >= 10 for _, done, _ in seen),
    )
    count = len(made.vectors("tiny").ids)
    assert 10 <= count < 40 and ("embedding", 10, 40) in seen
    assert bring_up(made, embedder) == (40 - count, 0, 0, count)


# ── bad files ────────────────────────────────────────────────────────────────────────────────────


def test_bad_files_are_recorded_and_others_untouched(gallery, embedder, photos):
    before = np.array(gallery.vectors("tiny").matrix)
    good = (photos / "brick" / "1.jpg").read_bytes()
    (photos / "bad").mkdir()
    (photos / "bad" / "empty.jpg").touch()
    (photos / "bad" / "half.jpg").write_bytes(good[: len(good) // 2])
    (photos / "bad" / "text.png").write_text("no picture")
    (photos / "bad" / "eps.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n")
    (photos / "bad" / "broken.webp").symlink_to("gone")
    os.mkfifo(photos / "bad" / "fifo.gif")
    (photos / "bad" / "folder.jpg").mkdir()
    reasons = {
        "bad/broken.webp": "broken link",
        "bad/empty.jpg": "the file is empty",
        "bad/eps.jpg": "not a picture in a format that AINA reads",
        "bad/fifo.gif": "not a regular file",
        "bad/half.jpg": "the file is truncated",
        "bad/text.png": "not a picture in a format that AINA reads",
    }
    for _ in range(2):
        report = update(gallery, embedder)
        assert {entry["id"]: entry["reason"] for entry in report.failed} == reasons
        assert (report.added, report.unchanged) == (0, 12)
    assert (gallery.vectors("tiny").matrix == before).all()
    assert gallery.catalogue.counts() == (12, 6)
    failure = gallery.catalogue.image("bad/half.jpg")
    assert failure.sha256 == paths.file_checksum(photos / "bad" / "half.jpg")
    # made good, each is found; none is retried for nothing
    (photos / "bad" / "half.jpg").write_bytes(good)
    (photos / "bad" / "fifo.gif").unlink()
    report = update(gallery, embedder)
    assert report.added == 1 and len(report.failed) == 4
    (photos / "brick" / "1.jpg").write_bytes(good[:500])
    report = update(gallery, embedder)
    assert report.removed == 1 and len(report.failed) == 5
    assert "brick/1.jpg" not in gallery.vectors("tiny").ids


def test_a_bad_file_is_tried_again_only_when_it_changes(gallery, embedder, photos, monkeypatch):
    (photos / "bad.jpg").write_bytes(b"bad")
    update(gallery, embedder)
    decoded = []
    decode = images.decode
    monkeypatch.setattr(images, "decode", lambda d, **k: decoded.append(d) or decode(d, **k))
    update(gallery, embedder)
    assert decoded == []
    (photos / "bad.jpg").write_bytes(b"bad again")
    update(gallery, embedder)
    assert decoded == [b"bad again"]


def test_only_bad_files(home, tmp_path, embedder):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"bad")
    report = index("bad", tmp_path / "bad", "tiny", device="cpu")
    assert (report.added, len(report.failed)) == (0, 1)
    searcher = Searcher(open_gallery("bad"), "tiny")
    assert searcher.count == 0
    assert searcher.search(np.eye(1, 24, dtype=np.float32)[0]).nearest(5) == []


ODD = [
    "a b.png",
    "ümläut-漢.png",
    'it\'s "quoted".png',
    "<b>bold<b>.png",
    "new\nline.png",
    "%41.png",
]


def test_odd_names(home, tmp_path, embedder, pictures):
    folder = tmp_path / "odd # 50%"
    folder.mkdir()
    for name, picture in zip(ODD, pictures, strict=False):
        picture.save(folder / name)
    report = index("odd ümläut", folder, "tiny", device="cpu")
    assert report.added == len(ODD) and report.failed == []
    searcher = Searcher(open_gallery("odd ümläut"), "tiny")
    for name, picture in zip(ODD, pictures, strict=False):
        hit = searcher.search(embedder.embed([picture])[0]).nearest(1)[0]
        assert hit.id == name and hit.similarity > 0.9999
        assert searcher.gallery.read(name) == (folder / name).read_bytes()


def test_a_name_that_is_not_utf8_is_a_recorded_failure(gallery, embedder, photos):
    shutil.copy(photos / "brick" / "1.jpg", os.fsencode(photos) + b"/\xff\xfe.jpg")
    report = update(gallery, embedder)
    assert report.unchanged == 12
    ((failed),) = report.failed
    assert failed["id"] == "\\xff\\xfe.jpg" and "UTF-8" in failed["reason"]
    json.dumps(report.as_dict()).encode()


def test_a_folder_that_cannot_be_read_loses_nothing(gallery, embedder, photos, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("brick"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert bring_up(gallery, embedder) == (0, 0, 0, 12)


# ── the gallery and its folder ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "a\nb", " a", "x" * 65])
def test_names_that_no_gallery_can_have(name, home, photos):
    with pytest.raises(InputError, match="cannot name a gallery"):
        create(name, photos)
    with pytest.raises(UnknownNameError):
        open_gallery(name)
    assert not home.exists()


def test_the_longest_names_can_be_used(home, photos):
    for name in ("a" * 64, "漢" * 64):
        create(name, photos).delete()
    with pytest.raises(InputError, match="cannot name a gallery"):
        create("𝒜" * 64, photos)


def test_another_folder_is_refused(gallery, tmp_path, photos):
    (tmp_path / "other").mkdir()
    with pytest.raises(GalleryError, match="belongs to the folder"):
        create("mine", tmp_path / "other")
    with pytest.raises(GalleryError, match="belongs to the folder"):
        create("mine", None)
    assert create("mine", photos / ".." / "photos").root == photos


def test_a_folder_that_is_missing_is_refused(gallery, embedder, photos):
    with pytest.raises(GalleryError, match="is missing"):
        create("new", photos / "gone")
    photos.rename(photos.with_name("away"))
    with pytest.raises(GalleryError, match="is missing"):
        update(gallery, embedder)
    assert len(gallery.vectors("tiny").ids) == 12


def test_a_folder_that_is_suddenly_empty_is_refused(gallery, embedder, photos):
    shutil.rmtree(photos)
    photos.mkdir()
    with pytest.raises(GalleryError, match="is empty now"):
        update(gallery, embedder)
    assert len(gallery.vectors("tiny").ids) == gallery.catalogue.counts()[0] == 12


def test_an_empty_folder_makes_an_empty_gallery(home, tmp_path, embedder, pictures):
    (tmp_path / "new").mkdir()
    assert index("new", tmp_path / "new", "tiny", device="cpu").added == 0
    assert Searcher(open_gallery("new"), "tiny").count == 0
    pictures[0].save(tmp_path / "new" / "a.png")
    assert index("new", tmp_path / "new", "tiny", device="cpu").added == 1


@pytest.mark.parametrize("folder", ["~nobody-of-that-name/x", "x" * 300, "loop"])
def test_a_folder_that_cannot_exist_is_refused(folder, home, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(AinaError):
        create("new", tmp_path / folder if folder == "loop" else Path(folder))


def test_a_folder_whose_name_is_not_utf8_is_refused(home, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    with pytest.raises(InputError, match="UTF-8"):
        create("new", folder)
    assert galleries() == []


def test_ainas_own_folders_are_refused(home, photos, tmp_path):
    home.mkdir()
    shutil.copytree(photos, home / "cats")
    for folder in (home, home.parent, home / "cats"):
        for name in ("cats", "dogs"):
            with pytest.raises(InputError):
                create(name, folder)
    with pytest.raises(InputError, match="choose another name"):
        create("cats", photos)
    with pytest.raises(InputError, match="choose another name"):
        create("cats", None)
    assert files_of(home / "cats") == files_of(photos)


def test_a_gallery_that_keeps_its_images(home, photos, embedder):
    made = create("own", None)
    assert made.root == home / "own" / "images" and made.keeps_images
    shutil.copytree(photos, made.root, dirs_exist_ok=True)
    assert bring_up(made, embedder) == (12, 0, 0, 0)
    renamed = made.rename("renamed")
    assert renamed.root == home / "renamed" / "images"
    assert bring_up(create("renamed", None), embedder) == (0, 0, 0, 12)


def test_delete_and_rename_never_touch_the_users_folder(gallery, embedder, photos, home):
    before = files_of(photos)
    renamed = gallery.rename("yours")
    assert galleries() == ["yours"] and not (home / "mine").exists()
    with pytest.raises(UnknownNameError, match="Known: yours"):
        open_gallery("mine")
    assert bring_up(renamed, embedder) == (0, 0, 0, 12)
    create("other", photos)
    with pytest.raises(InputError, match="already"):
        renamed.rename("other")
    renamed.delete_model("tiny")
    assert renamed.models() == []
    with pytest.raises(GalleryError, match="not indexed by tiny"):
        renamed.delete_model("tiny")
    renamed.delete()
    open_gallery("other").delete()
    assert galleries() == [] and list(home.iterdir()) == []
    assert files_of(photos) == before


def test_size_on_disk_while_a_writer_is_at_work(gallery, photos):
    folder, ends = gallery.folder / "models" / "new", threading.Event()

    def write() -> None:
        while not ends.is_set():
            for number in range(5):
                (folder / str(number)).mkdir(parents=True)
                (folder / str(number) / "file").write_bytes(b"x" * 100)
            shutil.rmtree(folder)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        sizes = [gallery.size_on_disk() for _ in range(300)]
    finally:
        ends.set()
        thread.join()
    least = sum(map(len, files_of(gallery.folder).values()))
    assert min(sizes) >= least - 500 and max(sizes) < least + 1000


def test_a_gallery_is_made_once(home, photos):
    """A second maker must not put an empty catalogue over one that is in use."""
    for number in range(10):
        barrier = threading.Barrier(4)

        def make(name: str, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            made = create(name, photos)
            made.catalogue.annotate([("a", Annotation(str(threading.get_ident())))])
            return made.catalogue.path.stat().st_ino

        with ThreadPoolExecutor(4) as pool:
            inodes = set(pool.map(make, [f"new {number}"] * 4))
        assert len(inodes) == 1
        assert open_gallery(f"new {number}").catalogue.problem() is None


# ── several models ───────────────────────────────────────────────────────────────────────────────


def test_several_models_and_modes(gallery, photos, pictures, tiny):
    fast = load_embedder("tiny@fast", device="cpu")
    assert bring_up(gallery, fast) == (12, 0, 0, 0)
    assert gallery.models() == ["tiny", "tiny@fast"]
    assert gallery.manifest("tiny")["fingerprint"]["mode"] == "exact"
    manifest = gallery.manifest("tiny@fast")
    assert manifest["fingerprint"]["mode"] == "fast"
    assert manifest["dim"] == 24 and manifest["count"] == 12
    gallery.delete_model("tiny@fast")
    assert gallery.models() == ["tiny"] and len(gallery.vectors("tiny").ids) == 12


def test_what_another_model_has_not_seen_yet_is_not_shown(gallery, photos, pictures, embedder):
    update(gallery, load_embedder("tiny@fast", device="cpu"))
    pictures[30].save(photos / "brick" / "1.jpg")
    (photos / "brick" / "2.jpg").unlink()
    (photos / "brick" / "3.jpg").write_bytes(b"bad")
    pictures[31].save(photos / "new.png")
    update(gallery, embedder)
    query = embedder.embed([pictures[30]])[0]
    stale = Searcher(gallery, "tiny@fast")
    assert stale.count == 9
    shown = {hit.id for hit in stale.search(query).nearest(99)}
    assert not shown & {"brick/1.jpg", "brick/2.jpg", "brick/3.jpg", "new.png"}
    assert shown == {hit.id for hit in stale.search(query, exact=True).nearest(99)}
    assert shown == {hit.id for hit in stale.search(query).above(-1)}
    with pytest.raises(InputError, match=r"no image 'brick/1\.jpg'"):
        stale.vector("brick/1.jpg")
    fresh = Searcher(gallery, "tiny")
    assert fresh.count == 11 and fresh.search(query).nearest(1)[0].id == "brick/1.jpg"
    # a changed file counts as updated, though the catalogue knows it already
    fast = load_embedder("tiny@fast", device="cpu")
    assert bring_up(gallery, fast) == (1, 1, 2, 9)
    assert Searcher(gallery, "tiny@fast").count == 11


def test_fast_mode_stores_its_agreement_with_exact(home, photo_set, tiny):
    index("mine", photo_set, "tiny", mode="fast", device="cpu")
    agreement = open_gallery("mine").manifest("tiny@fast")["agreement"]
    assert agreement["sample"] == 40
    assert 0.98 < agreement["lowest_cosine"] <= agreement["mean_cosine"] <= 1.0001
    assert 0 <= agreement["top10_overlap"] <= 1
    open_gallery("mine").vectors("tiny@fast")


def test_the_agreement_is_not_written_over_another_writers_work(home, photos, tiny, monkeypatch):
    from aina_core import indexing

    measure = indexing.agreement
    with contextlib.ExitStack() as held:

        def measured(gallery, *others):
            held.enter_context(gallery.lock())  # another writer has begun
            return measure(gallery, *others)

        monkeypatch.setattr(indexing, "agreement", measured)
        index("mine", photos, "tiny", mode="fast", device="cpu")
        assert "agreement" not in open_gallery("mine").manifest("tiny@fast")
    monkeypatch.undo()


def test_other_weights_make_all_anew(gallery, embedder, monkeypatch):
    changed = {**embedder.fingerprint(), "weights": "other"}
    monkeypatch.setattr(embedder, "fingerprint", lambda: changed)
    bring_up(gallery, embedder)
    assert gallery.manifest("tiny")["fingerprint"]["weights"] == "other"
    assert len(gallery.vectors("tiny").ids) == 12


# ── killed ───────────────────────────────────────────────────────────────────────────────────────

COUNT = 700


@pytest.fixture(scope="module")
def many(pictures, tmp_path_factory) -> Path:
    """700 different small pictures, some bad files among them."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(COUNT):
        picture = pictures[number % 40].rotate(number // 40 * 15)
        picture.save(folder / f"{number * 7919 % COUNT:04}.jpg")
    for number in range(5):
        (folder / f"{number * 100:04}-bad.jpg").write_bytes(b"bad")
    return folder


@pytest.fixture
def undisturbed(many, home, embedder) -> tuple[bytes, bytes, bytes]:
    made = create("whole", many)
    assert bring_up(made, embedder) == (COUNT, 0, 0, 0)
    return stored(made, "tiny")


def rows_in_journal(home: Path) -> int:
    """How many rows of the gallery "killed" have reached the disk."""
    with contextlib.suppress(OSError):
        return (home / "killed" / "models" / "tiny" / "journal.f32").stat().st_size // (24 * 4)
    return 0


def test_killed_at_any_moment_it_ends_byte_identical(undisturbed, many, home, embedder):
    choose = random.Random(0)
    kills, lost = 0, 0
    for attempt in range(4):
        process = start_tiny("index", many, "--gallery", "killed", "--model", "tiny")
        before = rows_in_journal(home)
        wanted = before + choose.choice((1, CHUNK + 1)) if attempt else 0
        wait_until(
            lambda wanted=wanted, process=process: (
                (rows_in_journal(home) >= wanted and (home / "killed" / "lock").exists())
                or process.poll() is not None
            )
        )
        if attempt % 2:  # not only just after a chunk
            with contextlib.suppress(Exception):
                process.wait(choose.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        found = rows_in_journal(home)
        assert found >= before or process.returncode == 0
        lost = max(lost, COUNT - found)
        if process.returncode == 0:
            break
    assert kills >= 2
    resumed = open_gallery("killed")
    report = update(resumed, embedder)
    assert len(report.failed) == 5
    assert stored(resumed, "tiny") == undisturbed
    assert verify(resumed) == []
    leftovers = {path.name for path in resumed.store("tiny").folder.iterdir() if path.is_file()}
    assert leftovers == {"manifest.json", *resumed.manifest("tiny")["files"]}


def test_a_kill_costs_at_most_what_was_in_flight(many, home, embedder, monkeypatch):
    """Where a process is cut off, everything that it has not put on the disk is lost."""

    class KilledError(BaseException):
        pass

    calls = []
    launch = embedder.runtime.launch

    def counted(pictures):
        calls.append(len(pictures))
        if len(calls) == 500:
            raise KilledError
        return launch(pictures)

    made = create("cut", many)
    monkeypatch.setattr(embedder.runtime, "launch", counted)
    with pytest.raises(KilledError):
        update(made, embedder)
    update(made, embedder)
    assert len(calls) - 1 - COUNT <= 256
    assert len(made.vectors("tiny").ids) == COUNT


@pytest.mark.parametrize("damage", ["cut", "flip", "no line", "foreign", "garbage"])
def test_a_damaged_journal_is_not_believed(damage, undisturbed, many, home, embedder):
    made = create("hurt", many)
    seen = itertools.count()
    with pytest.raises(RuntimeError, match="enough"):
        update(made, embedder, progress=lambda *_: _raise() if next(seen) > 400 else None)
    folder = made.store("tiny").folder
    data, lines = folder / "journal.f32", folder / "journal.jsonl"
    assert len(lines.read_text().splitlines()) == 4  # the head and three chunks
    if damage == "cut":
        os.truncate(data, data.stat().st_size - 10)
    elif damage == "flip":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    elif damage == "no line":
        os.truncate(lines, lines.stat().st_size - 1)
    elif damage == "foreign":
        lines.write_text(lines.read_text().replace('"precision": "f32"', '"precision": "f8"'))
    else:
        lines.write_bytes(os.urandom(3000))
    assert bring_up(made, embedder) == (COUNT, 0, 0, 0)
    assert stored(made, "tiny") == undisturbed


def _raise() -> None:
    raise RuntimeError("enough")


# ── others ───────────────────────────────────────────────────────────────────────────────────────


def test_a_second_writer_is_refused(gallery, embedder):
    with gallery.lock():
        for attempt in (
            lambda: update(gallery, embedder),
            lambda: gallery.rename("other"),
            gallery.delete,
            lambda: gallery.delete_model("tiny"),
        ):
            with pytest.raises(GalleryBusyError, match="Another process is writing"):
                attempt()
        assert len(gallery.vectors("tiny").ids) == 12  # readers go on
    assert bring_up(gallery, embedder) == (0, 0, 0, 12)


def test_a_second_writing_process_exits_2_with_one_sentence(gallery, photos):
    with gallery.lock():
        process = start_tiny("index", photos, "--gallery", "mine", "--model", "tiny", "--json")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and out == b""
    last = err.decode().strip().splitlines()[-1]
    assert last.startswith("aina: Another process is writing to the gallery mine")
    assert "Traceback" not in err.decode()


def test_readers_see_the_old_or_the_new(gallery, embedder, photos, pictures):
    """One writer switches generations; readers open, verify and compare all the while."""
    versions = {}
    for number in (30, 31):
        pictures[number].save(photos / "brick" / "1.jpg")
        bring_up(gallery, embedder)
        vectors = gallery.vectors("tiny")
        versions[vectors.checksum] = (vectors.checksums, np.array(vectors.matrix))
    ends = threading.Event()

    def read() -> int:
        count = 0
        while not ends.is_set():
            vectors = gallery.vectors("tiny")
            checksums, matrix = versions[vectors.checksum]
            assert vectors.checksums == checksums and (vectors.matrix == matrix).all()
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(40):
                pictures[30 + number % 2].save(photos / "brick" / "1.jpg")
                os.utime(photos / "brick" / "1.jpg", (number, number))
                bring_up(gallery, embedder)
        finally:
            ends.set()
        assert all(reader.result() > 5 for reader in readers)


def test_a_reader_between_two_looks_tries_again(gallery, embedder, photos, pictures, monkeypatch):
    """The generation that a reader has just verified is gone when it opens the files."""
    store = gallery.store("tiny")
    load, switched = store._load, []

    def slow(manifest):
        if not switched:
            switched.append(True)
            pictures[30].save(photos / "brick" / "1.jpg")
            update(gallery, embedder)
        return load(manifest)

    monkeypatch.setattr(store, "_load", slow)
    assert store.open().checksum == gallery.vectors("tiny").checksum


def test_an_open_generation_outlives_its_files(gallery, embedder, photos, pictures):
    vectors = gallery.vectors("tiny")
    before = np.array(vectors.matrix)
    pictures[30].save(photos / "brick" / "1.jpg")
    bring_up(gallery, embedder)
    assert (vectors.matrix == before).all()


# ── damage ───────────────────────────────────────────────────────────────────────────────────────


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 0x10
    path.write_bytes(content)


def damage_of(kind: str, folder: Path) -> None:
    (vectors,) = folder.glob("vectors-*.npy")
    (rows,) = folder.glob("rows-*.jsonl")
    if kind == "vectors flipped":
        flip(vectors)
    elif kind == "vectors cut":
        os.truncate(vectors, 500)
    elif kind == "vectors gone":
        vectors.unlink()
    elif kind == "rows swapped":
        first, second, *others = rows.read_text().splitlines(keepends=True)
        rows.write_text("".join([second, first, *others]))
    elif kind == "baseline flipped":
        flip(next(folder.glob("baseline-*.npy")))
    elif kind == "manifest garbage":
        (folder / "manifest.json").write_bytes(b"\0" * 50)
    elif kind == "manifest of another kind":
        (folder / "manifest.json").write_text('{"format": 99}')
    else:
        manifest = json.loads((folder / "manifest.json").read_text())
        if kind == "manifest without files":
            manifest["files"] = {}
        elif kind == "manifest with senseless files":
            manifest["files"] = dict.fromkeys(manifest["files"], 3)
        elif kind == "manifest with files elsewhere":
            manifest["files"]["../../../gallery.json"] = {"size": 1, "sha256": ""}
        elif kind == "manifest of another size":
            manifest["dim"] = 25
        else:
            del manifest[kind.split()[-1]]
        (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "kind",
    [
        "vectors flipped",
        "vectors cut",
        "vectors gone",
        "rows swapped",
        "baseline flipped",
        "manifest garbage",
        "manifest of another kind",
        "manifest without files",
        "manifest with senseless files",
        "manifest with files elsewhere",
        "manifest of another size",
        "manifest without generation",
        "manifest without count",
        "manifest without dim",
        "manifest without fingerprint",
        "manifest without computed_on",
    ],
)
def test_damage_is_found_and_mended(kind, gallery):
    whole = stored(gallery, "tiny")
    assert verify(gallery) == []
    damage_of(kind, gallery.store("tiny").folder)
    (problem,) = verify(gallery)
    assert problem.startswith("tiny: ") and "\n" not in problem
    with pytest.raises(DamagedError):
        gallery.vectors("tiny")
    with pytest.raises(DamagedError):
        gallery.generation("tiny")
        gallery.vectors("tiny")
    assert repair(gallery) == []
    assert verify(gallery) == [] and stored(gallery, "tiny") == whole


@pytest.mark.parametrize("kind", ["vectors flipped", "manifest garbage", "manifest without dim"])
def test_indexing_again_mends_as_well(kind, gallery, embedder):
    whole = stored(gallery, "tiny")
    damage_of(kind, gallery.store("tiny").folder)
    update(gallery, embedder)
    assert stored(gallery, "tiny") == whole


@pytest.mark.parametrize("damage", ["garbage", "gone", "cut"])
def test_a_damaged_catalogue_is_found_and_made_again(damage, gallery, photos):
    path = gallery.catalogue.path
    before = gallery.catalogue.images()
    for extra in path.parent.glob("catalogue.sqlite-*"):
        extra.unlink()
    if damage == "garbage":
        path.write_bytes(os.urandom(path.stat().st_size))
    elif damage == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 3)
    (problem,) = verify(gallery)
    assert "catalogue" in problem.lower()
    with pytest.raises(DamagedError):
        gallery.catalogue.images()
    assert repair(gallery) == []
    assert gallery.catalogue.images() == before
    assert Searcher(gallery, "tiny").count == 12


def test_a_catalogue_that_is_made_again_serves_every_model(gallery, tiny):
    update(gallery, load_embedder("tiny@fast", device="cpu"))
    gallery.catalogue.path.write_bytes(b"no database" * 100)
    assert repair(gallery) == []
    assert all(Searcher(gallery, model).count == 12 for model in ("tiny", "tiny@fast"))


def test_what_cannot_be_repaired_is_said(gallery, photos):
    damage_of("vectors flipped", gallery.store("tiny").folder)
    photos.rename(photos.with_name("away"))
    (problem,) = repair(gallery)
    assert problem.startswith("tiny: ") and "is missing" in problem


def test_a_damaged_record_of_a_gallery_is_one_sentence(gallery):
    (gallery.folder / "gallery.json").write_text("{")
    with pytest.raises(DamagedError):
        open_gallery("mine")


# ── labels ───────────────────────────────────────────────────────────────────────────────────────


def labels(tmp_path: Path, content: str | bytes) -> dict[str, Annotation]:
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return dict(LabelsFile(path).items())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels(delimiter, mark, end, tmp_path):
    lines = ["label|id|caption|year", "cat|a/b.jpg|a grey cat|1999", "dög|c.png||"]
    text = mark + end.join(lines).replace("|", delimiter) + end
    assert labels(tmp_path, text) == {
        "a/b.jpg": Annotation("cat", "a grey cat", {"year": "1999"}),
        "c.png": Annotation("dög", "", {"year": ""}),
    }


def test_labels_with_quotes_newlines_and_gaps(tmp_path):
    text = (
        'id,label,note\n"a,b.jpg","two\nlines","say ""hi"""\n\nshort.jpg\n,x,y\nlong.jpg,l,n,more\n'
    )
    assert labels(tmp_path, text) == {
        "a,b.jpg": Annotation("two\nlines", "", {"note": 'say "hi"'}),
        "short.jpg": Annotation("", "", {"note": ""}),
        "long.jpg": Annotation("l", "", {"note": "n"}),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it names: none"),
        ("id,name\na,b\n", "it names: id, name"),
        ("label\nb\n", "must begin with a line"),
        ("id,label," + ",".join(f"c{n}" for n in range(99)), "at most 64"),
        (b"id,label\na,\xff\n", "is not UTF-8"),
        ("id,label\na," + "x" * 200_000 + "\n", "is damaged: field larger"),
        ("id,label," + "x" * 200_000 + "\n", "is damaged: field larger"),
    ],
)
def test_labels_that_cannot_be_read(content, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        labels(tmp_path, content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_labels_file_that_is_missing_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"gone\.csv cannot be read \(the file is missing\)"):
        LabelsFile(tmp_path / "gone.csv")
    monkeypatch.setattr("aina_core.gallery.labels._MAX_BYTES", 10)
    with pytest.raises(InputError, match="over 0 MB"):
        labels(tmp_path, "id,label\na,b\n")


def test_labels_are_kept_until_others_are_given(gallery, embedder, photos):
    assert Searcher(gallery, "tiny").labels == {"astronaut": 4, "brick": 4, "camera": 4}
    given = {"brick/1.jpg": Annotation("wall", "red", {"year": "1"}), "gone.jpg": Annotation("x")}
    update(gallery, embedder, labels=given)
    update(gallery, embedder)
    searcher = Searcher(gallery, "tiny")
    assert searcher.labels == {"astronaut": 4, "brick": 3, "camera": 4, "wall": 1}
    assert searcher.columns == {"year": {"": 11, "1": 1}}
    query = searcher.vector("brick/1.jpg")
    assert [hit.id for hit in searcher.search(query, labels=["wall"]).nearest(9)] == ["brick/1.jpg"]
    found = searcher.search(query, columns={"year": ["1"]}, exclude="brick/1.jpg")
    assert found.count == 0 and found.nearest(9) == [] and found.above(-1) == []
    update(gallery, embedder, labels={})
    assert Searcher(gallery, "tiny").labels == {"astronaut": 4, "brick": 4, "camera": 4}


# ── searching ────────────────────────────────────────────────────────────────────────────────────


def test_the_query_is_left_out_by_id_and_a_copy_of_it_is_not(gallery, embedder, photos):
    shutil.copy(photos / "brick" / "1.jpg", photos / "copy.jpg")
    update(gallery, embedder)
    searcher = Searcher(gallery, "tiny")
    hits = searcher.search(searcher.vector("brick/1.jpg"), exclude="brick/1.jpg").nearest(12)
    assert len(hits) == 12 and "brick/1.jpg" not in {hit.id for hit in hits}
    assert hits[0].id == "copy.jpg" and hits[0].similarity == pytest.approx(1, abs=1e-6)
    values = [hit.similarity for hit in hits]
    assert values == sorted(values, reverse=True) and max(values) <= 1
    assert all(0 <= hit.percentile <= 1 for hit in hits)


def test_nearest_and_above_tell_the_same(home, photo_set, embedder):
    made = create("mine", photo_set)
    update(made, embedder)
    searcher = Searcher(made, "tiny")
    for key in searcher.ids[::7]:
        result = searcher.search(searcher.vector(key))
        nearest, above = result.nearest(40), result.above(-1)
        assert result.count_above(-1) == len(above) == len(nearest) == 40
        assert [hit.id for hit in nearest] == [hit.id for hit in above]
        pairs = [(a.similarity, b.similarity) for a, b in zip(nearest, above, strict=True)]
        assert max(abs(a - b) for a, b in pairs) < 1e-6
        level = nearest[9].similarity - 1e-5
        assert result.count_above(level) >= 10
        assert [hit.id for hit in result.above(level, 3, 6)] == [hit.id for hit in nearest[3:6]]


def test_the_lock_is_free_when_its_holder_is_gone(gallery, embedder):
    descriptor = os.open(gallery.folder / "lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(GalleryBusyError):
        update(gallery, embedder)
    os.close(descriptor)
    update(gallery, embedder)
