"""What an import has read so far, except the vectors: a temporary database on the disk.

Only a few rows are in memory at a time, however many there are.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from aina_core.errors import DamagedError, GalleryError, InputError
from aina_core.exchange.layout import MOST_LETTERS
from aina_core.exchange.source import Block, File
from aina_core.gallery import Annotation
from aina_core.gallery.catalogue import Catalogue
from aina_core.gallery.vectors.generation import Row

_CACHE_KIB = 64 << 10
_BATCH = 1024
_SCHEMA = f"""
PRAGMA journal_mode = MEMORY;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE incoming (
    id TEXT PRIMARY KEY, sha256 TEXT, size INTEGER, mtime_ns INTEGER, width INTEGER,
    height INTEGER, failure TEXT, label TEXT, row INTEGER
) WITHOUT ROWID;
CREATE TABLE labels (id TEXT PRIMARY KEY, label TEXT, caption TEXT, columns TEXT) WITHOUT ROWID;
"""


def stand_in(image_id: str) -> str:
    """Return a substitute for the checksum of a missing file, derived from the id alone."""
    return hashlib.sha256(b"no file: " + image_id.encode(errors="surrogatepass")).hexdigest()


class Incoming:
    """The ids of an import, with what is known about each; open for the length of a block.

    Args:
        source: its name in messages.
    """

    def __init__(self, source: str, database: sqlite3.Connection) -> None:
        self._source, self._database = source, database

    @classmethod
    @contextlib.contextmanager
    def open(cls, source: str) -> Iterator[Incoming]:
        """Open an empty one. Its file has no name and disappears with the process.

        Raises:
            GalleryError: it cannot be written to the disk.
        """
        try:
            with contextlib.closing(sqlite3.connect("", uri=True, isolation_level=None)) as made:
                made.executescript(_SCHEMA)
                made.create_function("stand_in", 1, stand_in, deterministic=True)
                yield cls(source, made)
        except sqlite3.Error as error:
            raise GalleryError(
                f"What was read of {source} cannot be kept on the disk: {error}; nothing was "
                "imported: make room, and import again."
            ) from None

    def add(self, block: Block, start: int) -> None:
        """Add a block, whose first good row is the row `start` of the journal.

        Raises:
            InputError: an id is invalid or occurs twice.
        """
        for image_id in block.ids:
            if not 0 < len(image_id) <= MOST_LETTERS or "\0" in image_id:
                raise InputError(
                    f"{self._source} has the id {image_id[:40]!r}; an id has 1 to "
                    f"{MOST_LETTERS:,} signs, and no zero byte."
                )
        each = zip(block.ids, block.files, block.failures, block.labels, strict=True)
        rows = [_row(*given) for given in each]
        numbers = iter(range(start, start + len(rows)))
        values = [(*row, None if row[6] is not None else next(numbers)) for row in rows]
        try:
            with self._writing():
                self._database.executemany(
                    "INSERT INTO incoming VALUES (?,?,?,?,?,?,?,?,?)", values
                )
        except sqlite3.IntegrityError:
            raise self._double(block.ids) from None

    def _double(self, ids: list[str]) -> InputError:
        seen: set[str] = set()
        for image_id in ids:
            found = "SELECT 1 FROM incoming WHERE id = ?"
            if image_id in seen or self._database.execute(found, (image_id,)).fetchone():
                break
            seen.add(image_id)
        return InputError(
            f"{self._source} has the id {image_id!r} twice; an id means one image: make them "
            "different, and import again."
        )

    def label(self, annotations: Iterable[tuple[str, Annotation]]) -> tuple[int, int]:
        """Add a labels file; return how many ids it names, and how many of those are imported."""
        with self._writing():
            self._database.executemany(
                "INSERT OR REPLACE INTO labels VALUES (?,?,?,?)",
                ((key, *annotation.as_row()) for key, annotation in annotations),
            )
        matched = "SELECT COUNT(*) FROM labels JOIN incoming USING (id)"
        return self._number("SELECT COUNT(*) FROM labels"), self._number(matched)

    def counts(self) -> tuple[int, int]:
        """Return how many rows have a vector, and how many have none."""
        total, failed = self._database.execute(
            "SELECT COUNT(*), COUNT(failure) FROM incoming"
        ).fetchone()
        return total - failed, failed

    def failures(self, most: int) -> list[dict[str, str]]:
        """Return the first failures, as {"id", "reason"}."""
        found = self._database.execute(
            "SELECT id, failure FROM incoming WHERE failure IS NOT NULL ORDER BY id LIMIT ?",
            (most,),
        )
        return [{"id": image_id, "reason": reason} for image_id, reason in found]

    def example(self) -> str:
        """Return the first id; empty where there is none."""
        return self._database.execute("SELECT MIN(id) FROM incoming").fetchone()[0] or ""

    def usable(self, most: int | None = None) -> Iterator[tuple[str, File]]:
        """Yield the rows that have a vector by id; evenly spaced ones where `most` limits them."""
        count = self.counts()[0]
        step = 1 if most is None else max(1, count // most)
        found = self._database.execute(
            "SELECT id, sha256, size, mtime_ns, width, height FROM incoming WHERE failure IS NULL "
            "ORDER BY id"
        )
        for place, (image_id, *file) in enumerate(found):
            if place % step == 0:
                yield image_id, File(*file)

    def ids(self) -> Iterator[str]:
        """Yield the ids that have a vector, ascending; rows may be changed meanwhile."""
        query = "SELECT id FROM incoming WHERE failure IS NULL AND id > ? ORDER BY id LIMIT ?"
        last = ""
        while found := self._database.execute(query, (last, _BATCH)).fetchall():
            yield from (image_id for (image_id,) in found)
            last = found[-1][0]

    def unsafe(self) -> str | None:
        """Return an id that is no valid path below a folder, if any."""
        found = self._database.execute(
            "SELECT id FROM incoming WHERE id LIKE '/%' OR '/' || id || '/' LIKE '%/../%' LIMIT 1"
        ).fetchone()
        return found[0] if found else None

    def found(self, files: Iterable[tuple[str, File]]) -> None:
        """Record the files that were found."""
        update = "UPDATE incoming SET sha256=?, size=?, mtime_ns=?, width=?, height=? WHERE id=?"
        with self._writing():
            self._database.executemany(update, ((*file, image_id) for image_id, file in files))

    # ── into a gallery ───────────────────────────────────────────────────────────────────────────

    def fill(self, catalogue: Catalogue) -> None:
        """Write everything into the empty catalogue of a new gallery."""
        with self._beside(catalogue, "rw"), self._writing():
            self._database.execute(
                "INSERT INTO catalogue.images SELECT id, size, mtime_ns, sha256, width, height, "
                "failure FROM incoming ORDER BY id"
            )
            self._database.execute(
                "INSERT INTO catalogue.annotations SELECT id, label, caption, columns FROM labels "
                "UNION ALL SELECT id, label, '', '{}' FROM incoming "
                "WHERE label <> '' AND NOT EXISTS (SELECT 1 FROM labels) ORDER BY id"
            )
            self._database.execute("UPDATE catalogue.changes SET number = number + 1")

    def annotate(self, catalogue: Catalogue) -> None:
        """Replace a gallery's annotations by the labels file."""
        found = self._database.execute("SELECT * FROM labels ORDER BY id")
        catalogue.annotate((key, Annotation.from_row(*row)) for key, *row in found)

    def strangers(self, catalogue: Catalogue) -> tuple[int, str]:
        """Return how many rows belong to no image of a gallery, and the id of one of them."""
        return self._lacking(
            catalogue,
            "LEFT JOIN catalogue.images AS image USING (id) "
            "WHERE incoming.failure IS NULL AND (image.id IS NULL OR image.failure IS NOT NULL)",
        )

    def changed(self, catalogue: Catalogue) -> tuple[int, str]:
        """Return how many rows were made from other bytes than a gallery's files, and one id."""
        return self._lacking(
            catalogue,
            "JOIN catalogue.images AS image USING (id) WHERE incoming.failure IS NULL "
            "AND image.sha256 <> incoming.sha256 "
            "AND stand_in(id) NOT IN (incoming.sha256, image.sha256)",
        )

    def _lacking(self, catalogue: Catalogue, which: str) -> tuple[int, str]:
        with self._beside(catalogue, "ro"):
            count, example = self._database.execute(
                f"SELECT COUNT(*), MIN(id) FROM incoming {which}"
            ).fetchone()
        return count, example or ""

    @contextlib.contextmanager
    def rows(self, catalogue: Catalogue) -> Iterator[Iterator[Row]]:
        """Open the rows of the generation, in the order of the ids."""
        with self._beside(catalogue, "ro"):
            found = self._database.execute(
                "SELECT id, image.sha256, 1, incoming.row FROM incoming "
                "JOIN catalogue.images AS image USING (id) "
                "WHERE incoming.failure IS NULL ORDER BY id"
            )
            try:
                yield (Row(image_id, sha256, True, row) for image_id, sha256, _, row in found)
            finally:
                found.close()

    @contextlib.contextmanager
    def _beside(self, catalogue: Catalogue, mode: str) -> Iterator[None]:
        uri = f"{catalogue.path.absolute().as_uri()}?mode={mode}"
        try:
            self._database.execute("ATTACH ? AS catalogue", (uri,))
            try:
                yield
            finally:
                self._database.execute("DETACH catalogue")
        except sqlite3.DatabaseError as error:
            raise DamagedError(
                f"The catalogue {catalogue.path.name} cannot be used: {error}"
            ) from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _number(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


def _row(image_id: str, file: File, failure: str | None, label: str) -> tuple[Any, ...]:
    """The values stored for an id, without its row number."""
    sha256 = file.sha256 or ("" if failure is not None else stand_in(image_id))
    return image_id, sha256, *file[1:], failure, label
