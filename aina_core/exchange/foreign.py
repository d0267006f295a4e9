"""Vectors computed elsewhere: an npy file with a file of ids, or Parquet with both."""

from __future__ import annotations

import itertools
import tokenize
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aina_core.errors import InputError
from aina_core.exchange.layout import SCHEMA, parts
from aina_core.exchange.own import batches, check_columns, check_sizes, reading, vectors_of
from aina_core.exchange.source import MOST_DIM, Block, File, rows_for, unit_rows
from aina_core.models import ModelName, is_external, valid_external

#: Names of columns that are tried, in this order.
VECTOR_COLUMNS = ("embedding", "embeddings", "vector", "vectors", "emb")
ID_COLUMNS = ("id", "image_id", "path", "filename", "file_name", "file")

_ID_KINDS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_integer,
)
# what numpy raises on a file that is not in its format, or whose header is malformed
_NO_ARRAY = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
_MAX_LINE = 1 << 16
_SHOWN = 12
_FEW = 16  # rows that are looked at for the length of the first vector


class Elsewhere:
    """What sources of other people's vectors share; see `source.Source`.

    Args:
        path: the file, or folder.
        model: a registered model, or `external:NAME`.

    Raises:
        InputError: the model is unknown, or its vectors have another length.
    """

    computed_on: list[str]
    fingerprint: Mapping[str, Any]
    versions: Mapping[str, str]
    root: Path | None = None
    has_files = False
    verified = False

    def __init__(self, path: Path, model: str) -> None:
        self.name, self._path = path.name or str(path), path
        self.model = valid_external(model) if is_external(model) else _registered(model)
        self.computed_on, self.versions = ["elsewhere"], {}
        self.dim, self.count = self._measure()
        if not 1 <= self.dim <= MOST_DIM:
            raise InputError(
                f"The vectors of {self.name} have {self.dim} numbers; 1 to {MOST_DIM:,} can be "
                "imported."
            )
        if not is_external(self.model):
            expected = ModelName.parse(self.model).spec().dim
            if expected != self.dim:
                raise InputError(
                    f"The vectors of {self.name} have {self.dim} numbers, those of {self.model} "
                    f"{expected}; name the model that made them, or external:NAME for one that "
                    "AINA does not have."
                )
        # no weights: whether these are the model's own cannot be told
        self.fingerprint = {"model": self.model, "dim": self.dim, "imported": True}

    def _measure(self) -> tuple[int, int]:
        """Return the length of an embedding, and how many rows there are."""
        raise NotImplementedError

    def _made(self, ids: list[str], vectors: np.ndarray, wrong: Sequence[str | None]) -> Block:
        """Make a block of vectors, some of them already known to be unusable."""
        rows, norms, failures = unit_rows(vectors)
        told = [other or own for other, own in zip(wrong, failures, strict=True)]
        nothing = [""] * len(ids)
        return Block(ids, rows, norms, told, [File()] * len(ids), nothing)


def _registered(model: str) -> str:
    try:
        name = ModelName.parse(model)
    except InputError as error:
        reason = str(error).rstrip(".")
        raise InputError(
            f"{reason}; vectors of a model that AINA does not have are named external:NAME."
        ) from None
    if name.components:
        raise InputError(
            f"{name} is of reduced vectors, which are made of a gallery's own; import those of "
            f"{name.source}."
        )
    return str(name)


class Npy(Elsewhere):
    """An array (n, d) in a file of its own.

    Args:
        path: the npy file; memory-mapped, never unpickled.
        model: see `Elsewhere`.
        ids: a text file with an id a line; None for "row 0000001" and so on.
    """

    def __init__(self, path: Path, model: str, ids: Path | None = None) -> None:
        self._ids = ids
        super().__init__(path, model)

    def _measure(self) -> tuple[int, int]:
        count, dim = self._open().shape
        if self._ids is not None:
            lines = sum(1 for _ in self._lines(self._ids))
            if lines != count:
                raise InputError(
                    f"{self._ids.name} has {lines:,} ids, but {self.name} has {count:,} rows; give "
                    "a line for each row."
                )
        return dim, count

    def _open(self) -> np.ndarray:
        try:
            array = np.load(self._path, mmap_mode="r", allow_pickle=False)
        except _NO_ARRAY as error:
            detail = (str(error).strip().splitlines() or ["?"])[0].rstrip(".")
            raise InputError(f"{self.name} cannot be read as npy: {detail}.") from None
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f":
            shape, kind = getattr(array, "shape", ()), getattr(array, "dtype", type(array).__name__)
            raise InputError(
                f"{self.name} has the shape {shape} and the type {kind}; rows of float16, float32 "
                "or float64 numbers were expected, (n, d)."
            )
        return array

    def blocks(self) -> Iterator[Block]:
        """Yield all rows; see `Source.blocks`."""
        digits = max(7, len(str(self.count)))
        ids = self._lines(self._ids) if self._ids is not None else None
        step = rows_for(self.dim)
        for start in range(0, self.count, step):
            # opened again: the pages of a map that was read through count as this process's memory
            vectors = np.array(self._open()[start : start + step])
            numbers = range(start + 1, start + len(vectors) + 1)
            if ids is None:
                named = [f"row {number:0{digits}}" for number in numbers]
            else:
                named = list(itertools.islice(ids, len(vectors)))
                if "" in named or len(named) < len(vectors):
                    line = numbers[named.index("")] if "" in named else numbers[len(named)]
                    raise InputError(f"Line {line:,} of the ids is empty; give each row an id.")
            yield self._made(named, vectors, [None] * len(vectors))

    def _lines(self, path: Path) -> Iterator[str]:
        try:
            with path.open(encoding="utf-8-sig", newline=None) as file:
                while line := file.readline(_MAX_LINE):
                    if len(line) == _MAX_LINE:
                        raise InputError(f"{path.name} has a line of over {_MAX_LINE:,} signs.")
                    yield line.rstrip("\n")
        except UnicodeDecodeError:
            raise InputError(f"{path.name} is not UTF-8; write the ids as UTF-8.") from None
        except OSError as error:
            raise InputError(f"{path.name} cannot be read: {error.strerror}.") from None


class Parquet(Elsewhere):
    """A Parquet file, or a folder of them, with a column of ids and one of vectors.

    Args:
        path: the file or folder.
        model: see `Elsewhere`.
        column: of the vectors: lists of floats; None for a usual name.
        id_column: of the ids; None for a usual name.
    """

    def __init__(
        self, path: Path, model: str, column: str | None = None, id_column: str | None = None
    ) -> None:
        self._asked, self._asked_id = column, id_column
        super().__init__(path, model)

    def _measure(self) -> tuple[int, int]:
        import pyarrow.parquet as pq

        self._parts = parts(self._path) if self._path.is_dir() else [self._path]
        if not self._parts:
            raise InputError(f"{self._path} holds no Parquet files; give a folder that does.")
        with reading(self._parts[0]):
            schema = pq.read_schema(self._parts[0])
            names = set(schema.names)
        if self._path.is_dir() and set(SCHEMA.names) <= names:
            raise InputError(
                f"{self._path} looks like embeddings of `spark-index` or `export` that were never "
                "finished; run that to its end first."
            )
        self._column = _choose(self._asked, VECTOR_COLUMNS, schema, "--column")
        self._id = _choose(self._asked_id, ID_COLUMNS, schema, "--id-column")
        check_columns(self._parts[0], schema, [self._id, self._column])
        kind = schema.field(self._id).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not any(check(kind) for check in _ID_KINDS):
            raise InputError(
                f"The column {self._id} of {self.name} is {kind}; texts or whole numbers were "
                "expected as ids; name the right one by --id-column."
            )
        count = 0
        for path in self._parts:
            with reading(path):
                count += pq.read_metadata(path).num_rows
        return self._first_length(schema.field(self._column).type), count

    def _first_length(self, kind: pa.DataType) -> int:
        """The length of the first vector; it is compared with the model's later."""
        self._check_kind(kind)
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        for path in self._parts:
            for batch in batches(path, [self._column], _FEW):
                self._check_kind(batch.column(0).type)
                for length in batch.column(0).value_lengths().to_pylist():
                    if length:
                        return int(length)
        raise InputError(f"The column {self._column} of {self.name} holds no vector.")

    def _check_kind(self, kind: Any) -> None:
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if not any(check(kind) for check in lists) or not pa.types.is_floating(kind.value_type):
            raise InputError(
                f"The column {self._column} of {self.name} is {kind}; lists of float16, float32 or "
                "float64 numbers were expected; name the right one by --column."
            )

    def blocks(self) -> Iterator[Block]:
        """Yield all rows; see `Source.blocks`.

        Raises:
            InputError: a row has no id.
        """
        done = 0
        for path in self._parts:
            check_sizes(path, self._column, self.dim)
            for batch in batches(path, [self._id, self._column], rows_for(self.dim)):
                if len(batch):
                    yield self._block(batch, path, done)
                    done += len(batch)

    def _block(self, batch: pa.RecordBatch, path: Path, done: int) -> Block:
        with reading(path):
            given = batch.column(self._id).to_pylist()
        for place, image_id in enumerate(given):
            if image_id is None or image_id == "":
                raise InputError(
                    f"Row {done + place + 1:,} of {self.name} has no id in the column {self._id}; "
                    "an import needs one for each."
                )
        column = batch.column(self._column)
        self._check_kind(column.type)
        with reading(path):
            column = column.cast(pa.large_list(column.type.value_type))
        lengths = column.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
        vectors = vectors_of(column, lengths == self.dim, self.dim)
        wrong = [self._wrong(length) for length in lengths.tolist()]
        return self._made([str(image_id) for image_id in given], vectors, wrong)

    def _wrong(self, length: int) -> str | None:
        if length == self.dim:
            return None
        if length < 0:
            return "it has no vector"
        return f"its vector has {length} numbers, not {self.dim}"


def _choose(asked: str | None, usual: Sequence[str], schema: pa.Schema, option: str) -> str:
    """The column to read.

    Raises:
        InputError: there is none of that name, or of a usual one.
    """
    listed = ", ".join(schema.names[:_SHOWN]) or "none"
    if asked is not None:
        if asked not in schema.names:
            raise InputError(f"There is no column {asked!r}; there are: {listed}.")
        return asked
    found = next((name for name in usual if name in schema.names), None)
    if found is None:
        raise InputError(
            f"No column is named {', '.join(usual)}; there are: {listed}; name it by {option}."
        )
    return found
