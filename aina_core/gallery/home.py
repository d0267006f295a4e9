"""The galleries of AINA's home: which there are, and how one is made."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.disk.locks import alone
from aina_core.errors import DamagedError, GalleryError, InputError, UnknownNameError
from aina_core.gallery.catalogue import Catalogue
from aina_core.gallery.handle import NAME, Gallery, valid_name

_PATIENCE_SECONDS = 60.0
_OWN_NAMES = re.compile(r"images|models|lock|catalogue\..*|\.?duplicates\..*|\.gallery\.json\..*")


def galleries() -> list[str]:
    """Return the names of all galleries, `demo` first, the others alphabetically.

    A gallery whose own record is damaged is left out: `open_gallery` says what is wrong with it.
    """
    found = []
    for path in paths.home().glob("*/gallery.json"):
        with contextlib.suppress(DamagedError):
            paths.read_json(path)
            found.append(path.parent.name)
    visible = [name for name in found if NAME.fullmatch(name)]
    return sorted(visible, key=lambda name: (name != "demo", name.casefold()))


def open_gallery(name: str) -> Gallery:
    """Open the gallery of a name.

    Raises:
        UnknownNameError: there is none.
        DamagedError: its own record cannot be read.
    """
    folder = paths.home() / name
    if not NAME.fullmatch(name) or not (folder / "gallery.json").exists():
        raise UnknownNameError("gallery", name, galleries())
    return Gallery(folder)


def create(name: str, root: Path | None) -> Gallery:
    """Open the gallery of a name; create it if there is none.

    Args:
        name: see `valid_name`.
        root: the folder of its images; None for a gallery that stores its images itself.

    Raises:
        InputError: the name cannot be used, or the folder is, holds or lies in AINA's own.
        GalleryError: the folder is missing, or the gallery belongs to another folder.
    """
    folder = paths.home() / valid_name(name)
    own = folder / "images"
    chosen = own if root is None or _given_folder(root) == own else given_root(root)
    if not (folder / "gallery.json").exists():
        _make(folder, None if chosen == own else chosen)
    gallery = Gallery(folder)
    if gallery.root != chosen and not gallery.has_pictures:
        raise GalleryError(gallery.without_pictures())
    if gallery.root != chosen:
        raise GalleryError(
            f"The gallery {name} belongs to the folder {gallery.root}, not to {chosen}; "
            "give that folder, or choose another name."
        )
    return gallery


def make_aside(folder: Path, root: Path | None, *, pictures: bool = True) -> Gallery:
    """Return a new gallery that no reader sees until `Gallery.put_in_place`.

    Args:
        folder: of its records, named as the gallery will be; in a hidden folder of the home.
        root: of its images; None for none, or for a gallery that stores them itself.
        pictures: whether its images have files.

    Raises:
        InputError: the name cannot be used, or the images lie among AINA's own.
        GalleryError: the folder of images is missing.
    """
    valid_name(folder.name)
    _make(folder, None if root is None else given_root(root), pictures=pictures)
    return Gallery(folder)


def given_root(root: Path) -> Path:
    """Check a folder of images that somebody has named, and return it with links resolved.

    It may be the folder of images that another gallery stores, since a gallery only reads its
    folder. When that gallery is deleted, the images are gone, as with any folder.

    Raises:
        InputError: it is, holds or lies in AINA's own, or its path cannot be written down.
        GalleryError: it is missing.
    """
    chosen = _given_folder(root)
    home = paths.home()
    if chosen.parent.parent == home and chosen.parent.name in galleries():
        gallery = open_gallery(chosen.parent.name)
        if gallery.keeps_images and gallery.root == chosen:
            return chosen
    if chosen.is_relative_to(home) or home.is_relative_to(chosen):
        raise InputError(
            f"{chosen} holds AINA's own galleries, or lies in one; give another folder of images."
        )
    return chosen


def _given_folder(root: Path) -> Path:
    """Return a folder that somebody has named, links resolved.

    Raises:
        GalleryError: it is missing.
        InputError: its path cannot be written down.
    """
    try:
        folder = root.expanduser().resolve()
        exists = folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, an unknown user
        exists = False
    if not exists:
        raise GalleryError(f"The folder {root} is missing; give a folder that exists.")
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise InputError(f"The path {str(folder)!r} is not valid UTF-8; rename it.") from None
    return folder


def _make(folder: Path, root: Path | None, *, pictures: bool = True) -> None:
    """Create a gallery's records, unless another process has just done so.

    Raises:
        InputError: the folder holds files that are not AINA's.
    """
    if folder.exists() and not all(_OWN_NAMES.fullmatch(path.name) for path in folder.iterdir()):
        raise InputError(
            f"{folder} exists already and is not a gallery of AINA's; choose another name."
        )
    with alone(folder, f"making the gallery {folder.name}", patience=_PATIENCE_SECONDS):
        if (folder / "gallery.json").exists():
            return
        if root is None:
            (folder / "images").mkdir(exist_ok=True)
        Catalogue(folder / "catalogue.sqlite").create()
        created = datetime.now(UTC).isoformat(timespec="seconds")
        recorded = None if root is None else str(root)
        record: dict[str, Any] = {"folder": recorded, "created": created}
        if not pictures:
            record["pictures"] = False
        paths.write_json(folder / "gallery.json", record)
