"""CSVs of pairs of images that belong together: as people give them and as trainings store them.

::

    AINA_HOME/.trained/.pairs/SHA256.csv     uploads; those unused for two weeks are removed
    FOLDER/pairs-SHA256.csv                  of a training or a trained model, whose settings hold
                                             its checksum
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aina_core.csv_files import csv_text
from aina_core.disk import paths
from aina_core.errors import DamagedError, InputError
from aina_core.models.trained import folder

#: (image id, image id) …
Pairs = tuple[tuple[str, str], ...]

_MAX_BYTES = 256 << 20
_UNUSED_SECONDS = 14 * 24 * 3600.0


def read_pairs(path: Path, ids: Collection[str] | None = None) -> Pairs:
    """Read pairs of image ids: two columns, a line a pair; the first line may name the columns.

    Args:
        path: of the file.
        ids: those of the gallery; the first line is a pair if it has one of them. None skips the
            first line and checks no id.

    Raises:
        InputError: it cannot be read, a line lacks an id, or an id is not in the gallery.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"The pairs file {path.name} is over {_MAX_BYTES >> 20} MB.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"The pairs file {path.name} cannot be read: {reason}.") from None
    pairs = []
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line]
        if number == 1 and not any(cell in (ids or ()) for cell in cells[:2]):
            continue
        if not any(cells):
            continue
        if len(cells) < 2 or not cells[0] or not cells[1]:
            raise InputError(f"Line {number} of {path.name} has not two image ids.")
        pairs.append((cells[0], cells[1]))
    if not pairs:
        raise InputError(
            f"The pairs file {path.name} holds no pair; give a line of names, then two image ids "
            "a line."
        )
    named = dict.fromkeys(image_id for pair in pairs for image_id in pair)
    if ids is not None and (unknown := [image_id for image_id in named if image_id not in ids]):
        raise InputError(
            f"Of the {len(named):,} image ids in {path.name}, {len(unknown):,} are not in the "
            f"gallery, the first is {unknown[0]!r}; give ids as the gallery has them."
        )
    return tuple(pairs)


def keep_pairs(data: bytes, ids: Collection[str] | None = None) -> Path:
    """Store a pairs file that was uploaded, and return its path; see `read_pairs`.

    Raises:
        InputError: it is not a pairs file.
    """
    path = folder() / ".pairs" / f"{hashlib.sha256(data).hexdigest()[:16]}.csv"
    _sweep(path.parent)
    with paths.replacing(path) as file:
        file.write(data)
    try:
        read_pairs(path, ids)
    except InputError:
        path.unlink()
        raise
    return path


def _sweep(uploads: Path) -> None:
    for path in uploads.glob("*.csv"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
                path.unlink()


def as_csv(pairs: Pairs) -> bytes:
    """Return pairs as a CSV with a header."""
    return csv_text(["first image", "second image"], pairs, guarded=False).encode()


def record_of(pairs: Pairs) -> dict[str, Any]:
    """Return what settings store of pairs: {"count", "sha256"}, the checksum of their CSV."""
    return {"count": len(pairs), "sha256": hashlib.sha256(as_csv(pairs)).hexdigest()}


def store_pairs(parent: Path, pairs: Pairs, record: Any) -> None:
    """Write pairs into a folder, once.

    Args:
        parent: the folder.
        pairs: to be written; without any, no file is.
        record: see `record_of`; not used without pairs.
    """
    if not pairs:
        return
    path = parent / _file(record["sha256"])
    if not path.is_file():
        with paths.replacing(path) as file:
            file.write(as_csv(pairs))


def stored_pairs(parent: Path, record: Mapping[str, Any]) -> Pairs:
    """Read what `store_pairs` wrote.

    Raises:
        DamagedError: it is missing, or does not match the record.
    """
    return _stored(parent / _file(str(record["sha256"])), str(record["sha256"]))


def _file(sha256: str) -> str:
    return f"pairs-{Path(sha256).name[:16]}.csv"


@functools.lru_cache(maxsize=8)
def _stored(path: Path, sha256: str) -> Pairs:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedError(f"The pairs {path.name} cannot be read: {error.strerror}.") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedError(f"The pairs {path.name} are not those that were trained by.")
    lines = csv.reader(io.StringIO(data.decode(), newline=""))
    return tuple((first, second) for first, second in list(lines)[1:])
