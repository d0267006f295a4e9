"""Deletion and insertion against a plain loop, the blur, and the drawn overlay."""

import itertools

import numpy as np
import pytest

from aina_core.embedding import preprocess
from aina_core.errors import InputError, UnknownNameError
from aina_core.explain import COLOURS, class_target, overlay, similarity_target
from aina_core.explain.faithfulness import ORDERS, area, measure
from aina_core.explain.occlusion import CELLS as OCCLUDED
from aina_core.explain.occlusion import blurred, grid
from tests.support.colours import CELLS, GREEN, RED, SIDE, colours, painted


@pytest.fixture(scope="module")
def square():
    return colours()


def random_picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# ── deletion and insertion ───────────────────────────────────────────────────────────────────────


def test_the_curves_by_a_plain_loop():
    """One value a pixel, all different: the order is theirs, whoever sorts."""
    picture = random_picture(12, 10)
    chance = np.random.default_rng(3)
    values = chance.permutation(120).reshape(12, 10).astype(np.float32) + 1
    weights = chance.random((12, 10))

    def scores(pictures):
        return np.array([(p[..., RED] * weights).sum() for p in pictures], np.float32)

    found = measure(picture, scores, values, opposite=False, steps=6, seed=0)
    hidden = blurred(picture)
    order = sorted(np.ndindex(12, 10), key=lambda place: -values[place])
    deletion, insertion = [], []
    for step in range(7):
        falling, rising = picture.copy(), hidden.copy()
        for place in order[: step * 20]:
            falling[place], rising[place] = hidden[place], picture[place]
        deletion.append(float((falling[..., RED] * weights).sum()))
        insertion.append(float((rising[..., RED] * weights).sum()))
    np.testing.assert_allclose(found.deletion_curve, deletion, rtol=1e-5)
    np.testing.assert_allclose(found.insertion_curve, insertion, rtol=1e-5)
    np.testing.assert_allclose(found.fractions, np.arange(7) / 6, rtol=1e-6)
    by_hand = sum((a + b) / 2 / deletion[0] / 6 for a, b in itertools.pairwise(deletion))
    assert found.deletion == pytest.approx(by_hand, rel=1e-5)
    assert all(
        curve.dtype == np.float32 and curve.shape == (7,)
        for curve in list(vars(found).values())[4:]
    )


def test_areas():
    assert area(np.array([0.5, 0.5, 0.5]), 0.5) == pytest.approx(1)
    assert area(np.array([0.5, 0.25, 0.0]), 0.5) == pytest.approx(0.5)
    # what lowers the score is hidden, and the score rises: that is a fall of what was explained
    assert area(np.array([0.5, 0.75, 1.0]), 0.5, opposite=True) == pytest.approx(0.5)
    # a cosine below 0 that falls further falls too
    assert area(np.array([-0.5, -0.75, -1.0]), -0.5) == pytest.approx(0.5)
    assert np.isfinite(area(np.array([0.0, 0.1]), 0.0))


def test_a_true_map_beats_random_and_its_contrary_does_not(square):
    picture = painted(64, 64, (8, 8, 16, 16), RED) + painted(64, 64, (30, 30, 30, 30), GREEN)
    target = class_target(RED)
    found = square.explain(picture, target)
    check = square.faithfulness(picture, target, found, steps=12)
    assert check.deletion < check.deletion_random < check.insertion
    assert check.insertion_random == check.deletion_random
    np.testing.assert_array_equal(check.insertion_random_curve, check.deletion_random_curve[::-1])
    contrary = square.explain(picture, target, method="eigencam")
    contrary.cells[:] = 1 - found.cells
    wrong = square.faithfulness(picture, target, contrary, steps=12)
    assert wrong.deletion > wrong.deletion_random > wrong.insertion


def test_what_lowers_a_similarity_is_checked_the_other_way_round(square):
    picture = painted(64, 64, (0, 0, 64, 20), RED) + painted(64, 64, (0, 40, 64, 24), GREEN)
    red = painted(64, 64, (0, 0, 64, 64), RED)
    target = similarity_target(red, opposite=True)
    check = square.faithfulness(picture, target, square.explain(picture, target), steps=8)
    assert check.deletion_curve[4] > check.deletion_random_curve[4]  # the cosine rises
    assert check.deletion < check.deletion_random < check.insertion


def test_random_orders_have_a_seed(square):
    picture, target = random_picture(64, 64), class_target(RED)
    found = square.explain(picture, target)
    one, same, other = (square.faithfulness(picture, target, found, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.deletion_random_curve, same.deletion_random_curve)
    assert one.deletion == same.deletion
    assert not np.array_equal(one.deletion_random_curve, other.deletion_random_curve)


def test_random_orders_are_as_coarse_as_the_map():
    """A check is fair when both hide patches: neighbouring pixels of a random order go together."""
    hidden_sets = []

    def scores(pictures):
        hidden_sets.extend(p[..., 0] == 0 for p in pictures)
        return np.ones(len(pictures), np.float32)

    picture = np.zeros((64, 64, 3), np.uint8)
    picture[::2] = 255  # rows of white and black, which the blur makes grey
    cells = np.zeros((4, 4), np.float32)
    cells[1, 1] = 1
    measure(picture, scores, cells, opposite=False, steps=4, seed=0)
    intact = [hidden[1::2] for hidden in hidden_sets[2:]]  # black rows: True where still black
    assert len(intact) == 3 * (2 + ORDERS)
    for half in intact[-3 * ORDERS + 1 :: 3]:
        changes = (half[:, 1:] != half[:, :-1]).mean()
        assert 0.4 < half.mean() < 0.6 and changes < 0.15  # 0.5 if pixels went one by one


def test_crops_are_checked_as_they_were_explained(square):
    picture, box = random_picture(100, 100), (10, 20, 40, 60)
    target = class_target(RED)
    found = square.explain(picture, target, crop=box)
    alone = square.explain(picture[20:80, 10:50], target)
    check = square.faithfulness(picture, target, found)
    assert check.deletion == square.faithfulness(picture[20:80, 10:50], target, alone).deletion
    assert check.deletion_curve[0] == pytest.approx(found.score, abs=1e-6)


def test_checks_that_cannot_be(square):
    picture, target = random_picture(30, 40), class_target(RED)
    found = square.explain(picture, target)
    with pytest.raises(InputError, match=r"of \(40, 30\) pixels, not of \(30, 40\)"):
        square.faithfulness(random_picture(40, 30), target, found)
    with pytest.raises(InputError, match="at least 2"):
        square.faithfulness(picture, target, found, steps=1)


def test_the_blur_keeps_the_mean_and_no_detail():
    picture = random_picture(64, 96)
    soft = blurred(picture)
    assert soft.shape == picture.shape and soft.dtype == np.uint8
    assert abs(soft.mean() - picture.mean()) < 2 and soft.std() < picture.std() / 5
    assert blurred(np.full((1, 1, 3), 9, np.uint8)).tolist() == [[[9, 9, 9]]]


@pytest.mark.parametrize("seen", [(0, 0, 10, 10), (0, 0, 30, 300), (0, 0, 900, 90), (0, 0, 1, 999)])
def test_the_grid_of_occlusion_suits_what_is_seen(seen):
    down, across = grid(seen, (224, 224))
    assert 2 <= down <= 32 and 2 <= across <= 32 and down * across <= 2 * OCCLUDED
    if max(seen) / min(seen[2:]) <= 10:
        assert 0.6 < (seen[2] / down) / (seen[3] / across) < 1.6
    assert grid(seen, (1, 1)) == (1, 1)


# ── the overlay ──────────────────────────────────────────────────────────────────────────────────


def test_the_overlay_blends_by_its_opacity(square):
    picture = random_picture(60, 100)
    found = square.explain(picture, class_target(RED))
    rows, columns = slice(0, 60), slice(20, 80)
    clear = overlay(picture, found, opacity=0)
    np.testing.assert_array_equal(clear[rows, columns], picture[rows, columns])
    full, half = overlay(picture, found, opacity=1), overlay(picture, found)
    assert full.shape == picture.shape and full.dtype == np.uint8
    mean = (picture[rows, columns].astype(float) + full[rows, columns]) / 2
    assert np.abs(half[rows, columns] - mean).max() <= 1
    order = np.argsort(found.map[rows, columns].ravel())
    light = full[rows, columns].reshape(-1, 3).astype(float).sum(1)[order]
    assert (np.diff(light) >= -1).all()  # the colours grow lighter with the map, in grey too


@pytest.mark.parametrize("size", [(60, 100), (100, 60), (40, 41), (900, 30)])
def test_the_border_that_was_not_seen_is_grey(square, size):
    picture = random_picture(*size)
    found = square.explain(picture, class_target(RED))
    drawn = overlay(picture, found, opacity=0)
    top, left, height, width = (round(v) for v in found.seen)
    unseen = np.ones(size, bool)
    unseen[top : top + height, left : left + width] = False
    grey = (drawn[..., 0] == drawn[..., 1]) & (drawn[..., 1] == drawn[..., 2])
    assert grey[unseen].all()
    np.testing.assert_array_equal(drawn[~unseen], picture[~unseen])


def test_the_edge_of_what_was_seen_is_a_line(square):
    picture = np.zeros((60, 100, 3), np.uint8)
    drawn = overlay(picture, square.explain(random_picture(60, 100), class_target(RED)), opacity=0)
    assert (drawn[:, 19] == 255).all() and (drawn[:, 80] == 255).all()
    assert not drawn[:, 20:80].any() and (drawn[:, 18] < 255).all()


def test_a_squashed_picture_is_seen_whole():
    from tests.support.colours import SQUASHED

    picture = random_picture(30, 200)
    found = colours(SQUASHED).explain(picture, class_target(RED))
    np.testing.assert_array_equal(overlay(picture, found, opacity=0), picture)


def test_a_flat_map_gets_no_colours(square):
    picture = random_picture(64, 64)
    found = square.explain(picture, similarity_target(picture))
    assert found.flat
    np.testing.assert_array_equal(overlay(picture, found, opacity=0.9), picture)


def test_a_crop_is_drawn_alone_or_in_its_picture(square):
    picture, box = random_picture(120, 90), (20, 40, 50, 50)
    found = square.explain(picture, class_target(RED), crop=box)
    part, whole = overlay(picture[40:90, 20:70], found), overlay(picture, found)
    np.testing.assert_array_equal(whole[40:90, 20:70], part)
    assert (whole[10, 10] == whole[10, 10, 0]).all()  # grey: the crop is what was seen


@pytest.mark.parametrize("colours", COLOURS)
def test_every_colour_map_is_even_and_grows_lighter(square, colours):
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    ramp = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8)[None, :, None], (SIDE, 1, 3))
    drawn = overlay(picture, square.explain(ramp, class_target(RED)), opacity=1, colours=colours)
    light = (drawn[5] / 255) ** 2.2 @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(light) > -2e-3).all() and light[-1] > light[0] + 0.4
    assert len({tuple(colour) for colour in drawn[5]}) > SIDE / 2


def test_overlays_that_cannot_be(square):
    picture = random_picture(64, 64)
    found = square.explain(picture, class_target(RED))
    with pytest.raises(UnknownNameError, match=r"'jet'.*inferno"):
        overlay(picture, found, colours="jet")
    for opacity in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="give 0 to 1"):
            overlay(picture, found, opacity=opacity)
    with pytest.raises(InputError, match="give the picture that was explained"):
        overlay(random_picture(64, 65), found)
    with pytest.raises(InputError, match="A picture"):
        overlay(picture.astype(float), found)
    part = square.explain(picture, class_target(RED), crop=(30, 30, 30, 30))
    with pytest.raises(InputError, match="does not hold the crop"):
        overlay(picture[:50], part)


def test_the_cells_are_what_the_network_was_given(square):
    picture = random_picture(64, 64)
    given = preprocess(picture, square.spec.recipe)[..., RED].reshape(CELLS, 4, CELLS, 4)
    means = given.mean((1, 3))
    found = square.explain(picture, class_target(RED))
    np.testing.assert_allclose(found.cells, means / means.max(), atol=1e-5)
