"""What a training looks at: rows of originals and of their changed versions, made once and kept.

Over a frozen trunk a row is the trunk's embedding; else it is the picture as the network's own
preprocessing brings it to a small size. Rows are made in chunks, and a run that was stopped or
killed goes on there:

::

    FOLDER/
      journal.f32, .jsonl  embeddings by checksum of the original and change (`gallery/journal.py`);
                           shared by all trainings over one model, whatever their split
      pictures.u8, .json   pictures of one training, in the order of `Wanted.items`
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from aina_core import paths
from aina_core.embedding import Embedder, preprocess
from aina_core.embedding.runtimes import cores
from aina_core.errors import (
    DamagedError,
    GalleryBusyError,
    GalleryError,
    ImageError,
    StoppedError,
)
from aina_core.gallery import Gallery
from aina_core.gallery.journal import Journal
from aina_core.models import Recipe
from aina_core.similarity.sets import ORIGINAL
from aina_core.studies.originals import Original
from aina_core.studies.versions import Source
from aina_core.work import Progress, Stop

_CHUNK = 128


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
    """What was made.

    Attributes:
        matrix: float32 (m, dim) of unit features, or uint8 (m, side, side, 3) of pictures.
        at: int64 (n, 1 + c): where each version stands in `matrix`; −1 where there is none.
        failures: why originals could not be read, by their place; they have no rows to rely on.
    """

    matrix: np.ndarray
    at: np.ndarray
    failures: dict[int, str]

    def take(self, places: np.ndarray, columns: np.ndarray | int) -> np.ndarray:
        """Return versions, (b, …), of originals at places, int (b,), in columns.

        Raises:
            IndexError: one was not made: what it asks for is not what it said it needs.
        """
        rows = self.at[places, columns]
        if (rows < 0).any():
            raise IndexError("a version was asked for that was not needed")
        return self.matrix[rows]


def _tasks(
    gallery: Gallery, wanted: Wanted, items: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, Source]]:
    """Yield (place, column, source), one decoded original shared by all its versions."""
    counts = np.bincount([place for place, _ in items], minlength=len(wanted.originals))
    source, owner = None, -1
    for place, column in items:
        if source is None or place != owner:
            source, owner = Source(gallery, wanted.originals[place], int(counts[place])), place
        yield place, column, source


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Be the only one that works in a folder.

    Raises:
        GalleryBusyError: another process does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GalleryBusyError(
                f"Another process is {what}; wait until it has ended, or stop it."
            ) from None
        os.utime(folder)  # what is used is not swept away
        yield
    finally:
        os.close(descriptor)


def is_busy(folder: Path) -> bool:
    """Return whether a process works in a folder (see `alone`)."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        # shared: two who look at once must not take each other for the worker
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


# ── features of a frozen trunk ───────────────────────────────────────────────────────────────────


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
        StoppedError: it was stopped; what is embedded is kept.
    """
    libraries = {name: version(name) for name in ("numpy", "pilgram", "pillow", "torch")}
    what = {**embedder.fingerprint(), "libraries": libraries}
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]
    with alone(parent / key, f"embedding images for a training over {embedder.model}"):
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
    tasks = _tasks(gallery, wanted, missing)

    def prepare(task: tuple[int, int, Source]) -> tuple[np.ndarray | None, str]:
        return _version(task, wanted)

    for (place, column, _), problem, row in embedder.run(tasks, prepare, stop=stop):
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


def _version(task: tuple[int, int, Source], wanted: Wanted) -> tuple[np.ndarray | None, str]:
    """Make a version, on a worker thread."""
    _, column, source = task
    try:
        return source.version(wanted.change(column)), ""
    except ImageError as error:
        return None, str(error)


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


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────


def pictures(
    folder: Path,
    gallery: Gallery,
    recipe: Recipe,
    wanted: Wanted,
    *,
    progress: Progress,
    stop: Stop,
) -> Rows:
    """Return what is wanted as a network's preprocessing brings it to its input.

    Args:
        folder: of this training.
        gallery: where the originals are.
        recipe: the preprocessing.
        wanted: what is needed.
        progress: told of images.
        stop: asked between images.

    Raises:
        StoppedError: it was stopped; what is decoded is kept.
    """
    items = wanted.items()
    size = 3 * recipe.crop**2
    identity = _identity(wanted, recipe)
    data, record = folder / "pictures.u8", folder / "pictures.json"
    done, failures = _already(data, record, identity, size)
    phase = "decoding"
    with data.open("ab") as file:
        file.truncate(done * size)

        def make(task: tuple[int, int, Source]) -> tuple[int, np.ndarray | None, str]:
            pixels, problem = _version(task, wanted)
            return task[0], None if pixels is None else preprocess(pixels, recipe), problem

        progress(phase, done, len(items))
        for place, picture, problem in _in_threads(
            _tasks(gallery, wanted, items[done:]), make, stop
        ):
            if picture is None:
                failures[place] = problem
            file.write(bytes(size) if picture is None else picture.tobytes())
            done += 1
            if done % _CHUNK == 0:
                _note(file, record, identity, done, failures)
            progress(phase, done, len(items))
        _note(file, record, identity, done, failures)
    if done < len(items):
        raise StoppedError(
            f"Stopped: {done:,} of {len(items):,} images are decoded; the same command goes on "
            "from there."
        )
    at = np.full(wanted.needed.shape, -1, np.int64)
    at[wanted.needed] = np.arange(len(items))
    shape = (len(items), recipe.crop, recipe.crop, 3)
    return Rows(np.memmap(data, np.uint8, mode="r", shape=shape), at, failures)


def _in_threads(tasks: Iterable[Any], make: Callable[[Any], Any], stop: Stop) -> Iterator[Any]:
    """Yield what is made of tasks, in their order, on all cores, few at a time."""
    pool = ThreadPoolExecutor(cores(), "decode")
    waiting: deque[Future[Any]] = deque()
    try:
        for task in tasks:
            if stop():
                break
            waiting.append(pool.submit(make, task))
            if len(waiting) >= 4 * cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _identity(wanted: Wanted, recipe: Recipe) -> str:
    listed = [
        [[o.id, o.sha256] for o in wanted.originals],
        wanted.changes,
        wanted.items(),
        repr(recipe),
    ]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _already(data: Path, record: Path, identity: str, size: int) -> tuple[int, dict[int, str]]:
    """How many pictures an earlier run has left whole, and what it could not read."""
    try:
        noted: dict[str, Any] = paths.read_json(record)
        if noted["identity"] == identity and data.stat().st_size >= int(noted["done"]) * size:
            return int(noted["done"]), {int(k): str(v) for k, v in noted["failures"].items()}
    except (DamagedError, OSError, KeyError, TypeError, ValueError):
        pass
    return 0, {}


def _note(file: Any, record: Path, identity: str, done: int, failures: dict[int, str]) -> None:
    file.flush()
    os.fsync(file.fileno())
    paths.write_json(record, {"identity": identity, "done": done, "failures": failures})
