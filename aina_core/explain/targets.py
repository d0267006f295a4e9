"""The target of an explanation: a class, the similarity to a picture, or to words."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.models import place_of

CLASS, SIMILARITY, TEXT = "class", "similarity", "text"
KINDS = (CLASS, SIMILARITY, TEXT)


@dataclass(frozen=True, eq=False)
class Target:
    """A target to explain; made by one of the three functions below.

    Attributes:
        kind: "class", "similarity" or "text".
        wanted: the class, by name or index; None for another kind.
        reference: uint8 (height, width, 3), the picture held against; None for another kind.
        text: the words; empty for another kind.
        opposite: explain what lowers the score instead of what raises it.
    """

    kind: str
    wanted: str | int | None = None
    reference: np.ndarray | None = None
    text: str = ""
    opposite: bool = False

    def __str__(self) -> str:
        """What it is, in words."""
        what = {
            CLASS: f"class {self.wanted}",
            SIMILARITY: "similarity to the reference",
            TEXT: f"answer to “{self.text}”",
        }[self.kind]
        return f"what lowers the {what}" if self.opposite else what


def class_target(wanted: str | int, opposite: bool = False) -> Target:
    """Explain a class, by its name or its index among the model's classes.

    Args:
        wanted: which.
        opposite: explain what lowers its logit.

    Raises:
        InputError: neither a name nor an index.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, str | int):
        raise InputError(f"{wanted!r} is no class; give its name or its index.")
    return Target(CLASS, wanted=wanted, opposite=opposite)


def similarity_target(reference_pixels: np.ndarray, opposite: bool = False) -> Target:
    """Explain the cosine to a reference picture.

    Args:
        reference_pixels: uint8 (height, width, 3), upright RGB.
        opposite: explain what lowers it.

    Raises:
        InputError: no such array.
    """
    return Target(SIMILARITY, reference=checked(reference_pixels), opposite=opposite)


def text_target(text: str, opposite: bool = False) -> Target:
    """Explain the cosine of a picture to words, under a model with a text tower.

    Raises:
        InputError: there are no words.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("The words to look for are empty; give at least one.")
    return Target(TEXT, text=text.strip(), opposite=opposite)


def checked(pixels: np.ndarray) -> np.ndarray:
    """Return pixels unchanged if they are a picture.

    Raises:
        InputError: they are not uint8 (height, width, 3) with at least one pixel.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise InputError(f"A picture is an array of uint8, not {kind}; decode it first.")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"A picture has the shape (height, width, 3), not {pixels.shape}; decode it first."
        )
    return pixels


def class_index(names: tuple[str, ...], wanted: str | int) -> int:
    """Return the index of a class by its name, in any case, or by the index itself.

    Raises:
        InputError: there is none, or several differ by case alone and none is written so; the
            message names those that are written alike.
    """
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if 0 <= wanted < len(names):
            return wanted
        raise InputError(f"There is no class {wanted}; give 0 to {len(names) - 1}, or a name.")
    if (place := place_of(names, str(wanted))) is not None:
        return place
    key = str(wanted).strip().casefold()
    folded = [name.casefold() for name in names]
    close = [place for place, name in enumerate(folded) if key and key in name]
    for near in difflib.get_close_matches(key, folded, 5):
        close += [at for at, name in enumerate(folded) if name == near and at not in close]
    hint = ", ".join(names[at] for at in close[:5]) or f"names such as {names[0]}"
    raise InputError(f"There is no class {str(wanted)!r} among {len(names)}; there are: {hint}.")
