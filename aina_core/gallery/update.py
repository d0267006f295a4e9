"""Bring one model's vectors of a gallery up to date with its folder."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from aina_core import images
from aina_core.embedding import Embedder
from aina_core.errors import DamagedError, GalleryError, ImageError, InputError
from aina_core.gallery.catalogue import ImageRecord
from aina_core.gallery.handle import Gallery
from aina_core.gallery.labels import Labels
from aina_core.gallery.plan import Changes, Plan, Task
from aina_core.gallery.scan import look, walk
from aina_core.gallery.vectors.journal import Journal
from aina_core.progress import Progress, Stop, never, silent

#: Images between two commits to the journal: what a kill costs, with those in flight, at most 256.
CHUNK = 128


@dataclass(frozen=True)
class UpdateReport:
    """What a run did.

    Attributes:
        gallery: its name.
        model: the model's full name.
        dim: length of its embeddings.
        added: images that had no vectors before the run.
        updated: images whose bytes had changed.
        removed: images that have left the folder or are no longer usable.
        unchanged: images that kept their vectors.
        failed: files that are not usable, as {"id", "reason"}.
        seconds: from the first file to the commit; without the model's loading.
        images_per_second: images embedded, by `seconds`.
        thumbnail_seconds: spent on thumbnails, summed over threads.
        device: where it ran.
        runtime: the runtime that ran it.
        mode: "exact" or "fast".
        stopped: whether it was stopped early.
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
    """Outcomes that are not on disk yet."""

    records: list[ImageRecord] = field(default_factory=list)
    thumbnails: list[tuple[str, bytes]] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)


def update(
    gallery: Gallery,
    embedder: Embedder,
    *,
    labels: Labels | None = None,
    progress: Progress = silent,
    stop: Stop = never,
) -> UpdateReport:
    """Embed new and changed images of the gallery's folder, drop those that are gone, and commit.

    If it is killed at any moment, the next call resumes it; the vectors are byte-identical.

    Args:
        gallery: the gallery; locked against other writers during the call.
        embedder: the loaded model.
        labels: the contents of a labels file; replaces those of an earlier one.
        progress: called for every image.
        stop: once it returns True, what is done so far is committed.

    Raises:
        GalleryBusyError: another process writes to the gallery.
        GalleryError: the folder is missing, unreadable or suddenly empty.
    """
    if not gallery.has_pictures:
        raise GalleryError(gallery.without_pictures())
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

    def update(self, labels: Labels | None) -> UpdateReport:
        """See `update`."""
        with Plan.open(self.gallery.root, self.catalogue) as plan:
            return self._update(plan, labels)

    def _update(self, plan: Plan, labels: Labels | None) -> UpdateReport:
        self.progress("reading the folder", 0, 0)
        unreadable: list[str] = []
        plan.find(walk(self.gallery.root, unreadable))
        if plan.empty:
            raise GalleryError(
                f"The folder {self.gallery.root} is empty now, but the gallery "
                f"{self.gallery.name} has images of it; delete the gallery if that is meant."
            )
        if labels is not None:
            self._annotate(plan, labels)
        started = time.monotonic()
        before = self._previous()
        usable = before is not None and before["fingerprint"] == self.embedder.fingerprint()
        previous = before if usable else None
        if before is not None:
            plan.remember(self.store.keys(before), usable=usable)
        journal = self.store.journal(self.embedder.fingerprint())
        plan.journaled(journal.keys(), 0)
        embedded = self._embed(plan, journal)
        stopped = self.stop()
        self.catalogue.remove(plan.gone(unreadable))
        changes = plan.finish()
        manifest = self._commit(plan, changes, journal, previous)
        seconds = time.monotonic() - started
        if manifest["count"] and embedded:
            self.store.add_record(images_per_second=round(embedded / seconds, 2))
        return self._report(changes, embedded, seconds, stopped)

    def _annotate(self, plan: Plan, labels: Labels) -> None:
        named, matched = plan.label(labels)
        example = plan.example()
        if named and example is not None and not matched:
            raise InputError(
                f"None of the {named:,} ids of the labels file is an image of the folder; an "
                f"id is a path relative to the folder, as: {example}"
            )
        self.catalogue.annotate(plan.labels())
        self.labelled = matched

    def _previous(self) -> dict[str, Any] | None:
        """The manifest of the last generation, if it exists and is intact."""
        try:
            return self.store.verified()
        except DamagedError:
            return None  # missing or damaged: either way everything is embedded

    def _embed(self, plan: Plan, journal: Journal) -> int:
        """Embed files and write the outcomes to disk by chunks; return the number of vectors."""
        total = plan.settle()
        embedded, chunk = 0, _Chunk()
        self.progress("embedding", 0, total)
        outcomes = self.embedder.run_with_norms(plan.tasks(), self._prepare, stop=self.stop)
        for done, (task, prepared, row, norm) in enumerate(outcomes, start=1):
            record = prepared.record
            if record != task.known:
                chunk.records.append(record)
            if prepared.thumbnail is not None:
                chunk.thumbnails.append((record.sha256, prepared.thumbnail))
            if row is not None:
                chunk.keys.append((record.id, record.sha256))
                chunk.rows.append(row)
                chunk.norms.append(norm)
                embedded += 1
            self.thumbnail_seconds += prepared.seconds
            if max(len(chunk.records), len(chunk.thumbnails), len(chunk.rows)) >= CHUNK:
                self._flush(chunk, plan, journal)
                chunk = _Chunk()
            self.progress("embedding", done, total)
        self._flush(chunk, plan, journal)
        return embedded

    def _flush(self, chunk: _Chunk, plan: Plan, journal: Journal) -> None:
        if chunk.rows:
            start = journal.count
            norms = np.array(chunk.norms, np.float32)
            journal.append(chunk.keys, np.stack(chunk.rows), norms)
            plan.journaled(chunk.keys, start)
        if chunk.records or chunk.thumbnails:
            self.catalogue.record(chunk.records, chunk.thumbnails)

    def _prepare(self, task: Task) -> tuple[np.ndarray | None, _Prepared]:
        """Read and decode a file, on a worker thread."""
        file = task.file

        def read() -> bytes:
            if file.problem is not None:
                raise ImageError(file.problem)
            return images.read_bytes(file.path)

        record, pixels = look(
            file.id, file.size, file.mtime_ns, read, at_least=self.embedder.reduced_side
        )
        prepared = _Prepared(record)
        if pixels is None:
            return None, prepared
        if not (task.shown and task.known is not None and task.known.sha256 == record.sha256):
            started = time.monotonic()
            prepared.thumbnail = images.thumbnail(pixels)
            prepared.seconds = time.monotonic() - started
        return pixels if task.row_of != record.sha256 else None, prepared

    def _commit(
        self, plan: Plan, changes: Changes, journal: Journal, previous: dict[str, Any] | None
    ) -> dict[str, Any]:
        self.progress("writing", 0, 0)
        if previous is not None and not (changes.added or changes.updated or changes.removed):
            self.store.keep(previous, journal)
            return previous
        runtime = self.embedder.runtime
        earlier = previous["computed_on"] if previous is not None else []
        record = {
            "computed_on": sorted({*earlier, f"{runtime.device}/{runtime.name}"}),
            "versions": self.embedder.versions(),
        }
        return self.store.commit(plan.rows(), plan.count, journal, previous, record)

    def _report(
        self, changes: Changes, embedded: int, seconds: float, stopped: bool
    ) -> UpdateReport:
        runtime = self.embedder.runtime
        return UpdateReport(
            gallery=self.gallery.name,
            model=self.embedder.model,
            dim=self.embedder.dim,
            added=changes.added,
            updated=changes.updated,
            removed=changes.removed,
            unchanged=changes.unchanged,
            failed=[
                {"id": record.id, "reason": record.failure or ""}
                for record in self.catalogue.failures()
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
