"""What is said of duplicates: matched points, which to keep, what a threshold lets expect."""

import itertools
import json
import os
import threading

import numpy as np
import pytest
from PIL import Image, ImageFilter

from aina_core.changes import modifications
from aina_core.changes.modifications import PROFILES
from aina_core.demo import PHOTOGRAPHS
from aina_core.duplicates import chance as chance_module
from aina_core.duplicates import suggestion as suggest_module
from aina_core.duplicates.chance import Chance, chance
from aina_core.duplicates.found import gather, table, to_verify, verify
from aina_core.duplicates.keep import RULES, choose, forget_choice, keep, read_choices, sharpness
from aina_core.duplicates.pairs import find_pairs
from aina_core.duplicates.points import PERHAPS, SAME, Matched, PointMatcher, features, match
from aina_core.duplicates.suggestion import stored_suggestion, suggest
from aina_core.errors import (
    DamagedError,
    ImageError,
    InputError,
    UnknownNameError,
    WeightsMissingError,
)
from aina_core.gallery import create, update
from aina_core.images import read_image
from aina_core.progress import never, silent
from aina_core.search.searcher import Searcher

# ── matched points ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def photographs():
    """Three photographs of different things, at 400 pixels."""
    names = ("astronaut", "coffee", "rocket")
    found = {}
    for photograph in PHOTOGRAPHS:
        if photograph.name in names:
            found[photograph.name] = read_image(photograph.path())
            found[photograph.name].thumbnail((400, 400))
    return found


def points(one, other):
    return match(features(np.asarray(one)), features(np.asarray(other)))


@pytest.mark.parametrize("name", ["rotated/45", "filtered/inkwell", "cropped/upper_half"])
def test_a_changed_picture_shares_points(photographs, name):
    for picture in photographs.values():
        assert points(picture, modifications.apply(name, picture)) >= SAME


def test_different_pictures_share_none(photographs):
    for one, other in itertools.permutations(photographs.values(), 2):
        assert points(one, other) < PERHAPS


def test_the_number_is_the_same_every_time(photographs):
    one, other = photographs["coffee"], photographs["coffee"].rotate(30)
    assert len({points(one, other) for _ in range(3)}) == 1


@pytest.mark.parametrize("size", [(1, 1), (2, 400), (64, 64)])
def test_a_picture_without_corners(photographs, size):
    flat = Image.new("RGB", size, "grey")
    assert points(flat, flat) == points(flat, photographs["coffee"]) == 0


def gallery_of_pictures(tmp_path, pictures):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, picture in pictures.items():
        picture.save(folder / name)
    return create("mine", folder)


def test_matched_points_in_words(home, photographs, tmp_path, embedder):
    coffee, rocket = photographs["coffee"], photographs["rocket"]
    pictures = {
        "a.png": coffee,
        "b.png": coffee.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "c.png": rocket,
        "flat.png": Image.new("RGB", (90, 90)),
    }
    gallery = gallery_of_pictures(tmp_path, pictures)
    update(gallery, embedder)
    matcher = PointMatcher(gallery)
    mirrored = matcher.compare("a.png", "b.png")
    assert mirrored.same and mirrored.mirrored
    assert str(mirrored) == f"{mirrored.points} matched points, mirrored: the same picture"
    assert str(matcher.compare("a.png", "c.png")).endswith("not confirmed")
    assert str(matcher.compare("a.png", "flat.png")) == "too few details to tell"
    assert str(Matched(1, False, 90)) == "1 matched point: not confirmed"
    assert str(Matched(7, False, 90)) == "7 matched points: perhaps the same"
    data = (gallery.root / "b.png").read_bytes()
    assert matcher.compare("a.png", data) == mirrored
    with pytest.raises(ImageError, match="The file cannot be used"):
        matcher.compare("a.png", b"no picture")
    searcher = Searcher(gallery, embedder.model)
    (gallery.root / "c.png").unlink()
    found = verify(searcher, [("a.png", "b.png"), ("b.png", "c.png")])
    assert found["a.png", "b.png"] == mirrored
    assert (
        found["b.png", "c.png"] == "The image c.png cannot be used any more: the file is missing."
    )
    assert verify(searcher, [("a.png", "b.png")], stop=lambda: True) == {}


# ── which to keep ────────────────────────────────────────────────────────────────────────────────


def test_sharpness_falls_with_blur_and_does_not_rise_by_shrinking(photographs):
    for picture in photographs.values():
        sharp = sharpness(np.asarray(picture))
        assert sharpness(np.asarray(picture.filter(ImageFilter.GaussianBlur(2)))) < 0.5 * sharp
        half = picture.resize((picture.width // 2, picture.height // 2))
        assert sharpness(np.asarray(half)) < sharp


def test_sharpness_against_a_plain_loop():
    grey = np.random.default_rng(0).integers(0, 256, (512, 9), np.uint8)
    levels = grey.astype(int)
    laplacian = [
        levels[y - 1, x] + levels[y + 1, x] + levels[y, x - 1] + levels[y, x + 1] - 4 * levels[y, x]
        for y in range(1, 511)
        for x in range(1, 8)
    ]
    pixels = np.repeat(grey[:, :, None], 3, axis=2)
    assert sharpness(pixels) == pytest.approx(np.var(laplacian), rel=1e-4)


@pytest.fixture
def copies(home, photographs, tmp_path, embedder):
    """A large blurred copy, a small sharp one, and the oldest, of one photograph; and another."""
    coffee = photographs["coffee"]
    pictures = {
        "large.png": coffee.filter(ImageFilter.GaussianBlur(3)),
        "old.png": coffee.resize((200, 133)).filter(ImageFilter.GaussianBlur(1)),
        "sharp.png": coffee.resize((300, 200)).filter(ImageFilter.SHARPEN),
        "=other.png": photographs["rocket"],
    }
    gallery = gallery_of_pictures(tmp_path, pictures)
    for age, name in enumerate(["large.png", "sharp.png", "old.png"]):
        os.utime(gallery.root / name, ns=(0, 10**18 - age * 10**15))
    update(gallery, embedder)
    return Searcher(gallery, embedder.model)


IDS = ("large.png", "old.png", "sharp.png")


def kept(searcher, rule="largest", ids=IDS):
    records = [searcher.image(image_id)[0] for image_id in ids]
    return keep(searcher.gallery, records, rule, read_choices(searcher.gallery))


def test_the_rules(copies):
    names = {rule: kept(copies, rule).id for rule in RULES}
    assert names == {"largest": "large.png", "sharpest": "sharp.png", "oldest": "old.png"}
    assert not kept(copies).chosen
    with pytest.raises(UnknownNameError, match="largest, oldest, sharpest"):
        kept(copies, "prettiest")


def test_the_first_id_is_kept_among_equals(home, photographs, tmp_path, embedder):
    gallery = gallery_of_pictures(
        tmp_path, dict.fromkeys(("b.png", "a.png"), photographs["coffee"])
    )
    update(gallery, embedder)
    searcher = Searcher(gallery, embedder.model)
    for rule in ("largest", "sharpest"):
        assert kept(searcher, rule, ("b.png", "a.png")).id == "a.png"


def test_a_choice_is_stored_and_holds_at_other_thresholds(copies):
    gallery = copies.gallery
    before = {path: path.read_bytes() for path in gallery.root.iterdir()}
    choose(gallery, "sharp.png", IDS)
    for rule in RULES:
        assert kept(copies, rule) == kept(copies, rule, ("sharp.png", "old.png"))
        assert kept(copies, rule).id == "sharp.png" and kept(copies, rule).chosen
    assert not kept(copies, ids=("sharp.png", "=other.png")).chosen, "nobody has compared them"
    assert not kept(copies, ids=("large.png", "old.png")).chosen
    choose(gallery, "old.png", IDS)
    assert kept(copies).id == "old.png", "the latest choice counts"
    assert len(read_choices(gallery)) == 1
    choose(gallery, "=other.png", ["large.png", "=other.png"])
    assert kept(copies, ids=(*IDS, "=other.png")).id == "=other.png"
    forget_choice(gallery, IDS)
    assert not kept(copies).chosen
    assert {path: path.read_bytes() for path in gallery.root.iterdir()} == before, (
        "no file of the user's is touched"
    )


def test_a_choice_over_nothing(copies):
    with pytest.raises(InputError, match="over no other image"):
        choose(copies.gallery, "old.png", ["old.png"])


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 2, "choices": []}', '{"format": 1, "choices": [{"keep": 1}]}']
)
def test_damaged_choices_are_reported_and_not_overwritten(copies, text):
    path = copies.gallery.folder / "duplicates.json"
    path.write_text(text)
    with pytest.raises(DamagedError, match=r"duplicates\.json"):
        gather(copies, find_pairs(copies, -1))
    with pytest.raises(DamagedError):
        choose(copies.gallery, "old.png", IDS)
    assert path.read_text() == text


def test_choices_at_the_same_moment_are_all_stored(copies):
    names = [f"{number}.png" for number in range(24)]
    threads = [
        threading.Thread(target=choose, args=(copies.gallery, name, [f"not {name}"]))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(choice["keep"] for choice in read_choices(copies.gallery)) == sorted(names)
    json.loads((copies.gallery.folder / "duplicates.json").read_text())


def test_groups_by_image_ids(copies):
    choose(copies.gallery, "sharp.png", ["old.png"])
    found = gather(copies, find_pairs(copies, -1).above(-1), "oldest")
    (group,) = found.groups
    assert found.pairs == 6 and set(group.ids) == {*IDS, "=other.png"} and not found.between
    assert group.kept.id == "sharp.png" and group.kept.chosen
    vectors = dict(zip(group.ids, copies.vectors(group.ids), strict=True))
    for image_id, (near, turn) in group.near.items():
        assert near == pytest.approx(vectors[image_id] @ vectors["sharp.png"], abs=1e-6)
        assert turn == "as it is"
    least = min(itertools.combinations(group.ids, 2), key=lambda p: vectors[p[0]] @ vectors[p[1]])
    assert {group.weakest.first, group.weakest.second} == set(least)
    assert set(to_verify(found)) == {("sharp.png", one) for one in group.ids if one != "sharp.png"}
    rows = list(table(copies, found, "oldest", {("sharp.png", "old.png"): Matched(12, False, 99)}))
    assert [row[2] for row in rows] == ["other", "other", "other", "keep"]
    assert {row[3] for row in rows} == {"you"}
    by_id = {row[1]: row for row in rows}
    assert by_id["old.png"][-1] == "12 matched points: the same picture"
    assert by_id["old.png"][7:9] == [200, 133] and by_id["sharp.png"][4] == ""


# ── what a threshold lets expect ─────────────────────────────────────────────────────────────────


def test_chance_counts_as_a_plain_loop(searcher, monkeypatch):
    monkeypatch.setattr(chance_module, "_BLOCK", 7)
    found = chance(searcher, progress=silent, stop=never)
    matrix = np.asarray(searcher.matrix)
    near = sorted((float(a @ b) for a, b in itertools.combinations(matrix, 2)), reverse=True)
    assert found.sampled == 780 and found.images == 40
    assert found.tail == pytest.approx(near, abs=1e-5)
    for threshold in (0.5, 0.9, 0.99):
        expected = found.expected(threshold)
        assert expected.reaching == sum(value >= threshold for value in near)
        weights = found.false[: expected.reaching].sum()
        assert not expected.estimated, "the whole gallery was counted"
        assert expected.per_thousand == pytest.approx(weights / 40 * 1000, rel=1e-4)
        assert expected.share == pytest.approx(weights / max(expected.reaching, 1), abs=1e-4)


def test_a_tail_is_fitted_where_few_are_left():
    """Of an exponential tail the estimate is the truth, within the fluctuation of the sample."""
    rng = np.random.default_rng(0)
    excess = np.sort(rng.exponential(0.03, 16_384))[::-1].astype(np.float32)
    tail = (0.4 + excess).clip(max=1)
    found = Chance(tail, np.ones(len(tail), np.float32), 4_000_000, 100_000)
    assert not found.expected(0.5).estimated
    far = found.expected(0.8)
    truth = 16_384 * np.exp(-0.4 / 0.03) / 4_000_000 * (100_000 - 1) / 2 * 1000
    assert far.estimated and truth / 4 < far.per_thousand < 4 * truth
    counts = [found.expected(step / 100).per_thousand for step in range(40, 100)]
    assert counts == sorted(counts, reverse=True) and counts[-1] > 0
    step = found.threshold(1.0, 0.0)
    assert found.expected(step).per_thousand <= 1 < found.expected(step - 0.001).per_thousand


def test_confirmed_pairs_are_no_chance():
    tail = np.linspace(0.99, 0.5, 1000).astype(np.float32)
    false = np.r_[np.zeros(100), np.ones(900)].astype(np.float32)
    found = Chance(tail, false, 499_500, 1000)
    assert found.expected(float(tail[99])).per_thousand == 0
    assert found.expected(0.5).share == pytest.approx(0.9, abs=0.001)
    assert found.threshold(0.0, 0.0) == pytest.approx(tail[99], abs=0.002)
    assert found.floor(100) == pytest.approx(tail[100]) and found.floor(10**9) == 0


def test_copies_have_the_embeddings_of_their_pixels(searcher, embedder):
    found = suggest(searcher, embedder=lambda model: embedder)
    assert found.copies.shape == (30, 5)
    rows = np.sort(np.random.default_rng(0).choice(40, 30, replace=False))
    for place in (0, 17):
        row = rows[place]
        picture = read_image(searcher.gallery.root / searcher.ids[row])
        expected = embedder.embed([change(picture) for change in PROFILES.values()])
        assert found.copies[place] == pytest.approx(expected @ searcher.matrix[row], abs=1e-5)
    threshold = found.threshold
    assert found.found(threshold) == np.mean(found.copies >= threshold)
    assert 0.5 <= found.found(threshold) <= 1
    assert list(found.found_by_profile(threshold)) == list(PROFILES)
    words = found.describe(threshold)
    assert f"{found.found(threshold):.0%} of true copies" in words
    assert "false pairs per 1,000 images" in words and "150 copies of 30 images" in words
    assert 0.3 <= found.floor <= threshold or found.floor == threshold


def test_a_suggestion_is_stored(searcher, embedder, monkeypatch):
    first = suggest(searcher, embedder=lambda model: embedder)
    monkeypatch.setattr(suggest_module, "chance", lambda *_, **__: pytest.fail("it was stored"))
    again = suggest(searcher)
    assert again.threshold == first.threshold and (again.copies == first.copies).all()
    assert again.describe(0.9) == first.describe(0.9)
    searcher.shown[0] = False
    assert stored_suggestion(searcher) is None


def test_a_stopped_suggestion_is_not_stored(searcher, embedder):
    suggest(searcher, embedder=lambda model: embedder, stop=lambda: True)
    assert stored_suggestion(searcher) is None


def test_without_weights_the_gallery_alone_decides(searcher):
    def missing(model):
        raise WeightsMissingError("They are not here.")

    found = suggest(searcher, embedder=missing)
    assert found.found(0.9) is None and found.threshold >= 0.9
    assert found.describe(0.9).startswith("Expected by chance")


def test_files_that_are_gone_are_left_out(searcher, embedder, monkeypatch, tmp_path):
    monkeypatch.setattr(type(searcher.gallery), "read", _gone)
    found = suggest(searcher, embedder=lambda model: embedder)
    assert len(found.copies) == 0 and (found.chance.false == 1).all()


def _gone(gallery, image_id):
    raise ImageError("the file is missing")


def test_one_image_has_no_pairs(home, photographs, tmp_path, embedder):
    gallery = gallery_of_pictures(tmp_path, {"a.png": photographs["coffee"]})
    update(gallery, embedder)
    with pytest.raises(InputError, match="fewer than two images"):
        suggest(Searcher(gallery, embedder.model))
