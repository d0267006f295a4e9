"""What is in a gallery twice, and which pictures it has already."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from aina_core import images
from aina_core.duplicates import (
    Checked,
    Checker,
    Duplicates,
    Matched,
    Pairs,
    PointMatcher,
    Suggestion,
    find_pairs,
    gather,
    keep_checked,
    merged,
    stored_pairs,
    stored_suggestion,
    stored_turned,
    suggest,
    verify,
)
from aina_core.errors import ImageError
from aina_core.gallery import Gallery
from aina_core.gallery.scan import scan
from aina_core.search.searcher import Searcher
from ui.cache import cached, embedder

#: Above these a job finds a gallery's pairs, or compares the files of a folder with it.
MOST_QUICK, MOST_QUICK_FILES = 5_000, 100
_SHOWN_SIDE = 256


@cached(
    entries=8,
    spinner="Measuring what copies of these pictures look like to the model …",
)
def suggestion(opened: Searcher) -> Suggestion | None:
    """What a gallery says of thresholds; None while only a job can tell."""
    if opened.count > MOST_QUICK:
        return stored_suggestion(opened)
    return suggest(opened, embedder=embedder)


@cached(entries=8, spinner="Comparing all pairs …")
def pairs(opened: Searcher, floor: float, *, turned: bool) -> Pairs | None:
    """All pairs down to a floor, mirrored and turned ones too if wanted; None while unknown."""
    quick = opened.count <= MOST_QUICK
    plain = find_pairs(opened, floor) if quick else stored_pairs(opened, floor)
    others = stored_turned(opened, floor) if turned else None
    if plain is None or (turned and others is None):
        return None
    return plain if others is None else merged(plain, others)


def _grouped(
    opened: Searcher, found: Pairs, threshold: float, rule: str, *, turned: bool
) -> tuple[object, ...]:
    """What groups depend on: the pairs, and the file of the user's choices."""
    try:
        status = (opened.gallery.folder / "duplicates.json").stat()
        choices = status.st_mtime_ns, status.st_ino
    except OSError:
        choices = 0, 0
    return opened, found.floor, turned, threshold, rule, choices


@cached(entries=32, spinner="Grouping …", key=_grouped)
def duplicate_groups(
    opened: Searcher, found: Pairs, threshold: float, rule: str, *, turned: bool
) -> Duplicates:
    """The groups at a threshold, with the user's choices as they are now."""
    return gather(opened, found.above(threshold), rule)


@cached(entries=64, spinner="Looking for matched points …")
def second_signal(
    opened: Searcher, wanted: tuple[tuple[str, str], ...]
) -> dict[tuple[str, str], Matched | str]:
    """Matched points of pairs of a gallery."""
    return verify(opened, wanted, matcher=_matcher(opened.gallery))


@cached(entries=4)
def _matcher(gallery: Gallery) -> PointMatcher:
    return PointMatcher(gallery)


def checked_file(
    opened: Searcher, threshold: float, name: str, data: bytes, *, turned: bool
) -> tuple[Checked, Matched | str | None]:
    """An uploaded picture compared with a gallery, and what the second signal says of the nearest.

    Raises:
        ImageError: it is no usable picture.
    """
    with st.spinner("Looking at the picture …"):
        checker = Checker(opened, embedder(opened.model), threshold, turned=turned)
        checked = checker.check_bytes(name, data)
        if checked.nearest is None:
            return checked, None
        matcher = _matcher(opened.gallery)
        try:
            return checked, matcher.compare(checked.nearest.neighbour.id, data)
        except ImageError as error:
            return checked, str(error)


def check_folder(opened: Searcher, folder: Path, threshold: float) -> bool:
    """Compare a small folder with a gallery at once; False where that is work for a job."""
    if len(scan(folder)[0]) > MOST_QUICK_FILES:
        return False
    with st.spinner("Looking through the folder …"):
        checker = Checker(opened, embedder(opened.model), threshold)
        keep_checked(opened, folder, threshold, list(checker.check_folder(folder)))
    return True


def _file(path: Path) -> tuple[object, ...]:
    try:
        return path, path.stat().st_mtime_ns
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read: {error.strerror}.") from None


@cached(entries=256, key=_file)
def file_thumbnail(path: Path) -> bytes:
    """A small JPEG of a file.

    Raises:
        ImageError: it is no usable picture any more.
    """
    return images.thumbnail(images.decode(images.read_bytes(path)).pixels, _SHOWN_SIDE)
