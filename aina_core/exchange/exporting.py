"""Export a gallery's vectors in a format that other tools read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aina_core.disk import folders
from aina_core.errors import InputError, StoppedError
from aina_core.exchange.layout import FORMAT, SCHEMA, write_manifest
from aina_core.gallery import (
    Annotations,
    Gallery,
    ImageRecord,
    Records,
    Vectors,
    open_known,
    reduction_of,
)
from aina_core.progress import Progress, Stop, never, silent

#: Rows of a file; and of a row group, which a reader has in memory.
PART_ROWS, GROUP_ROWS = 50_000, 10_000


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes:
        gallery: its name.
        model: the model's full name.
        out: where to.
        rows: images and failures.
        failed_count: the failures among them.
        parts: how many files.
        seconds: how long it took.
    """

    gallery: str
    model: str
    out: str
    rows: int
    failed_count: int
    parts: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        return asdict(self)


def export(
    gallery: Gallery,
    model: str,
    out: Path,
    *,
    part_rows: int = PART_ROWS,
    progress: Progress = silent,
    stop: Stop = never,
) -> ExportReport:
    """Write a model's vectors of a gallery, and its failures, as Parquet; all or nothing.

    Args:
        gallery: the gallery.
        model: the model's full name.
        out: a folder that does not exist yet, or is empty.
        part_rows: how many rows a file has at most.
        progress: told of the phase "writing".
        stop: asked between blocks.

    Raises:
        GalleryError: the model has no vectors here.
        InputError: they are reduced, or the folder cannot be written to or holds something.
        StoppedError: it was stopped; nothing is left.
    """
    started = time.monotonic()
    vectors = gallery.vectors(model)
    if reduction_of(gallery, vectors) is not None:
        source = vectors.manifest["fingerprint"]["reduced"]["source"]
        raise InputError(
            f"The vectors of {model} are reduced, by axes that belong to this gallery; export "
            f"those of {source}, and reduce them where they are imported."
        )
    out = out.expanduser()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} holds something already; give a folder that is new or empty.")
    try:
        with folders.making(out) as made:
            writing = _Writing(gallery, vectors, made, part_rows, progress, stop)
            rows, failed, parts = writing.write()
            write_manifest(made, _manifest(gallery, vectors, rows, failed))
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}.") from None
    seconds = round(time.monotonic() - started, 3)
    return ExportReport(gallery.name, model, str(out), rows, failed, parts, seconds)


def _manifest(gallery: Gallery, vectors: Vectors, rows: int, failed: int) -> dict[str, Any]:
    manifest = vectors.manifest
    fingerprint = dict(manifest["fingerprint"])
    return {
        "format": FORMAT,
        "model": fingerprint["model"],
        "dim": manifest["dim"],
        "fingerprint": fingerprint,
        "computed_on": list(manifest["computed_on"]),
        "versions": dict(manifest.get("versions", {})),
        "source": f"gallery {gallery.name}",
        "root": str(gallery.root) if gallery.has_pictures else None,
        "rows": rows,
        "failed": failed,
    }


class _Writing:
    def __init__(
        self,
        gallery: Gallery,
        vectors: Vectors,
        folder: Path,
        part_rows: int,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self.gallery, self.vectors, self.folder = gallery, vectors, folder
        self.part_rows, self.progress, self.stop = part_rows, progress, stop

    def write(self) -> tuple[int, int, int]:
        """Write all parts; return the numbers of rows, failures and parts."""
        records, notes = open_known(self.gallery.catalogue, self.vectors)
        chosen = np.flatnonzero(records.usable)
        failures = self.gallery.catalogue.failures()
        total = len(chosen) + len(failures)
        group = min(GROUP_ROWS, self.part_rows)
        written = parts = 0
        tables = self._tables(chosen, records, notes, failures, group)
        self.progress("writing", 0, total)
        while tables_of_part := list(islice(tables, max(1, self.part_rows // group))):
            if self.stop():
                raise StoppedError("Stopped while rows were written; nothing was exported.")
            self._write_part(parts, tables_of_part)
            parts += 1
            written += sum(table.num_rows for table in tables_of_part)
            self.progress("writing", written, total)
        return written, len(failures), parts

    def _tables(
        self,
        chosen: np.ndarray,
        records: Records,
        notes: Annotations,
        failures: list[ImageRecord],
        group: int,
    ) -> Iterator[pa.Table]:
        for start in range(0, len(chosen), group):
            yield self._good(chosen[start : start + group], records, notes)
        for start in range(0, len(failures), group):
            yield _failed(failures[start : start + group])

    def _good(self, rows: np.ndarray, records: Records, notes: Annotations) -> pa.Table:
        found = [records[row] for row in rows]
        known = [record for record in found if record is not None]  # all, since they are usable
        dim = self.vectors.matrix.shape[1]
        numbers = np.ascontiguousarray(self.vectors.matrix[rows]).reshape(-1)
        offsets = np.arange(0, len(numbers) + 1, dim, dtype=np.int32)
        columns = _columns(known)
        columns["embedding"] = pa.ListArray.from_arrays(offsets, pa.array(numbers, pa.float32()))
        columns["norm"] = pa.array(self.vectors.norms[rows], pa.float32())
        columns["label"] = pa.array([text or None for text in notes.labels.texts(rows)])
        columns["failure"] = pa.nulls(len(rows), pa.string())
        return _table(columns)

    def _write_part(self, number: int, tables: list[pa.Table]) -> None:
        import pyarrow.parquet as pq

        path = self.folder / f"part-{number:05}.parquet"
        with path.open("wb") as file:
            # numbers of embeddings repeat nowhere: a dictionary of them would only cost
            with pq.ParquetWriter(file, SCHEMA, use_dictionary=["label", "failure"]) as writer:
                for table in tables:
                    writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())


def _failed(failures: list[ImageRecord]) -> pa.Table:
    columns = _columns(failures)
    columns["embedding"] = pa.nulls(len(failures), pa.list_(pa.float32()))
    columns["norm"] = pa.nulls(len(failures), pa.float32())
    columns["label"] = pa.nulls(len(failures), pa.string())
    columns["failure"] = pa.array([record.failure for record in failures])
    return _table(columns)


def _columns(records: list[ImageRecord]) -> dict[str, pa.Array]:
    names = ("id", "width", "height", "sha256", "size", "mtime_ns")
    return {
        name: pa.array([getattr(each, name) for each in records], SCHEMA.field(name).type)
        for name in names
    }


def _table(columns: dict[str, pa.Array]) -> pa.Table:
    return pa.table([columns[name].cast(SCHEMA.field(name).type) for name in SCHEMA.names], SCHEMA)
