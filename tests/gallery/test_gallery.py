"""Galleries, their folders, and the vectors of several models."""

import contextlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aina_core.embedding import load_embedder
from aina_core.errors import AinaError, GalleryError, InputError, UnknownNameError
from aina_core.gallery import (
    Annotation,
    ImageRecord,
    create,
    galleries,
    open_gallery,
    update,
)
from aina_core.gallery.indexing import index
from aina_core.search.searcher import Searcher
from tests.support.galleries import bring_up, files_of

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
    from aina_core.gallery import indexing

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


def test_the_first_image_is_one_with_the_value_asked_for_if_there_is_one(home):
    catalogue = create("mine", None).catalogue
    assert catalogue.first("kind", "original") is None
    catalogue.record(
        ImageRecord(name, 1, 1, name * 4, 8, 8, failure)
        for name, failure in [("a", "truncated"), ("b", None), ("c", None), ("d", None)]
    )
    assert catalogue.first("kind", "original") == "b"
    kinds = [("a", "original"), ("c", "copy"), ("d", "original")]
    catalogue.annotate((name, Annotation(columns={'a "kind"': kind})) for name, kind in kinds)
    assert catalogue.first('a "kind"', "original") == "d"
    assert catalogue.first("kind", "original") == "b"
