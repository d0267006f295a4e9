"""What a run has to do: folder, catalogue and stored rows, joined on disk.

However many images a gallery has, only a few of them are in memory at a time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aina_core.errors import DamagedError
from aina_core.gallery.catalogue import Annotation, Catalogue, ImageRecord
from aina_core.gallery.labels import Labels
from aina_core.gallery.scan import Found
from aina_core.gallery.vectors.generation import Row

_BATCH = 256
_CACHE_KIB = 64 << 10
_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE found (
    id TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, problem TEXT
) WITHOUT ROWID;
CREATE TABLE old (id TEXT PRIMARY KEY, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE stored (
    id TEXT PRIMARY KEY, sha256 TEXT, journaled INTEGER, row INTEGER
) WITHOUT ROWID;
CREATE TABLE labels (id TEXT PRIMARY KEY, label TEXT, caption TEXT, columns TEXT) WITHOUT ROWID;
"""
# A file is settled if it has not changed and its outcome is known; one that could not be read at
# all is tried again each time.
_TODO = """
CREATE TABLE todo AS
SELECT found.id, found.size, found.mtime_ns, found.problem, stored.sha256 AS row_of,
       image.size AS known_size, image.mtime_ns AS known_mtime_ns, image.sha256,
       image.width, image.height, image.failure,
       EXISTS (SELECT 1 FROM catalogue.thumbnails AS t WHERE t.sha256 = image.sha256) AS shown
FROM found LEFT JOIN catalogue.images AS image USING (id) LEFT JOIN stored USING (id)
WHERE NOT (
    image.id IS NOT NULL AND image.size = found.size AND image.mtime_ns = found.mtime_ns
    AND CASE WHEN image.failure IS NOT NULL THEN image.sha256 <> ''
             ELSE COALESCE(stored.sha256 = image.sha256, 0) END
)
ORDER BY found.id
"""
_ROWS = """
CREATE TABLE final AS
SELECT image.id, image.sha256, stored.journaled, stored.row
FROM catalogue.images AS image JOIN stored USING (id)
WHERE image.failure IS NULL AND stored.sha256 = image.sha256
ORDER BY image.id
"""


@dataclass(frozen=True, slots=True)
class Task:
    """A file to read.

    Attributes:
        file: as found in the folder.
        known: its record in the catalogue so far, if any.
        row_of: checksum of the bytes that a stored row was computed from; None without a row.
        shown: whether the bytes that the catalogue knows have a thumbnail.
    """

    file: Found
    known: ImageRecord | None
    row_of: str | None
    shown: bool


@dataclass(frozen=True)
class Changes:
    """How the next generation differs from the last."""

    added: int
    updated: int
    removed: int
    unchanged: int


class Plan:
    """The joined tables of one run, in a temporary database."""

    def __init__(self, root: Path, database: sqlite3.Connection) -> None:
        self._root = root
        self._database = database

    @classmethod
    @contextlib.contextmanager
    def open(cls, root: Path, catalogue: Catalogue) -> Iterator[Plan]:
        """Open an empty plan beside a catalogue, for the length of a block.

        Raises:
            DamagedError: the catalogue cannot be read.
        """
        try:
            # Without a name SQLite keeps it in a file that is gone when the process is.
            with contextlib.closing(sqlite3.connect("", uri=True, isolation_level=None)) as made:
                made.executescript(_SCHEMA)
                made.execute(
                    "ATTACH ? AS catalogue", (f"{catalogue.path.absolute().as_uri()}?mode=ro",)
                )
                yield cls(root, made)
        except sqlite3.DatabaseError as error:
            raise DamagedError(
                f"The catalogue {catalogue.path.name} cannot be read: {error}"
            ) from None

    def _insert(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")

    def _number(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])

    # ── what there is ────────────────────────────────────────────────────────────────────────────

    def find(self, files: Iterable[Found]) -> None:
        """Record the files found in the folder."""
        self._insert(
            "INSERT OR REPLACE INTO found VALUES (?,?,?,?)",
            ((file.id, file.size, file.mtime_ns, file.problem) for file in files),
        )

    def remember(self, keys: Iterable[tuple[str, str]], *, usable: bool) -> None:
        """Record the rows of the last generation, as (image id, file checksum).

        Args:
            keys: in the order of the rows.
            usable: whether they are comparable to this run's and can be reused.
        """
        self._insert("INSERT OR REPLACE INTO old VALUES (?,?)", keys)
        if usable:  # rows stand in the order of the ids
            self._database.execute(
                "INSERT INTO stored SELECT id, sha256, 0, ROW_NUMBER() OVER (ORDER BY id) - 1 "
                "FROM old"
            )

    def journaled(self, keys: Iterable[tuple[str, str]], start: int) -> None:
        """Record rows of the journal, from row `start` on."""
        self._insert(
            "INSERT OR REPLACE INTO stored VALUES (?,?,1,?)",
            ((key, sha256, row) for row, (key, sha256) in enumerate(keys, start)),
        )

    @property
    def empty(self) -> bool:
        """Whether the folder holds nothing, although the catalogue has usable images of it."""
        return not self._number("SELECT EXISTS (SELECT 1 FROM found)") and bool(
            self._number("SELECT EXISTS (SELECT 1 FROM catalogue.images WHERE failure IS NULL)")
        )

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    def label(self, labels: Labels) -> tuple[int, int]:
        """Record a labels file; return how many ids it names, and how many of them are found."""
        self._insert(
            "INSERT OR REPLACE INTO labels VALUES (?,?,?,?)",
            ((key, *annotation.as_row()) for key, annotation in labels.items()),
        )
        matched = self._number("SELECT COUNT(*) FROM labels JOIN found USING (id)")
        return self._number("SELECT COUNT(*) FROM labels"), matched

    def labels(self) -> Iterator[tuple[str, Annotation]]:
        """Yield the annotations of the labels file, each id once."""
        for key, *row in self._database.execute("SELECT * FROM labels ORDER BY id"):
            yield key, Annotation.from_row(*row)

    def example(self) -> str | None:
        """Return the first id of the folder; None when it is empty."""
        found = self._database.execute("SELECT MIN(id) FROM found").fetchone()[0]
        return None if found is None else str(found)

    # ── what to do ───────────────────────────────────────────────────────────────────────────────

    def settle(self) -> int:
        """Work out which files have to be read, and return how many."""
        self._database.execute(_TODO)
        return self._number("SELECT COUNT(*) FROM todo")

    def tasks(self) -> Iterator[Task]:
        """Yield the files to read, in the order of their ids."""
        last = 0
        while batch := self._database.execute(
            f"SELECT rowid, * FROM todo WHERE rowid > ? ORDER BY rowid LIMIT {_BATCH}", (last,)
        ).fetchall():
            for _, *row in batch:
                yield self._task(*row)
            last = batch[-1][0]

    def _task(
        self,
        image_id: str,
        size: int,
        mtime_ns: int,
        problem: str | None,
        row_of: str | None,
        *known: object,
    ) -> Task:
        # a file with a problem of its name is never opened, so its path need not be right
        file = Found(image_id, self._root / image_id, size, mtime_ns, problem)
        *recorded, shown = known
        record = None if recorded[0] is None else ImageRecord(image_id, *recorded)  # type: ignore[arg-type]
        return Task(file, record, row_of, bool(shown))

    def gone(self, unreadable: Iterable[str]) -> Iterator[str]:
        """Yield the ids that are in the catalogue but not in the folder.

        Args:
            unreadable: sub-folders that could not be read; their files do not count as gone.
        """
        uncertain = tuple(f"{folder}/" for folder in unreadable)
        self._database.execute(
            "CREATE TABLE gone AS SELECT image.id FROM catalogue.images AS image "
            "LEFT JOIN found USING (id) WHERE found.id IS NULL"
        )
        for (image_id,) in self._database.execute("SELECT id FROM gone"):
            if not image_id.startswith(uncertain):
                yield image_id

    # ── what comes of it ─────────────────────────────────────────────────────────────────────────

    def finish(self) -> Changes:
        """Fix the rows of the next generation: those of usable images as they are now."""
        self._database.execute(_ROWS)
        joined = "SELECT COUNT(*) FROM final LEFT JOIN old USING (id) WHERE "
        return Changes(
            added=self._number(joined + "old.id IS NULL"),
            updated=self._number(joined + "old.sha256 <> final.sha256"),
            removed=self._number("SELECT COUNT(*) FROM old WHERE id NOT IN (SELECT id FROM final)"),
            unchanged=self._number(joined + "old.sha256 = final.sha256"),
        )

    @property
    def count(self) -> int:
        """How many rows the next generation has."""
        return self._number("SELECT COUNT(*) FROM final")

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the next generation, in the order of the ids."""
        for row in self._database.execute("SELECT * FROM final ORDER BY rowid"):
            yield Row(*row)
