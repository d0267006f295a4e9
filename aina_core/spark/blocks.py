"""Rows of embeddings, numbered in the order of their ids and cut into blocks of about one size.

A row's number is its place among all ids in order, as a gallery's row is, so ties between equally
near rows fall on Spark as they do on one machine. It follows from the ids alone: a task that is
tried again numbers alike.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aina_core.errors import DamagedError, InputError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: A block takes so many bytes at most, and a task holds two.
BLOCK_BYTES = 96 << 20
#: The k nearest of a block's rows take so many bytes at most where they are merged.
FOUND_BYTES = 1 << 30
#: More blocks than this make more tasks than one Spark application schedules in reasonable time.
MOST_BLOCKS = 512
#: Blocks smaller than this cost more to move than to join.
LEAST_ROWS = 1000
_TASKS_A_CORE = 4
# Of so many ids for each block the borders are taken: then blocks differ by a few per cent.
_SAMPLED = 1000
_CHUNK_BYTES = 512 << 10
_UNIT = 1e-3  # how far a row's squared length may be from 1
_SEED = 0

CHUNK = "block int, place int, vectors binary"


@dataclass(frozen=True)
class Cut:
    """Where rows in the order of their ids are cut.

    Attributes:
        borders: the id that each block begins with, but for the first.
        starts: the number of each block's first row, and at the end the number of rows.
        dim: length of an embedding.
    """

    borders: tuple[str, ...]
    starts: tuple[int, ...]
    dim: int

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> list[int]:
        """How many rows each has."""
        return [end - start for start, end in zip(self.starts, self.starts[1:], strict=False)]


def cut_rows(rows: DataFrame, count: int, dim: int, wanted: int) -> Cut:
    """Cut rows into blocks.

    Args:
        rows: with a column `id`.
        count: how many there must be.
        dim: length of an embedding.
        wanted: how many blocks.

    Raises:
        DamagedError: there are more rows, or fewer.
    """
    share = min(1.0, 1.1 * _SAMPLED * wanted / max(1, count))
    ids = rows.select("id")
    if share < 1:
        ids = ids.sample(fraction=share, seed=_SEED)
    found = sorted(ids.toArrow().column("id").to_pylist())
    places = [len(found) * number // wanted for number in range(1, wanted)] if found else []
    borders = tuple(dict.fromkeys(found[place] for place in places))
    sizes = Counter(bisect.bisect_right(borders, key) for key in found)
    if share < 1:
        counted = rows.select(block_of(borders).alias("block")).groupBy("block").count().collect()
        sizes = Counter({int(row["block"]): int(row["count"]) for row in counted})
    starts = np.cumsum([0, *(sizes[number] for number in range(len(borders) + 1))])
    if starts[-1] != count:
        raise DamagedError(
            f"There are {starts[-1]:,} embeddings, but the manifest speaks of {count:,}; write "
            "the folder again."
        )
    return Cut(borders, tuple(starts.tolist()), dim)


def most_rows(dim: int, k: int, most_bytes: int) -> int:
    """Return the number of rows a block may have.

    Args:
        dim: length of an embedding.
        k: neighbours that are kept of each row; 0 for none.
        most_bytes: that the block's vectors may take.
    """
    return max(1, min(most_bytes // (4 * dim), FOUND_BYTES // (12 * max(k, 1))))


def blocks_for(count: int, dim: int, cores: int, k: int = 0) -> int:
    """Return the number of blocks that gives every core its share of the pairs of blocks.

    Args:
        count: how many rows.
        dim: length of an embedding.
        cores: how many tasks run at a time.
        k: neighbours that are kept of each row; 0 for none.

    Raises:
        InputError: there would be more than `MOST_BLOCKS`.
    """
    rows = most_rows(dim, k, BLOCK_BYTES)
    needed = math.ceil(count / rows)
    if needed > MOST_BLOCKS:
        most = MOST_BLOCKS * rows
        raise InputError(
            f"To compare every two of {count:,} embeddings is too much for one run: up to "
            f"{most:,} of length {dim} are compared; take --method annoy, or fewer dimensions."
        )
    useful = math.ceil(math.sqrt(2 * _TASKS_A_CORE * cores))
    return max(1, needed, min(useful, math.ceil(count / LEAST_ROWS)))


def block_of(borders: tuple[str, ...]) -> Column:
    """Return the number of a row's block as a column: how many borders its id has reached."""
    from pyspark.sql import functions as f

    if not borders:
        return f.lit(0)
    reached = f.filter(f.array(*map(f.lit, borders)), lambda border: border <= f.col("id"))
    return f.size(reached)


def chunked(rows: DataFrame, cut: Cut) -> DataFrame:
    """Return the vectors of rows with `id` and `embedding` in chunks, each of one block: `CHUNK`.

    `place` is that of the chunk's first row in its block, `vectors` are float32 (c, dim).
    """
    inside = _inside(rows.select("id", "embedding"), cut)
    return inside.mapInArrow(partial(_chunks, cut.dim), CHUNK)


def numbered(rows: DataFrame, cut: Cut, *columns: str) -> DataFrame:
    """Return the ids with their numbers, and further columns."""
    from pyspark.sql.types import LongType, StructType

    inside = _inside(rows.select("id", *columns), cut)
    schema = StructType(rows.select("id", *columns).schema.fields).add("number", LongType())
    return inside.mapInArrow(partial(_numbers, cut.starts), schema)


def _inside(rows: DataFrame, cut: Cut) -> DataFrame:
    """Partition by block, in the order of ids."""
    given = rows.withColumn("block", block_of(cut.borders))
    return given.repartitionById(cut.count, "block").sortWithinPartitions("id")


def _numbers(
    starts: tuple[int, ...], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    number = None
    for batch in batches:
        if not len(batch):
            continue
        if number is None:
            number = starts[batch.column("block")[0].as_py()]
        own = pa.array(np.arange(number, number + len(batch), dtype=np.int64))
        number += len(batch)
        names = [name for name in batch.schema.names if name != "block"]
        yield pa.RecordBatch.from_arrays(
            [*(batch.column(name) for name in names), own], [*names, "number"]
        )


def _chunks(dim: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    step, place = max(1, _CHUNK_BYTES // (4 * dim)), 0
    for batch in batches:
        if not len(batch):
            continue
        vectors = _vectors(batch, dim)
        block = batch.column("block")[0].as_py()
        for start in range(0, len(vectors), step):
            part = vectors[start : start + step]
            yield chunk(block, place, part.tobytes())
            place += len(part)


def chunk(block: int, place: int, vectors: bytes) -> pa.RecordBatch:
    """Return a record of `CHUNK`."""
    return pa.RecordBatch.from_pydict(
        {
            "block": pa.array([block], pa.int32()),
            "place": pa.array([place], pa.int32()),
            "vectors": pa.array([vectors], pa.binary()),
        }
    )


def _vectors(batch: pa.RecordBatch, dim: int) -> np.ndarray:
    """The embeddings of a batch, float32 (b, dim).

    Raises:
        DamagedError: one is no unit vector of that length.
    """
    column = batch.column("embedding")
    whole = column.value_lengths().to_numpy(zero_copy_only=False) == dim
    if whole.all() and column.flatten().null_count == 0:
        rows = column.flatten().to_numpy().reshape(-1, dim)
        whole = np.abs(np.vecdot(rows, rows) - 1) < _UNIT  # not so for NaN either
        if whole.all():
            return np.ascontiguousarray(rows, np.float32)
    at = int(np.argmin(whole))
    raise DamagedError(
        f"The embedding of {batch.column('id')[at].as_py()!r} is no vector of {dim} finite numbers "
        "of unit length; write the folder again."
    )


class Filling:
    """A block's vectors, filled chunk by chunk in whatever order they come."""

    def __init__(self, rows: int, dim: int) -> None:
        self.vectors = np.empty((rows, dim), np.float32)
        self._missing = rows

    def fill(self, place: int, data: pa.Buffer) -> None:
        """Put a chunk where it belongs."""
        part = np.frombuffer(data, np.float32).reshape(-1, self.vectors.shape[1])
        self.vectors[place : place + len(part)] = part
        self._missing -= len(part)

    def full(self) -> np.ndarray:
        """Return the vectors.

        Raises:
            DamagedError: some have not come.
        """
        if self._missing:
            raise DamagedError("The embeddings have changed while they were joined; run it again.")
        return self.vectors
