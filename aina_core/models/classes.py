"""The names of the classes that networks were trained to tell apart."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from aina_core.errors import InputError
from aina_core.models.spec import ModelSpec

IMAGENET = "imagenet-1k"


def class_names(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names of a model's classes, in the order of `Network.classify`; () without any.

    A name that stands for two classes (ImageNet's "crane", "maillot") gets its number: "crane
    (134)".

    Raises:
        InputError: the file of names of a local checkpoint cannot be read.
    """
    if spec.classes == IMAGENET:
        return _imagenet()
    return listed(Path(spec.classes)) if spec.classes else ()


def place_of(names: Sequence[str], typed: str) -> int | None:
    """Return the place of the class that is named as it was typed; None where none is.

    Written exactly so wins; else upper and lower case and spaces around do not count.

    Raises:
        InputError: several are, but for upper and lower case; the message names them all.
    """
    wanted = " ".join(typed.split())
    for exact in (typed, wanted):
        if exact in names:
            return names.index(exact)
    found = [place for place, name in enumerate(names) if name.casefold() == wanted.casefold()]
    if len(found) > 1:
        listed = ", ".join(names[place] for place in found)
        raise InputError(
            f"{len(found)} classes are named {typed!r} but for upper and lower case: {listed}; "
            "give the name exactly as it is written."
        )
    return found[0] if found else None


@functools.cache
def _imagenet() -> tuple[str, ...]:
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return _told_apart(_IMAGENET_CATEGORIES)


def listed(path: Path) -> tuple[str, ...]:
    """Return the names of a text file, one a line.

    Raises:
        InputError: it cannot be read, or a line is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text of UTF-8"
        raise InputError(f"The names of classes in {path} cannot be read: {reason}.") from None
    names = [line.strip() for line in lines]
    if "" in names:
        raise InputError(
            f"Line {names.index('') + 1} of the names of classes in {path} is empty; a name a line."
        )
    return _told_apart(names)


def _told_apart(names: list[str]) -> tuple[str, ...]:
    double = {name for name in names if names.count(name) > 1}
    return tuple(f"{n} ({i})" if n in double else n for i, n in enumerate(names))
