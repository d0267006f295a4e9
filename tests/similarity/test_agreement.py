"""Do models see the same: rankings compared, agreement over a gallery, columns, pairs."""

import itertools
import shutil

import numpy as np
import pytest

from aina_core import images
from aina_core.embedding import load_embedder
from aina_core.errors import GalleryError, ImageError, InputError, StoppedError, UnknownNameError
from aina_core.gallery import create, update
from aina_core.search import neighbours
from aina_core.search.query import embed_query
from aina_core.search.searcher import Searcher
from aina_core.similarity import Picture, agreement, pair, side_by_side, stored_agreement
from aina_core.similarity.overlap import overlaps, shared_by_all

CHELSEA = "chelsea/1.jpg"


def rankings(seed, count, k, among):
    """`count` rankings of k different ones among so many."""
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(among)[:k] for _ in range(count)], np.int32)


def plain_overlap(left, right, p=0.9):
    """RBO_EXT of two lists of one length, as the paper writes it."""
    k = len(left)
    at = [len(set(left[:d]) & set(right[:d])) for d in range(1, k + 1)]
    return at[-1] / k * p**k + (1 - p) / p * sum(x / d * p**d for d, x in enumerate(at, 1))


# ── rankings ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("k", [1, 2, 4, 25])
def test_overlap_against_a_plain_loop(k):
    left, right = rankings(0, 300, k, 2 * k), rankings(1, 300, k, 2 * k)
    shared, overlap = overlaps(left, right)
    assert shared.tolist() == [len({*a} & {*b}) for a, b in zip(left, right, strict=True)]
    expected = [plain_overlap(a.tolist(), b.tolist()) for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(overlap, expected, atol=1e-12)


def test_overlap_by_hand():
    shared, overlap = overlaps(np.array([[1, 2, 3]]), np.array([[2, 1, 9]]))
    assert shared.tolist() == [2]
    # overlaps at depths 1, 2, 3: 0, 2, 2
    assert overlap[0] == pytest.approx(2 / 3 * 0.9**3 + 0.1 / 0.9 * (0.9**2 + 2 / 3 * 0.9**3))


def test_overlap_is_symmetric_and_between_0_for_strangers_and_1_for_the_same():
    left, right = rankings(2, 200, 10, 14), rankings(3, 200, 10, 14)
    for one, other in zip(overlaps(left, right), overlaps(right, left), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (overlaps(left, left)[1] == 1).all() and (overlaps(left, left)[0] == 10).all()
    assert (overlaps(left, right + 100)[1] == 0).all()
    assert (overlaps(left, left[:, ::-1])[1] < 1).all(), "the same images at other ranks"


def test_agreement_at_the_first_rank_counts_more_than_at_the_last():
    base, first, last = np.array([[1, 2, 3, 4]]), np.array([[1, 7, 8, 9]]), np.array([[7, 8, 9, 4]])
    assert overlaps(base, first)[1] > overlaps(base, last)[1] > 0


def test_blocks_change_nothing(monkeypatch):
    left, right = rankings(4, 50, 6, 9), rankings(5, 50, 6, 9)
    whole = overlaps(left, right), shared_by_all(np.stack([left, right]))
    monkeypatch.setattr("aina_core.similarity.overlap._BLOCK_CELLS", 40)
    np.testing.assert_array_equal(overlaps(left, right), whole[0])
    np.testing.assert_array_equal(shared_by_all(np.stack([left, right])), whole[1])


def test_shared_by_all_against_sets():
    lists = np.stack([rankings(seed, 100, 5, 7) for seed in (6, 7, 8)])
    expected = [len({*a} & {*b} & {*c}) for a, b, c in zip(*lists, strict=True)]
    assert shared_by_all(lists).tolist() == expected
    assert (shared_by_all(lists[:1]) == 5).all()


# ── over a gallery ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def embedders(tiny, other_tiny):
    return [load_embedder(name, device="cpu") for name in (tiny, other_tiny)]


@pytest.fixture
def opened(by_both, embedders):
    """Forty photographs under two models."""
    return [Searcher(by_both, each.model) for each in embedders]


def plain_neighbours(searcher, ids, k):
    """The k nearest of each image, by a plain loop."""
    found = {}
    for own in ids:
        vector = searcher.vector(own).astype(float)
        others = [other for other in ids if other != own]
        near = {other: float(searcher.vector(other).astype(float) @ vector) for other in others}
        found[own] = sorted(others, key=lambda other: (-near[other], other))[:k]
    return found


@pytest.mark.parametrize("k", [1, 4, 39])
def test_agreement_against_a_plain_loop(opened, k):
    found = agreement(opened, k)
    assert found.ids == opened[0].ids and len(found.ids) == 40
    left, right = (plain_neighbours(searcher, found.ids, k) for searcher in opened)
    shared = [len({*left[key]} & {*right[key]}) for key in found.ids]
    (only,) = found.pairs
    assert only.shared.tolist() == shared
    assert found.counts.tolist() == [shared.count(n) for n in range(k + 1)]
    assert found.counts.sum() == 40 and len(found.counts) == k + 1
    expected = [plain_overlap(left[key], right[key]) for key in found.ids]
    np.testing.assert_allclose(only.overlap, expected, atol=1e-9)
    assert only.mean_overlap == pytest.approx(np.mean(expected))
    order = sorted(range(40), key=lambda i: (shared[i], only.overlap[i], found.ids[i]))
    assert only.most_different(7).tolist() == order[:7]
    assert found.index_recall == {"tiny": 1.0, "other-tiny": 1.0}


def test_the_two_models_really_differ(opened):
    counts = agreement(opened, 4).counts
    assert counts[:4].sum() > 5 and counts[1:].sum() > 5


def test_three_models(opened, home, embedders):
    fast = load_embedder("other-tiny@fast", device="cpu")
    update(opened[0].gallery, fast)
    three = [*opened, Searcher(opened[0].gallery, fast.model)]
    found = agreement(three, 4)
    names = ("tiny", "other-tiny", "other-tiny@fast")
    assert [one.models for one in found.pairs] == list(itertools.combinations(names, 2))
    sets = [plain_neighbours(searcher, found.ids, 4) for searcher in three]
    shared = [len(set.intersection(*({*one[key]} for one in sets))) for key in found.ids]
    assert found.counts.tolist() == [shared.count(n) for n in range(5)]
    for one in found.pairs:
        assert found.counts[4] <= one.counts[4]


def test_only_images_that_all_models_have_count(gallery, embedders, photos):
    shutil.copy(photos / "brick" / "1.jpg", photos / "zz-new.jpg")  # a copy: the nearest of it
    update(gallery, embedders[1])
    (photos / "camera" / "2.jpg").unlink()
    shutil.copy(photos / "brick" / "2.jpg", photos / "astronaut" / "1.jpg")  # the tiny model's old
    update(gallery, embedders[1])
    opened = [Searcher(gallery, each.model) for each in embedders]
    found = agreement(opened, 4)
    expected = {*opened[0].ids} - {"camera/2.jpg", "astronaut/1.jpg"}
    assert set(found.ids) == expected and len(found.ids) == 10
    sides = [plain_neighbours(searcher, found.ids, 4) for searcher in opened]
    shared = [len({*sides[0][key]} & {*sides[1][key]}) for key in found.ids]
    assert found.pairs[0].shared.tolist() == shared


def test_an_image_is_never_its_own_neighbour_even_among_copies(home, photos, embedders):
    for copy in range(8):
        shutil.copy(photos / "brick" / "1.jpg", photos / f"copy-{copy}.jpg")
    made = create("copies", photos)
    for each in embedders:
        update(made, each)
    opened = [Searcher(made, each.model) for each in embedders]
    for k in (1, 2, 5):
        found = neighbours.nearest(opened[0], opened[0].ids, k).neighbours
        assert found.shape == (20, k)
        assert not (found == np.arange(20)[:, None]).any()
        assert all(len({*row}) == k for row in found.tolist())
    copies = [place for place, key in enumerate(opened[0].ids) if key.startswith("copy-")]
    assert (agreement(opened, 3).pairs[0].shared[copies] == 3).all(), "ties go by id for both"


def test_a_large_gallery_is_kept_and_answers_another_k(opened, monkeypatch):
    expected = {k: agreement(opened, k).pairs[0].shared for k in (2, 4, 25)}
    monkeypatch.setattr(neighbours, "MOST_QUICK", 10)
    assert stored_agreement(opened, 4) is None
    np.testing.assert_array_equal(agreement(opened, 4).pairs[0].shared, expected[4])
    folder = opened[0].gallery.store("tiny").folder / "agreement"
    files = {path.name for path in folder.iterdir()}
    for k in (2, 4):
        found = stored_agreement(opened, k)
        np.testing.assert_array_equal(found.pairs[0].shared, expected[k])
    assert stored_agreement(opened, 25) is None, "only twenty are kept"
    assert {path.name for path in folder.iterdir()} == files
    np.testing.assert_array_equal(agreement(opened, 25).pairs[0].shared, expected[25])
    assert stored_agreement(opened, 25) is not None
    (array,) = folder.glob("*.npy")
    array.write_bytes(array.read_bytes()[:-1] + b"\x01")
    assert stored_agreement(opened, 4) is None, "damaged"


def test_what_is_kept_of_other_images_is_not_taken(gallery, embedders, photos, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_QUICK", 5)
    update(gallery, embedders[1])
    agreement([Searcher(gallery, each.model) for each in embedders], 4)
    (photos / "camera" / "2.jpg").unlink()
    update(gallery, embedders[1])
    opened = [Searcher(gallery, each.model) for each in embedders]
    assert stored_agreement(opened, 4) is None
    assert len(agreement(opened, 4).ids) == 11


def test_a_gallery_too_large_for_exact_search_goes_through_the_index(opened, monkeypatch):
    expected = agreement(opened, 4).counts
    monkeypatch.setattr(neighbours, "MOST_EXACT", 10)
    opened[0].annoy.recall_at_10 = 0.875
    found = agreement(opened, 4)
    assert found.index_recall == {"tiny": 0.875, "other-tiny": 1.0}
    np.testing.assert_array_equal(found.counts, expected)


def test_it_can_be_watched_and_stopped(opened, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_QUICK", 10)
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", 16)
    seen = []
    agreement(opened, 4, progress=lambda *report: seen.append(report))
    assert seen[:4] == [("neighbours under tiny", done, 40) for done in (0, 16, 32, 40)]
    shutil.rmtree(opened[1].gallery.store("other-tiny").folder / "agreement")
    with pytest.raises(StoppedError):
        agreement(opened, 4, stop=lambda: True)
    assert stored_agreement(opened, 4) is None


def test_what_cannot_be_compared(opened, home, embedders, photo_set):
    first, _ = opened
    other = create("other", photo_set)
    update(other, embedders[1])
    for searchers, k, sentence in [
        ([first], 4, "1 models were given; give 2 to 4"),
        ([first, first], 4, "tiny is named twice"),
        ([first, Searcher(other, "other-tiny")], 4, "two were given"),
        (opened, 0, "k is 0; give a number of neighbours from 1 to 100"),
        (opened, 101, "from 1 to 100"),
        (opened, 40, "only 40 images of the gallery mine"),
    ]:
        for function in (agreement, stored_agreement):
            with pytest.raises(InputError, match=sentence):
                function(searchers, k)


def test_a_folder_that_cannot_be_written(opened, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_QUICK", 10)
    (opened[0].gallery.store("tiny").folder / "agreement").write_text("a file in the way")
    with pytest.raises(GalleryError, match="cannot be written"):
        agreement(opened, 4)


# ── side by side ─────────────────────────────────────────────────────────────────────────────────


def test_columns(opened):
    results = {s.model: s.search(s.vector(CHELSEA), exclude=CHELSEA) for s in opened}
    columns = side_by_side(results, 6)
    lists = {s.model: plain_neighbours(s, s.ids, 39)[CHELSEA] for s in opened}
    assert list(columns) == ["tiny", "other-tiny"]
    for model, hits in columns.items():
        assert [hit.neighbour.id for hit in hits] == lists[model][:6]
        assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
        for hit in hits:
            assert hit.first_rank == lists["tiny"].index(hit.neighbour.id) + 1
            assert hit.climb == hit.first_rank - hit.rank
    assert all(hit.climb == 0 for hit in columns["tiny"])
    assert any(hit.climb for hit in columns["other-tiny"])
    shared = [key for key in lists["tiny"][:6] if key in lists["other-tiny"][:6]]
    assert 0 < len(shared) < 6
    expected = {key: number for number, key in enumerate(shared, start=1)}
    for hits in columns.values():
        numbers = {hit.neighbour.id: hit.number for hit in hits if hit.number}
        assert numbers == expected


def test_columns_of_one_model_and_of_none(opened):
    searcher = opened[0]
    columns = side_by_side({"tiny": searcher.search(searcher.vector(CHELSEA))}, 50)
    assert len(columns["tiny"]) == 40, "all there are"
    assert all(hit.number is None for hit in columns["tiny"])
    assert side_by_side({}, 3) == {}
    with pytest.raises(InputError):
        side_by_side({}, 0)


def test_an_image_that_the_first_model_lacks(gallery, embedders, photos):
    shutil.copy(photos / "brick" / "1.jpg", photos / "new.jpg")
    update(gallery, embedders[1])
    opened = [Searcher(gallery, each.model) for each in embedders]
    results = {s.model: s.search(s.vector("brick/1.jpg"), exclude="brick/1.jpg") for s in opened}
    (new,) = (
        hit for hit in side_by_side(results, 12)["other-tiny"] if hit.neighbour.id == "new.jpg"
    )
    assert (new.rank, new.first_rank, new.climb, new.number) == (1, None, None, None)


# ── pairs ────────────────────────────────────────────────────────────────────────────────────────


def test_a_pair_of_the_gallery_is_as_in_a_search(opened, embedders):
    found = pair(Picture(CHELSEA), Picture("coffee/1.jpg"), ["tiny", "other-tiny"],
                 gallery=opened[0].gallery, embedder=None)  # fmt: skip
    assert list(found) == ["tiny", "other-tiny"]
    for searcher in opened:
        hits = searcher.search(searcher.vector(CHELSEA)).above(-1)
        (hit,) = (hit for hit in hits if hit.id == "coffee/1.jpg")
        one = found[searcher.model]
        assert (one.similarity, one.percentile) == (hit.similarity, hit.percentile)


def test_a_pair_of_files_bytes_ids_and_crops(opened, embedders, photo_set):
    by_name = {each.model: each for each in embedders}
    path, box = photo_set / CHELSEA, (3, 5, 40, 50)
    data = path.read_bytes()
    for one in (Picture(path), Picture(data), Picture(CHELSEA)):
        found = pair(one, Picture("coffee/1.jpg", box), ["tiny"], gallery=opened[0].gallery,
                     embedder=by_name.__getitem__)["tiny"]  # fmt: skip
        cropped = embed_query(embedders[0], (photo_set / "coffee/1.jpg").read_bytes(), box)
        assert found.similarity == pytest.approx(
            float(opened[0].vector(CHELSEA) @ cropped), abs=1e-5
        )
        assert 0 <= found.percentile <= 1
    same = pair(Picture(path), Picture(data), ["tiny", "other-tiny"], embedder=by_name.__getitem__)
    for one in same.values():
        assert one.similarity == pytest.approx(1, abs=1e-6) and one.percentile is None


def test_a_percentile_only_where_the_gallery_is_indexed(gallery, embedders):
    by_name = {each.model: each for each in embedders}
    found = pair(Picture("brick/1.jpg"), Picture("camera/1.jpg"), list(by_name), gallery=gallery,
                 embedder=by_name.__getitem__)  # fmt: skip
    assert found["tiny"].percentile is not None and found["other-tiny"].percentile is None
    vectors = [
        by_name["other-tiny"].embed([images.decode(gallery.read(key)).pixels])[0]
        for key in ("brick/1.jpg", "camera/1.jpg")
    ]
    assert found["other-tiny"].similarity == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)


def test_pairs_that_cannot_be_compared(gallery, embedder, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    good, bad = Picture("brick/1.jpg"), Picture(tmp_path / "bad.jpg")
    cases = [
        ([good, good], [], InputError, "No model was given"),
        ([good, good], ["tiny", "tiny"], InputError, "named twice"),
        ([good, good], ["nope"], UnknownNameError, "no model named 'nope'"),
        ([good, bad], ["tiny"], ImageError, "The image bad.jpg cannot be used: not a picture"),
        ([Picture(b"x"), good], ["tiny"], ImageError, "The image that was uploaded cannot be used"),
        ([good, Picture("none.jpg")], ["tiny"], InputError, "has no image 'none.jpg'"),
        ([Picture("brick/1.jpg", (999, 0, 5, 5)), good], ["tiny"], ImageError, "lies outside"),
    ]
    for pictures, models, kind, sentence in cases:
        with pytest.raises(kind, match=sentence):
            pair(*pictures, models, gallery=gallery, embedder=lambda name: embedder)
    with pytest.raises(InputError, match="without a gallery"):
        pair(good, good, ["tiny"])
