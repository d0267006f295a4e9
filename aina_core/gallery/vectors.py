"""The vectors of one model over one gallery: generations on disk, and the journal of a run.

::

    manifest.json        names the generation that counts, with the checksum of each of its files
    vectors-7.npy        float32 (n, dim), unit rows, in the order of the ids
    rows-7.jsonl         a line for each row: image id, checksum of its file
    baseline-7.npy       float32 (m,), ascending: similarities of random pairs of rows
    journal.f32, .jsonl  rows computed by a run that has not ended yet, whole chunks only
    index/               what `aina_core.index` builds from the vectors

A run appends to the journal; at its end the next generation is written beside the old one, and the
manifest switches to it in one step. A run that was killed leaves its journal, and the next one
goes on from there. Rows stand in the order of the ids, so the bytes of a generation do not tell
how often the work was interrupted.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from aina_core import paths
from aina_core.errors import DamagedError
from aina_core.gallery.journal import Journal
from aina_core.gallery.plan import Row

_FORMAT = 2
_BLOCK_ROWS = 4096
_BASELINE_ROWS = 2000
_BASELINE_PAIRS = 20_000


@dataclass(frozen=True)
class Vectors:
    """One generation, opened and verified; it stays readable when the next one takes its place.

    Attributes:
        table: uint8, the bytes of the file of rows, memory-mapped.
        matrix: float32 (n, dim), unit rows, memory-mapped, read-only.
        baseline: float32 (m,), ascending similarities of random pairs; empty below two images.
        manifest: what is recorded of it.
    """

    table: np.ndarray
    matrix: np.ndarray
    baseline: np.ndarray
    manifest: dict[str, Any]

    @functools.cached_property
    def _keys(self) -> list[list[str]]:
        keys = [json.loads(line) for line in self.table.tobytes().splitlines()]
        if len(keys) != len(self.matrix):
            raise DamagedError(f"There are {len(keys)} names for {len(self.matrix)} vectors.")
        return keys

    @functools.cached_property
    def ids(self) -> list[str]:
        """Image id of each row."""
        return [image_id for image_id, _ in self._keys]

    @functools.cached_property
    def checksums(self) -> list[str]:
        """SHA-256 of the file that each row was computed from."""
        return [sha256 for _, sha256 in self._keys]

    @property
    def checksum(self) -> str:
        """SHA-256 of the vectors' file: the identity of this generation."""
        return self.manifest["files"][f"vectors-{self.manifest['generation']}.npy"]["sha256"]


class VectorStore:
    """The folder of one model's vectors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index_folder = folder / "index"

    def manifest(self) -> dict[str, Any] | None:
        """Return what is recorded of the current generation; None before the first.

        Raises:
            DamagedError: the manifest cannot be read.
        """
        path = self.folder / "manifest.json"
        if not path.exists():
            return None
        manifest = paths.read_json(path)
        if not _is_complete(manifest):
            raise DamagedError(f"{path.name} is damaged, or has an unknown format.")
        return manifest

    def verified(self) -> dict[str, Any]:
        """Return the manifest after checking size and checksum of its files; for the writer.

        Raises:
            DamagedError: there is none, or a file does not match it.
        """
        manifest = self.manifest()
        if manifest is None:
            raise DamagedError("No vectors are stored yet.")
        problem = next(self._problems(manifest), None)
        if problem is not None:
            raise DamagedError(problem)
        self._load(manifest)  # which looks at its shape
        return manifest

    def keys(self, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield (image id, file checksum) of each row of a generation, one at a time."""
        with (self.folder / _names(manifest["generation"])[1]).open("rb") as lines:
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
        """Return what does not match the manifest, a sentence each."""
        try:
            manifest = self.manifest()
            if manifest is None:
                return []
            found = list(self._problems(manifest))
            if not found or manifest != self.manifest():  # a writer has switched meanwhile
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
        vectors, table, baseline = (self.folder / n for n in _names(manifest["generation"]))
        matrix = _map(vectors, manifest["count"])
        shape = (manifest["count"], manifest["dim"])
        if matrix.shape != shape or matrix.dtype != np.float32:
            raise DamagedError(
                f"The vectors have shape {matrix.shape}, their manifest says {shape}."
            )
        names = np.memmap(table, np.uint8, "r") if manifest["count"] else np.empty(0, np.uint8)
        return Vectors(names, matrix, np.load(baseline), manifest)

    def journal(self, fingerprint: Mapping[str, Any]) -> Journal:
        """Open the journal for a run, with what an interrupted run of the same kind left in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Journal(self.folder, fingerprint)

    def keep(self, manifest: Mapping[str, Any], journal: Journal) -> None:
        """End a run that has changed nothing: the generation stays, the journal goes."""
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
        """Make the next generation of rows of the previous one and the journal; end the journal.

        Args:
            rows: in the order of the ids; each stands in the journal or in `previous`.
            count: how many.
            journal: this run's.
            previous: manifest of the current generation, if its rows may be taken over.
            record: what else the manifest shall say.

        Returns:
            The manifest, now in force.
        """
        numbers = [int(path.stem.partition("-")[2]) for path in self.folder.glob("vectors-*.npy")]
        generation = max(numbers, default=0) + 1
        vectors, table, baseline = names = _names(generation)
        with (
            contextlib.ExitStack() as sources,
            paths.replacing(self.folder / vectors) as data,
            paths.replacing(self.folder / table) as lines,
        ):
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, journal.dim)}
            np.lib.format.write_array_header_1_0(data, header)
            take = self._taking(sources, journal, previous)
            for row in rows:
                data.write(take(row))
                key = json.dumps([row.id, row.sha256], ensure_ascii=False)
                lines.write(f"{key}\n".encode())
        matrix = _map(self.folder / vectors, count)
        with paths.replacing(self.folder / baseline) as file:
            np.save(file, random_pairs(matrix))
        manifest = {
            "format": _FORMAT,
            "generation": generation,
            "count": count,
            "dim": journal.dim,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "fingerprint": dict(journal.fingerprint),
            **record,
            "files": {name: _describe(self.folder / name) for name in names},
        }
        paths.write_json(self.folder / "manifest.json", manifest)
        journal.end()
        self._sweep(manifest)
        return manifest

    def _taking(
        self, open_: contextlib.ExitStack, journal: Journal, previous: Mapping[str, Any] | None
    ) -> Callable[[Row], bytes]:
        """Return what reads the bytes of a row: by reading, since a map would fill the memory."""
        size = journal.dim * 4
        journaled = open_.enter_context(journal.data.open("rb"))
        files = {True: (journaled.fileno(), 0)}
        if previous is not None:
            kept = open_.enter_context((self.folder / _names(previous["generation"])[0]).open("rb"))
            stored = os.fstat(kept.fileno()).st_size
            files[False] = kept.fileno(), stored - previous["count"] * size

        def take(row: Row) -> bytes:
            descriptor, start = files[row.journaled]
            return os.pread(descriptor, size, start + row.row * size)

        return take

    def add_record(self, **record: Any) -> None:
        """Add to what the manifest says of the current generation."""
        paths.write_json(self.folder / "manifest.json", {**(self.manifest() or {}), **record})

    def _sweep(self, manifest: Mapping[str, Any]) -> None:
        """Delete generations that are over, and what a killed run left; open maps stay valid."""
        keep = {"manifest.json", *manifest.get("files", ())}
        for path in self.folder.iterdir():
            if path.is_file() and path.name not in keep:
                path.unlink()

    def delete(self) -> None:
        """Delete everything: vectors, index, journal."""
        aside = self.folder.with_name(f".deleted-{os.getpid()}-{self.folder.name}")
        self.folder.rename(aside)
        shutil.rmtree(aside)


def random_pairs(matrix: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the similarities of random pairs of different rows: what "similar" is held against.

    Args:
        matrix: float32 (n, dim), unit rows.
        seed: of the choice of pairs; below about 200 rows all pairs are taken.

    Returns:
        float32 (m,), ascending, m ≤ 20,000; empty below two rows.
    """
    rng = np.random.default_rng(seed)
    count = len(matrix)
    chosen = np.sort(rng.choice(count, min(count, _BASELINE_ROWS), replace=False))
    rows = np.asarray(matrix[chosen])
    first, second = np.triu_indices(len(rows), 1)
    if len(first) > _BASELINE_PAIRS:
        drawn = np.sort(rng.choice(len(first), _BASELINE_PAIRS, replace=False))
        first, second = first[drawn], second[drawn]
    similarities = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        similarities[part] = np.einsum("ij,ij->i", rows[first[part]], rows[second[part]])
    return np.sort(similarities)


def _names(generation: int) -> tuple[str, str, str]:
    """The files of a generation: vectors, rows, baseline."""
    return f"vectors-{generation}.npy", f"rows-{generation}.jsonl", f"baseline-{generation}.npy"


def _is_complete(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest says all that its readers rely on."""
    kinds = {"generation": int, "count": int, "dim": int, "fingerprint": dict, "computed_on": list}
    if manifest.get("format") != _FORMAT or not isinstance(manifest.get("files"), dict):
        return False
    if not all(isinstance(manifest.get(name), kind) for name, kind in kinds.items()):
        return False
    described = all(
        isinstance(file, dict) and {"size", "sha256"} <= file.keys()
        for file in manifest["files"].values()
    )
    return described and set(manifest["files"]) == set(_names(manifest["generation"]))


def _map(path: Path, count: int) -> np.ndarray:
    """Map an array; one without rows, which cannot be mapped, is read."""
    return np.load(path, mmap_mode="r") if count else np.load(path)


def _describe(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": paths.file_checksum(path)}
