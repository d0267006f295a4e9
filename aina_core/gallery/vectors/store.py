"""The vectors of one model over one gallery: generations on disk, and the journal of a run.

::

    manifest.json        names the current generation, with the checksum of each of its files
    vectors-7.npy        float32 (n, dim), unit rows, in the order of the ids
    rows-7.jsonl         a line for each row: image id, checksum of its file
    norms-7.npy          float32 (n,), the length of each embedding before it was made a unit
    baseline-7.npy       float32 (m,), ascending: similarities of random pairs of rows
    journal.f32, .jsonl  rows computed by a run that has not ended yet, in whole chunks
    index/               what `aina_core.index` builds from the vectors

A run appends to the journal; at its end the next generation is written beside the old one, and the
manifest switches to it in one step. A run that is killed leaves its journal, and the next one
resumes from there. Rows are in the order of the ids, so the bytes of a generation do not depend on
how often the work was interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from aina_core.disk import files, folders, paths
from aina_core.errors import DamagedError
from aina_core.gallery.vectors.generation import (
    FORMAT,
    Row,
    Vectors,
    file_names,
    is_complete,
    map_array,
    random_pairs,
)
from aina_core.gallery.vectors.journal import Journal


class VectorStore:
    """The folder of one model's vectors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index_folder = folder / "index"

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest of the current generation; None before the first.

        Raises:
            DamagedError: the manifest cannot be read.
        """
        path = self.folder / "manifest.json"
        if not path.exists():
            return None
        manifest = paths.read_json(path)
        if manifest.get("format") == 2:
            raise DamagedError(
                "they were stored by an earlier version, without the norms of the embeddings."
            )
        if not is_complete(manifest):
            raise DamagedError(f"{path.name} is damaged, or has an unknown format.")
        return manifest

    def verified(self) -> dict[str, Any]:
        """Return the manifest after checking size and checksum of its files; used by the writer.

        Raises:
            DamagedError: there is none, or a file does not match it.
        """
        manifest = self.manifest()
        if manifest is None:
            raise DamagedError("No vectors are stored yet.")
        problem = next(self._problems(manifest), None)
        if problem is not None:
            raise DamagedError(problem)
        self._load(manifest)  # checks its shape
        return manifest

    def keys(self, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield (image id, file checksum) of each row of a generation, one at a time."""
        with (self.folder / file_names(manifest["generation"])[1]).open("rb") as lines:
            for line in lines:
                image_id, sha256 = json.loads(line)
                yield image_id, sha256

    def open(self) -> Vectors:
        """Open the current generation after checking size and checksum of its files.

        Raises:
            DamagedError: there is none, or a file does not match the manifest.
        """
        for _ in range(10):  # a writer may switch generations between our two reads
            manifest = self.manifest()
            if manifest is None:
                raise DamagedError("No vectors are stored yet.")
            problem = next(self._problems(manifest), None)
            try:
                if problem is None:
                    return self._load(manifest)
            except (DamagedError, OSError) as error:
                problem = str(error)
            if manifest == self.manifest():
                break
        raise DamagedError(problem or "The vectors cannot be read.")

    def problems(self) -> list[str]:
        """Return what does not match the manifest, one sentence for each problem."""
        try:
            manifest = self.manifest()
            if manifest is None:
                return []
            found = list(self._problems(manifest))
            if not found or manifest != self.manifest():  # a writer has switched in the meantime
                self.open()
                return []
            return found
        except DamagedError as error:
            return [str(error)]

    def _problems(self, manifest: Mapping[str, Any]) -> Iterator[str]:
        for name, recorded in manifest["files"].items():
            path = self.folder / Path(name).name
            try:
                size = path.stat().st_size
                if size != recorded["size"]:
                    yield f"{name} has {size} bytes, not {recorded['size']}."
                elif paths.file_checksum(path) != recorded["sha256"]:
                    yield f"The checksum of {name} differs from its manifest."
            except OSError:
                yield f"{name} is missing."

    def _load(self, manifest: dict[str, Any]) -> Vectors:
        parts = file_names(manifest["generation"])
        vectors, table, norms, baseline = (self.folder / name for name in parts)
        matrix, lengths = map_array(vectors, manifest["count"]), map_array(norms, manifest["count"])
        shape = (manifest["count"], manifest["dim"])
        if matrix.shape != shape or matrix.dtype != np.float32:
            raise DamagedError(
                f"The vectors have shape {matrix.shape}, their manifest says {shape}."
            )
        if lengths.shape != shape[:1] or lengths.dtype != np.float32:
            raise DamagedError(f"There are {len(lengths)} norms for {len(matrix)} vectors.")
        names = np.memmap(table, np.uint8, "r") if manifest["count"] else np.empty(0, np.uint8)
        return Vectors(names, matrix, lengths, np.load(baseline), manifest)

    def journal(self, fingerprint: Mapping[str, Any]) -> Journal:
        """Open the journal for a run, with what an interrupted run of its kind has left in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Journal(self.folder, fingerprint)

    def keep(self, manifest: Mapping[str, Any], journal: Journal) -> None:
        """End a run that changed nothing: keep the generation, delete the journal."""
        journal.end()
        self._sweep(manifest)

    def commit(
        self,
        rows: Iterable[Row],
        count: int,
        journal: Journal,
        previous: Mapping[str, Any] | None,
        record: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write the next generation from rows of the previous one and the journal; end the journal.

        Args:
            rows: in the order of the ids; each stands in the journal or in `previous`.
            count: how many.
            journal: this run's.
            previous: manifest of the current generation, if its rows may be taken over.
            record: further entries of the manifest.

        Returns:
            The manifest, now in force.
        """
        numbers = [int(path.stem.partition("-")[2]) for path in self.folder.glob("vectors-*.npy")]
        generation = max(numbers, default=0) + 1
        vectors, table, norms, baseline = names = file_names(generation)
        with (
            contextlib.ExitStack() as sources,
            paths.replacing(self.folder / vectors) as data,
            paths.replacing(self.folder / table) as lines,
            paths.replacing(self.folder / norms) as lengths,
        ):
            _write_header(data, (count, journal.dim))
            _write_header(lengths, (count,))
            take = self._taking(sources, journal, previous)
            for row in rows:
                vector, norm = take(row)
                data.write(vector)
                lengths.write(norm)
                key = json.dumps([row.id, row.sha256], ensure_ascii=False)
                lines.write(f"{key}\n".encode())
        matrix = map_array(self.folder / vectors, count)
        with paths.replacing(self.folder / baseline) as file:
            np.save(file, random_pairs(matrix))
        manifest = {
            "format": FORMAT,
            "generation": generation,
            "count": count,
            "dim": journal.dim,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "fingerprint": dict(journal.fingerprint),
            **record,
            "files": {name: files.describe(self.folder / name) for name in names},
        }
        paths.write_json(self.folder / "manifest.json", manifest)
        journal.end()
        self._sweep(manifest)
        return manifest

    def _taking(
        self, open_: contextlib.ExitStack, journal: Journal, previous: Mapping[str, Any] | None
    ) -> Callable[[Row], tuple[bytes, bytes]]:
        """Return what reads the bytes of a row and of its norm.

        It does so by reading, since a map would fill the memory.
        """
        size = journal.dim * 4

        def reading(path: Path, length: int, count: int | None = None) -> Callable[[int], bytes]:
            """Of a file of `count` parts of one length after a header; None for no header."""
            file = open_.enter_context(path.open("rb")).fileno()
            start = 0 if count is None else os.fstat(file).st_size - count * length
            return lambda place: os.pread(file, length, start + place * length)

        journaled = reading(journal.data, journal.row_bytes)
        if previous is not None:
            vectors, _, norms, _ = (self.folder / n for n in file_names(previous["generation"]))
            kept_vector = reading(vectors, size, previous["count"])
            kept_norm = reading(norms, 4, previous["count"])

        def take(row: Row) -> tuple[bytes, bytes]:
            if row.journaled:
                both = journaled(row.row)
                return both[:size], both[size:]
            return kept_vector(row.row), kept_norm(row.row)

        return take

    def add_record(self, **record: Any) -> None:
        """Add entries to the manifest of the current generation."""
        paths.write_json(self.folder / "manifest.json", {**(self.manifest() or {}), **record})

    def _sweep(self, manifest: Mapping[str, Any]) -> None:
        """Delete old generations and what a killed run left; open memory maps stay valid."""
        keep = {"manifest.json", *manifest.get("files", ())}
        for path in self.folder.iterdir():
            if path.is_file() and path.name not in keep:
                path.unlink()

    def delete(self) -> None:
        """Delete everything: vectors, index, journal."""
        folders.discard(self.folder)


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write the header of a file of float32 numbers."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
