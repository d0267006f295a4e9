"""Mirrored and turned duplicates, by the eight flips and quarter turns."""

import numpy as np
import pytest
from PIL import Image

from aina_core.duplicates import turned
from aina_core.duplicates.against import Checker
from aina_core.duplicates.pairs import TURNS, find_pairs
from aina_core.duplicates.turned import (
    merged,
    stored_turned,
    turn,
    turned_pairs,
)
from aina_core.errors import ImageError, StoppedError
from aina_core.gallery import create, update
from aina_core.images import read_image
from aina_core.search.searcher import Searcher

T = Image.Transpose
BY_PILLOW = [
    lambda image: image,
    lambda image: image.transpose(T.FLIP_LEFT_RIGHT),
    lambda image: image.transpose(T.FLIP_TOP_BOTTOM),
    lambda image: image.transpose(T.ROTATE_180),
    lambda image: image.transpose(T.ROTATE_90),
    lambda image: image.transpose(T.ROTATE_270),
    lambda image: image.transpose(T.FLIP_LEFT_RIGHT).transpose(T.ROTATE_90),
    lambda image: image.transpose(T.FLIP_LEFT_RIGHT).transpose(T.ROTATE_270),
]


@pytest.mark.parametrize("number", range(8))
def test_turns_as_pillow_does_them(number, pictures):
    image = pictures[0]
    found = turn(np.asarray(image), number)
    assert (found == np.asarray(BY_PILLOW[number](image))).all()
    back = turn(found, turned._INVERSE[number])
    assert (back == np.asarray(image)).all()


def test_the_eight_are_eight(pictures):
    found = {turn(np.asarray(pictures[0]), number).tobytes() for number in range(8)}
    assert len(found) == len(TURNS) == 8


@pytest.fixture
def planted(home, tmp_path, photos, embedder):
    """Twelve photographs, and each turn of one of them, losslessly."""
    image = read_image(photos / "camera" / "1.jpg")
    for number in range(1, 8):
        BY_PILLOW[number](image).save(photos / f"turn {number}.png")
    image.save(photos / "turn 0.png")
    gallery = create("mine", photos)
    update(gallery, embedder)
    return Searcher(gallery, embedder.model)


def relations(searcher, found):
    ids = searcher.ids
    ends = zip(found.first, found.second, found.turn, found.similarity, strict=True)
    return {(ids[a], ids[b]): (TURNS[t], float(near)) for a, b, t, near in ends}


def test_every_turn_is_found_and_named(planted, embedder):
    found = relations(planted, turned_pairs(planted, embedder, 0.9999))
    for number in range(1, 8):
        name, near = found["turn 0.png", f"turn {number}.png"]
        assert name == TURNS[number] and near > 0.9999
    assert found["turn 4.png", "turn 5.png"][0] == TURNS[3], "a quarter from three quarters"
    assert found["turn 2.png", "turn 4.png"][0] in (TURNS[6], TURNS[7])


def test_similarities_as_by_a_plain_loop(planted, embedder):
    found = relations(planted, turned_pairs(planted, embedder, 0.97))
    matrix, expected = np.asarray(planted.matrix), {}
    for row, image_id in enumerate(planted.ids):
        pixels = np.asarray(read_image(planted.gallery.root / image_id))
        versions = embedder.embed(turn(pixels, number) for number in range(8))
        for other, other_id in enumerate(planted.ids):
            near = float(max(versions[number] @ matrix[other] for number in (1, 2, 3, 4, 6, 7)))
            if other != row and near >= 0.97:
                pair = tuple(sorted((image_id, other_id)))
                expected[pair] = max(near, expected.get(pair, -1))
    assert found.keys() == expected.keys() and len(found) > 28
    for pair, (_, near) in found.items():
        assert near == pytest.approx(expected[pair], abs=1e-5)


def test_merged_with_the_pairs_as_they_are(planted, embedder):
    plain, others = find_pairs(planted, 0.97), turned_pairs(planted, embedder, 0.97)
    both = relations(planted, merged(plain, others))
    for pair, (_, near) in relations(planted, plain).items():
        assert both[pair][1] >= near
    assert both["camera/1.jpg", "turn 0.png"][0] == "as it is"
    assert len(both) == len({*relations(planted, plain), *relations(planted, others)})


def test_a_stopped_run_resumes(planted, embedder, monkeypatch):
    whole = relations(planted, turned_pairs(planted, embedder, 0.97))
    folder = planted.gallery.store(planted.model).folder / "duplicates" / "turned"
    for path in folder.iterdir():
        path.unlink()
    monkeypatch.setattr(turned, "_BLOCK", 4)
    seen = []
    with pytest.raises(StoppedError, match="of 20 images; run it again"):
        turned_pairs(
            planted,
            embedder,
            0.97,
            progress=lambda phase, done, total: seen.append(done),
            stop=lambda: len(seen) >= 7,
        )
    assert stored_turned(planted, 0.97) is None
    again = []
    found = turned_pairs(
        planted, embedder, 0.97, progress=lambda phase, done, total: again.append(done)
    )
    assert again[0] >= 4, "what was done is not done again"
    assert relations(planted, found) == whole
    assert relations(planted, stored_turned(planted, 0.98)).items() <= whole.items()


def test_a_missing_file_is_ignored(planted, embedder):
    (planted.gallery.root / "turn 3.png").unlink()
    found = relations(planted, turned_pairs(planted, embedder, 0.9999))
    assert found["turn 0.png", "turn 1.png"][0] == "mirrored"
    assert found["turn 0.png", "turn 3.png"][0] == TURNS[3], "its vector is still there"


def test_a_turned_query_finds_its_original(planted, embedder, photos):
    data = (photos / "turn 5.png").read_bytes()
    for number in range(8):
        (photos / f"turn {number}.png").unlink()
    update(planted.gallery, embedder)
    searcher = Searcher(planted.gallery, embedder.model)
    plain = Checker(searcher, embedder, 0.999).check_bytes("x.png", data)
    both = Checker(searcher, embedder, 0.999, turned=True).check_bytes("x.png", data)
    assert both.flagged and both.nearest.neighbour.id == "camera/1.jpg"
    assert both.nearest.turn == TURNS[4], "what was done to the file to find it"
    assert plain.nearest.neighbour.similarity < both.nearest.neighbour.similarity
    with pytest.raises(ImageError):
        Checker(searcher, embedder, 0.999).check_bytes("x.png", b"no picture")


def test_on_the_command_line(planted, aina):
    words = ("duplicates", "--gallery", "mine", "--model", "tiny", "--threshold", 0.9999)
    plain = aina(*words, "--json").json
    found = aina(*words, "--turned", "--json").json
    assert found["turned"] and not plain["turned"] and found["pairs"] > plain["pairs"]
    (group,) = (group for group in found["groups"] if "turn 0.png" in group["ids"])
    assert {f"turn {number}.png" for number in range(8)} <= set(group["ids"])
    assert group["weakest"] >= 0.9999 and set(group["turned"].values()) <= set(TURNS)
