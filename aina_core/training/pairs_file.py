"""A CSV of images that belong together."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection
from pathlib import Path

from aina_core import paths
from aina_core.errors import InputError
from aina_core.models.trained import folder

_MAX_BYTES = 256 << 20


def read_pairs(path: Path, ids: Collection[str] | None = None) -> tuple[tuple[str, str], ...]:
    """Read pairs of image ids: two columns, a line a pair; the first line may name the columns.

    Args:
        path: of the file.
        ids: those of the gallery; the first line is a pair if it has one of them. None where they
            are not known yet: then it is passed over.

    Raises:
        InputError: it cannot be read, a line has not two ids, or the gallery has not some of them.
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
    """Keep a pairs file that was uploaded, and return its path; see `read_pairs`.

    Raises:
        InputError: it is no pairs file.
    """
    path = folder() / ".pairs" / f"{hashlib.sha256(data).hexdigest()[:16]}.csv"
    with paths.replacing(path) as file:
        file.write(data)
    try:
        read_pairs(path, ids)
    except InputError:
        path.unlink()
        raise
    return path
