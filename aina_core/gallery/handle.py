"""A handle on one gallery: its images, its models' vectors, and the lock of its one writer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from aina_core import images
from aina_core.disk import folders, paths
from aina_core.disk.locks import alone
from aina_core.errors import (
    DamagedError,
    GalleryError,
    ImageError,
    InputError,
)
from aina_core.gallery.catalogue import Catalogue, ImageRecord
from aina_core.gallery.vectors.store import Vectors, VectorStore

#: What a gallery's name looks like.
NAME = re.compile(r"\w[\w .-]{0,62}\w|\w")

_MAX_NAME_BYTES = 200  # a file system's 255, less any prefix


def valid_name(name: str) -> str:
    """Return a gallery's name, or raise an `InputError` that says what a name may be."""
    if not NAME.fullmatch(name) or len(name.encode()) > _MAX_NAME_BYTES:
        raise InputError(
            f"{name!r} cannot name a gallery: use 1 to 64 letters, digits, spaces, dots, "
            "hyphens or underscores, beginning and ending with a letter, digit or underscore."
        )
    return name


class Gallery:
    """A handle on one gallery; it holds nothing open.

    Attributes:
        folder: where its records are.
        name: its name.
        root: the folder of its images.
        keeps_images: whether they are stored by AINA itself, as uploads are.
        has_pictures: whether its images have files; not so where only vectors were imported.
        created: when it was made, ISO 8601, UTC.
        catalogue: what is known about its images.
    """

    def __init__(self, folder: Path) -> None:
        record = paths.read_json(folder / "gallery.json")
        self.folder = folder
        self.name = folder.name
        given = record.get("folder")
        self.root = folder / "images" if given is None else Path(str(given))
        self.has_pictures = record.get("pictures", True) is not False
        self.keeps_images = given is None and self.has_pictures
        self.created = str(record.get("created", ""))
        self.catalogue = Catalogue(folder / "catalogue.sqlite")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer.

        Raises:
            GalleryBusyError: another process is.
        """
        what = f"writing to the gallery {self.name}"
        with alone(self.folder, what, make=False, patience=0):
            yield

    def store(self, model: str) -> VectorStore:
        """Return the store of a model's vectors, whether or not it has any."""
        return VectorStore(self.folder / "models" / quote(model, safe="@"))

    def models(self) -> list[str]:
        """Return the full names of the models that have vectors here."""
        found = (path.parent.name for path in self.folder.glob("models/*/manifest.json"))
        return sorted(unquote(name) for name in found if not name.startswith("."))

    def generation(self, model: str) -> tuple[int, str]:
        """Return a cache key: it changes whenever the catalogue or the model's vectors change.

        Raises:
            GalleryError: the model has no vectors here.
        """
        manifest = self.manifest(model)
        files = manifest["files"]
        vectors = files[f"vectors-{manifest['generation']}.npy"]["sha256"]
        return self.catalogue.version(), vectors

    def index_command(self, model: str) -> str:
        """Return the command that brings a model's vectors up to date."""
        words = ["index", str(self.root), "--gallery", self.name, "--model", model]
        return f"python -m aina_core {shlex.join(words)}"

    def manifest(self, model: str) -> dict[str, Any]:
        """Return the manifest of a model's vectors.

        Raises:
            GalleryError: the model has none here.
            DamagedError: it cannot be read, or is of an earlier version; the message says what to
                do.
        """
        try:
            manifest = self.store(model).manifest()
        except DamagedError as error:
            raise DamagedError(
                f"The vectors of {model} in the gallery {self.name} cannot be read: "
                f"{str(error).rstrip('.')}; index it again: {self.index_command(model)}"
            ) from None
        if manifest is None:
            indexed = ", ".join(self.models()) or "no model yet"
            raise GalleryError(
                f"The gallery {self.name} is not indexed by {model} (indexed by: {indexed}); "
                f"index it first."
            )
        return manifest

    def vectors(self, model: str) -> Vectors:
        """Open a model's vectors, verified.

        Raises:
            GalleryError: the model has none here.
            DamagedError: they do not match their manifest.
        """
        self.manifest(model)
        try:
            return self.store(model).open()
        except DamagedError as error:
            raise DamagedError(
                f"The vectors of {model} in the gallery {self.name} are damaged: {error} "
                "Index the gallery again to compute them anew."
            ) from None

    def without_pictures(self) -> str:
        """Return the message for a gallery whose vectors were imported without pictures."""
        return (
            f"The gallery {self.name} was imported without its pictures, so nothing of it can be "
            "embedded; delete it and import it again with --images FOLDER."
        )

    def path(self, record: ImageRecord) -> Path:
        """Return where an image's file is.

        Raises:
            ImageError: there is none: only its vector was imported, under an id that is no path
                below the gallery's folder.
        """
        if not self.has_pictures:
            raise ImageError("its picture is not here; only its vector was imported")
        if record.id.startswith("/") or ".." in record.id.split("/") or "\0" in record.id:
            raise ImageError("its id is no path below the gallery's folder")
        return self.root / record.id

    def put_in_place(self) -> Gallery:
        """Move a gallery that was made aside into the home, and return it there.

        Raises:
            InputError: its name has been taken in the meantime.
        """
        target = paths.home() / self.name
        try:
            folders.put_in_place(self.folder, target)
        except FileExistsError:
            raise InputError(
                f"There is a gallery {self.name} already; choose another name."
            ) from None
        return Gallery(target)

    def read(self, image_id: str) -> bytes:
        """Return the bytes of a gallery's image.

        Raises:
            UnknownNameError: the gallery has no such image.
            ImageError: its file is gone or cannot be read.
        """
        record = self.catalogue.image(image_id)
        if record is None or record.failure is not None:
            raise InputError(f"The gallery {self.name} has no image {image_id!r}.")
        return images.read_bytes(self.path(record))

    def thumbnail(self, sha256: str) -> bytes | None:
        """Return the JPEG thumbnail of the image with these bytes; make it if there is none.

        Indexing makes thumbnails; for imported images they are made on first request.

        Returns:
            None where the gallery has no such image.

        Raises:
            ImageError: its picture is not there, or is no longer the one that was embedded.
        """
        stored = self.catalogue.thumbnail(sha256)
        if stored is not None:
            return stored
        record = self.catalogue.by_checksum(sha256)
        if record is None:
            return None
        data = images.read_bytes(self.path(record))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ImageError("its file has changed since it was embedded")
        made = images.thumbnail(images.decode(data).pixels)
        with contextlib.suppress(DamagedError):  # a writer is busy: another time
            self.catalogue.keep_thumbnail(sha256, made)
        return made

    def rename(self, name: str) -> Gallery:
        """Rename the gallery, and return it.

        Raises:
            InputError: the name cannot be used or is taken.
            GalleryBusyError: another process is writing to it.
        """
        target = paths.home() / valid_name(name)
        with self.lock():
            if target.exists():
                raise InputError(f"There is a gallery {name} already; choose another name.")
            self.folder.rename(target)
        return Gallery(target)

    def delete(self) -> None:
        """Delete the gallery with its vectors; never a folder that a person has given.

        Raises:
            GalleryBusyError: another process is writing to it.
        """
        with self.lock():
            folders.discard(self.folder)

    def delete_model(self, model: str) -> None:
        """Delete one model's vectors.

        Raises:
            GalleryError: the model has none here.
            GalleryBusyError: another process is writing to the gallery.
        """
        self.manifest(model)
        with self.lock():
            self.store(model).delete()

    def size_on_disk(self) -> int:
        """Return the gallery's size on disk in bytes, uploaded images included."""
        total = 0
        for folder, _, files in os.walk(self.folder):
            for name in files:
                with contextlib.suppress(FileNotFoundError):  # a writer's temporary file
                    total += Path(folder, name).lstat().st_size
        return total
