"""A finished folder of embeddings, read back block by block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aina_core.errors import DamagedError, InputError, ModelError
from aina_core.exchange.layout import MANIFEST, SCHEMA, parts, read_manifest
from aina_core.exchange.source import MOST_DIM, Block, File, rows_for
from aina_core.models import ModelName, checksum, is_external, valid_external

_UNIT = 1e-3  # how far a row's length may be from 1
_BUFFER = 1 << 20
# what a column of vectors may hold: so often their length, in so many bytes each, and this besides
_LONGER, _NUMBER_BYTES, _SLACK = 4, 16, 16 << 20


class Folder:
    """What `spark-index` and `export` write, as a source; see `source.Source`.

    Args:
        path: the folder.

    Raises:
        InputError: it is not finished, or of a model that is not known here, or has other weights.
        DamagedError: its manifest cannot be read, or contradicts itself.
    """

    has_files = True

    def __init__(self, path: Path) -> None:
        manifest = read_manifest(path)
        self.name, self._path = path.name or str(path), path
        self.model, self.dim = str(manifest["model"]), int(manifest["dim"])
        self.fingerprint = manifest["fingerprint"]
        self.computed_on = [str(place) for place in manifest["computed_on"]]
        self.versions = manifest["versions"]
        self.root = None if manifest["root"] is None else Path(manifest["root"])
        self.count, self._failed = int(manifest["rows"]), int(manifest["failed"])
        named = (self.fingerprint.get("model"), self.fingerprint.get("dim"))
        if named != (self.model, self.dim) or self.dim < 1:
            raise DamagedError(
                f"{MANIFEST} in {path} contradicts itself: it is of {self.model} with {self.dim} "
                f"numbers, its fingerprint of {named[0]} with {named[1]}."
            )
        if self.dim > MOST_DIM:
            raise InputError(
                f"The vectors of {self.name} have {self.dim:,} numbers; 1 to {MOST_DIM:,} can be "
                "imported."
            )
        self.verified = self._check_model()

    def _check_model(self) -> bool:
        """Return whether this machine's own weights of the model made the vectors."""
        if is_external(self.model):
            valid_external(self.model)
            return False
        name = ModelName.parse(self.model)
        if name.components or "reduced" in self.fingerprint:
            raise InputError(
                f"{self.name} has reduced vectors, of {self.model}, whose axes belong to another "
                f"gallery; import those of {name.source}, and reduce them here."
            )
        if name.spec().dim != self.dim:
            raise InputError(
                f"{self.name} has {self.dim} numbers a vector, but {self.model} has "
                f"{name.spec().dim} here; it was made by another model of that name."
            )
        return self._check_weights(name) and "imported" not in self.fingerprint

    def _check_weights(self, name: ModelName) -> bool:
        """Return whether the weights are this machine's own; False where that is unknown."""
        theirs = self.fingerprint.get("weights")
        try:
            ours = checksum(name.spec().weights.locate())
        except ModelError:  # there are none here
            return False
        if theirs is not None and theirs != ours:
            raise InputError(
                f"{self.name} was made by {self.model} with other weights ({str(theirs)[:12]}…) "
                f"than this machine has ({ours[:12]}…), so queries would not fit its vectors; put "
                "those weights here, or embed the images again by these."
            )
        return theirs is not None

    def blocks(self) -> Iterator[Block]:
        """Yield all rows; see `Source.blocks`.

        Raises:
            DamagedError: the files do not hold what the manifest says.
        """
        total = failed = 0
        for path in parts(self._path):
            check_sizes(path, "embedding", self.dim)
            for batch in batches(path, SCHEMA.names, rows_for(self.dim)):
                if len(batch):
                    block = self._block(batch, path)
                    total += len(block.ids)
                    failed += sum(failure is not None for failure in block.failures)
                    yield block
        if (total, failed) != (self.count, self._failed):
            raise DamagedError(
                f"{self._path} has {total:,} rows, {failed:,} of them failures, but its {MANIFEST} "
                f"says {self.count:,} and {self._failed:,}; it is incomplete."
            )

    def _block(self, batch: pa.RecordBatch, path: Path) -> Block:
        with reading(path):
            return self._read(batch, path.name)

    def _read(self, batch: pa.RecordBatch, part: str) -> Block:
        found = {name: batch.column(name) for name in SCHEMA.names}
        ids = found["id"].to_pylist()
        failures = found["failure"].to_pylist()
        lengths = found["embedding"].value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
        good = np.array([failure is None for failure in failures])
        if None in ids or not (lengths[good] == self.dim).all() or (lengths[~good] > 0).any():
            raise self._damaged(part, "a row without an id, or a vector of another length")
        rows = vectors_of(found["embedding"], good, self.dim).astype(np.float32, copy=False)
        norms = found["norm"].to_numpy(zero_copy_only=False)  # null is not a number
        if not (abs(np.vecdot(rows, rows)[good] - 1) < _UNIT).all():  # not so for NaN either
            raise self._damaged(part, "a vector that is not of unit length")
        if not (np.isfinite(norms) & (norms >= 0))[good].all():
            raise self._damaged(part, "the length of a vector that cannot be one")
        numbers = (found[name].fill_null(0).to_pylist() for name in _NUMBERS)
        files = [File(*each) for each in zip(_texts(found["sha256"]), *numbers, strict=True)]
        return Block(ids, rows, norms, failures, files, _texts(found["label"]))

    def _damaged(self, part: str, what: str) -> DamagedError:
        return DamagedError(f"{part} in {self._path} is damaged: it has {what}.")


_NUMBERS = ("size", "mtime_ns", "width", "height")


def _texts(column: pa.Array) -> list[str]:
    return column.fill_null("").to_pylist()


def check_sizes(path: Path, column: str, dim: int) -> None:
    """Refuse a Parquet file of which a few rows could fill the memory, before any are read.

    Args:
        path: the file.
        column: of the vectors.
        dim: their length; that some are a few times as long is no harm.

    Raises:
        InputError: it says of itself that it holds more numbers, or more bytes for them.
    """
    import pyarrow.parquet as pq

    with reading(path):
        metadata = pq.read_metadata(path)
        names = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
        places = [at for at, name in enumerate(names) if f"{name}.".startswith(f"{column}.")]
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            for found in map(group.column, places):
                most = _LONGER * dim * group.num_rows + _SLACK
                size = found.total_uncompressed_size
                if found.num_values > most or size > _NUMBER_BYTES * found.num_values + _SLACK:
                    raise InputError(
                        f"{path.name} holds {found.num_values:,} numbers in {size:,} bytes for "
                        f"{group.num_rows:,} vectors in its column {column}, but these should have "
                        f"{dim:,} numbers each; write it again with vectors of one length."
                    )


def batches(path: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a Parquet file, a few rows at a time.

    Args:
        path: the file.
        columns: their names.
        rows: how many at a time at most.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    import pyarrow.parquet as pq

    with reading(path), pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
        check_columns(path, file.schema_arrow, columns)
        if set(columns) == set(SCHEMA.names):
            _check_schema(path, file.schema_arrow)
        yield from file.iter_batches(rows, columns=columns, use_threads=False)


def check_columns(path: Path, schema: pa.Schema, columns: list[str]) -> None:
    """Refuse a file in which a column is missing or occurs more than once.

    Raises:
        InputError: one does.
    """
    names = schema.names
    for name in columns:
        if name not in names:
            raise InputError(
                f"{path.name} has no column {name!r}; it has: {', '.join(names[:12]) or 'none'}."
            )
        if names.count(name) > 1:
            raise InputError(
                f"{path.name} has {names.count(name)} columns {name!r}; give them different names."
            )


def _check_schema(path: Path, schema: pa.Schema) -> None:
    """Refuse columns of other kinds; names of list items differ between writers.

    Raises:
        InputError: one is.
    """
    for field in SCHEMA:
        given = schema.field(field.name).type
        if not (given == field.type or (pa.types.is_list(given) and _floats(given, field.type))):
            raise InputError(
                f"The column {field.name} of {path.name} is {given}; {field.type} was expected."
            )


def _floats(given: Any, expected: Any) -> bool:
    return pa.types.is_list(expected) and given.value_type == expected.value_type


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one sentence what is wrong with a file of Arrow's.

    Raises:
        InputError: it cannot be read.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        detail = (str(error).strip().splitlines() or ["?"])[0].rstrip(".")
        raise InputError(f"{path.name} cannot be read as Parquet: {detail}.") from None


def vectors_of(column: pa.Array, good: np.ndarray, dim: int) -> np.ndarray:
    """Return the vectors of a column of lists; rows of zeros where they are not good.

    Args:
        column: lists of floats, m of them.
        good: bool (m,), which have `dim` numbers.
        dim: length of an embedding.

    Returns:
        Floats of the column's own width, (m, dim).
    """
    values = column.values.to_numpy(zero_copy_only=False)
    starts = column.offsets.to_numpy()
    if good.all():
        return values[starts[0] : starts[-1]].reshape(len(column), dim)
    rows = np.zeros((len(column), dim), values.dtype)
    rows[good] = values[starts[:-1][good][:, None] + np.arange(dim)]
    return rows
