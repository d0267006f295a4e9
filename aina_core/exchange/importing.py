"""Import existing embeddings into a gallery, without embedding anything."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.disk import folders, paths
from aina_core.errors import AinaError, GalleryError, InputError, StoppedError
from aina_core.exchange.image_files import find_files, suits
from aina_core.exchange.source import Source
from aina_core.exchange.staging import Incoming
from aina_core.gallery import (
    Gallery,
    LabelsFile,
    galleries,
    given_root,
    make_aside,
    open_gallery,
    valid_name,
)
from aina_core.gallery.vectors.journal import Journal
from aina_core.index import open_index
from aina_core.models.external import dimension, is_external
from aina_core.progress import Progress, Stop, never, silent

#: How many failures a report lists; all are in the gallery.
MOST_LISTED = 1000


@dataclass(frozen=True)
class ImportReport:
    """The outcome of an import.

    Attributes:
        gallery: its name.
        model: the full name of the model that made the vectors.
        dim: length of an embedding.
        rows: how many vectors the gallery has under the model now.
        failed_count: how many rows of the source have none.
        failed: the first of them, as {"id", "reason"}.
        missing: how many images of a gallery that was there before have no vector in the source.
        pictures: the folder of the pictures; None for a gallery without.
        unsuited: why the folder that the source names is not that of the pictures; None where it
            is, or where none was looked at.
        without_file: how many images have no file in that folder, where that was looked up.
        labelled: how many rows the labels file names; None without one.
        verified: whether AINA made the vectors, with the weights that this machine has.
        seconds: until the gallery was written.
        index_seconds: for its index.
    """

    gallery: str
    model: str
    dim: int
    rows: int
    failed_count: int
    failed: list[dict[str, str]]
    missing: int
    pictures: str | None
    unsuited: str | None
    without_file: int
    labelled: int | None
    verified: bool
    seconds: float
    index_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        return asdict(self)


def import_vectors(
    source: Source,
    name: str,
    *,
    images: Path | None = None,
    labels: Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    stop: Stop = never,
) -> ImportReport:
    """Make a gallery of embeddings, or give a gallery those of another model.

    All or nothing: readers see nothing until everything is written, and what a killed process
    leaves is removed by the next import.

    Args:
        source: what to read.
        name: of the gallery. Where there is one, all ids with a vector must be images of it.
        images: the folder of the pictures; by default the source's own, where it is on this machine
            and suits. Without, the gallery has no pictures.
        labels: a labels file (see `gallery.LabelsFile`); by default what the source says.
        overwrite: whether vectors that a gallery has under the model may be replaced.
        progress: told of "reading", "looking up the files", "writing" and of the index.
        stop: asked now and then, until the gallery is written.

    Raises:
        InputError: the source, or an option, cannot be used.
        GalleryError: the ids do not fit the gallery, or it has vectors under the model already.
        GalleryBusyError: another process writes to the gallery.
        StoppedError: it was stopped; nothing was imported.
    """
    return _Import(source, valid_name(name), overwrite, progress, stop).run(images, labels)


class _Import:
    def __init__(
        self, source: Source, name: str, overwrite: bool, progress: Progress, stop: Stop
    ) -> None:
        self.source, self.name, self.overwrite = source, name, overwrite
        self.progress, self.stop = progress, stop
        self.without_file = 0
        self.unsuited: str | None = None
        self.labelled: int | None = None

    def run(self, images: Path | None, labels: Path | None) -> ImportReport:
        """See `import_vectors`."""
        started = time.monotonic()
        self._check_dimension()
        if self.name in galleries():
            self._check_free(open_gallery(self.name))
        said = None if labels is None else LabelsFile(labels)
        with (
            folders.workspace(paths.home()) as aside,
            Incoming.open(self.source.name) as incoming,
        ):
            journal = Journal(aside, self.source.fingerprint)
            self._read(incoming, journal)
            if said is not None:
                self._label(incoming, said)
            if self.name in galleries():
                gallery, missing = self._add(incoming, journal, images)
            else:
                gallery, missing = self._make(incoming, journal, images, aside), 0
            good, failed = incoming.counts()
            failures = incoming.failures(MOST_LISTED)
        seconds = time.monotonic() - started
        return ImportReport(
            gallery=gallery.name,
            model=self.source.model,
            dim=self.source.dim,
            rows=good,
            failed_count=failed,
            failed=failures,
            missing=missing,
            pictures=str(gallery.root) if gallery.has_pictures else None,
            unsuited=self.unsuited,
            without_file=self.without_file,
            labelled=self.labelled,
            verified=self.source.verified,
            seconds=round(seconds, 3),
            index_seconds=self._index(gallery),
        )

    def _check_free(self, gallery: Gallery) -> None:
        """Refuse to replace existing vectors, unless that was asked for."""
        if self.source.model in gallery.models() and not self.overwrite:
            raise GalleryError(
                f"The gallery {self.name} has vectors under {self.source.model} already; give "
                "--overwrite to replace them, or choose another name."
            )

    def _check_dimension(self) -> None:
        """All galleries must agree on the length of an external model's vectors."""
        known = dimension(self.source.model) if is_external(self.source.model) else None
        if known not in (None, self.source.dim):
            raise InputError(
                f"The vectors of {self.source.name} have {self.source.dim} numbers, but those of "
                f"{self.source.model} in another gallery have {known}; choose another name."
            )

    def _read(self, incoming: Incoming, journal: Journal) -> None:
        done = 0
        self.progress("reading", 0, self.source.count)
        for block in self.source.blocks():
            self._check_stop()
            incoming.add(block, journal.count)
            good = np.array([failure is None for failure in block.failures])
            if good.any():
                keys = [(key, "") for key, there in zip(block.ids, good, strict=True) if there]
                journal.append(keys, block.rows[good], block.norms[good])
            done += len(block.ids)
            self.progress("reading", done, self.source.count)
        if not journal.count:
            example = "".join(f"; {each['id']}: {each['reason']}" for each in incoming.failures(1))
            raise InputError(
                f"{self.source.name} has no vector that can be used ({done:,} rows{example})."
            )

    def _check_stop(self) -> None:
        if self.stop():
            raise StoppedError("Stopped before everything was read; nothing was imported.")

    def _label(self, incoming: Incoming, labels: LabelsFile) -> None:
        named, self.labelled = incoming.label(labels.items())
        if named and not self.labelled:
            raise InputError(
                f"None of the {named:,} ids of the labels file is among those of "
                f"{self.source.name}, as: {incoming.example()}"
            )

    # ── a new gallery ────────────────────────────────────────────────────────────────────────────

    def _make(
        self, incoming: Incoming, journal: Journal, images: Path | None, aside: Path
    ) -> Gallery:
        root = self._root(incoming, images)
        gallery = make_aside(aside / self.name, root, pictures=root is not None)
        with gallery.lock():
            if root is not None and not self.source.has_files:
                self.without_file = find_files(incoming, gallery.root, self.progress, self.stop)
            self._check_stop()
            self.progress("writing", 0, 0)
            incoming.fill(gallery.catalogue)
            self._commit(gallery, incoming, journal)
            return gallery.put_in_place()

    def _root(self, incoming: Incoming, images: Path | None) -> Path | None:
        """The folder of the pictures; None for a gallery without pictures."""
        root = images or self.source.root
        if root is None:
            return None
        try:
            problem = suits(incoming, root.expanduser(), self.source.has_files)
            if problem is not None:
                raise InputError(problem)
            return given_root(root)
        except AinaError as error:
            if images is not None:
                raise
            self.unsuited = str(error)
            return None

    # ── a gallery that is there ──────────────────────────────────────────────────────────────────

    def _add(
        self, incoming: Incoming, journal: Journal, images: Path | None
    ) -> tuple[Gallery, int]:
        gallery = open_gallery(self.name)
        if images is not None and images.expanduser().resolve() != gallery.root:
            raise GalleryError(
                f"The gallery {self.name} has its pictures in {gallery.root}, not in {images}; "
                "leave --images out, or choose another name."
            )
        with gallery.lock():
            self._check_free(gallery)
            self._check_fit(gallery, incoming)
            self._check_stop()
            self.progress("writing", 0, 0)
            self._commit(gallery, incoming, journal)
            if self.labelled is not None:
                incoming.annotate(gallery.catalogue)
        return gallery, gallery.catalogue.counts()[0] - incoming.counts()[0]

    def _check_fit(self, gallery: Gallery, incoming: Incoming) -> None:
        total = incoming.counts()[0]
        strangers, example = incoming.strangers(gallery.catalogue)
        if strangers:
            raise GalleryError(
                f"{strangers:,} of the {total:,} ids of {self.source.name} are no images of the "
                f"gallery {self.name}, as: {example}; the vectors of another model must be of "
                "images that it has. Choose another name to make a gallery of them."
            )
        changed, example = incoming.changed(gallery.catalogue)
        if changed:
            raise GalleryError(
                f"{changed:,} of the {total:,} rows of {self.source.name} were made of other files "
                f"than those of the gallery {self.name}, as: {example}; index it again, or choose "
                "another name."
            )

    # ── both ─────────────────────────────────────────────────────────────────────────────────────

    def _commit(self, gallery: Gallery, incoming: Incoming, journal: Journal) -> None:
        good, failed = incoming.counts()
        record = {
            "computed_on": list(self.source.computed_on),
            "versions": dict(self.source.versions),
            "imported": {
                "from": self.source.name,
                "verified": self.source.verified,
                "failed": failed,
                "failures": incoming.failures(100),
            },
        }
        with incoming.rows(gallery.catalogue) as rows:
            gallery.store(self.source.model).commit(rows, good, journal, None, record)

    def _index(self, gallery: Gallery) -> float:
        """Build the index; return the seconds it took."""
        started = time.monotonic()
        self.progress("building the index", 0, 0)
        store = gallery.store(self.source.model)
        vectors = store.open()
        open_index("annoy", vectors.matrix, store.index_folder, checksum=vectors.checksum)
        return round(time.monotonic() - started, 3)
