"""The catalogue: what is known about every image of a gallery, in SQLite, keyed by image id."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aina_core.errors import DamagedError

_FORMAT = 1
_SCHEMA = f"""
CREATE TABLE images (
    id TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT,
    width INTEGER, height INTEGER, failure TEXT
) WITHOUT ROWID;
CREATE INDEX images_sha256 ON images (sha256);
CREATE TABLE annotations (
    id TEXT PRIMARY KEY, label TEXT NOT NULL, caption TEXT NOT NULL, columns TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE thumbnails (sha256 TEXT PRIMARY KEY, jpeg BLOB NOT NULL);
CREATE TABLE changes (number INTEGER NOT NULL);
INSERT INTO changes VALUES (0);
PRAGMA user_version = {_FORMAT};
"""
_IMAGES = "SELECT id, size, mtime_ns, sha256, width, height, failure FROM images"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image, or one file that is not a usable image.

    Attributes:
        id: path relative to the gallery's folder, with "/".
        size: of the file, in bytes; 0 where it could not be read.
        mtime_ns: its time of change; 0 where it could not be read.
        sha256: of its bytes, in hex; empty where it could not be read.
        width: of the upright image in pixels; 0 for a failure.
        height: of the upright image in pixels; 0 for a failure.
        failure: why it is not usable; None when it is.
    """

    id: str
    size: int
    mtime_ns: int
    sha256: str
    width: int = 0
    height: int = 0
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a labels file, or a folder's name, says about an image.

    Attributes:
        label: its class; empty when unknown.
        caption: a text shown beside it.
        columns: further columns of the labels file, by name.
    """

    label: str = ""
    caption: str = ""
    columns: dict[str, str] = field(default_factory=dict)

    def as_row(self) -> tuple[str, str, str]:
        """Return it as the catalogue stores it: label, caption, columns as JSON."""
        return self.label, self.caption, json.dumps(self.columns, ensure_ascii=False)

    @classmethod
    def from_row(cls, label: str, caption: str, columns: str) -> Annotation:
        """Return what `as_row` gave."""
        return cls(label, caption, json.loads(columns))


class Catalogue:
    """The catalogue of one gallery: any number of readers, one writer with its lock.

    Each method opens the file again, so a catalogue may be shared between threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make an empty catalogue, unless there is one."""
        if not self.path.exists():
            aside = self.path.with_suffix(".new")
            aside.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(aside)) as connection:
                connection.executescript(_SCHEMA)
                connection.execute("PRAGMA journal_mode = WAL")
            aside.rename(self.path)

    @contextlib.contextmanager
    def _connection(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        uri = f"{self.path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                if found != _FORMAT:
                    raise DamagedError(f"The catalogue has format {found}, not {_FORMAT}.")
                with connection:
                    yield connection
        except sqlite3.DatabaseError as error:
            raise DamagedError(f"The catalogue {self.path.name} cannot be read: {error}") from None

    def images(self) -> dict[str, ImageRecord]:
        """Return every image and every failure, by id, in the order of the ids."""
        with self._connection() as connection:
            rows = connection.execute(f"{_IMAGES} ORDER BY id")
            return {row[0]: ImageRecord(*row) for row in rows}

    def rows_of_images(self) -> Iterator[tuple]:
        """Yield the fields of every image and failure, in the order of the ids, lazily."""
        with self._connection() as connection:
            yield from connection.execute(f"{_IMAGES} ORDER BY id")

    def rows_of_annotations(self) -> Iterator[tuple]:
        """Yield (id, label, caption, columns as JSON) of what the labels file names, lazily."""
        with self._connection() as connection:
            yield from connection.execute(
                "SELECT id, label, caption, columns FROM annotations ORDER BY id"
            )

    def image(self, image_id: str) -> ImageRecord | None:
        """Return one image or failure, or None."""
        with self._connection() as connection:
            row = connection.execute(f"{_IMAGES} WHERE id=?", (image_id,)).fetchone()
        return ImageRecord(*row) if row else None

    def by_checksum(self, sha256: str) -> ImageRecord | None:
        """Return an image whose file has these bytes, or None."""
        with self._connection() as connection:
            row = connection.execute(
                f"{_IMAGES} WHERE sha256=? AND failure IS NULL ORDER BY id LIMIT 1",
                (sha256,),
            ).fetchone()
        return ImageRecord(*row) if row else None

    def annotations(self) -> dict[str, Annotation]:
        """Return what the labels file said, by image id; images without a line are absent."""
        with self._connection() as connection:
            rows = connection.execute("SELECT id, label, caption, columns FROM annotations")
            return {key: Annotation.from_row(*row) for key, *row in rows}

    def first(self, column: str, value: str) -> str | None:
        """Return the id of the first usable image, preferring those with a value in a column."""
        usable = (
            "SELECT images.id FROM images LEFT JOIN annotations USING (id) WHERE failure IS NULL "
        )
        has = "AND EXISTS (SELECT 1 FROM json_each(columns) WHERE key = ? AND value = ?) "
        order = "ORDER BY images.id LIMIT 1"
        with self._connection() as connection:
            row = (
                connection.execute(usable + has + order, (column, value)).fetchone()
                or connection.execute(usable + order).fetchone()
            )
        return row[0] if row else None

    def thumbnail(self, sha256: str) -> bytes | None:
        """Return the thumbnail of the image with these bytes, a JPEG, or None."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT jpeg FROM thumbnails WHERE sha256=?", (sha256,)
            ).fetchone()
        return row[0] if row else None

    def keep_thumbnail(self, sha256: str, jpeg: bytes) -> None:
        """Store a thumbnail that was made later; this does not count as a change.

        Raises:
            DamagedError: the catalogue cannot be written now.
        """
        with self._connection(write=True) as connection:
            connection.execute("INSERT OR IGNORE INTO thumbnails VALUES (?,?)", (sha256, jpeg))

    def counts(self) -> tuple[int, int]:
        """Return how many images and how many failures there are."""
        with self._connection() as connection:
            total, failed = connection.execute(
                "SELECT COUNT(*), COUNT(failure) FROM images"
            ).fetchone()
        return total - failed, failed

    def failures(self) -> list[ImageRecord]:
        """Return the files that are not usable, in the order of their ids."""
        with self._connection() as connection:
            rows = connection.execute(f"{_IMAGES} WHERE failure IS NOT NULL ORDER BY id")
            return [ImageRecord(*row) for row in rows]

    def version(self) -> int:
        """Return a number that grows whenever the catalogue changes."""
        with self._connection() as connection:
            return connection.execute("SELECT number FROM changes").fetchone()[0]

    def record(
        self, records: Iterable[ImageRecord], thumbnails: Iterable[tuple[str, bytes]] = ()
    ) -> None:
        """Store records, with new thumbnails as (sha256, JPEG), in one transaction."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO images VALUES (?,?,?,?,?,?,?)",
                (
                    (r.id, r.size, r.mtime_ns, r.sha256, r.width, r.height, r.failure)
                    for r in records
                ),
            )
            connection.executemany("INSERT OR IGNORE INTO thumbnails VALUES (?,?)", thumbnails)

    def remove(self, ids: Iterable[str]) -> None:
        """Remove images, and thumbnails that no other image uses."""
        remaining = iter(ids)
        first = list(itertools.islice(remaining, 1))
        if not first:  # nothing changes
            return
        with self._changing() as connection:
            keys = ((key,) for key in itertools.chain(first, remaining))
            connection.executemany("DELETE FROM images WHERE id=?", keys)
            connection.execute(
                "DELETE FROM thumbnails WHERE sha256 NOT IN (SELECT sha256 FROM images)"
            )

    def annotate(self, annotations: Iterable[tuple[str, Annotation]]) -> None:
        """Replace all annotations by (image id, annotation) pairs, each id once."""
        with self._changing() as connection:
            connection.execute("DELETE FROM annotations")
            connection.executemany(
                "INSERT INTO annotations VALUES (?,?,?,?)",
                ((key, *annotation.as_row()) for key, annotation in annotations),
            )

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._connection(write=True) as connection:
            yield connection
            connection.execute("UPDATE changes SET number = number + 1")

    def problem(self) -> str | None:
        """Return what SQLite's integrity check finds wrong, or None."""
        try:
            with self._connection() as connection:
                answer = connection.execute("PRAGMA integrity_check").fetchone()[0]
        except DamagedError as error:
            return str(error)
        return None if answer == "ok" else f"The catalogue is damaged: {answer}"
