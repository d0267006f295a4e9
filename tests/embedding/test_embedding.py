"""Images become unit rows: near to the plain computation, in order, a bounded number at a time."""

import dataclasses
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aina_core import embedding, images, models
from aina_core.changes import modifications
from aina_core.demo import PHOTOGRAPHS
from aina_core.embedding import conversion, load_embedder, preprocess, runtimes
from aina_core.errors import InputError, UnknownNameError, WeightsRefusedError
from aina_core.gallery.update import CHUNK
from aina_core.models import Recipe, load_network
from aina_core.search.query import embed_query

RUNTIMES = ["openvino", "torch"]
LITES = ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]


@pytest.fixture(params=RUNTIMES)
def either(request, tiny):
    """The tiny model in each runtime."""
    return load_embedder(tiny, device="cpu", runtime=request.param)


def plainly(name: str, pictures: list[Image.Image]) -> np.ndarray:
    """What a user would write: torchvision's transform and the eager network, float32."""
    import torch
    from torchvision import transforms

    spec = models.get(name)
    recipe = spec.recipe
    transform = transforms.Compose(
        [
            transforms.Resize(recipe.resize, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(recipe.crop),
            transforms.ToTensor(),
            transforms.Normalize(recipe.mean, recipe.std),
        ]
    )
    network = load_network(spec)
    with torch.inference_mode():
        rows = [network(transform(picture)[None]) for picture in pictures]
    return torch.nn.functional.normalize(torch.cat(rows)).numpy()


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


def test_unit_float32_rows(either, pictures):
    rows = either.embed(pictures)
    assert rows.shape == (40, either.dim) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert either.embed([]).shape == (0, either.dim)


def test_arrays_and_pillow_images_are_the_same(either, pictures):
    some = pictures[:3]
    assert (either.embed(some) == either.embed([np.asarray(p) for p in some])).all()


def test_one_image_is_a_batch_of_one(either, pictures):
    rows = either.embed(pictures)
    single = np.concatenate([either.embed([picture]) for picture in pictures])
    np.testing.assert_allclose(single, rows, rtol=0, atol=1e-5)


def test_openvino_rows_do_not_depend_on_their_company(embedder, pictures):
    alone = np.concatenate([embedder.embed([picture]) for picture in pictures])
    assert (alone == embedder.embed(pictures)).all()
    assert (alone[::-1] == embedder.embed(pictures[::-1])).all()


@pytest.mark.parametrize("name", ["tiny", *LITES])
def test_exact_mode_is_the_plain_computation(name, request):
    if name == "tiny":
        request.getfixturevalue("tiny")
    originals = [images.read_image(photograph.path()) for photograph in PHOTOGRAPHS]
    rows = load_embedder(name, device="cpu").embed(originals)
    cosines = np.einsum("ij,ij->i", rows, plainly(name, originals))
    assert cosines.min() >= 0.9999, f"lowest: {cosines.min()}"


@pytest.mark.parametrize(
    "name", [LITES[0], pytest.param(LITES[1], marks=pytest.mark.slow), LITES[2]]
)
def test_exact_mode_is_the_plain_computation_of_every_modification(name):
    (retina,) = (each for each in PHOTOGRAPHS if each.name == "retina")  # its halves are hardest
    original = images.read_image(retina.path())
    modified = [modifications.apply(kind, original) for kind in modifications.MODIFICATIONS]
    assert len(modified) == 18
    rows = load_embedder(name, device="cpu").embed(modified)
    cosines = np.einsum("ij,ij->i", rows, plainly(name, modified))
    assert cosines.min() >= 0.9999, f"lowest: {cosines.min()}"


@pytest.mark.parametrize("name", ["tiny", "efficientnet-lite0"])
def test_the_runtimes_agree(name, request, pictures):
    if name == "tiny":
        request.getfixturevalue("tiny")
    rows = [
        load_embedder(name, device="cpu", runtime=runtime).embed(pictures[:12])
        for runtime in RUNTIMES
    ]
    assert np.einsum("ij,ij->i", *rows).min() >= 0.9999


def test_threads_do_not_disturb_each_other(either, pictures):
    serial = either.embed(pictures)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            rows = np.concatenate(list(pool.map(lambda p: either.embed([p]), pictures)))
            np.testing.assert_allclose(rows, serial, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (31, 33), (5000, 40)])
def test_any_shape(embedder, size):
    pixels = np.asarray(Image.linear_gradient("L").resize(size).convert("RGB"))
    row = embedder.embed([pixels])[0]
    assert np.isfinite(row).all() and abs(np.linalg.norm(row) - 1) < 1e-5


def test_no_process_is_bound_to_a_core_that_others_are_bound_to(embedder):
    assert not embedder.runtime._network.get_property("ENABLE_CPU_PINNING")


def test_the_first_inference_is_over_before_threads_begin(tiny):
    """OpenVINO's binding hangs for good when two threads infer for the first time at once."""
    runtime = load_embedder(tiny, device="cpu", runtime="openvino").runtime
    assert hasattr(runtime._threads, "request")


# ── preprocessing ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "size", [(640, 481), (1000, 300), (300, 1000), (300, 600), (300, 601), (224, 224), (100, 77)]
)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_preprocessing_is_pillows_within_a_grey_level(size, interpolation):
    from torchvision import transforms

    recipe = Recipe(256, 224, (0, 0, 0), (1, 1, 1), interpolation)
    image = images.read_image(PHOTOGRAPHS[4].path()).resize(size)
    mode = transforms.InterpolationMode[interpolation.upper()]
    plain = transforms.CenterCrop(224)(transforms.Resize(256, mode)(image))
    ours = preprocess(np.asarray(image), recipe)
    assert ours.shape == (224, 224, 3) and ours.dtype == np.uint8
    difference = np.abs(ours.astype(int) - np.asarray(plain).astype(int))
    assert difference.max() <= 2 and difference.mean() < 0.02


def test_preprocessing_leaves_its_input_alone():
    pixels = np.asarray(images.read_image(PHOTOGRAPHS[0].path())).copy()
    pixels.flags.writeable = False
    before = pixels.copy()
    preprocess(pixels, models.get(LITES[0]).recipe)
    assert (pixels == before).all()


# ── the pipeline ─────────────────────────────────────────────────────────────────────────────────


def test_order_is_kept_with_failures_in_between(either, pictures):
    def prepare(number: int) -> tuple[np.ndarray | None, str]:
        if number % 3 == 1:
            return None, "failed"
        return np.asarray(pictures[number % 40]), "good"

    expected = either.embed(pictures)
    found = list(either.run(range(100), prepare))
    assert [number for number, _, _ in found] == list(range(100))
    for number, extra, row in found:
        assert (row is None) == (extra == "failed") == (number % 3 == 1)
        if row is not None:
            np.testing.assert_allclose(row, expected[number % 40], rtol=0, atol=1e-5)


def test_failures_only(either):
    found = list(either.run(range(70), lambda number: (None, -number)))
    assert found == [(number, -number, None) for number in range(70)]


def test_stop_finishes_what_is_under_way(either, pictures):
    pixels = np.asarray(pictures[0])
    stopping = threading.Event()
    found = []
    endless = either.run(itertools.count(), lambda n: (pixels, n), stop=stopping.is_set)
    for number, extra, row in endless:
        found.append(number)
        assert extra == number and row is not None
        if number == 40:
            stopping.set()
    assert found == list(range(len(found)))
    assert 41 <= len(found) <= 41 + 256 - CHUNK


@pytest.mark.parametrize("processors", [1, 2, 16, 64])
def test_only_a_bounded_number_is_under_way(either, pictures, monkeypatch, processors):
    monkeypatch.setattr(embedding, "cores", lambda: processors)
    pixels = np.asarray(pictures[0])
    taken = 0

    def items():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    run = either.run(items(), lambda n: (pixels, n))
    for done, _ in enumerate(itertools.islice(run, 150)):
        # with a chunk that is not on the disk yet, a kill costs at most 256 images
        assert taken - done <= 256 - (CHUNK - 1)
    run.close()


def test_a_pipeline_that_is_left_ends_its_threads(embedder, pictures):
    before = threading.active_count()
    run = embedder.run(itertools.count(), lambda n: (np.asarray(pictures[0]), n))
    next(run)
    run.close()
    assert threading.active_count() == before


def test_a_fault_in_a_job_is_not_swallowed(either):
    def prepare(number: int) -> tuple[None, None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(either.run(range(3), prepare))


def test_queries_are_embedded_as_files_are(embedder, photo_set: Path):
    data = (photo_set / "astronaut" / "1.jpg").read_bytes()
    image = images.read_image(data)
    assert (embed_query(embedder, data) == embedder.embed([image])[0]).all()
    part = embed_query(embedder, data, (10, 20, 50, 60))
    assert (part == embedder.embed([image.crop((10, 20, 60, 80))])[0]).all()


# ── choices ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_fast_mode_is_recorded(tiny, runtime, pictures):
    exact = load_embedder(tiny, device="cpu", runtime=runtime)
    fast = load_embedder(tiny, mode="fast", device="cpu", runtime=runtime)
    assert (exact.model, exact.mode, exact.reduced_side) == ("tiny", "exact", None)
    assert (fast.model, fast.mode, fast.reduced_side) == ("tiny@fast", "fast", 40)
    assert exact.runtime.precision == "f32"
    assert fast.runtime.precision in ("f32", "bf16", "f16")
    record = fast.fingerprint()
    assert record["model"] == "tiny@fast" and record["mode"] == "fast"
    assert record["precision"] == fast.runtime.precision
    assert record["preprocessing"]["reduced_side"] == 40
    assert record != exact.fingerprint()
    rows = fast.embed(pictures), exact.embed(pictures)
    assert np.einsum("ij,ij->i", *rows).min() > 0.99


def test_the_fingerprint_names_the_weights_and_not_the_runtime(tiny):
    first, second = (load_embedder(tiny, device="cpu", runtime=r) for r in RUNTIMES)
    assert first.fingerprint() == second.fingerprint()
    weights = models.get(tiny).weights.locate()
    assert first.fingerprint()["weights"] == models.checksum(weights)
    assert {"torch", "openvino", "numpy", "pillow"} <= set(first.versions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "no device 'tpu'; choose from: cpu, cuda"),
        ({"runtime": "onnx"}, "no runtime 'onnx'; choose from: openvino, torch"),
        ({"mode": "quick"}, "no mode 'quick'; choose from: exact, fast"),
    ],
)
def test_bad_options_are_one_sentence(tiny, options, message):
    with pytest.raises(InputError, match=message):
        load_embedder(tiny, **options)


def test_unknown_model():
    with pytest.raises(UnknownNameError, match="Known: "):
        load_embedder("efficientnet-lite9")


@pytest.mark.parametrize("cuda", [False, True])
def test_device_and_runtime_choose_themselves(cuda, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    chosen = ("cuda", "torch") if cuda else ("cpu", "openvino")
    assert runtimes.choose(None, None) == chosen
    assert runtimes.choose("cpu", None) == ("cpu", "openvino")
    assert runtimes.choose("cpu", "torch") == ("cpu", "torch")
    assert runtimes.choose(None, "openvino") == ("cpu", "openvino")
    assert runtimes.choose(None, "torch") == (chosen[0], "torch")
    with pytest.raises(InputError, match="choose"):
        runtimes.choose("cuda", "openvino")
    if not cuda:
        with pytest.raises(InputError, match="No CUDA device"):
            runtimes.choose("cuda", None)


# ── the converted network ────────────────────────────────────────────────────────────────────────


def test_a_damaged_conversion_is_made_again(tiny, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("AINA_CACHE", str(tmp_path))
    rows = load_embedder(tiny, device="cpu").embed(pictures[:4])
    (folder,) = (tmp_path / "openvino").glob("tiny-*")
    weights = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(bytes(len(weights)))
    assert (load_embedder(tiny, device="cpu").embed(pictures[:4]) == rows).all()
    assert (folder / "model.bin").read_bytes() == weights
    assert not list((tmp_path / "openvino").glob(".aina-*"))


def test_a_second_start_converts_nothing(embedder, tiny, monkeypatch):
    monkeypatch.setattr(conversion, "_convert", lambda *_: pytest.fail("it was converted again"))
    load_embedder(tiny, device="cpu")


def test_a_conversion_that_fails_leaves_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("AINA_CACHE", str(tmp_path))
    spec = models.get(tiny)

    def load(network, path):
        raise WeightsRefusedError("they do not fit")

    with pytest.raises(WeightsRefusedError):
        runtimes.open_runtime(dataclasses.replace(spec, load=load), "exact", "cpu", "openvino")
    assert not list(tmp_path.rglob("*.xml"))


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a CUDA device")
@pytest.mark.parametrize(("mode", "least"), [("exact", 0.9999), ("fast", 0.99)])
def test_cuda_agrees(mode, least, pictures):
    here = load_embedder(LITES[0], device="cpu").embed(pictures)
    there = load_embedder(LITES[0], device="cuda", mode=mode).embed(pictures)
    assert np.einsum("ij,ij->i", here, there).min() >= least
