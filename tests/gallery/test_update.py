"""A gallery's folder changes: what is new, changed, gone, or no usable image."""

import io
import json
import os
import shutil

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.disk import paths
from aina_core.gallery import create, open_gallery, update
from aina_core.gallery.indexing import index
from aina_core.search.searcher import Searcher
from tests.support.galleries import bring_up, files_of, stored, thumbnails

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
