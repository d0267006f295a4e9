"""Pictures at their own size: shapes, batches of one shape, equality with the plain network."""

import dataclasses
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from aina_core import images, models
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import conversion, load_embedder, preprocess, view
from aina_core.embedding.batches import in_batches
from aina_core.models import ModelName, load_network
from aina_core.models import spec as registry

RUNTIMES = ["openvino", "torch"]
RECIPE = ModelName("efficientnet-lite0", native=True).spec().recipe


@pytest.fixture(params=RUNTIMES)
def either(request, tiny):
    """The tiny model at pictures' own size, in each runtime."""
    return load_embedder(f"{tiny}@native", device="cpu", runtime=request.param)


def stretch(height, width):
    """By how many times a picture is stretched along one side, and its size after."""
    look = view(RECIPE, height, width)
    _, _, high, wide = look.kept
    rows, columns = look.size
    return math.exp(abs(math.log((rows / columns) / (high / wide)))), look.size


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────


def test_every_size_becomes_one_of_few_shapes():
    shapes, most = set(), {224: 1.0, 128: 1.0, 1: 1.0}
    sides = [*range(1, 64, 9), *range(64, 700, 13), 1000, 1411, 3000, 20_000]
    for height, width in itertools.product(sides, sides):
        by, (rows, columns) = stretch(height, width)
        assert rows % 32 == 0 == columns % 32 and min(rows, columns) >= 64
        assert max(rows, columns) <= 640
        shapes.add((rows, columns))
        least = max(each for each in most if min(height, width) >= each)
        most[least] = max(most[least], by)
    assert len(shapes) <= 361
    assert most[224] < 1.05 and most[128] < 1.10 and most[1] < 1.23


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((480, 640), (480, 640)),  # as it is
        ((3000, 4000), (480, 640)),  # capped
        ((4000, 3000), (640, 480)),
        ((224, 224), (224, 224)),
        ((300, 451), (320, 480)),
        ((20, 30), (64, 96)),  # enlarged
        ((1, 1), (64, 64)),
    ],
)
def test_the_shape_of_a_picture(size, shape):
    assert view(RECIPE, *size).size == shape


def test_a_view_says_what_is_seen():
    look = view(RECIPE, 480, 640)
    assert look.kept == (0, 0, 480, 640) and look.cut == (0, 0, 480, 640)
    assert look.seen == (0, 0, 480, 640)
    strip = view(RECIPE, 100, 5000)  # its middle, ten times as long as high
    assert strip.kept == (0, 2000, 100, 1000) == strip.seen
    assert view(RECIPE, 5000, 100).seen == (2000, 0, 1000, 100)


@pytest.mark.parametrize("size", [(320, 480), (64, 640), (96, 64)])
def test_a_picture_of_a_fitting_size_is_not_touched(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert (preprocess(pixels, RECIPE) == pixels).all()


def test_the_resize_is_pillows_within_two_grey_levels():
    image = images.read_image(PHOTOGRAPHS[5].path())
    rows, columns = view(RECIPE, image.height, image.width).size
    plain = image.resize((columns, rows), Image.Resampling.BICUBIC)
    difference = np.abs(preprocess(np.asarray(image), RECIPE).astype(int) - np.asarray(plain))
    assert difference.max() <= 2 and difference.mean() < 0.02


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


def plainly(name, pictures):
    """What torch computes of each picture at its size, float32 (n, dim)."""
    import torch

    spec = ModelName.parse(name).spec()
    network, rows = load_network(spec), []
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (spec.recipe.mean, spec.recipe.std))
    for picture in pictures:
        pixels = torch.from_numpy(preprocess(np.asarray(picture), spec.recipe))
        with torch.inference_mode():
            rows.append(network(((pixels.permute(2, 0, 1) / 255 - mean) / std)[None]))
    return torch.nn.functional.normalize(torch.cat(rows)).numpy()


def test_it_is_the_plain_network_at_that_size(either, pictures):
    rows = either.embed(pictures[:8])
    np.testing.assert_allclose(rows, plainly("tiny@native", pictures[:8]), rtol=0, atol=1e-5)


def test_real_weights_at_their_own_size():
    originals = [images.read_image(each.path()) for each in PHOTOGRAPHS[4:7]]
    name = "efficientnet-lite0@native"
    rows = load_embedder(name, device="cpu").embed(originals)
    np.testing.assert_allclose(rows, plainly(name, originals), rtol=0, atol=1e-5)
    squares = plainly("efficientnet-lite0", originals)
    assert np.einsum("ij,ij->i", rows, squares).max() < 0.99  # it sees another picture


def test_one_picture_is_a_batch_of_one(either, pictures):
    rows = either.embed(pictures)
    assert rows.shape == (40, either.dim) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    single = np.concatenate([either.embed([picture]) for picture in pictures])
    np.testing.assert_allclose(single, rows, rtol=0, atol=1e-5)
    turned = either.embed(pictures[::-1])[::-1]
    np.testing.assert_allclose(turned, rows, rtol=0, atol=1e-5)
    assert np.abs(rows[0] - rows[1]).max() > 1e-3


def test_threads_do_not_disturb_each_other(either, pictures):
    some = pictures[:12]
    serial = either.embed(some)
    with ThreadPoolExecutor(4) as pool:
        rows = np.concatenate(list(pool.map(lambda picture: either.embed([picture]), some)))
    np.testing.assert_allclose(rows, serial, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (31, 33), (640, 640)])
def test_any_shape(either, size):
    pixels = np.asarray(Image.linear_gradient("L").resize(size).convert("RGB"))
    row = either.embed([pixels])[0]
    assert np.isfinite(row).all() and abs(np.linalg.norm(row) - 1) < 1e-5


def test_it_is_a_model_of_its_own(tiny):
    plain = load_embedder(tiny, device="cpu")
    native = load_embedder("tiny@fast@native", device="cpu")
    assert native.model == "tiny@native@fast" and native.dim == plain.dim
    assert native.reduced_side == 640
    record = native.fingerprint()
    assert record["preprocessing"]["native"] == 640
    assert record["preprocessing"]["multiple"] == 32 and record["preprocessing"]["least"] == 64
    assert "resize" not in record["preprocessing"]
    assert record["model"] == "tiny@native@fast" and record != plain.fingerprint()


def test_a_squash_is_recorded(tiny, monkeypatch):
    spec = models.get(tiny)
    squashed = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, squash=True))
    before = load_embedder(tiny, device="cpu", runtime="torch").fingerprint()
    monkeypatch.setitem(registry._SPECS, tiny, squashed)
    after = load_embedder(tiny, device="cpu", runtime="torch").fingerprint()
    assert after["preprocessing"] == {**before["preprocessing"], "squash": True}


# ── batches of one shape ─────────────────────────────────────────────────────────────────────────


class Mean:
    """A runtime whose row is a picture's mean; it takes down what it was given."""

    batch = 4

    def __init__(self):
        self.launched = []

    def launch(self, pictures):
        self.launched.append(pictures.shape)
        return lambda: pictures.mean((1, 2, 3))[:, None]


def test_batches_are_of_one_shape_and_in_order():
    rng = np.random.default_rng(0)
    runtime, shapes = Mean(), [(2, 3, 3), (3, 2, 3), (5, 5, 3)]
    given = []
    for number in range(200):
        picture = np.full(shapes[rng.integers(3)], number, np.uint8)
        given.append((number, -number, None if number % 7 == 0 else picture))
    found = list(in_batches(iter(given), runtime, held=24))
    assert [(item, extra) for item, extra, _ in found] == [(n, -n) for n in range(200)]
    for item, _, row in found:
        assert row is None if item % 7 == 0 else row == item
    assert sum(shape[0] for shape in runtime.launched) == sum(n % 7 > 0 for n in range(200))
    full = [shape for shape in runtime.launched if shape[0] == 4]
    assert len(full) > 0.8 * len(runtime.launched)


@pytest.mark.parametrize("lone", [True, False])
def test_a_bounded_number_is_held(lone):
    """One picture of a shape that never comes again must not hold up what follows it."""
    taken = 0

    def results():
        nonlocal taken
        for number in range(100):
            taken += 1
            side = 9 if number == 0 and lone else 2 + number % 3
            yield number, None, np.zeros((side, 2, 3), np.uint8)

    for done, _ in enumerate(in_batches(results(), Mean(), held=16)):
        assert taken - done <= 17


# ── the converted network ────────────────────────────────────────────────────────────────────────


def test_a_network_that_cannot_be_converted_for_any_size_runs_on_torch(
    tiny, tmp_path, monkeypatch, pictures
):
    """As one that pools by its map's sides as they were on the picture that it was traced with."""
    monkeypatch.setenv("AINA_CACHE", str(tmp_path))
    spec = models.get(tiny)

    def network():
        import torch

        built = spec.network()
        built.forward = lambda x: torch.nn.functional.avg_pool2d(
            built.trunk(x), [int(side) for side in built.trunk(x).shape[2:]]
        ).flatten(1)
        return built

    monkeypatch.setitem(registry._SPECS, tiny, dataclasses.replace(spec, network=network))
    embedder = load_embedder("tiny@native", device="cpu")
    assert embedder.runtime.name == "torch"
    rows = embedder.embed(pictures[:4])
    np.testing.assert_allclose(rows, plainly("tiny@native", pictures[:4]), rtol=0, atol=1e-5)
    monkeypatch.setattr(conversion, "_convert", lambda *_: pytest.fail("it was tried again"))
    assert load_embedder("tiny@native", device="cpu").runtime.name == "torch"
    assert load_embedder("tiny@native", device="cpu", runtime="torch").runtime.name == "torch"
