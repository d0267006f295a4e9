"""Files become upright RGB, or an ImageError that says why not."""

import io
import os
import random
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from aina_core import images
from aina_core.demo import PHOTOGRAPHS
from aina_core.errors import ImageError

LOSSLESS = ["PNG", "GIF", "BMP", "TIFF"]
LOSSY = ["JPEG", "WEBP", "AVIF"]
FORMATS = [*LOSSLESS, *LOSSY]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    result = images.decode(data)
    assert result.pixels.dtype == np.uint8 and result.pixels.flags.c_contiguous
    assert result.pixels.shape == (result.height, result.width, 3)
    return result.pixels


def difference(first: np.ndarray, second: np.ndarray) -> float:
    assert first.shape == second.shape
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """160 × 120, its four corners unlike each other."""
    image = images.read_image(PHOTOGRAPHS[0].path()).resize((160, 120))
    image.paste("red", (0, 0, 60, 40))
    image.paste("blue", (130, 100, 160, 120))
    return image


# ── formats ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(kind, photo):
    source = photo.quantize(200).convert("RGB") if kind == "GIF" else photo
    limit = 0 if kind in LOSSLESS else 6
    assert difference(decoded(encoded(source, kind)), np.asarray(source)) <= limit


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda p: encoded(p, "WEBP", lossless=True), id="lossless webp"),
        pytest.param(lambda p: encoded(p, "TIFF", compression="tiff_lzw"), id="lzw"),
        pytest.param(lambda p: encoded(p, "TIFF", compression="tiff_adobe_deflate"), id="deflate"),
        pytest.param(lambda p: encoded(p, "DIB"), id="dib"),
    ],
)
def test_their_lossless_kinds(data, photo):
    assert (decoded(data(photo)) == np.asarray(photo)).all()


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"quality": 20}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(160, 120), (33, 17), (1, 1)])
def test_jpeg_has_pillows_own_pixels(options, mode, size, photo):
    data = encoded(photo.resize(size).convert(mode), "JPEG", **options)
    assert (decoded(data) == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


@pytest.mark.parametrize("photograph", [p for p in PHOTOGRAPHS if p.file.endswith("jpg")])
def test_real_jpeg_files_have_pillows_own_pixels(photograph):
    with Image.open(photograph.path()) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert (decoded(photograph.path().read_bytes()) == expected).all()


def test_reduced_decoding_keeps_at_least_the_side_and_tells_the_original_size(photo):
    data = encoded(photo.resize((1600, 1200)), "JPEG")
    result = images.decode(data, at_least=256)
    assert (result.width, result.height) == (1600, 1200)
    assert 256 <= min(result.pixels.shape[:2]) < 600
    small = images.decode(encoded(photo, "JPEG"), at_least=256).pixels
    assert small.shape == (120, 160, 3)
    assert images.decode(encoded(photo, "PNG"), at_least=16).pixels.shape == (120, 160, 3)


# ── orientation ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "JPEG reduced", "JPEG CMYK", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind, orientation, photo):
    exif = Image.Exif()
    exif[0x0112] = orientation
    kind, _, how = kind.partition(" ")
    source = photo.resize((640, 480)) if how == "reduced" else photo
    if how == "CMYK":
        source = source.convert("CMYK")
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(source, kind, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    result = images.decode(data, at_least=100 if how == "reduced" else None)
    assert (result.width, result.height) == expected.size
    assert (result.width > result.height) == (orientation < 5)
    small = Image.fromarray(result.pixels)
    limit = 0 if kind != "JPEG" else 3 if how else 0
    if how == "reduced":
        assert small.size != expected.size
        small = small.resize(expected.size)
    assert difference(np.asarray(small), np.asarray(expected)) <= limit
    if orientation > 1:
        assert np.asarray(expected).shape != (120, 160, 3) or (
            difference(np.asarray(expected), np.asarray(photo)) > 5
        )


def test_orientation_of_avif(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decoded(encoded(photo, "AVIF", exif=exif))
    assert difference(pixels, np.asarray(photo.transpose(Image.Transpose.ROTATE_270))) < 6


@pytest.mark.parametrize("value", [0, 9, 400])
def test_a_senseless_orientation_is_none(value, photo):
    exif = Image.Exif()
    exif[0x0112] = value
    assert (decoded(encoded(photo, "PNG", exif=exif)) == np.asarray(photo)).all()


def test_damaged_exif_does_no_harm(photo):
    data = encoded(photo, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40)
    assert decoded(data).shape == (120, 160, 3)


# ── colours ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind, photo):
    data = encoded(photo.convert("CMYK"), kind, quality=95)
    assert difference(decoded(data), np.asarray(photo)) < 4


def without_adobe(data: bytes) -> bytes:
    """A CMYK JPEG without Adobe's marker; its values stay inverted."""
    place = data.index(b"\xff\xee")
    return data[:place] + data[place + 2 + struct.unpack(">H", data[place + 2 : place + 4])[0] :]


def test_inverted_cmyk_with_and_without_adobes_marker(photo):
    data = encoded(photo.convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data and b"Adobe" not in without_adobe(data)
    for variant in (data, without_adobe(data)):
        expected = np.asarray(Image.open(io.BytesIO(variant)).convert("RGB"))
        assert (decoded(variant) == expected).all()


def test_a_profile_that_does_not_fit_cmyk_is_passed_over(photo):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all"):
        data = encoded(photo.convert("CMYK"), "TIFF", icc_profile=profile)
        assert difference(decoded(data), np.asarray(photo)) < 2


def test_lab(photo):
    lab = ImageCms.profileToProfile(
        photo, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert difference(decoded(encoded(lab, "TIFF")), np.asarray(photo)) < 4


def ramp(dtype: type) -> np.ndarray:
    return np.linspace(0, 65535, 256 * 3).reshape(3, 256).astype(dtype)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_tones(kind):
    pixels = decoded(encoded(Image.fromarray(ramp(np.uint16)), kind))
    expected = np.rint(ramp(np.uint16) / 257).astype(np.uint8)
    assert (pixels == expected[..., None]).all()


def test_sixteen_bit_grey_of_the_other_byte_order():
    data = encoded(Image.frombytes("I;16B", (256, 3), ramp(np.dtype(">u2")).tobytes()), "TIFF")
    assert (decoded(data)[..., 0] == np.rint(ramp(np.uint16) / 257)).all()


def test_dark_sixteen_bit_grey_stays_dark():
    assert decoded(encoded(Image.fromarray(np.full((4, 4), 300, np.uint16)), "PNG")).max() == 1


def test_floating_grey():
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, -1)
    assert (decoded(encoded(Image.fromarray(values), "TIFF"))[0, :, 0] == np.arange(256)).all()
    values[0, 7] = np.nan
    assert decoded(encoded(Image.fromarray(values * 9 - 3), "TIFF")).max() == 255


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_bilevel_and_palette(mode, photo):
    source = photo.convert(mode)
    assert (decoded(encoded(source, "PNG")) == np.asarray(source.convert("RGB"))).all()


# ── transparency ─────────────────────────────────────────────────────────────────────────────────


def half_transparent(photo: Image.Image) -> Image.Image:
    image = photo.convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 80, 120))
    alpha.paste(128, (80, 0, 100, 120))
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "LA"])
def test_transparency_is_white(kind, photo):
    source = half_transparent(photo)
    if kind == "LA":
        source, kind = source.convert("LA"), "PNG"
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decoded(encoded(source, kind, **options)).astype(int)
    opaque = np.asarray(source.convert("RGBA"))[..., :3].astype(int)
    limit = 8 if kind == "AVIF" else 1
    assert pixels[:, :80].min() >= 255 - limit
    assert np.abs(pixels[:, 100:] - opaque[:, 100:]).mean() <= limit
    assert np.abs(pixels[:, 82:98] - (opaque[:, 82:98] + 255) / 2).mean() <= limit + 1


def test_transparency_in_a_palette_is_white(photo):
    palette = photo.quantize(100)
    index = palette.getpixel((70, 60))
    shown = np.asarray(palette.convert("RGB")).copy()
    shown[np.asarray(palette) == index] = 255
    for kind in ("PNG", "GIF"):
        assert (decoded(encoded(palette, kind, transparency=index)) == shown).all()
    alphas = bytes(255 if number != index else 0 for number in range(256))
    assert (decoded(encoded(palette, "PNG", transparency=alphas)) == shown).all()


@pytest.mark.parametrize(("mode", "color"), [("L", 90), ("RGB", (1, 2, 3)), ("I;16", 700)])
def test_a_transparent_colour_is_white(mode, color):
    image = Image.new(mode, (4, 2), color)
    image.putpixel((0, 0), (200, 10, 10) if mode == "RGB" else 10)
    pixels = decoded(encoded(image, "PNG", transparency=color))
    assert (pixels[0, 1:] == 255).all() and (pixels[0, 0] != 255).any()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_animations_give_their_first_frame(kind):
    frames = [Image.new("RGB", (60, 40), color) for color in ("red", "lime", "blue")]
    options = {} if kind == "TIFF" else {"duration": 50}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    assert difference(decoded(data), np.asarray(frames[0])) < 4


# ── what is no usable picture ────────────────────────────────────────────────────────────────────


def refused(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        images.decode(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_empty():
    assert refused(b"") == "the file is empty"


def test_text():
    assert refused(b"this is only a text, whatever it is called") == (
        "not a picture in a format that AINA reads"
    )


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.98, 0.6, 0.1])
def test_truncated(kind, share, photo):
    data = encoded(photo, kind)
    assert refused(data[: int(len(data) * share)])


def test_a_truncated_jpeg_is_called_so(photo):
    data = encoded(photo, "JPEG")
    assert refused(data[: len(data) // 2]) == "the file is truncated"


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(65535, 65535), (20_000, 8_901), (1, 178_000_001)])
def test_a_claim_of_too_many_pixels_is_refused_undecoded(size):
    assert "178 million" in refused(png_header(*size)) or "over 178" in refused(png_header(*size))


def test_a_bomb_in_the_frames_of_a_gif(photo):
    data = bytearray(encoded(photo, "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"  # the canvas
    assert "178" in refused(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n",
        b"P6 2 2 255 aaaaaaaaaaaa",
        b"\0\0\1\0",
    ],
)
def test_other_formats_are_never_opened(data, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: pytest.fail("was opened"))
    assert refused(data) == "not a picture in a format that AINA reads"


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (3, 15_001)])
def test_extreme_shapes(size, photo):
    source = photo.resize(size)
    pixels = decoded(encoded(source, "PNG"))
    assert (pixels == np.asarray(source)).all()
    with Image.open(io.BytesIO(images.thumbnail(pixels))) as small:
        assert max(small.size) == images.THUMBNAIL_SIDE and min(small.size) >= 1


@pytest.mark.parametrize("kind", [*FORMATS, "CMYK", "GIF animation", "TIFF lzw", "AVIF exif"])
def test_damaged_bytes_never_raise_anything_else(kind, photo):
    if kind == "CMYK":
        data = encoded(photo.convert("CMYK"), "JPEG")
    elif kind == "GIF animation":
        data = encoded(photo, "GIF", save_all=True, append_images=[photo.rotate(90)])
    elif kind == "TIFF lzw":
        data = encoded(photo.convert("LA"), "TIFF", compression="tiff_lzw")
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        data = encoded(photo.resize((64, 48)), kind.split()[0], exif=exif)
    choose = random.Random(kind)
    for _ in range(60):
        damaged = bytearray(data)
        region = len(data) if choose.random() < 0.5 else min(len(data), 200)
        for _ in range(choose.choice((1, 1, 3, 20))):
            damaged[choose.randrange(region)] = choose.randrange(256)
        try:
            result = images.decode(bytes(damaged), at_least=choose.choice((None, 32)))
        except ImageError as error:
            assert str(error)
        else:
            assert result.pixels.ndim == 3 and result.pixels.dtype == np.uint8


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def unreadable(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        images.read_bytes(path)
    return str(caught.value)


def test_files_that_are_none(tmp_path):
    assert unreadable(tmp_path / "a.jpg") == "the file is missing"
    (tmp_path / "b.jpg").symlink_to(tmp_path / "gone")
    assert unreadable(tmp_path / "b.jpg") == "broken link"
    (tmp_path / "c.jpg").mkdir()
    assert unreadable(tmp_path / "c.jpg") == "not a regular file"
    (tmp_path / "d.jpg").symlink_to("d.jpg")
    assert "symbolic links" in unreadable(tmp_path / "d.jpg")
    assert "File name too long" in unreadable(tmp_path / ("e" * 300))
    assert unreadable(Path("/dev/zero")) == "not a regular file"


def test_a_fifo_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "f.jpg")
    reasons = []
    thread = threading.Thread(target=lambda: reasons.append(unreadable(tmp_path / "f.jpg")))
    thread.daemon = True
    thread.start()
    thread.join(10)
    assert reasons == ["not a regular file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_without_permission(tmp_path):
    (tmp_path / "g.jpg").write_bytes(b"x")
    (tmp_path / "g.jpg").chmod(0)
    assert unreadable(tmp_path / "g.jpg") == "cannot be read: Permission denied"


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    with (tmp_path / "h.jpg").open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    assert unreadable(tmp_path / "h.jpg") == "the file is over 1024 MB"


def test_read_image_takes_a_path_a_name_and_bytes(tmp_path, photo):
    path = tmp_path / "whatever.txt"
    path.write_bytes(encoded(photo, "PNG"))
    for source in (path, str(path), path.read_bytes()):
        image = images.read_image(source)
        assert image.mode == "RGB" and (np.asarray(image) == np.asarray(photo)).all()


# ── crops ────────────────────────────────────────────────────────────────────────────────────────


def test_crop(photo):
    pixels = np.asarray(photo)
    assert images.crop_pixels(pixels, None) is pixels
    assert (images.crop_pixels(pixels, (10, 20, 30, 40)) == pixels[20:60, 10:40]).all()
    assert images.crop_pixels(pixels, (150, 110, 500, 500)).shape == (10, 10, 3)
    assert images.crop_pixels(pixels, (-5, -5, 10, 10)).shape == (5, 5, 3)


@pytest.mark.parametrize("box", [(160, 0, 5, 5), (0, 120, 5, 5), (-9, 0, 9, 5), (3, 3, 0, 5)])
def test_a_crop_outside_is_refused(box, photo):
    with pytest.raises(ImageError, match="160 × 120"):
        images.crop_pixels(np.asarray(photo), box)
