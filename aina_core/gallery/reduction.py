"""Vectors reduced to a gallery's own principal components: the variants `pcaN`.

::

    models/resnet50@pca100/
      manifest.json, vectors-1.npy, …   as for any model (`vectors/store.py`)
      axes-1f0c9a2e/                    the axes (see `disk/arrays.py`): mean, float32
                                        (dim,), and directions, float32 (dim, 100)

A row is (vector − mean) · directions, normalised. The axes are fitted on the stored vectors of the
source, the model that the name is a variant of, and refitted whenever those change: what is stored
here depends on them alone, not on how often or in what order images were added.

Jégou and Chum, Negative evidences and co-occurrences in image retrieval (2012), on centring and
on normalising the reduced vectors.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core.disk import arrays, folders
from aina_core.errors import DamagedError, InputError
from aina_core.gallery.handle import Gallery
from aina_core.gallery.plan import Changes
from aina_core.gallery.update import UpdateReport
from aina_core.gallery.vectors.generation import Row, Vectors, file_names
from aina_core.gallery.vectors.journal import Journal
from aina_core.gallery.vectors.store import VectorStore
from aina_core.index.principal import PrincipalAxes, principal_axes
from aina_core.models import ModelName
from aina_core.progress import Progress, silent

_BLOCK_ROWS = 4096
# A unit vector whose projection on the axes is shorter than this is rounding error: no direction.
_VANISHING = 1e-6

Keys = Iterator[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Reduction:
    """How a gallery's vectors under a model were reduced. Never changes.

    Attributes:
        source: full name of the model that embeds.
        axes: by which they were reduced.
        made_of: checksums of the source's vectors and rows.
    """

    source: str
    axes: PrincipalAxes
    made_of: Mapping[str, str]

    def apply(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reduce embeddings of the source.

        Args:
            vectors: float32 (n, dim), unit rows.

        Returns:
            float32 (n, N), unit rows, and float32 (n,), their lengths before normalisation. A
            vector equal to the gallery's mean has no direction; it becomes the first axis, so that
            equal pictures stay equal.
        """
        rows = self.axes.reduce(vectors)  # (n, N)
        norms = np.linalg.norm(rows, axis=1)
        lost = norms < _VANISHING
        norms[lost] = 0
        rows[lost] = np.eye(1, rows.shape[1])
        return rows / np.where(lost, 1, norms)[:, None], norms


def open_reduction(store: VectorStore, manifest: Mapping[str, Any]) -> Reduction | None:
    """Open what the vectors of a generation were reduced by, verified; None if they were not.

    Raises:
        DamagedError: it is missing, or does not match the manifest.
    """
    recorded = manifest["fingerprint"].get("reduced")
    if recorded is None:
        return None
    try:
        made_of, folder = recorded["made_of"], store.folder / _folder_name(recorded["made_of"])
        found = arrays.load(folder, _identity(recorded["source"], manifest["dim"], made_of))
        if found is not None and dict(found.checksums) == recorded["axes"]:
            axes = PrincipalAxes(found.arrays["mean"], found.arrays["directions"])
            return Reduction(recorded["source"], axes, made_of)
    except (KeyError, TypeError, AttributeError):
        pass  # said below
    raise DamagedError("The axes that the vectors were reduced by are missing or damaged.")


def reduction_of(gallery: Gallery, vectors: Vectors) -> Reduction | None:
    """Open what vectors of a gallery were reduced by; None where they were not.

    Raises:
        DamagedError: it is missing or damaged; the message says what to do.
    """
    model = str(vectors.manifest["fingerprint"].get("model"))
    try:
        return open_reduction(gallery.store(model), vectors.manifest)
    except DamagedError as error:
        raise DamagedError(
            f"The vectors of {model} in the gallery {gallery.name} cannot be used: {error} "
            f"Index it again: {gallery.index_command(model)}"
        ) from None


def reduce(
    gallery: Gallery, name: ModelName, report: UpdateReport, *, progress: Progress = silent
) -> UpdateReport:
    """Bring a gallery's reduced vectors up to date with those of their source.

    If it is killed at any moment, the next call resumes it.

    Args:
        gallery: indexed by `name.source`; locked against other writers during the call.
        name: of the reduced variant.
        report: of the run that brought the source up to date.
        progress: told of every block of rows.

    Returns:
        The report, with what has changed among the reduced vectors.

    Raises:
        InputError: the gallery has too few images for so many components.
        GalleryBusyError: another process writes to the gallery.
    """
    with gallery.lock():
        started = time.monotonic()
        changes = _Run(gallery, name, progress).reduce()
        seconds = report.seconds + time.monotonic() - started
    return dataclasses.replace(
        report,
        model=str(name),
        dim=name.components,
        **dataclasses.asdict(changes),
        seconds=round(seconds, 3),
    )


def made_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the checksums that identify a generation of the source."""
    vectors, rows, *_ = file_names(manifest["generation"])
    files = manifest["files"]
    return {"vectors": files[vectors]["sha256"], "rows": files[rows]["sha256"]}


class _Run:
    """One run, under the gallery's lock."""

    def __init__(self, gallery: Gallery, name: ModelName, progress: Progress) -> None:
        self.gallery, self.name, self.progress = gallery, name, progress
        self.store = gallery.store(str(name))
        self.source_store = gallery.store(str(name.source))

    def reduce(self) -> Changes:
        source = self.gallery.vectors(str(self.name.source))
        before = self._previous()
        known = iter(()) if before is None else self.store.keys(before)
        changes = _changes(known, self._keys(source))
        if before is not None and self._made_of(before) == made_of(source.manifest):
            return changes
        reduction, checksums = self._fit(source)
        journal = self.store.journal(self._fingerprint(source, reduction, checksums))
        self._write(source, reduction, journal)
        rows = (Row(*key, True, place) for place, key in enumerate(self._keys(source)))
        record = {key: source.manifest[key] for key in ("computed_on", "versions")}
        self.store.commit(rows, len(source.matrix), journal, None, record)
        self._sweep(before, reduction.made_of)
        return changes

    def _keys(self, source: Vectors) -> Keys:
        return self.source_store.keys(source.manifest)

    def _previous(self) -> dict[str, Any] | None:
        try:
            return self.store.verified()
        except DamagedError:
            return None

    def _made_of(self, manifest: Mapping[str, Any]) -> Mapping[str, str] | None:
        """What a generation was reduced from; None where its axes are missing or damaged."""
        try:
            reduction = open_reduction(self.store, manifest)
        except DamagedError:
            return None
        return None if reduction is None else reduction.made_of

    def _fit(self, source: Vectors) -> tuple[Reduction, Mapping[str, str]]:
        """Fit the axes, or take those that an interrupted run has left."""
        components, images = self.name.components, len(source.matrix)
        if components >= images:
            raise InputError(
                f"The gallery {self.gallery.name} has {images} images under {self.name.source}, "
                f"which differ along {max(images - 1, 0)} axes at most; {self.name} asks for "
                f"{components}: choose fewer components, or add images."
            )
        self.progress("fitting the principal components", 0, 0)
        origin = made_of(source.manifest)
        folder = self.store.folder / _folder_name(origin)
        identity = _identity(str(self.name.source), components, origin)
        found = arrays.load(folder, identity)
        if found is None:
            axes = principal_axes(source.matrix, components)
            arrays.save(folder, identity, {"mean": axes.mean, "directions": axes.directions})
            found = arrays.load(folder, identity)
        if found is None:
            raise DamagedError(f"The axes of {self.name} cannot be read back; is the disk whole?")
        axes = PrincipalAxes(found.arrays["mean"], found.arrays["directions"])
        return Reduction(str(self.name.source), axes, origin), found.checksums

    def _fingerprint(
        self, source: Vectors, reduction: Reduction, checksums: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            **source.manifest["fingerprint"],
            "model": str(self.name),
            "dim": self.name.components,
            "reduced": {
                "source": reduction.source,
                "made_of": dict(reduction.made_of),
                "axes": dict(checksums),
            },
        }

    def _write(self, source: Vectors, reduction: Reduction, journal: Journal) -> None:
        """Reduce the rows that are not in the journal yet."""
        keys = itertools.islice(self._keys(source), journal.count, None)
        while block := list(itertools.islice(keys, _BLOCK_ROWS)):
            part = slice(journal.count, journal.count + len(block))
            journal.append(block, *reduction.apply(np.asarray(source.matrix[part])))
            self.progress("reducing", journal.count, len(source.matrix))

    def _sweep(self, before: Mapping[str, Any] | None, origin: Mapping[str, str]) -> None:
        """Delete outdated axes except the previous ones, which a reader may be about to open."""
        keep = {_folder_name(origin)}
        last = None if before is None else self._made_of(before)
        if last is not None:
            keep.add(_folder_name(last))
        for folder in self.store.folder.glob("axes-*"):
            if folder.name not in keep:
                folders.discard(folder)


def _identity(source: str, components: int, origin: Mapping[str, str]) -> dict[str, Any]:
    """What identifies a set of axes."""
    return {"kind": "axes", "source": source, "components": components, "of": dict(origin)}


def _folder_name(origin: Mapping[str, str]) -> str:
    return f"axes-{origin['vectors'][:8]}{origin['rows'][:8]}"


def _changes(before: Keys, after: Keys) -> Changes:
    """Count how two generations differ; the keys of both in the order of the ids."""
    counts = {"added": 0, "updated": 0, "removed": 0, "unchanged": 0}
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if old is None or (new is not None and new[0] < old[0]):
            counts["added"] += 1
            new = next(after, None)
        elif new is None or old[0] < new[0]:
            counts["removed"] += 1
            old = next(before, None)
        else:
            counts["unchanged" if old[1] == new[1] else "updated"] += 1
            old, new = next(before, None), next(after, None)
    return Changes(**counts)
