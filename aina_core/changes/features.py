"""Embeddings by a frozen trunk, of originals and of their changed versions, made once and kept.

They are made in chunks, and a run that was stopped or killed goes on there::

    FOLDER/KEY/
      journal.f32, .jsonl  embeddings by checksum of the original and change (`gallery/journal.py`);
                           shared by all trainings over one model, whatever their split
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np

from aina_core.changes.wanted import Rows, Task, Wanted, tasks, version
from aina_core.disk.locks import alone
from aina_core.embedding import Embedder
from aina_core.errors import GalleryError, StoppedError
from aina_core.gallery import Gallery
from aina_core.gallery.vectors.journal import Journal
from aina_core.progress import Progress, Stop

_CHUNK = 128
# Another training over the same model may be embedding: soon done, or worth to be told of.
_PATIENCE_SECONDS = 60.0


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
    libraries = {name: installed(name) for name in ("numpy", "pilgram", "pillow", "torch")}
    what = {**embedder.fingerprint(), "libraries": libraries}
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]
    told = f"embedding images for a training over {embedder.model}"
    with alone(parent / key, told, patience=_PATIENCE_SECONDS, stop=stop):
        journal = Journal(parent / key, what)
        stored, matrix = _stored(gallery, embedder, wanted)
        have = set(journal.keys())
        missing = [
            (place, column)
            for place, column in wanted.items()
            if (wanted.originals[place].sha256, wanted.change(column)) not in have
            and not (column == 0 and stored[place] >= 0)
        ]
        failures = _embed(journal, gallery, embedder, wanted, missing, progress, stop)
        return _gather(journal, wanted, stored, matrix, failures)


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
    known = dict(
        zip(zip(vectors.ids, vectors.checksums, strict=True), range(len(vectors.ids)), strict=True)
    )
    for place, original in enumerate(wanted.originals):
        rows[place] = known.get((original.id, original.sha256), -1)
    return rows, np.asarray(vectors.matrix)


def _embed(
    journal: Journal,
    gallery: Gallery,
    embedder: Embedder,
    wanted: Wanted,
    missing: Sequence[tuple[int, int]],
    progress: Progress,
    stop: Stop,
) -> dict[int, str]:
    """Embed what is missing; return why originals could not be read."""
    phase, done, failures = f"embedding by {embedder.model}", 0, dict[int, str]()
    keys: list[tuple[str, str]] = []
    rows: list[np.ndarray] = []

    def flush() -> None:
        if keys:
            journal.append(keys, np.stack(rows), np.ones(len(rows), np.float32))
            keys.clear()
            rows.clear()

    if missing:
        progress(phase, 0, len(missing))
    waiting = tasks(gallery, wanted, missing)

    def prepare(task: Task) -> tuple[np.ndarray | None, str]:
        return version(task, wanted)

    for (place, column, _), problem, row in embedder.run(waiting, prepare, stop=stop):
        if row is None:
            failures[place] = problem
        else:
            keys.append((wanted.originals[place].sha256, wanted.change(column)))
            rows.append(row)
        done += 1
        if len(keys) >= _CHUNK:
            flush()
        progress(phase, done, len(missing))
    flush()
    if done < len(missing):
        raise StoppedError(
            f"Stopped: {done:,} of {len(missing):,} images are embedded; the same command goes on "
            "from there."
        )
    return failures


def _gather(
    journal: Journal,
    wanted: Wanted,
    stored: np.ndarray,
    matrix: np.ndarray | None,
    failures: dict[int, str],
) -> Rows:
    places = {key: row for row, key in enumerate(journal.keys())}
    data = np.zeros((0, journal.dim + 1), np.float32)
    if journal.count:
        data = np.memmap(journal.data, "<f4", mode="r", shape=(journal.count, journal.dim + 1))
    items = wanted.items()
    found = np.zeros((len(items), journal.dim), np.float32)
    at = np.full(wanted.needed.shape, -1, np.int64)
    for row, (place, column) in enumerate(items):
        if place in failures:
            continue
        if column == 0 and stored[place] >= 0 and matrix is not None:
            found[row] = matrix[stored[place]]
        else:
            key = (wanted.originals[place].sha256, wanted.change(column))
            found[row] = data[places[key], :-1]
        at[place, column] = row
    return Rows(found, at, failures)
