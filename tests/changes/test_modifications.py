"""The 18 modifications and the five profiles, each against plain numpy."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from aina_core.changes.modifications import MODIFICATIONS, PROFILES, SQUARE_BORDER, apply
from aina_core.errors import UnknownNameError

EVERY = [*MODIFICATIONS, *PROFILES]
SIZES = [(1, 1), (1, 2), (2, 1), (3, 3), (5, 7), (7, 4), (8, 8), (101, 33)]  # width, height


def noise(width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(width * 1000 + height)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def applied(name: str, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(apply(name, Image.fromarray(pixels)))


def test_there_are_18_modifications_in_the_order_of_the_source() -> None:
    assert list(MODIFICATIONS) == [
        "bordered/#000",
        "bordered/#fff",
        "cropped/center",
        "cropped/left_half",
        "cropped/right_half",
        "cropped/upper_half",
        "cropped/lower_half",
        "cropped/upperleft_quarter",
        "cropped/upperright_quarter",
        "cropped/lowerleft_quarter",
        "cropped/lowerright_quarter",
        "filtered/aden",
        "filtered/inkwell",
        "filtered/lofi",
        "mirrored",
        "rotated/45",
        "rotated/90",
        "rotated/180",
    ]


def test_there_are_five_profiles() -> None:
    assert list(PROFILES) == ["b/w", "scaling-down", "sharpen", "edge-enhance", "reducing-color"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", EVERY)
def test_returns_a_new_rgb_image_always_the_same_and_leaves_the_input(
    name: str, size: tuple[int, int]
) -> None:
    before = noise(*size)
    image = Image.fromarray(before)
    first, second = apply(name, image), apply(name, image)
    direct = {**MODIFICATIONS, **PROFILES}[name](image)
    assert first.mode == direct.mode == "RGB"
    assert min(first.size) >= 1
    assert direct is not image
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(direct))
    first.paste((1, 2, 3), (0, 0, *first.size))
    np.testing.assert_array_equal(np.asarray(image), before)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("name", EVERY)
def test_other_modes_are_converted(name: str, mode: str) -> None:
    image = Image.fromarray(noise(6, 5)).convert(mode)
    assert apply(name, image).mode == "RGB"
    assert image.mode == mode


@pytest.mark.parametrize("name", ["cropped", "bordered/#FFF", "", "b&w"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"rotated/90.*sharpen"):
        apply(name, Image.new("RGB", (2, 2)))


@pytest.mark.parametrize(("name", "value"), [("bordered/#000", 0), ("bordered/#fff", 255)])
@pytest.mark.parametrize(
    ("width", "height", "side", "x", "y"),
    [
        (8, 4, 8, 0, 2),
        (3, 8, 8, 2, 0),
        (5, 5, 5 + 2 * 70, 70, 70),
        (1, 1, 141, 70, 70),
    ],
)
def test_bordered(
    name: str, value: int, width: int, height: int, side: int, x: int, y: int
) -> None:
    assert SQUARE_BORDER == 70
    pixels = noise(width, height)
    expected = np.full((side, side, 3), value, dtype=np.uint8)
    expected[y : y + height, x : x + width] = pixels
    np.testing.assert_array_equal(applied(name, pixels), expected)


CROPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "center": lambda a: a[2:6, 3:9],
    "left_half": lambda a: a[:, :6],
    "right_half": lambda a: a[:, 6:],
    "upper_half": lambda a: a[:4],
    "lower_half": lambda a: a[4:],
    "upperleft_quarter": lambda a: a[:4, :6],
    "upperright_quarter": lambda a: a[:4, 6:],
    "lowerleft_quarter": lambda a: a[4:, :6],
    "lowerright_quarter": lambda a: a[4:, 6:],
}


@pytest.mark.parametrize("name", CROPS)
def test_cropped(name: str) -> None:
    pixels = noise(12, 8)
    np.testing.assert_array_equal(applied(f"cropped/{name}", pixels), CROPS[name](pixels))


@pytest.mark.parametrize("width", range(2, 12))
def test_two_halves_make_the_whole_and_the_box_is_pillows(width: int) -> None:
    pixels = noise(width, 5)
    halves = [applied(f"cropped/{side}_half", pixels) for side in ("left", "right")]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), pixels)
    box = (width / 4, 5 / 4, 3 * width / 4, 15 / 4)
    center = np.asarray(Image.fromarray(pixels).crop(box))
    np.testing.assert_array_equal(applied("cropped/center", pixels), center)


def test_a_crop_of_one_pixel_is_that_pixel() -> None:
    pixels = noise(1, 1)
    for name in CROPS:
        np.testing.assert_array_equal(applied(f"cropped/{name}", pixels), pixels)


def test_mirrored() -> None:
    pixels = noise(5, 4)
    np.testing.assert_array_equal(applied("mirrored", pixels), pixels[:, ::-1])


def test_rotated() -> None:
    pixels = noise(5, 5)
    np.testing.assert_array_equal(applied("rotated/90", pixels), np.rot90(pixels))
    pixels = noise(5, 4)
    np.testing.assert_array_equal(applied("rotated/180", pixels), pixels[::-1, ::-1])


def test_rotated_keeps_the_canvas_and_blackens_the_corners() -> None:
    white = np.full((41, 41, 3), 255, dtype=np.uint8)
    turned = applied("rotated/45", white)
    y, x = np.indices((41, 41)) - 20
    inside = np.abs(x) + np.abs(y) < 27  # the turned square: |x| + |y| < 20.5 √2 = 28.99
    outside = np.abs(x) + np.abs(y) > 31
    assert turned.shape == white.shape
    assert (turned[inside] == 255).all()
    assert (turned[outside] == 0).all()
    wide = applied("rotated/90", np.full((4, 10, 3), 255, dtype=np.uint8))
    expected = np.zeros((4, 10, 3), dtype=np.uint8)
    expected[:, 3:7] = 255
    np.testing.assert_array_equal(wide, expected)


def test_rotation_is_counter_clockwise() -> None:
    pixels = np.zeros((21, 21, 3), dtype=np.uint8)
    pixels[10, 18] = 255  # to the right of the centre
    ys, xs = np.nonzero(applied("rotated/45", pixels)[..., 0])
    assert ys.max() < 10 < xs.min()  # now above it, and still to the right


def test_filters() -> None:
    pixels = noise(16, 16) // 2 + 64
    inkwell = applied("filtered/inkwell", pixels)
    assert (inkwell == inkwell[..., :1]).all(), "inkwell is grey"
    aden = applied("filtered/aden", pixels).astype(int)
    assert aden.mean() > pixels.mean(), "aden is brighter"
    assert np.ptp(aden, axis=2).mean() < np.ptp(pixels.astype(int), axis=2).mean(), "and paler"
    lofi = applied("filtered/lofi", pixels).astype(int)
    assert lofi[6:10, 6:10].std() > pixels[6:10, 6:10].std(), "lofi has more contrast"
    flat = applied("filtered/lofi", np.full((64, 64, 3), 120, dtype=np.uint8))
    assert flat[32, 32, 0] > flat[0, 0, 0] + 50, "and dark corners"


def test_filters_are_those_of_pilgram() -> None:
    import pilgram

    image = Image.fromarray(noise(9, 6))
    for name in ("aden", "inkwell", "lofi"):
        expected = np.asarray(getattr(pilgram, name)(image))
        np.testing.assert_array_equal(np.asarray(apply(f"filtered/{name}", image)), expected)


def test_black_and_white_is_the_luma_of_itu_r_601() -> None:
    pixels = noise(9, 7)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    grey = applied("b/w", pixels)
    assert (grey == grey[..., :1]).all()
    np.testing.assert_allclose(grey[..., 0], luma, atol=1)


@pytest.mark.parametrize(("size", "scaled"), [((10, 20), (8, 16)), ((33, 7), (26, 6))])
def test_scaled_down(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    flat = np.full((size[1], size[0], 3), 77, dtype=np.uint8)
    small = applied("scaling-down", flat)
    assert small.shape == (scaled[1], scaled[0], 3)
    assert (small == 77).all()


KERNELS = {
    "sharpen": np.array([[-2, -2, -2], [-2, 32, -2], [-2, -2, -2]]) / 16,
    "edge-enhance": np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]]),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(name: str) -> None:
    pixels = noise(9, 7)
    expected = pixels.astype(float)  # the outermost pixels stay as they are
    for y in range(1, 6):
        for x in range(1, 8):
            window = pixels[y - 1 : y + 2, x - 1 : x + 2].astype(float)
            expected[y, x] = np.einsum("ij,ijc->c", KERNELS[name], window).clip(0, 255)
    np.testing.assert_allclose(applied(name, pixels), expected, atol=1)


def test_reduced_color_is_half_way_to_grey() -> None:
    pixels = noise(9, 7)
    grey = applied("b/w", pixels).astype(float)
    np.testing.assert_allclose(applied("reducing-color", pixels), (pixels + grey) / 2, atol=1)


def test_importing_is_cheap() -> None:
    code = (
        "import sys, aina_core.changes.modifications;"
        "assert not {'torch', 'pilgram', 'streamlit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
