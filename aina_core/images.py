"""Bytes or a path in, an upright RGB picture out: the one place where files become pixels.

Pictures travel as uint8 arrays (height, width, 3) or as Pillow images of mode RGB. Everything that
a file can say about its pixels (orientation, palettes, transparency, CMYK, 16 bits) is settled
here, and whatever is not a usable picture raises an `ImageError` that says why.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageCms, UnidentifiedImageError

from aina_core.errors import ImageError

#: File name endings that count as pictures when a folder is read.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif"}
    | {".bmp", ".dib", ".tif", ".tiff", ".avif", ".avifs"}
)
#: The only decoders that Pillow may use.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")
#: Pictures with more pixels are refused: a small file can claim a size that fills the memory.
MAX_PIXELS = 178_000_000
#: Files larger than this are refused unread.
MAX_BYTES = 1 << 30
#: The longer side of a thumbnail.
THUMBNAIL_SIDE = 256

_ORIENTATION = 0x0112
# What Pillow's own fuzzers allow a decoder to raise, RuntimeError from damaged AVIF, and
# struct.error from damaged metadata.
_DECODER_ERRORS = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    MemoryError,
    OverflowError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)
# Above this size one picture is decoded at a time, which bounds memory whatever a gallery holds.
_LARGE_PIXELS = 24_000_000
_large = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        pixels: uint8 (height, width, 3), upright RGB; smaller than the original where the decoder
            was allowed to reduce.
        width: width of the upright original in pixels.
        height: height of the upright original in pixels.
    """

    pixels: np.ndarray
    width: int
    height: int


def read_bytes(path: Path) -> bytes:
    """Read a regular file whole.

    Raises:
        ImageError: it is missing, a broken link, not a regular file, unreadable, empty or over
            `MAX_BYTES`.
    """
    try:
        # Without O_NONBLOCK the open of a FIFO waits for a writer that may never come.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        reason = "broken link" if path.is_symlink() else "the file is missing"
        raise ImageError(reason) from None
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # not by a file object, which refuses to be one of a folder
        raise ImageError("not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > MAX_BYTES:
            raise ImageError(f"the file is over {MAX_BYTES >> 20} MB")
        try:
            return file.read()
        except OSError as error:
            raise ImageError(f"cannot be read: {error.strerror}") from None


def decode(data: bytes, *, at_least: int | None = None) -> Decoded:
    """Decode a picture to upright RGB; transparency is composited on white, animations give their
    first frame.

    Args:
        data: the file's bytes: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, whatever the file's name.
        at_least: when given, a JPEG may be decoded at a reduced scale whose two sides are both at
            least this many pixels, which is faster and slightly different.

    Raises:
        ImageError: empty, truncated, not a picture, too large, or damaged.
    """
    if not data:
        raise ImageError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(_too_large(width, height))
            if width * height > _LARGE_PIXELS:
                with _large:
                    return _pixels(image, data, at_least)
            return _pixels(image, data, at_least)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"over {MAX_PIXELS // 1_000_000} million pixels") from None
    except UnidentifiedImageError:
        raise ImageError("not a picture in a format that AINA reads") from None
    except MemoryError:
        raise ImageError("too large for the memory of this machine") from None
    except _DECODER_ERRORS as error:
        detail = str(error).strip().splitlines()
        if any("truncated" in line.lower() for line in detail):
            raise ImageError("the file is truncated") from None
        raise ImageError(f"damaged: {detail[0] if detail else type(error).__name__}") from None


def upright_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a picture, upright, in pixels, without decoding it.

    Raises:
        ImageError: it is not a picture that AINA reads.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            return (height, width) if _orientation(image) >= 5 else (width, height)
    except _DECODER_ERRORS:
        raise ImageError("not a picture in a format that AINA reads") from None


def read_image(source: Path | str | bytes) -> Image.Image:
    """Return the picture at a path, or in bytes, as an upright Pillow image of mode RGB.

    Raises:
        ImageError: see `read_bytes` and `decode`.
    """
    data = source if isinstance(source, bytes) else read_bytes(Path(source))
    return Image.fromarray(decode(data).pixels)


def crop_pixels(pixels: np.ndarray, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """Cut a box out of a picture; None leaves it whole.

    Args:
        pixels: uint8 (height, width, 3).
        box: (x, y, width, height) in pixels of the upright image; what lies outside is cut off.

    Returns:
        uint8 (height, width, 3), a view.

    Raises:
        ImageError: no pixel of the box lies in the image.
    """
    if box is None:
        return pixels
    x, y, width, height = box
    part = pixels[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    if part.size == 0:
        raise ImageError(
            f"The crop {x},{y},{width},{height} lies outside the image of {pixels.shape[1]} × "
            f"{pixels.shape[0]} pixels; give x,y,width,height in pixels of the upright image."
        )
    return part


def thumbnail(pixels: np.ndarray, side: int = THUMBNAIL_SIDE) -> bytes:
    """Return a JPEG of a picture whose longer side is at most `side` pixels.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        side: longest side in pixels.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=1.5)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=85, colorsubsampling="420")


def _too_large(width: int, height: int) -> str:
    return f"{width} × {height} pixels, over the limit of {MAX_PIXELS // 1_000_000} million"


def _pixels(image: Image.Image, data: bytes, at_least: int | None) -> Decoded:
    """Decode an opened image; `data` are the bytes that it was opened from."""
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        orientation = _orientation(image)
        swapped = orientation >= 5
        width, height = image.size[::-1] if swapped else image.size
        pixels = _decode_jpeg(data, image.size, at_least)
        if pixels is not None:
            return Decoded(_upright(pixels, orientation), width, height)
    image.load()  # Pillow applies a TIFF's orientation while it loads
    pixels = _upright(np.asarray(_to_rgb(image)), _orientation(image))
    return Decoded(pixels, pixels.shape[1], pixels.shape[0])


def _decode_jpeg(data: bytes, size: tuple[int, int], at_least: int | None) -> np.ndarray | None:
    """Decode with libjpeg-turbo directly: the same pixels as Pillow's, in a third of the time.

    None where it refuses: then Pillow decides whether the file is damaged.
    """
    side = 0 if at_least is None else min(at_least, *size)
    try:
        return simplejpeg.decode_jpeg(
            data,
            "RGB",
            fastdct=side > 0,
            fastupsample=side > 0,
            min_height=side,
            min_width=side,
        )
    except ValueError:
        return None


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation (1 to 8)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_deep_grey(image)
    if image.mode in ("CMYK", "LAB"):
        return _from_profile(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        pixels = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, pixels).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey by its full range, 32-bit and floating grey by the range in use."""
    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    grey = (values - low) * (255.0 / ((high - low) or 1.0))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255.0
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")


def _from_profile(image: Image.Image) -> Image.Image:
    """Convert CMYK by its embedded profile, and L*a*b* by its definition, to sRGB."""
    embedded = image.info.get("icc_profile")
    try:
        if image.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif embedded:
            source = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        else:
            return image.convert("RGB")
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, ValueError, OSError):
        return image.convert("RGB")
    return converted or image.convert("RGB")
