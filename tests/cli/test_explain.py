"""The command `explain`: what it prints, what it writes, what it refuses."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pair(photos):
    return photos / "brick" / "1.jpg", photos / "camera" / "2.jpg"


def refused(run):
    """The one line of a command that could not be."""
    assert run.status == 2 and run.out == ""
    (line,) = run.err.splitlines()
    return line


def test_a_similarity(pair, tiny, aina, tmp_path):
    out = tmp_path / "new" / "why"
    words = ("--model", tiny, "--image", pair[0], "--reference", pair[1])
    found = aina("explain", *words, "--out", out, "--json").json
    assert set(found) >= {"model", "method", "target", "score", "raw_max", "flat", "faithfulness"}
    assert found["model"] == "tiny" and found["method"] == "gradcam" and found["flat"] is False
    assert found["target"] == "similarity to the reference"
    assert set(found["faithfulness"]) == {
        *("deletion", "insertion", "deletion_random", "insertion_random")
    }
    assert found["files"] == [str(out / "map.npy"), str(out / "overlay.png")]
    laid = np.load(out / "map.npy", allow_pickle=False)
    picture = Image.open(pair[0])
    assert laid.shape == picture.size[::-1] and laid.dtype == np.float32
    assert laid.min() == 0 and 0.5 < laid.max() <= 1
    drawn = Image.open(out / "overlay.png")
    assert drawn.format == "PNG" and drawn.size == picture.size and drawn.mode == "RGB"
    assert sorted(path.name for path in out.iterdir()) == ["map.npy", "overlay.png"]
    same = aina("pair", "--image", pair[0], "--with", pair[1], "--models", tiny, "--json").json
    assert found["score"] == pytest.approx(same["models"][tiny]["similarity"], abs=1e-4)
    text = aina("explain", *words, "--out", out).out
    assert "similarity to the reference under tiny: score" in text and str(out / "map.npy") in text


def test_the_likeliest_class_and_a_named_one(pair, tiny, aina, tmp_path):
    words = ("explain", "--model", tiny, "--image", pair[0], "--out", tmp_path, "--json")
    first = aina(*words).json
    assert first["target"].startswith("class ")
    name = first["target"].removeprefix("class ")
    assert aina(*words, "--class", name.upper()).json == first
    opposite = aina(*words, "--class", name, "--opposite", "--method", "hirescam").json
    assert opposite["target"] == f"what lowers the class {name}"
    assert opposite["score"] == first["score"] and opposite["method"] == "hirescam"


def test_an_upright_map_of_a_turned_photograph(tiny, aina, tmp_path, pair):
    """The map has the shape of the image as people see it, not as the file stores it."""
    picture = Image.open(pair[0]).crop((0, 0, 80, 50))
    exif = picture.getexif()
    exif[0x0112] = 6
    data = io.BytesIO()
    picture.save(data, "JPEG", exif=exif)
    (tmp_path / "turned.jpg").write_bytes(data.getvalue())
    words = ("--model", tiny, "--image", tmp_path / "turned.jpg", "--class", "tench")
    aina("explain", *words, "--out", tmp_path)
    assert np.load(tmp_path / "map.npy").shape == (80, 50)
    assert Image.open(tmp_path / "overlay.png").size == (50, 80)


def test_a_crop_is_placed_in_its_image(pair, tiny, aina, tmp_path):
    words = ("--model", tiny, "--image", pair[0], "--reference", pair[1], "--out", tmp_path)
    aina("explain", *words, "--crop", "10,20,30,40")
    laid = np.load(tmp_path / "map.npy")
    assert laid.shape == Image.open(pair[0]).size[::-1]
    assert laid[20:60, 10:40].max() > 0.5 and laid[20:60, 10:40].sum() == pytest.approx(laid.sum())


@pytest.mark.parametrize("method", ["gradcam", "eigencam", "occlusion"])
def test_an_image_against_itself_is_flat(pair, tiny, aina, tmp_path, method):
    words = ("--model", tiny, "--image", pair[0], "--reference", pair[0], "--out", tmp_path)
    words = (*words, "--method", method)
    found = aina("explain", *words, "--json").json
    assert found["flat"] is True and "at its highest" in found["note"]
    assert set(found["faithfulness"].values()) == {None}
    assert not np.load(tmp_path / "map.npy").any()
    assert "at its highest" in aina("explain", *words).out


def test_the_fast_variant_says_what_it_is(pair, tiny, aina, tmp_path):
    words = ("--image", pair[0], "--reference", pair[1], "--out", tmp_path)
    run = aina("explain", "--model", f"{tiny}@fast", *words)
    assert "tiny@fast is explained as tiny, in full precision." in run.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--image", "gone.jpg"), "The image gone.jpg cannot be used: the file is missing."),
        (("--image", "bad.jpg"), "The image bad.jpg cannot be used"),
        (("--image", "1.jpg", "--reference", "bad.jpg"), "The image bad.jpg cannot be used"),
        (("--image", "1.jpg", "--class", "tabbby"), "there are: tabby"),
        (("--image", "1.jpg", "--text", "a cat"), "tiny has no text tower"),
        (("--image", "1.jpg", "--method", "lime"), "no method of explanation named 'lime'"),
        (("--image", "1.jpg", "--crop", "900,0,5,5"), "lies outside"),
        (("--image", "1.jpg", "--crop", "1,2,3"), "not a crop"),
        (("--image", "1.jpg", "--model", "nope"), "no model named 'nope'"),
        (("--image", "1.jpg", "--class", "tench", "--text", "a"), "not allowed with"),
        (("--image", "1.jpg", "--out", "1.jpg"), "1.jpg is a file"),
        (("--image", "1.jpg", "--out", "/proc/none"), "/proc/none cannot be written to"),
        (("--image", "1.jpg", "--opacity", "2"), "The opacity is 2"),
        (("--image", "1.jpg", "--colours", "jet"), "no colour map named 'jet'"),
        (("--image", "1.jpg", "--seed", "-1"), "--seed must be at least 0"),
        (("--image", "1.jpg", "--device", "tpu"), "no device 'tpu'"),
        ((), "--image"),
    ],
)
def test_explanations_that_cannot_be(photos, tiny, aina, monkeypatch, options, sentence):
    monkeypatch.chdir(photos / "brick")
    (photos / "brick" / "bad.jpg").write_bytes(b"no picture")
    words = options if "--model" in options else ("--model", tiny, *options)
    words = words if "--out" in options else (*words, "--out", "out")
    assert sentence in refused(aina("explain", *words))
    assert not (photos / "brick" / "out").exists()


def test_a_failed_write_leaves_what_was_there(pair, tiny, aina, tmp_path, monkeypatch):
    words = ("explain", "--model", tiny, "--image", pair[0], "--out", tmp_path)
    aina(*words, "--class", "tench")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert "No space left" in refused(aina(*words, "--class", "goldfish"))
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before
