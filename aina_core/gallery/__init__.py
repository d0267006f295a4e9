"""Galleries: named sets of images, each of one folder, with the vectors of any number of models.

::

    AINA_HOME/NAME/
      gallery.json      its folder, when it was made
      catalogue.sqlite  what is known of every image (`catalogue.py`)
      images/           the files themselves, only where they were uploaded or made here
      models/M/         vectors and index of the model M (`vectors.py`)
      duplicates.json   which of its duplicates the user keeps, where somebody has chosen
      lock              held by the one writer
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.disk.locks import alone
from aina_core.errors import (
    DamagedError,
    GalleryError,
    InputError,
    UnknownNameError,
)
from aina_core.gallery.catalogue import Annotation, Catalogue, ImageRecord
from aina_core.gallery.columns import Annotations, Records, open_known
from aina_core.gallery.handle import NAME, Gallery, valid_name
from aina_core.gallery.labels import LabelsFile, folder_label
from aina_core.gallery.reduction import Reduction, made_of, open_reduction, reduce
from aina_core.gallery.update import UpdateReport, update
from aina_core.gallery.vectors.store import Vectors

__all__ = [
    "Annotation",
    "Annotations",
    "Gallery",
    "ImageRecord",
    "LabelsFile",
    "Records",
    "Reduction",
    "UpdateReport",
    "Vectors",
    "create",
    "folder_label",
    "galleries",
    "given_root",
    "made_of",
    "make_aside",
    "open_gallery",
    "open_known",
    "open_reduction",
    "reduce",
    "update",
    "valid_name",
]

_PATIENCE_SECONDS = 60.0
_OWN_NAMES = re.compile(r"images|models|lock|catalogue\..*|\.?duplicates\..*|\.gallery\.json\..*")


def galleries() -> list[str]:
    """Return the names of the galleries there are, `demo` first, then by the alphabet.

    One whose own record is damaged is left out: nothing can be done with it but `open_gallery`,
    which says so.
    """
    found = []
    for path in paths.home().glob("*/gallery.json"):
        with contextlib.suppress(DamagedError):
            paths.read_json(path)
            found.append(path.parent.name)
    visible = [name for name in found if NAME.fullmatch(name)]
    return sorted(visible, key=lambda name: (name != "demo", name.casefold()))


def open_gallery(name: str) -> Gallery:
    """Return the gallery of a name.

    Raises:
        UnknownNameError: there is none.
        DamagedError: its own record cannot be read.
    """
    folder = paths.home() / name
    if not NAME.fullmatch(name) or not (folder / "gallery.json").exists():
        raise UnknownNameError("gallery", name, galleries())
    return Gallery(folder)


def create(name: str, root: Path | None) -> Gallery:
    """Return the gallery of a name, making it when there is none.

    Args:
        name: see `valid_name`.
        root: the folder of its images; None for a gallery that keeps its images itself.

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
        folder: of its records, named as the gallery shall be; in a hidden folder of the home.
        root: of its images; None for none, or for a gallery that keeps them itself.
        pictures: whether its images have files.

    Raises:
        InputError: the name cannot be used, or the images lie among AINA's own.
        GalleryError: the folder of images is missing.
    """
    valid_name(folder.name)
    _make(folder, None if root is None else given_root(root), pictures=pictures)
    return Gallery(folder)


def given_root(root: Path) -> Path:
    """Return the folder of images that a person has given, links resolved.

    The images that another gallery keeps may be a gallery's too: a given folder is only read. When
    the other is deleted, its images are gone, as when any folder is.

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
    """Return the folder that a person has given, links resolved.

    Raises:
        GalleryError: it is missing.
        InputError: its path cannot be written down.
    """
    try:
        folder = root.expanduser().resolve()
        exists = folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, nobody's home
        exists = False
    if not exists:
        raise GalleryError(f"The folder {root} is missing; give a folder that exists.")
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise InputError(f"The path {str(folder)!r} is not valid UTF-8; rename it.") from None
    return folder


def _make(folder: Path, root: Path | None, *, pictures: bool = True) -> None:
    """Make a gallery's records, unless another process does so at the same moment.

    Raises:
        InputError: the folder holds what is not AINA's.
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
