"""Originals and their changed versions, embedded: made in memory, never written as pictures.

What a run has embedded lies in a folder of its own until the study is stored, in chunks as a
gallery's journal has them: a run that was stopped or killed goes on there, and its embeddings come
out the same to the byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aina_core import images
from aina_core.changes import modifications
from aina_core.changes.originals import ORIGINAL, Original
from aina_core.disk import paths
from aina_core.disk.locks import alone
from aina_core.embedding import Embedder
from aina_core.embedding.costs import Cost, Meter
from aina_core.errors import (
    DamagedError,
    ImageError,
    InputError,
    StoppedError,
)
from aina_core.gallery import Gallery
from aina_core.gallery.vectors.journal import Journal
from aina_core.progress import Progress, Stop

#: Embeddings between two commits to the disk: what a kill costs, with those in flight, at most 256.
CHUNK = 128

# Above this size one picture is changed at a time: a filter takes many times its memory.
_LARGE_PIXELS = 24_000_000
_large = threading.Lock()


@dataclass(frozen=True, eq=False)
class Versions:
    """Embeddings of originals and of their changed versions, under one model.

    Attributes:
        originals: those whose every version could be embedded, in the order of their ids.
        changes: names of the changes.
        rows: int64 (n, 1 + c): where each original, and each version of it, stands in `matrix`.
        matrix: float32 (m, dim), unit rows; a memory map.
        failures: {"id", "reason"} of originals that could not be read.
        cost: of embedding them.
        fingerprint: of the model, see `Embedder.fingerprint`.
    """

    originals: tuple[Original, ...]
    changes: tuple[str, ...]
    rows: np.ndarray
    matrix: np.ndarray
    failures: list[dict[str, str]]
    cost: Cost
    fingerprint: dict[str, Any]

    def of(self, place: int, chosen: np.ndarray) -> np.ndarray:
        """Return embeddings of chosen originals: float32 (len(chosen), dim).

        Args:
            place: 0 for the originals as they are, 1 … c for that change.
            chosen: int, which originals.
        """
        return self.matrix[self.rows[chosen, place]]


class Source:
    """A decoded original, shared by the threads that change it, and let go after the last one."""

    def __init__(self, gallery: Gallery, original: Original, uses: int) -> None:
        self._path, self._sha256 = gallery.root / original.id, original.sha256
        self._lock, self._uses = threading.Lock(), uses
        self._image: Image.Image | None = None
        self._problem = ""

    def version(self, change: str) -> np.ndarray:
        """Return the pixels of a version, uint8 (height, width, 3).

        Raises:
            ImageError: the file cannot be read any more, or is another one.
        """
        try:
            image = self._decoded()
            if change == ORIGINAL:
                return np.asarray(image)
            large = image.width * image.height > _LARGE_PIXELS
            with _large if large else contextlib.nullcontext():
                return np.asarray(modifications.apply(change, image))
        finally:
            with self._lock:
                self._uses -= 1
                if not self._uses:
                    self._image = None

    def _decoded(self) -> Image.Image:
        with self._lock:
            if self._problem:
                raise ImageError(self._problem)
            if self._image is None:
                try:
                    self._image = read_unchanged(self._path, self._sha256)
                except ImageError as error:
                    self._problem = str(error)
                    raise
            return self._image


def read_unchanged(path: Path, sha256: str) -> Image.Image:
    """Return the upright picture of a file whose bytes the catalogue knows.

    Raises:
        ImageError: it cannot be read, or has other bytes now.
    """
    data = images.read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ImageError("the file has changed; index the gallery again")
    return images.read_image(data)


class Bench:
    """The folder where one model's embeddings of one study grow; locked while it is open."""

    def __init__(
        self,
        parent: Path,
        embedder: Embedder,
        originals: Sequence[Original],
        changes: Sequence[str],
    ) -> None:
        names = [[o.id, o.sha256] for o in originals]
        libraries = {n: version(n) for n in ("numpy", "pilgram", "pillow", "torch")}
        what = {**embedder.fingerprint(), "changes": list(changes), "libraries": libraries}
        listed = json.dumps([what, names], sort_keys=True).encode()
        key = hashlib.sha256(listed).hexdigest()
        self.folder = parent / key[:24]
        self.embedder, self.originals, self.changes = embedder, originals, tuple(changes)
        self._fingerprint = {**what, "study": key}

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Be the only one that works here.

        Raises:
            GalleryBusyError: another process does.
        """
        what = f"doing a study of the same images under {self.embedder.model}"
        return alone(self.folder, what)

    def embed(self, gallery: Gallery, *, progress: Progress, stop: Stop) -> Versions:
        """Embed what is not embedded yet, and return all of it.

        Raises:
            StoppedError: it was stopped; what is embedded is kept for the next call.
            InputError: fewer than two originals could be read.
        """
        journal = Journal(self.folder, self._fingerprint)
        meter = self._meter()
        failures = self._run(gallery, journal, meter, progress, stop)
        places = {key: row for row, key in enumerate(journal.keys())}
        names = (ORIGINAL, *self.changes)
        missing = sum((o.id, n) not in places for o in self.originals for n in names)
        if missing > len(failures) * len(names) or (stop() and missing):
            raise StoppedError(
                f"Stopped: {journal.count:,} of {len(self.originals) * len(names):,} images are "
                f"embedded by {self.embedder.model}; the same command goes on from there."
            )
        whole = tuple(o for o in self.originals if all((o.id, n) in places for n in names))
        if len(whole) < 2:
            first = f"; {failures[0]['id']}: {failures[0]['reason']}" if failures else ""
            raise InputError(
                f"Of {len(self.originals)} originals {len(whole)} can be read, and a study needs "
                f"at least 2{first}."
            )
        shape = (journal.count, self.embedder.dim + 1)  # the last column is for norms
        matrix = np.memmap(journal.data, "<f4", mode="r", shape=shape)[:, :-1]
        rows = np.array([[places[o.id, n] for n in names] for o in whole], np.int64)
        return Versions(
            originals=whole,
            changes=self.changes,
            rows=rows,
            matrix=matrix,
            failures=failures,
            cost=meter.cost(self.embedder),
            fingerprint=self.embedder.fingerprint(),
        )

    def _run(
        self, gallery: Gallery, journal: Journal, meter: Meter, progress: Progress, stop: Stop
    ) -> list[dict[str, str]]:
        """Embed what the journal has not; return the originals that could not be read."""
        phase = f"embedding by {self.embedder.model}"
        total = len(self.originals) * (1 + len(self.changes))
        done, reasons = journal.count, dict[str, str]()
        keys: list[tuple[str, str]] = []
        rows: list[np.ndarray] = []

        def flush() -> None:
            if keys:
                journal.append(keys, np.stack(rows), np.ones(len(rows), np.float32))
                meter.images += len(keys)
                meter.look()
                paths.write_json(self.folder / "cost.json", meter.record())
                keys.clear()
                rows.clear()

        progress(phase, done, total)
        with meter.running():
            tasks = self._tasks(gallery, set(journal.keys()))
            for (original, change, _), problem, row in self.embedder.run(
                tasks, _prepare, stop=stop
            ):
                done += 1
                if row is None:
                    reasons[original.id] = problem
                else:
                    keys.append((original.id, change))
                    rows.append(row)
                if len(keys) >= CHUNK:
                    flush()
                progress(phase, done, total)
            flush()
        return [{"id": image_id, "reason": reason} for image_id, reason in reasons.items()]

    def _tasks(
        self, gallery: Gallery, done: set[tuple[str, str]]
    ) -> Iterator[tuple[Original, str, Source]]:
        for original in self.originals:
            names = [n for n in (ORIGINAL, *self.changes) if (original.id, n) not in done]
            source = Source(gallery, original, len(names))
            yield from ((original, name, source) for name in names)

    def _meter(self) -> Meter:
        try:
            kept = paths.read_json(self.folder / "cost.json")
            return Meter(int(kept["images"]), float(kept["seconds"]), int(kept["peak"]))
        except (DamagedError, KeyError, TypeError, ValueError):
            return Meter()


def _prepare(task: tuple[Original, str, Source]) -> tuple[np.ndarray | None, str]:
    """Make a version, on a worker thread."""
    _, change, source = task
    try:
        return source.version(change), ""
    except ImageError as error:
        return None, str(error)
