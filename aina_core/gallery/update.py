"""Bring one model's vectors of a gallery up to date with its folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core import images
from aina_core.embedding import Embedder
from aina_core.errors import DamagedError, GalleryError, ImageError, InputError
from aina_core.gallery.catalogue import Annotation, ImageRecord
from aina_core.gallery.journal import Journal
from aina_core.gallery.scan import Found, scan
from aina_core.gallery.vectors import Vectors, merged
from aina_core.work import Progress, Stop, never, silent

if TYPE_CHECKING:
    from aina_core.gallery import Gallery

#: Images between two commits to the journal: what a kill costs, with those in flight, at most 256.
CHUNK = 128


@dataclass(frozen=True)
class UpdateReport:
    """What a run has done.

    Attributes:
        gallery: its name.
        model: the model's full name.
        dim: length of its embeddings.
        added: images that have vectors now and had none before the run.
        updated: images whose bytes had changed.
        removed: images that are gone from the folder, or no longer usable.
        unchanged: images that kept their vectors.
        failed: files that are not usable, as {"id", "reason"}.
        seconds: from the first file to the commit; without the model's loading.
        images_per_second: images embedded, by `seconds`.
        thumbnail_seconds: spent on thumbnails, summed over threads; part of the work.
        device: where it ran.
        runtime: what ran it.
        mode: "exact" or "fast".
        stopped: whether it was asked to stop before it was through.
        labelled: how many of the folder's files the labels file names; None without one.
    """

    gallery: str
    model: str
    dim: int
    added: int
    updated: int
    removed: int
    unchanged: int
    failed: list[dict[str, str]]
    seconds: float
    images_per_second: float
    thumbnail_seconds: float
    device: str
    runtime: str
    mode: str
    stopped: bool
    labelled: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        return asdict(self)


@dataclass
class _Prepared:
    """What a worker thread found in a file."""

    record: ImageRecord
    thumbnail: bytes | None = None
    seconds: float = 0.0


@dataclass
class _Chunk:
    """Outcomes that are not on the disk yet."""

    records: list[ImageRecord] = field(default_factory=list)
    thumbnails: list[tuple[str, bytes]] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)


def update(
    gallery: Gallery,
    embedder: Embedder,
    *,
    labels: dict[str, Annotation] | None = None,
    progress: Progress = silent,
    stop: Stop = never,
) -> UpdateReport:
    """Embed what is new or changed in the gallery's folder, forget what is gone, and commit.

    Killed at any moment, it goes on at the next call; the vectors come out the same to the byte.

    Args:
        gallery: the gallery; locked against other writers during the call.
        embedder: the loaded model.
        labels: what a labels file says, in place of what an earlier one said.
        progress: told of every image.
        stop: when it says yes, what is done so far is committed.

    Raises:
        GalleryBusyError: another process writes to the gallery.
        GalleryError: the folder is missing, unreadable or suddenly empty.
    """
    with gallery.lock():
        return _Run(gallery, embedder, progress, stop).update(labels)


class _Run:
    def __init__(
        self, gallery: Gallery, embedder: Embedder, progress: Progress, stop: Stop
    ) -> None:
        self.gallery, self.embedder = gallery, embedder
        self.progress, self.stop = progress, stop
        self.catalogue = gallery.catalogue
        self.store = gallery.store(embedder.model)
        self.thumbnail_seconds = 0.0
        self.labelled: int | None = None

    def update(self, labels: dict[str, Annotation] | None) -> UpdateReport:
        """See `update`."""
        self.progress("reading the folder", 0, 0)
        files, unreadable = scan(self.gallery.root)
        known = self.catalogue.images()
        if not files and any(record.failure is None for record in known.values()):
            raise GalleryError(
                f"The folder {self.gallery.root} is empty now, but the gallery "
                f"{self.gallery.name} has images of it; delete the gallery if that is meant."
            )
        if labels is not None:
            self._annotate(labels, files)
        started = time.monotonic()
        before = self._previous()
        previous = before if before and self._comparable(before) else None
        journal = self.store.journal(self.embedder.fingerprint())
        have = merged(journal, previous)
        todo = [file for file in files if not _settled(file, known.get(file.id), have)]
        embedded = self._embed(todo, known, have, journal)
        stopped = self.stop()
        known = self._forget(files, unreadable)
        have = merged(journal, previous)
        rows = [
            (record.id, record.sha256)
            for record in known.values()
            if record.failure is None and have.get(record.id) == record.sha256
        ]
        manifest = self._commit(rows, journal, previous)
        seconds = time.monotonic() - started
        if manifest["count"] and embedded:
            self.store.add_record(images_per_second=round(embedded / seconds, 2))
        old = dict(zip(before.ids, before.checksums, strict=True)) if before else {}
        return self._report(old, dict(rows), known, embedded, seconds, stopped)

    def _annotate(self, labels: dict[str, Annotation], files: list[Found]) -> None:
        matched = sum(file.id in labels for file in files)
        if labels and files and not matched:
            raise InputError(
                f"None of the {len(labels):,} ids of the labels file is an image of the folder; an "
                f"id is a path relative to the folder, as: {files[0].id}"
            )
        self.catalogue.annotate(labels)
        self.labelled = matched

    def _previous(self) -> Vectors | None:
        try:
            return self.store.open()
        except DamagedError:
            return None  # there is none, or it is damaged: either way all is embedded

    def _comparable(self, vectors: Vectors) -> bool:
        return vectors.manifest["fingerprint"] == self.embedder.fingerprint()

    def _embed(
        self,
        todo: list[Found],
        known: dict[str, ImageRecord],
        have: dict[str, str],
        journal: Journal,
    ) -> int:
        """Embed files and put the outcomes on the disk chunk by chunk; return how many vectors."""
        shown = self.catalogue.thumbnail_checksums()
        embedded, chunk = 0, _Chunk()
        prepare = self._preparation(have, shown)
        self.progress("embedding", 0, len(todo))
        outcomes = self.embedder.run(todo, prepare, stop=self.stop)
        for done, (file, prepared, row) in enumerate(outcomes, start=1):
            record = prepared.record
            if record != known.get(file.id):
                chunk.records.append(record)
            if prepared.thumbnail is not None and record.sha256 not in shown:
                chunk.thumbnails.append((record.sha256, prepared.thumbnail))
                shown.add(record.sha256)
            if row is not None:
                chunk.keys.append((record.id, record.sha256))
                chunk.rows.append(row)
                embedded += 1
            self.thumbnail_seconds += prepared.seconds
            if max(len(chunk.records), len(chunk.rows)) >= CHUNK:
                self._flush(chunk, journal)
                chunk = _Chunk()
            self.progress("embedding", done, len(todo))
        self._flush(chunk, journal)
        return embedded

    def _flush(self, chunk: _Chunk, journal: Journal) -> None:
        if chunk.rows:
            journal.append(chunk.keys, np.stack(chunk.rows))
        if chunk.records or chunk.thumbnails:
            self.catalogue.record(chunk.records, chunk.thumbnails)

    def _preparation(
        self, have: dict[str, str], shown: set[str]
    ) -> Callable[[Found], tuple[np.ndarray | None, _Prepared]]:
        reduced = self.embedder.reduced_side

        def prepare(file: Found) -> tuple[np.ndarray | None, _Prepared]:
            sha256 = ""
            try:
                if file.problem is not None:
                    raise ImageError(file.problem)
                data = images.read_bytes(file.path)
                sha256 = hashlib.sha256(data).hexdigest()
                decoded = images.decode(data, at_least=reduced)
            except ImageError as error:
                record = ImageRecord(file.id, file.size, file.mtime_ns, sha256, failure=str(error))
                return None, _Prepared(record)
            record = ImageRecord(
                file.id, file.size, file.mtime_ns, sha256, decoded.width, decoded.height
            )
            prepared = _Prepared(record)
            if sha256 not in shown:
                started = time.monotonic()
                prepared.thumbnail = images.thumbnail(decoded.pixels)
                prepared.seconds = time.monotonic() - started
            needed = have.get(file.id) != sha256
            return decoded.pixels if needed else None, prepared

        return prepare

    def _forget(self, files: Iterable[Found], unreadable: list[str]) -> dict[str, ImageRecord]:
        """Drop from the catalogue what the folder no longer has; return what is left."""
        present = {file.id for file in files}
        uncertain = tuple(f"{folder}/" for folder in unreadable)
        known = self.catalogue.images()
        gone = {key for key in known.keys() - present if not key.startswith(uncertain)}
        if gone:
            self.catalogue.remove(gone)
        return {key: record for key, record in known.items() if key not in gone}

    def _commit(
        self, rows: list[tuple[str, str]], journal: Journal, previous: Vectors | None
    ) -> dict[str, Any]:
        self.progress("writing", 0, 0)
        runtime = self.embedder.runtime
        earlier = previous.manifest["computed_on"] if previous is not None else []
        return self.store.commit(
            rows,
            journal,
            previous,
            {
                "computed_on": sorted({*earlier, f"{runtime.device}/{runtime.name}"}),
                "versions": self.embedder.versions(),
            },
        )

    def _report(
        self,
        old: dict[str, str],
        new: dict[str, str],
        known: dict[str, ImageRecord],
        embedded: int,
        seconds: float,
        stopped: bool,
    ) -> UpdateReport:
        runtime = self.embedder.runtime
        return UpdateReport(
            gallery=self.gallery.name,
            model=self.embedder.model,
            dim=self.embedder.dim,
            added=len(new.keys() - old.keys()),
            updated=sum(old.get(key, sha256) != sha256 for key, sha256 in new.items()),
            removed=len(old.keys() - new.keys()),
            unchanged=sum(old.get(key) == sha256 for key, sha256 in new.items()),
            failed=[
                {"id": record.id, "reason": record.failure}
                for record in known.values()
                if record.failure is not None
            ],
            seconds=round(seconds, 3),
            images_per_second=round(embedded / seconds, 2) if seconds else 0.0,
            thumbnail_seconds=round(self.thumbnail_seconds, 3),
            device=runtime.device,
            runtime=runtime.name,
            mode=self.embedder.mode,
            stopped=stopped,
            labelled=self.labelled,
        )


def _settled(file: Found, record: ImageRecord | None, have: dict[str, str]) -> bool:
    """Whether nothing need be done for a file: it has not changed, and its outcome is known."""
    if record is None or (record.size, record.mtime_ns) != (file.size, file.mtime_ns):
        return False
    if record.failure is not None:
        return bool(record.sha256)  # what could not be read at all is tried again each time
    return have.get(file.id) == record.sha256
