"""Vectors reduced to a gallery's principal components, and whatever is asked of such a gallery."""

import os

import numpy as np
import pytest

from aina_core import images
from aina_core.embedding import load_embedder
from aina_core.errors import DamagedError, GalleryError, InputError
from aina_core.gallery import create, open_gallery, reduction, update
from aina_core.gallery.indexing import index
from aina_core.gallery.vectors.journal import Journal
from aina_core.gallery.verify import repair, verify
from aina_core.index import principal
from aina_core.models import ModelName
from aina_core.projection import Settings, project
from aina_core.search.classes import by_class
from aina_core.search.query import IMAGE, Term, embed_query, term_vector
from aina_core.search.searcher import Searcher
from aina_core.similarity import Picture, pair
from tests.support.galleries import files_of, stored

REDUCED = "tiny@pca9"


@pytest.fixture
def both(searcher) -> tuple[Searcher, Searcher]:
    """The 40 crops under the tiny model, and under its reduction to nine components."""
    index("photos", searcher.gallery.root, REDUCED, device="cpu")
    return searcher, Searcher(searcher.gallery, REDUCED)


def plainly(vectors: np.ndarray, components: int, others: np.ndarray) -> np.ndarray:
    """What scikit-learn makes of it: fitted on vectors, applied to others."""
    from sklearn.decomposition import PCA

    rows = PCA(components, svd_solver="full").fit(vectors).transform(others)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_it_is_pca_and_unit_length(both):
    whole, reduced = both
    expected = plainly(whole.matrix, 9, whole.matrix)
    signs = np.sign(np.einsum("ij,ij->j", expected, reduced.matrix))
    np.testing.assert_allclose(reduced.matrix, expected * signs, atol=2e-4)
    assert reduced.matrix.shape == (40, 9) and reduced.matrix.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(reduced.matrix, axis=1), 1, atol=1e-5)
    assert reduced.ids == whole.ids and reduced.source == "tiny" == whole.source
    assert verify(reduced.gallery) == []


def test_the_base_is_indexed_first(home, photos, tiny):
    report = index("mine", photos, "tiny@pca5", device="cpu")
    assert (report.added, report.updated, report.removed, report.unchanged) == (12, 0, 0, 0)
    assert (report.model, report.dim) == ("tiny@pca5", 5)
    gallery = open_gallery("mine")
    assert gallery.models() == ["tiny", "tiny@pca5"]
    record = gallery.manifest("tiny@pca5")
    assert record["dim"] == 5 and record["fingerprint"]["reduced"]["source"] == "tiny"
    assert record["fingerprint"]["weights"] == gallery.manifest("tiny")["fingerprint"]["weights"]
    assert list(gallery.store("tiny@pca5").index_folder.glob("annoy*"))


def test_an_upload_is_reduced_as_a_member_is(both):
    whole, reduced = both
    embedder = load_embedder(REDUCED, device="cpu")
    assert embedder.model == "tiny" and embedder.dim == whole.matrix.shape[1]
    for image_id in whole.ids[::7]:
        vector = reduced.reduced(embed_query(embedder, whole.gallery.read(image_id)))
        np.testing.assert_allclose(vector, reduced.vector(image_id), atol=1e-5)
        found = [hit.id for hit in reduced.search(vector, exact=True).nearest(5)]
        assert found == [hit.id for hit in reduced.search(reduced.vector(image_id)).nearest(5)]
        assert found[0] == image_id
    vector = whole.vector(whole.ids[0])
    assert whole.reduced(vector) is vector


def test_a_crop_among_the_terms_is_reduced(both):
    whole, reduced = both
    data, box = whole.gallery.read(whole.ids[3]), (5, 5, 40, 40)
    embedder = load_embedder("tiny", device="cpu")
    vector, _ = term_vector(reduced, Term(IMAGE, whole.ids[3], crop=box), lambda: embedder)
    (expected,) = plainly(whole.matrix, 9, embed_query(embedder, data, box)[None])
    assert abs(vector @ reduced.matrix.T).shape == (40,)
    scores = plainly(whole.matrix, 9, whole.matrix) @ expected
    np.testing.assert_allclose(reduced.similarities(vector), scores, atol=1e-3)


def test_maps_pairs_and_classes_work(both):
    whole, reduced = both
    embedder = load_embedder("tiny", device="cpu")
    picture = whole.gallery.root / whole.ids[8]
    found = pair(Picture(whole.ids[3]), Picture(picture), [REDUCED], gallery=whole.gallery)
    expected = reduced.vector(whole.ids[3]) @ reduced.vector(whole.ids[8])
    assert found[REDUCED].similarity == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="a gallery's own; name a gallery that is indexed by it"):
        pair(Picture(picture), Picture(picture), [REDUCED])
    layout = project(whole.gallery, REDUCED, Settings("pca"))
    placed = layout.place(reduced.reduced(embed_query(embedder, picture.read_bytes()))[None])
    np.testing.assert_allclose(placed[0], layout.coordinates[8], atol=1e-4)
    assert (by_class(reduced, embedder, 7) == by_class(whole, embedder, 7)).all()


def test_the_command_line_searches_it(both, aina, tmp_path):
    whole, _ = both
    image_id = whole.ids[3]
    picture = whole.gallery.root / image_id
    common = ["--gallery", "photos", "--model", REDUCED, "--json"]
    by_file = aina("search", *common, "--device", "cpu", "--image", picture).json
    assert by_file["model"] == REDUCED and by_file["neighbours"][0]["id"] == image_id
    by_id = aina("search", *common, "--image-id", image_id).json["neighbours"]
    assert [hit["id"] for hit in by_file["neighbours"]][1:] == [hit["id"] for hit in by_id][:9]
    run = aina("search", *common, "--images", picture.parent, "--csv", tmp_path / "n.csv")
    assert run.status == 0
    lines = (tmp_path / "n.csv").read_text().splitlines()
    assert [line for line in lines if f",1,{image_id}," in line]
    report = aina("index", whole.gallery.root, *common, "--device", "cpu").json
    assert report["model"] == REDUCED and report["unchanged"] == 40


# ── up to date ───────────────────────────────────────────────────────────────────────────────────


def test_new_images_fit_new_axes(home, photos, tiny, pictures):
    index("mine", photos, "tiny@pca5", device="cpu")
    gallery = open_gallery("mine")
    before, old = Searcher(gallery, "tiny@pca5"), Searcher(gallery, "tiny").matrix
    pictures[30].save(photos / "new.png")
    (photos / "astronaut" / "1.jpg").unlink()
    pictures[31].save(photos / "brick" / "1.jpg")
    report = index("mine", photos, "tiny@pca5", device="cpu")
    assert (report.added, report.updated, report.removed, report.unchanged) == (1, 1, 1, 10)
    whole, after = Searcher(gallery, "tiny"), Searcher(gallery, "tiny@pca5")
    expected = plainly(whole.matrix, 5, whole.matrix)
    np.testing.assert_allclose(after.matrix @ after.matrix.T, expected @ expected.T, atol=1e-3)
    # who opened it before goes on with what was
    np.testing.assert_allclose(before.reduced(old[0]), before.matrix[0], atol=1e-5)
    assert len(list(gallery.store("tiny@pca5").folder.glob("axes-*"))) == 2
    fresh = create("fresh", photos)
    index("fresh", photos, "tiny@pca5", device="cpu")
    assert stored(fresh, "tiny@pca5") == stored(gallery, "tiny@pca5")


def test_nothing_new_is_nothing_done(home, photos, tiny, monkeypatch):
    index("mine", photos, "tiny@pca5", device="cpu")
    folder = open_gallery("mine").store("tiny@pca5").folder
    before = files_of(folder)
    monkeypatch.setattr(reduction, "principal_axes", lambda *_: pytest.fail("fitted again"))
    report = index("mine", photos, "tiny@pca5", device="cpu")
    assert report.unchanged == 12 and files_of(folder) == before


def test_a_killed_run_goes_on(home, gallery, monkeypatch):
    name, calls = ModelName("tiny", components=5), 0
    monkeypatch.setattr(reduction, "_BLOCK_ROWS", 5)
    append = Journal.append

    def killed(self, keys, rows, norms):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        append(self, keys, rows, norms)

    report = update(gallery, load_embedder("tiny", device="cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            reduction.reduce(gallery, name, report)
    with monkeypatch.context() as patch:
        patch.setattr(reduction, "principal_axes", lambda *_: pytest.fail("fitted again"))
        assert reduction.reduce(gallery, name, report).added == 12
    whole = stored(gallery, "tiny@pca5")
    gallery.delete_model("tiny@pca5")
    reduction.reduce(gallery, name, report)
    assert stored(gallery, "tiny@pca5") == whole


def test_what_it_was_made_of_may_have_changed(home, photos, tiny, pictures):
    index("mine", photos, "tiny@pca5", device="cpu")
    pictures[30].save(photos / "new.png")
    update(open_gallery("mine"), load_embedder("tiny", device="cpu"))
    reduced = Searcher(open_gallery("mine"), "tiny@pca5")  # it still answers
    assert reduced.search(reduced.vector(reduced.ids[0])).nearest(1)[0].id == reduced.ids[0]
    with pytest.raises(GalleryError, match="have changed since tiny@pca5 was made of them; index"):
        _ = reduced.embedded


# ── what cannot be ───────────────────────────────────────────────────────────────────────────────


def test_too_many_components_are_refused(home, photos, tiny, aina):
    for components in (12, 20):
        run = aina(
            *("index", photos, "--gallery", "mine", "--model", f"tiny@pca{components}"),
            *("--device", "cpu"),
        )
        assert run.status == 2 and run.err.strip().splitlines()[-1] == (
            "aina: The gallery mine has 12 images under tiny, which differ along 11 axes at most; "
            f"tiny@pca{components} asks for {components}: choose fewer components, or add images."
        )
    assert open_gallery("mine").models() == ["tiny"]
    index("mine", photos, "tiny@pca11", device="cpu")
    assert Searcher(open_gallery("mine"), "tiny@pca11").count == 12


def test_damaged_axes_are_refused_and_mended(home, photos, tiny):
    index("mine", photos, "tiny@pca5", device="cpu")
    gallery = open_gallery("mine")
    whole = stored(gallery, "tiny@pca5")
    (axes,) = gallery.store("tiny@pca5").folder.glob("axes-*/directions-*.npy")
    content = bytearray(axes.read_bytes())
    content[-3] ^= 1
    axes.write_bytes(content)
    with pytest.raises(DamagedError, match=r"axes .* are missing or damaged.*Index it again: .*"):
        Searcher(gallery, "tiny@pca5")
    assert "axes" in verify(gallery)[0]
    assert repair(gallery) == [] and stored(gallery, "tiny@pca5") == whole
    os.truncate(gallery.store("tiny@pca5").folder / "vectors-2.npy", 200)
    assert verify(gallery) and repair(gallery) == []
    assert stored(gallery, "tiny@pca5") == whole


def test_equal_images_have_no_direction(home, tiny, tmp_path, pictures):
    folder = tmp_path / "same"
    folder.mkdir()
    for number in range(4):
        pictures[0].save(folder / f"{number}.png")
    index("same", folder, "tiny@pca2", device="cpu")
    reduced = Searcher(open_gallery("same"), "tiny@pca2")
    assert (reduced.matrix == [1, 0]).all()  # nothing tells them apart, so they are equal
    vector = reduced.reduced(Searcher(open_gallery("same"), "tiny").matrix[0])
    assert [hit.similarity for hit in reduced.search(vector).nearest(4)] == [1, 1, 1, 1]


def test_axes_equal_scikit_learns_on_more_rows_than_one_block(monkeypatch):
    from sklearn.decomposition import PCA

    monkeypatch.setattr(principal, "_BLOCK_ROWS", 64)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 20)).astype(np.float32) * np.arange(1, 21, dtype=np.float32)
    axes = principal.principal_axes(rows, 4)
    theirs = PCA(4, svd_solver="full").fit(rows).components_.T
    np.testing.assert_allclose(np.abs(theirs.T @ axes.directions), np.eye(4), atol=1e-4)


def test_the_fast_native_variant_is_reduced_too(home, photos, tiny):
    report = index("mine", photos, "tiny@pca4@fast@native", device="cpu")
    assert report.model == "tiny@native@fast@pca4" and report.mode == "fast"
    gallery = open_gallery("mine")
    assert gallery.models() == ["tiny@native@fast", "tiny@native@fast@pca4"]
    assert gallery.manifest("tiny@native@fast")["agreement"]["sample"] == 12
    opened = Searcher(gallery, report.model)
    picture = images.read_bytes(photos / opened.ids[0])
    embedder = load_embedder(opened.model, device="cpu")
    assert embedder.model == opened.source == "tiny@native@fast"
    vector = opened.reduced(embed_query(embedder, picture))
    assert opened.search(vector).nearest(1)[0].id == opened.ids[0]
