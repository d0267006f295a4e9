"""What is in a gallery twice, and what stands in it already."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from aina_core import images
from aina_core.duplicates import (
    Checked,
    Checker,
    Duplicates,
    FolderChecked,
    Matched,
    Pairs,
    PointMatcher,
    Suggestion,
    find_pairs,
    gather,
    keep_checked,
    merged,
    stored_checked,
    stored_pairs,
    stored_suggestion,
    stored_turned,
    suggest,
    verify,
)
from aina_core.errors import ImageError
from aina_core.gallery import open_gallery
from aina_core.gallery.scan import scan
from aina_core.search.searcher import Searcher
from ui.cache import embedder, searcher, searcher_at

#: In a larger gallery the pairs are found by a job; a larger folder is looked through by one.
MOST_QUICK, MOST_QUICK_FILES = 5_000, 100
_SHOWN_SIDE = 256


def suggestion(gallery: str, model: str) -> Suggestion | None:
    """What a gallery says of thresholds; None while that is long work that nobody has done."""
    key = gallery, model, open_gallery(gallery).generation(model)
    try:
        return _suggestion(*key)
    except LookupError:  # which is not kept, so that the result of a job is seen
        return None


@st.cache_resource(
    show_spinner="Measuring what copies of these pictures look like to the model …", max_entries=8
)
def _suggestion(gallery: str, model: str, generation: tuple[int, str]) -> Suggestion:
    opened = searcher_at(gallery, model, generation)
    if opened.count > MOST_QUICK:
        found = stored_suggestion(opened)
        if found is None:
            raise LookupError
        return found
    return suggest(opened, embedder=embedder)


def pairs(gallery: str, model: str, floor: float, *, turned: bool) -> Pairs | None:
    """All pairs down to a floor, mirrored and turned ones too if wanted; None while unknown."""
    try:
        return _pairs(gallery, model, open_gallery(gallery).generation(model), floor, turned)
    except LookupError:
        return None


@st.cache_resource(show_spinner="Comparing all pairs …", max_entries=8)
def _pairs(
    gallery: str, model: str, generation: tuple[int, str], floor: float, turned: bool
) -> Pairs:
    opened = searcher_at(gallery, model, generation)
    quick = opened.count <= MOST_QUICK
    plain = find_pairs(opened, floor) if quick else stored_pairs(opened, floor)
    others = stored_turned(opened, floor) if turned else None
    if plain is None or (turned and others is None):
        raise LookupError
    return plain if others is None else merged(plain, others)


def duplicate_groups(
    gallery: str, model: str, found: Pairs, threshold: float, rule: str, *, turned: bool
) -> Duplicates:
    """The groups at a threshold, with the user's choices as they stand now."""
    opened = open_gallery(gallery)
    generation = opened.generation(model)
    return _duplicates(
        gallery, model, generation, found.floor, turned, threshold, rule, _choices(gallery), found
    )


def _choices(gallery: str) -> tuple[int, int]:
    """What changes with the file of choices."""
    try:
        status = (open_gallery(gallery).folder / "duplicates.json").stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


@st.cache_resource(show_spinner="Grouping …", max_entries=32)
def _duplicates(
    gallery: str,
    model: str,
    generation: tuple[int, str],
    floor: float,
    turned: bool,
    threshold: float,
    rule: str,
    choices: tuple[int, int],
    _found: Pairs,
) -> Duplicates:
    return gather(searcher_at(gallery, model, generation), _found.above(threshold), rule)


def second_signal(
    opened: Searcher, wanted: tuple[tuple[str, str], ...]
) -> dict[tuple[str, str], Matched | str]:
    """Matched points of pairs of a gallery."""
    name = opened.gallery.name
    version = opened.gallery.catalogue.version()
    return _second_signal(name, opened.model, version, wanted, opened)


@st.cache_resource(show_spinner="Looking for matched points …", max_entries=64)
def _second_signal(
    gallery: str, model: str, version: int, wanted: tuple[tuple[str, str], ...], _opened: Searcher
) -> dict[tuple[str, str], Matched | str]:
    return verify(_opened, wanted, matcher=_matcher(gallery, version))


@st.cache_resource(show_spinner=False, max_entries=4)
def _matcher(gallery: str, version: int) -> PointMatcher:
    return PointMatcher(open_gallery(gallery))


def checked_file(
    gallery: str, model: str, threshold: float, name: str, data: bytes, *, turned: bool
) -> tuple[Checked, Matched | str | None]:
    """An uploaded picture held against a gallery, and what the second signal says of the nearest.

    Raises:
        ImageError: it is no usable picture.
    """
    opened = searcher(gallery, model)
    with st.spinner("Looking at the picture …"):
        checked = Checker(opened, embedder(model), threshold, turned=turned).check_bytes(name, data)
        if checked.nearest is None:
            return checked, None
        matcher = _matcher(gallery, opened.gallery.catalogue.version())
        try:
            return checked, matcher.compare(checked.nearest.neighbour.id, data)
        except ImageError as error:
            return checked, str(error)


def checked_folder(opened: Searcher, folder: Path) -> FolderChecked | None:
    """What is known of a folder that was held against a gallery."""
    return stored_checked(opened, folder)


def check_folder(opened: Searcher, folder: Path, threshold: float) -> bool:
    """Hold a small folder against a gallery at once; False where it is work for a job."""
    if len(scan(folder)[0]) > MOST_QUICK_FILES:
        return False
    with st.spinner("Looking through the folder …"):
        checker = Checker(opened, embedder(opened.model), threshold)
        keep_checked(opened, folder, threshold, list(checker.check_folder(folder)))
    return True


def file_thumbnail(path: Path) -> bytes:
    """A small JPEG of a file.

    Raises:
        ImageError: it is no usable picture any more.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read: {error.strerror}.") from None
    return _file_thumbnail(path, changed)


@st.cache_data(show_spinner=False, max_entries=256)
def _file_thumbnail(path: Path, changed: int) -> bytes:
    return images.thumbnail(images.decode(images.read_bytes(path)).pixels, _SHOWN_SIDE)
