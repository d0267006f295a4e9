"""Named changes of an image: the 18 modifications and the five perturbation profiles.

Each takes a Pillow image of mode RGB, of any size from 1 × 1, and returns a new image of mode RGB;
the input stays unchanged, and the same input gives the same pixels. To add one, add an entry to its
mapping.

Sources: the modifications are those of the AINA project, the profiles those of its study of
visually similar artworks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from aina_core.errors import UnknownNameError

Change = Callable[[Image.Image], Image.Image]

#: The border, in pixels, of an image that is already square.
SQUARE_BORDER = 70


def _bordered(color: str) -> Change:
    """Pad to the centred square of the longer side; a square gets `SQUARE_BORDER` on every side."""

    def change(image: Image.Image) -> Image.Image:
        width, height = image.size
        side = max(width, height) if width != height else width + 2 * SQUARE_BORDER
        canvas = Image.new("RGB", (side, side), color)
        canvas.paste(image, ((side - width) // 2, (side - height) // 2))
        return canvas

    return change


#: The nine crops among the 18 modifications: left, upper, right and lower edge as shares of width
#: and height, in [0, 1].
CROPS: Mapping[str, tuple[float, float, float, float]] = {
    "cropped/center": (0.25, 0.25, 0.75, 0.75),
    "cropped/left_half": (0, 0, 0.5, 1),
    "cropped/right_half": (0.5, 0, 1, 1),
    "cropped/upper_half": (0, 0, 1, 0.5),
    "cropped/lower_half": (0, 0.5, 1, 1),
    "cropped/upperleft_quarter": (0, 0, 0.5, 0.5),
    "cropped/upperright_quarter": (0.5, 0, 1, 0.5),
    "cropped/lowerleft_quarter": (0, 0.5, 0.5, 1),
    "cropped/lowerright_quarter": (0.5, 0.5, 1, 1),
}


def crop_box(
    edges: tuple[float, float, float, float], width: int, height: int
) -> tuple[int, int, int, int]:
    """Return a crop of `CROPS` as (x, y, width, height) in pixels of an image of some size.

    Edges are rounded as Pillow's `crop` rounds them, half to even; a side keeps at least one pixel.
    """
    left, upper, right, lower = edges
    x, y = round(left * width), round(upper * height)
    return x, y, max(round(right * width) - x, 1), max(round(lower * height) - y, 1)


def _cropped(edges: tuple[float, float, float, float]) -> Change:
    def change(image: Image.Image) -> Image.Image:
        x, y, width, height = crop_box(edges, *image.size)
        return image.crop((x, y, x + width, y + height))

    return change


def _filtered(name: str) -> Change:
    """Apply the Instagram filter of that name, as the library pilgram implements it."""

    def change(image: Image.Image) -> Image.Image:
        import pilgram  # slow: it loads all its filters and their blend modes

        return getattr(pilgram, name)(image)

    return change


def _rotated(degrees: int) -> Change:
    """Rotate counter-clockwise on the same canvas: nearest pixels, black corners."""
    return lambda image: image.rotate(degrees)


#: The 18 modifications by `group/name`, in the order of the source's tables and figures.
MODIFICATIONS: Mapping[str, Change] = {
    "bordered/#000": _bordered("#000"),
    "bordered/#fff": _bordered("#fff"),
    **{name: _cropped(edges) for name, edges in CROPS.items()},
    "filtered/aden": _filtered("aden"),
    "filtered/inkwell": _filtered("inkwell"),
    "filtered/lofi": _filtered("lofi"),
    "mirrored": ImageOps.mirror,
    "rotated/45": _rotated(45),
    "rotated/90": _rotated(90),
    "rotated/180": _rotated(180),
}


def _black_and_white(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


def _scaled_down(image: Image.Image) -> Image.Image:
    """0.8 × both sides, rounded, at least one pixel; bicubic, Pillow's default."""
    width, height = image.size
    return image.resize((max(round(0.8 * width), 1), max(round(0.8 * height), 1)))


def _filtered_by(kernel: type[ImageFilter.BuiltinFilter]) -> Change:
    return lambda image: image.filter(kernel)


def _less_color(image: Image.Image) -> Image.Image:
    """Half way to grey."""
    return ImageEnhance.Color(image).enhance(0.5)


#: The five perturbation profiles.
PROFILES: Mapping[str, Change] = {
    "b/w": _black_and_white,
    "scaling-down": _scaled_down,
    "sharpen": _filtered_by(ImageFilter.SHARPEN),
    "edge-enhance": _filtered_by(ImageFilter.EDGE_ENHANCE_MORE),
    "reducing-color": _less_color,
}


def apply(name: str, image: Image.Image) -> Image.Image:
    """Return a new image: the given one under a modification or a perturbation profile.

    Args:
        name: a key of `MODIFICATIONS` or of `PROFILES`.
        image: of any size; a mode other than RGB is converted first.

    Returns:
        An image of mode RGB; borders, scaling and crops change its size.

    Raises:
        UnknownNameError: nothing has that name.
    """
    changes = {**MODIFICATIONS, **PROFILES}
    if name not in changes:
        raise UnknownNameError("modification or perturbation profile", name, changes)
    return changes[name](image.convert("RGB"))
