"""What the tests of galleries share."""

import contextlib
import sqlite3
from pathlib import Path

from aina_core.gallery import Gallery, update


def bring_up(gallery, embedder, **options):
    """Update and return (added, updated, removed, unchanged)."""
    report = update(gallery, embedder, **options)
    assert report.gallery == gallery.name and report.model == embedder.model
    return report.added, report.updated, report.removed, report.unchanged


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stored(gallery: Gallery, model: str) -> tuple[bytes, ...]:
    """The bytes of vectors, rows, norms and baseline of the generation that counts."""
    store = gallery.store(model)
    names = gallery.manifest(model)["files"]
    return tuple((store.folder / name).read_bytes() for name in names)


def thumbnails(gallery: Gallery) -> set[str]:
    """The checksums of the files that have a thumbnail."""
    with contextlib.closing(sqlite3.connect(gallery.folder / "catalogue.sqlite")) as catalogue:
        return {row[0] for row in catalogue.execute("SELECT sha256 FROM thumbnails")}
