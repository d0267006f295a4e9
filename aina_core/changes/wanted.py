"""The rows that a training needs, of originals and of their changed versions.

Over a frozen trunk a row is the trunk's embedding, taken from the gallery where it is stored there,
else computed once and kept::

    FOLDER/KEY/
      journal.f32, .jsonl  embeddings by checksum of the original and change
                           (`gallery/vectors/journal.py`); shared by all trainings over one model,
                           whatever their split

Without a trunk a row is the picture at the network's input size (`training/pictures.py`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aina_core.changes.originals import ORIGINAL, Original
from aina_core.changes.versions import embed, journal_rows, libraries
from aina_core.disk.locks import alone
from aina_core.embedding import Embedder
from aina_core.errors import GalleryError
from aina_core.gallery import Gallery
from aina_core.gallery.vectors.journal import Journal
from aina_core.progress import Progress, Stop

# Another training over the same model may be embedding: it is worth waiting for a while.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Wanted:
    """Which versions of which originals are needed.

    Attributes:
        originals: all.
        changes: names of the changes.
        needed: bool (n, 1 + c): column 0 for the original as it is.
    """

    originals: tuple[Original, ...]
    changes: tuple[str, ...]
    needed: np.ndarray

    def items(self) -> list[tuple[int, int]]:
        """Return (place of the original, column) of everything needed, in order."""
        return [(int(place), int(column)) for place, column in np.argwhere(self.needed)]

    def change(self, column: int) -> str:
        """Return the name of a column."""
        return ORIGINAL if column == 0 else self.changes[column - 1]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that were made.

    Attributes:
        matrix: float32 (m, dim) of unit features, or uint8 (m, side, side, 3) of pictures.
        at: int64 (n, 1 + c): the row of each version in `matrix`; −1 for none.
        failures: why originals could not be read, by their place; their rows mean nothing.
    """

    matrix: np.ndarray
    at: np.ndarray
    failures: dict[int, str]

    def take(self, places: np.ndarray, columns: np.ndarray | int) -> np.ndarray:
        """Return versions, (b, …), of originals at places, int (b,), in columns.

        Raises:
            IndexError: one was not made, because it was not among those needed.
        """
        rows = self.at[places, columns]
        if (rows < 0).any():
            raise IndexError("a version was asked for that was not needed")
        return self.matrix[rows]


def features(
    parent: Path,
    gallery: Gallery,
    embedder: Embedder,
    wanted: Wanted,
    *,
    progress: Progress,
    stop: Stop,
) -> Rows:
    """Return the embeddings of what is wanted; those that the gallery has stored are not computed.

    Args:
        parent: folder of the journals.
        gallery: where the originals are.
        embedder: the trunk.
        wanted: what is needed.
        progress: told of images.
        stop: asked between images.

    Raises:
        GalleryBusyError: another training over that model has been embedding for a minute.
        StoppedError: it was stopped; what is embedded is kept.
    """
    what = {**embedder.fingerprint(), "libraries": libraries()}
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]
    told = f"embedding images for a training over {embedder.model}"
    with alone(parent / key, told, patience=_PATIENCE_SECONDS, stop=stop):
        journal = Journal(parent / key, what)
        stored, matrix = _stored(gallery, embedder, wanted)
        there = set(journal.keys())
        missing = [
            (place, wanted.change(column))
            for place, column in wanted.items()
            if _key(wanted.originals[place], wanted.change(column)) not in there
            and not (column == 0 and stored[place] >= 0)
        ]
        failures = embed(
            journal,
            embedder,
            gallery,
            wanted.originals,
            missing,
            _key,
            progress=progress,
            stop=stop,
        )
        return _gather(journal, wanted, stored, matrix, failures)


def _key(original: Original, change: str) -> tuple[str, str]:
    return original.sha256, change


def _stored(
    gallery: Gallery, embedder: Embedder, wanted: Wanted
) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of the originals in the gallery's own vectors, int64 (n,), −1 for none; the vectors."""
    rows = np.full(len(wanted.originals), -1, np.int64)
    try:
        vectors = gallery.vectors(embedder.model)
    except GalleryError:
        return rows, None
    if vectors.manifest["fingerprint"] != embedder.fingerprint():
        return rows, None
    known = {key: row for row, key in enumerate(zip(vectors.ids, vectors.checksums, strict=True))}
    for place, original in enumerate(wanted.originals):
        rows[place] = known.get((original.id, original.sha256), -1)
    return rows, np.asarray(vectors.matrix)


def _gather(
    journal: Journal,
    wanted: Wanted,
    stored: np.ndarray,
    matrix: np.ndarray | None,
    failures: dict[int, str],
) -> Rows:
    places, data = journal_rows(journal)
    items = wanted.items()
    found = np.zeros((len(items), journal.dim), np.float32)
    at = np.full(wanted.needed.shape, -1, np.int64)
    for row, (place, column) in enumerate(items):
        if place in failures:
            continue
        if column == 0 and stored[place] >= 0 and matrix is not None:
            found[row] = matrix[stored[place]]
        else:
            found[row] = data[places[_key(wanted.originals[place], wanted.change(column))]]
        at[place, column] = row
    return Rows(found, at, failures)
