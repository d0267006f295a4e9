"""Maps on a network whose maps are known: values, alignment, flat maps, threads, bad input."""

import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from aina_core import images
from aina_core.changes.modifications import CROPS, MODIFICATIONS
from aina_core.embedding import preprocess, view
from aina_core.errors import ImageError, InputError, UnknownNameError
from aina_core.explain import (
    METHODS,
    class_target,
    explain_crops,
    flatness,
    load_explainer,
    nine_crops,
    similarity_target,
    text_target,
)
from aina_core.explain.gradients import Cells
from tests.support import colours as seen
from tests.support.colours import (
    BLUE,
    CELLS,
    CONSTANT,
    GREEN,
    RED,
    SIDE,
    SQUARE,
    SQUASHED,
    colours,
    painted,
)


@pytest.fixture(scope="module")
def square():
    return colours()


def random_picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def redness(picture, recipe):
    """The mean red of every cell that the network sees, by a plain loop: (CELLS, CELLS)."""
    given = preprocess(picture, recipe)
    cells = np.empty((CELLS, CELLS))
    for row in range(CELLS):
        for column in range(CELLS):
            part = given[row * seen.CELL :, column * seen.CELL :][: seen.CELL, : seen.CELL]
            cells[row, column] = part[..., RED].mean() / 255
    return cells


def between(cells, place, axis_cells):
    """The two nearest cells' centres and the share of the second, along one axis."""
    place = min(max(place * axis_cells - 0.5, 0), axis_cells - 1)
    return int(place), min(int(place) + 1, axis_cells - 1), place - int(place)


# ── values and alignment ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("recipe", [SQUARE, SQUASHED], ids=["cut", "squashed"])
@pytest.mark.parametrize("size", [(64, 64), (40, 300), (300, 40), (37, 51), (9, 9), (3000, 3)])
def test_the_map_is_the_cells_laid_over_the_upright_picture(recipe, size):
    picture = random_picture(*size)
    found = colours(recipe).explain(picture, class_target(RED))
    assert found.map.shape == size and found.map.dtype == np.float32
    cells = redness(picture, recipe)
    np.testing.assert_allclose(found.cells, cells / cells.max(), atol=1e-5)
    top, left, height, width = found.seen
    assert found.seen == view(recipe, *size).seen
    for y, x in np.random.default_rng(1).integers(0, size, (40, 2)):
        down, across = (y + 0.5 - top) / height, (x + 0.5 - left) / width
        expected = 0.0
        if 0 <= down < 1 and 0 <= across < 1:
            above, below, v = between(cells, down, CELLS)
            before, after, h = between(cells, across, CELLS)
            upper = cells[above, before] * (1 - h) + cells[above, after] * h
            lower = cells[below, before] * (1 - h) + cells[below, after] * h
            expected = (upper * (1 - v) + lower * v) / cells.max()
        assert found.map[y, x] == pytest.approx(expected, abs=1e-4), (y, x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("recipe", "size", "box"),
    [
        (SQUASHED, (60, 600), (15, 75, 15, 150)),
        (SQUASHED, (900, 90), (112, 45, 225, 23)),
        (SQUARE, (100, 400), (25, 175, 25, 25)),
        (SQUARE, (700, 100), (350, 50, 25, 25)),
    ],
)
def test_a_painted_box_is_found_where_it_is(method, recipe, size, box):
    found = colours(recipe).explain(painted(*size, box), class_target(RED), method=method)
    assert not found.flat and found.map.max() == pytest.approx(1, abs=0.02)
    top, left, tall, wide = box
    # the middle of what the map marks most is the middle of the box, to half a cell
    strong = np.where(found.map >= 0.5, found.map, 0)
    down, across = strong.sum(axis=1), strong.sum(axis=0)
    cell = [side / (8 if method == "occlusion" else CELLS) for side in found.seen[2:]]
    y = (down * (np.arange(size[0]) + 0.5)).sum() / down.sum()
    x = (across * (np.arange(size[1]) + 0.5)).sum() / across.sum()
    assert abs(y - (top + tall / 2)) <= cell[0] / 2 and abs(x - (left + wide / 2)) <= cell[1] / 2


def test_what_the_network_did_not_see_is_zero(square):
    picture = random_picture(50, 200)
    found = square.explain(picture, class_target(GREEN))
    assert found.seen == (0, 75, 50, 50)
    assert found.map[:, 75:125].min() > 0
    assert not found.map[:, :75].any() and not found.map[:, 125:].any()


def test_a_crop_is_explained_as_a_picture_of_its_own(square):
    picture, box = random_picture(120, 160), (30, 50, 90, 40)
    found = square.explain(picture, class_target(RED), crop=box)
    alone = square.explain(images.crop_pixels(picture, box), class_target(RED))
    np.testing.assert_array_equal(found.map, alone.map)
    assert found.map.shape == (40, 90) and found.crop == box and found.score == alone.score
    whole = found.placed(120, 160)
    np.testing.assert_array_equal(whole.map[50:90, 30:120], found.map)
    assert whole.map.sum() == pytest.approx(found.map.sum(), rel=1e-5)
    assert whole.seen == (50, 30 + 25, 40, 40) and whole.crop is None
    assert whole.placed(120, 160) is whole


def test_a_crop_that_reaches_beyond_the_picture_is_cut_off(square):
    picture = random_picture(100, 100)
    found = square.explain(picture, class_target(RED), crop=(-20, 60, 60, 90))
    assert found.map.shape == (40, 40)
    np.testing.assert_array_equal(found.placed(100, 100).map[60:, :40], found.map)


# ── methods ──────────────────────────────────────────────────────────────────────────────────────


def test_the_methods_are_their_formulas(tiny, photo_set):
    """Grad-CAM, Grad-CAM++ and HiResCAM by plain autograd, on the tiny model."""
    import torch

    explainer = load_explainer(tiny, device="cpu")
    pixels = np.asarray(images.read_image(next(photo_set.rglob("*.jpg"))))
    given = (preprocess(pixels, explainer.spec.recipe) / 255).astype(np.float32)
    given = (given - explainer.spec.recipe.mean) / explainer.spec.recipe.std
    batch = torch.from_numpy(given.astype(np.float32)).permute(2, 0, 1)[None]
    network = explainer._network.module
    maps = network.trunk(batch).detach().requires_grad_()
    logits = network.classify(maps.mean((2, 3)))[0]
    logits[7].backward()
    a, g = maps.detach().numpy()[0], maps.grad.numpy()[0]
    again = 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3 + 1e-6
    plus = (np.maximum(g, 0) * np.where(g != 0, g**2 / again, 0)).sum((1, 2))
    raws = {
        "gradcam": (g.mean((1, 2))[:, None, None] * a).sum(0),
        "hirescam": (g * a).sum(0),
        "gradcam++": (plus[:, None, None] * a).sum(0),
    }
    for method, raw in raws.items():
        found = explainer.explain(pixels, class_target(7), method=method)
        assert found.raw_max == pytest.approx(raw.max(), rel=1e-3), method
        np.testing.assert_allclose(found.cells, np.maximum(raw, 0) / raw.max(), atol=1e-3)
        assert found.score == pytest.approx(float(logits.detach().softmax(0)[7]), rel=1e-4)


def test_occlusion_is_the_fall_of_the_score(square):
    """A cell's value is the mean fall over the four squares of two by two cells that cover it."""
    picture = painted(SIDE, SIDE, (0, 0, SIDE, SIDE))
    picture[:, : SIDE // 2] = 0  # red on the right; blurring the middle changes little
    found = square.explain(picture, class_target(RED), method="occlusion")
    assert found.cells.shape == (8, 8)
    assert found.map[:, SIDE // 2 :].sum() > 0.9 * found.map.sum()
    opposite = square.explain(picture, class_target(RED, opposite=True), method="occlusion")
    assert opposite.map[:, SIDE // 2 :].sum() < 0.5 * opposite.map.sum()
    assert opposite.score == found.score


def test_a_similarity_is_explained_from_each_side(square):
    red_left = painted(64, 64, (0, 0, 64, 32), RED) + painted(64, 64, (0, 32, 64, 32), GREEN)
    red = painted(64, 64, (0, 0, 64, 64), RED)
    found = square.explain(red_left, similarity_target(red))
    assert found.score == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert found.score == pytest.approx(square.similarity(red_left, red), abs=1e-6)
    assert found.map[:, :30].min() > 0.9 and found.map[:, 34:].max() < 0.1
    lowers = square.explain(red_left, similarity_target(red, opposite=True))
    assert lowers.map[:, :30].max() < 0.1 and lowers.map[:, 34:].min() > 0.9
    assert lowers.score == found.score and lowers.target == "what lowers the " + found.target


def test_the_raw_maximum_compares(square):
    """Half as red is half the raw maximum; the map looks the same."""
    full = painted(64, 64, (0, 0, 32, 32))
    half = full // 2
    strong, weak = (square.explain(picture, class_target(RED)) for picture in (full, half))
    np.testing.assert_allclose(strong.map, weak.map, atol=1e-5)
    assert weak.raw_max == pytest.approx(strong.raw_max * 127 / 255, rel=1e-4)


def test_similarities_on_principal_axes(square):
    one, other = random_picture(64, 64), painted(64, 64, (0, 0, 64, 40), BLUE)
    mean = np.array([0.3, 0.4, 0.5], np.float32)
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 2)))[0].astype(np.float32)
    light = square.on(mean, axes)

    def reduced(picture):
        embedding = preprocess(picture, SQUARE).mean((0, 1)) / 255
        row = (embedding / np.linalg.norm(embedding) - mean) @ axes
        return row / np.linalg.norm(row)

    expected = float(reduced(one) @ reduced(other))
    assert light.similarity(one, other) == pytest.approx(expected, abs=1e-4)
    assert light.explain(one, similarity_target(other)).score == pytest.approx(expected, abs=1e-4)
    assert square.similarity(one, other) != pytest.approx(expected, abs=1e-2)


# ── nothing to show ──────────────────────────────────────────────────────────────────────────────


def flat_cases():
    picture = random_picture(80, 120)
    grey = np.full((70, 90, 3), 128, np.uint8)
    return {
        "itself": (picture, similarity_target(picture), "at its highest"),
        "a grey picture itself": (grey, similarity_target(grey), "at its highest"),
        "no gradient": (picture, class_target(CONSTANT), "vanished"),
        "the same hue": (grey, similarity_target(grey // 2), "at its highest"),
        "nothing there": (np.zeros_like(grey), class_target(RED), ""),
    }


@pytest.mark.parametrize("case", ["itself", "a grey picture itself", "the same hue"])
@pytest.mark.parametrize("method", METHODS)
def test_a_picture_against_itself_is_flat_by_every_method(square, method, case):
    picture, target, _ = flat_cases()[case]
    found = square.explain(picture, target, method=method)
    assert found.flat and "the same as the reference" in found.note and not found.map.any()
    assert found.score == pytest.approx(1, abs=1e-5)


def test_only_a_similarity_can_be_at_its_highest():
    """The probability of a class can be as near to 1, and its map shows something."""
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    stands_out = Cells(values, None, None)  # Eigen-CAM takes no gradient
    for cosine, flat in ((None, False), (0.99, False), (1.0, True)):
        notes = (
            flatness.of_gradients(stands_out, 1.0, cosine),
            flatness.of_occlusion(values, cosine),
        )
        assert [bool(note) for note in notes] == [flat, flat], cosine
    faint = Cells(values, 16.0, None)
    assert flatness.of_gradients(faint, 1.0, 1.0) == "", "a gradient tells nearly the same apart"


@pytest.mark.parametrize("case", flat_cases())
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "hirescam", "occlusion"])
def test_a_flat_map_is_said_and_not_drawn(square, method, case):
    picture, target, sentence = flat_cases()[case]
    found = square.explain(picture, target, method=method)
    assert found.flat and not found.map.any() and not found.cells.any()
    assert found.note.endswith(".") and (method == "occlusion" or sentence in found.note)
    with pytest.raises(InputError, match="marks nothing"):
        square.faithfulness(picture, target, found)


def test_one_colour_points_nowhere(square):
    """Red and green in one ratio everywhere: what raises the cosine, and what lowers it, cancel."""
    mixed = np.full((64, 64, 3), (200, 100, 7), np.uint8)
    red = painted(64, 64, (0, 0, 64, 64), RED)
    for target in (similarity_target(red), class_target(RED)):
        for method in ("gradcam", "hirescam"):
            found = square.explain(mixed, target, method=method)
            assert found.flat and "counts the same" in found.note and not found.map.any()


def test_a_map_that_no_place_speaks_for(square):
    """Only what lowers the cosine is in the picture, but for a place too faint to be seen."""
    of_gradients = flatness.of_gradients
    values = np.full((4, 4), -1.0, np.float32)
    values[2, 2] = 1e-5
    assert "No place" in of_gradients(Cells(values, 16.0, None), 1.0, 0.5)
    values[2, 2] = 1e-2
    assert of_gradients(Cells(values, 16.0, None), 1.0, 0.5) == ""
    values[2, 2] = np.nan
    assert "not finite" in of_gradients(Cells(values, 16.0, None), 1.0, 0.5)


def test_a_faint_difference_is_not_flat(square):
    picture = random_picture(64, 64)
    other = picture.copy()
    other[:32, :32] //= 2
    found = square.explain(picture, similarity_target(other))
    assert not found.flat and found.note == ""


# ── many at once ─────────────────────────────────────────────────────────────────────────────────


def twenty(explainer):
    """Twenty different requests of every kind, as functions without arguments."""
    pictures = [random_picture(60 + i, 100 - i, seed=i) for i in range(20)]
    kinds = [
        lambda p, q: explainer.explain(p, class_target(int(p[0, 0, 0]))).map,
        lambda p, q: explainer.explain(p, similarity_target(q)).map,
        lambda p, q: explainer.explain(p, similarity_target(q), method="hirescam").map,
        lambda p, q: explainer.places(p, q).cosines,
        lambda p, q: explainer.explain(p, class_target(3), method="eigencam").map,
    ]
    return [
        functools.partial(kinds[i % len(kinds)], pictures[i], pictures[(i + 1) % 20])
        for i in range(20)
    ]


def at_once(requests):
    gate = Barrier(len(requests))

    def run(request):
        gate.wait()
        return request()

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(run, requests))


def test_twenty_requests_at_once_get_their_own_maps(tiny):
    explainer = load_explainer(tiny, device="cpu")
    requests = twenty(explainer)
    alone = [request() for request in requests]
    for _ in range(3):
        for mine, expected in zip(at_once(requests), alone, strict=True):
            np.testing.assert_allclose(mine, expected, atol=1e-5)


def test_without_the_lock_they_would_not(tiny):
    """What the test above is worth: hooks are shared state, and mix when nobody holds the lock."""
    explainer = load_explainer(tiny, device="cpu")
    requests = twenty(explainer)
    alone = [request() for request in requests]
    explainer._network._lock = contextlib.nullcontext()
    for _ in range(20):
        try:
            together = at_once(requests)
        except Exception:  # a hook of one request that meets another's graph
            return
        shapes = [mine.shape == own.shape for mine, own in zip(together, alone, strict=True)]
        if not all(shapes) or any(
            np.abs(m - a).max() > 1e-3 for m, a in zip(together, alone, strict=True)
        ):
            return
    pytest.fail("twenty requests at once never met without a lock: the test proves nothing")


def test_no_hook_stays_behind(square):
    picture = random_picture(64, 64)
    for method in METHODS:
        square.explain(picture, class_target(RED), method=method)
    square.places(picture, picture)
    assert not square._network.module.cells._forward_hooks
    assert all(parameter.grad is None for parameter in square._network.module.parameters())


# ── part to part ─────────────────────────────────────────────────────────────────────────────────


def test_places_that_look_alike(square):
    left = painted(64, 64, (16, 8, 16, 16), RED) + painted(64, 64, (48, 40, 8, 8), GREEN)
    wide = painted(64, 128, (16, 72, 16, 16), RED) + painted(64, 128, (8, 40, 8, 8), GREEN)
    found = square.places(left, wide)
    assert found.cosines.shape == (CELLS**2, CELLS**2)
    heat = found.match(20.5, 10.5)
    assert heat.shape == (64, 128) and heat.dtype == np.float32
    assert heat[20:28, 76:84].min() > 0.99
    assert heat[:8].max() < 0.01 and not heat[:, :32].any() and not heat[:, 96:].any()
    box, other, cosine = found.best(20.5, 10.5)
    assert box == (20, 8, 4, 4) and cosine == pytest.approx(1, abs=1e-6)
    assert 16 <= other[0] < 32 and 72 <= other[1] < 88


def test_cosines_of_places_by_a_plain_loop(square):
    one, other = random_picture(64, 64), random_picture(64, 64, seed=1)
    found = square.places(one, other)
    features = [
        preprocess(p, SQUARE).reshape(CELLS, 4, CELLS, 4, 3).mean((1, 3)).reshape(-1, 3)
        for p in (one, other)
    ]
    for i, j in np.random.default_rng(0).integers(0, CELLS**2, (30, 2)):
        a, b = features[0][i], features[1][j]
        expected = (a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
        assert found.cosines[i, j] == pytest.approx(expected, abs=1e-4)


def test_the_strongest_links_are_mutual_and_share_no_cell(square):
    one, other = random_picture(64, 64), random_picture(64, 64, seed=1)
    found = square.places(one, other)
    links = found.strongest(300)
    assert len(links) == CELLS**2
    assert len({a for a, _, _ in links}) == len({b for _, b, _ in links}) == CELLS**2
    best_b, best_a = found.cosines.argmax(1), found.cosines.argmax(0)
    mutual = sum(int(best_a[best_b[i]] == i) for i in range(CELLS**2))
    cosines = [cosine for _, _, cosine in links]
    assert 0 < mutual < CELLS**2
    assert cosines[:mutual] == sorted(cosines[:mutual], reverse=True)
    assert cosines[mutual:] == sorted(cosines[mutual:], reverse=True)
    assert found.strongest(3) == links[:3] and found.strongest(0) == []


def test_a_picture_is_linked_to_itself_place_by_place(square):
    picture = random_picture(90, 64)
    found = square.places(picture, picture)
    assert all(a == b and cosine > 0.9999 for a, b, cosine in found.strongest(50))


@pytest.mark.parametrize("place", [(10, 5), (10, 127), (-1, 64), (64, 64), (float("nan"), 3)])
def test_a_place_that_was_not_seen(square, place):
    found = square.places(random_picture(64, 128), random_picture(64, 64))
    with pytest.raises(InputError, match="did not see the place"):
        found.match(*place)


# ── crops ────────────────────────────────────────────────────────────────────────────────────────


def test_crops_beside_the_whole(square):
    picture = painted(64, 64, (0, 0, 64, 32), RED) + painted(64, 64, (0, 32, 64, 32), GREEN)
    red = painted(20, 20, (0, 0, 20, 20), RED)
    boxes = [(0, 0, 32, 64), (32, 0, 32, 64)]
    left, right = explain_crops(square, picture, boxes, red)
    assert [left.box, right.box] == boxes
    assert left.to_reference == pytest.approx(1, abs=1e-5)
    assert right.to_reference == pytest.approx(0, abs=1e-5)
    assert left.to_whole == pytest.approx(square.similarity(picture[:, :32], picture), abs=1e-6)
    assert (left.top_class, left.probability) == square.classes(picture[:, :32], 1)[0]
    assert left.explanation.crop == boxes[0] and left.explanation.map.shape == (64, 32)
    (alone,) = explain_crops(square, picture, boxes[:1])
    assert alone.to_reference is None and alone.explanation.target == f"class {alone.top_class}"
    (chosen,) = explain_crops(
        square, picture, boxes[:1], target=class_target(GREEN), method="hirescam"
    )
    assert chosen.explanation.method == "hirescam" and "goldfish" in chosen.explanation.target
    with pytest.raises(ImageError, match="lies outside"):
        explain_crops(square, picture, [(64, 0, 5, 5)])


def test_crops_without_classes():
    explainer = colours(classes="")
    picture = random_picture(64, 64)
    (row,) = explain_crops(explainer, picture, [(0, 0, 30, 30)])
    assert row.top_class == "" and row.probability is None
    assert row.explanation.target == "similarity to the reference"


@pytest.mark.parametrize("size", [(300, 451), (7, 5), (1, 1), (401, 2)])
def test_the_nine_crops_are_those_of_the_modifications(size):
    from PIL import Image

    pixels = random_picture(*size)
    boxes = nine_crops(*size)
    assert list(boxes) == list(CROPS) and len(boxes) == 9
    for name, (x, y, width, height) in boxes.items():
        changed = np.asarray(MODIFICATIONS[name](Image.fromarray(pixels)))
        part = pixels[y : y + height, x : x + width]
        assert changed.shape == (height, width, 3)
        np.testing.assert_array_equal(changed[: len(part), : part.shape[1]], part)


# ── what cannot be ───────────────────────────────────────────────────────────────────────────────


def test_classes_by_name_and_index(square):
    picture = painted(64, 64, (0, 0, 64, 64), GREEN)
    assert square.classes(picture, 1)[0][0] == "goldfish"
    by_name, by_index = (square.explain(picture, class_target(c)) for c in (" GoldFish ", 1))
    np.testing.assert_array_equal(by_name.map, by_index.map)
    assert by_name.target == by_index.target == "class goldfish"
    every = square.classes(picture, 1000)
    assert len(every) == 1000 and sum(p for _, p in every) == pytest.approx(1, abs=1e-4)
    assert square.classes(picture, 0) == []


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("goldfihs", "there are: goldfish"),
        ("spaniel", "cocker spaniel"),
        ("", "names such as tench"),
        ("<b>\n", r"no class '<b>\\n'"),
        (1000, "give 0 to 999"),
        (-1, "no class -1"),
    ],
)
def test_a_class_that_does_not_exist(square, wanted, sentence):
    with pytest.raises(InputError, match=sentence):
        square.explain(random_picture(9, 9), class_target(wanted))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        None,
        "a.jpg",
    ],
    ids=str,
)
def test_what_is_no_picture(square, pixels):
    fine = random_picture(9, 9)
    for call in (
        lambda: square.explain(pixels, class_target(0)),
        lambda: square.explain(fine, similarity_target(pixels)),
        lambda: square.similarity(fine, pixels),
        lambda: square.classes(pixels),
        lambda: square.places(pixels, fine),
    ):
        with pytest.raises(InputError, match="A picture"):
            call()


def test_requests_that_cannot_be(square):
    picture = random_picture(20, 20)
    with pytest.raises(UnknownNameError, match=r"'lime'.*gradcam"):
        square.explain(picture, class_target(0), method="lime")
    with pytest.raises(InputError, match="has no opposite"):
        square.explain(picture, class_target(0, opposite=True), method="eigencam")
    with pytest.raises(ImageError, match="lies outside"):
        square.explain(picture, class_target(0), crop=(50, 0, 5, 5))
    with pytest.raises(InputError, match="no text tower"):
        square.explain(picture, text_target("a cat"))
    with pytest.raises(InputError, match="words to look for are empty"):
        text_target("  ")
    with pytest.raises(InputError, match="is no class"):
        class_target(1.5)
    with pytest.raises(UnknownNameError):
        square.can("smell")
    with pytest.raises(UnknownNameError):
        load_explainer("resnet9000")


def test_a_model_without_classes_or_layer_says_so():
    bare = colours(classes="", layer="")
    picture = random_picture(64, 64)
    assert "no classes" in bare.can("class") and "occlusion" in bare.can("gradcam")
    assert bare.can("occlusion") == bare.can("similarity") == ""
    for call in (
        lambda: bare.classes(picture),
        lambda: bare.explain(picture, class_target(0), method="occlusion"),
        lambda: bare.explain(picture, similarity_target(picture)),
        lambda: bare.places(picture, picture),
    ):
        with pytest.raises(InputError, match="colours has no"):
            call()
    other = painted(64, 64, (0, 0, 64, 64), RED)
    assert not bare.explain(picture, similarity_target(other), method="occlusion").flat


def test_fast_is_explained_as_exact(tiny):
    fast, exact = load_explainer(f"{tiny}@fast"), load_explainer(tiny)
    picture = random_picture(50, 60)
    assert fast.model == "tiny@fast" and exact.remark == ""
    assert fast.remark == "tiny@fast is explained as tiny, in full precision."
    one, other = (e.explain(picture, class_target(5)).map for e in (fast, exact))
    np.testing.assert_array_equal(one, other)


def test_reduced_embeddings_are_explained_before_or_on_their_axes(tiny):
    reduced = load_explainer(f"{tiny}@pca5")
    assert "before its embeddings are reduced" in reduced.remark
    axes = np.eye(reduced.spec.dim, 5, dtype=np.float32)
    assert reduced.on(np.zeros(reduced.spec.dim, np.float32), axes).remark == ""
