"""The results of a join's tasks, as they travel to the tasks that merge them, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aina_core.spark.block_pairs import Found
from aina_core.spark.blocks import Cut

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: What a task has found for some rows of a block, from a place on: int64 and float32 (rows, k).
PARTIAL = "block int, place int, numbers binary, near binary"
#: The k nearest of every row, by numbers; the block is that of the row.
FLAT = "block int, number bigint, rank int, neighbour bigint, similarity float"
_PIECE = 1 << 16  # neighbours in one record
_ROWS = 4096  # that are handed on at once


def pieces(block: int, place: int, found: Found) -> Iterator[pa.RecordBatch]:
    """Yield records of `PARTIAL` of a moderate size and number."""
    count, k = found.numbers.shape
    step = max(1, _PIECE // k)
    for start in range(0, count, step):
        part = slice(start, start + step)
        yield pa.RecordBatch.from_pydict(
            {
                "block": pa.array([block], pa.int32()),
                "place": pa.array([place + start], pa.int32()),
                "numbers": pa.array([found.numbers[part].tobytes()], pa.binary()),
                "near": pa.array([found.near[part].tobytes()], pa.binary()),
            }
        )


def merged(partials: DataFrame, cut: Cut, k: int) -> DataFrame:
    """Merge `PARTIAL`, a block a partition, into `FLAT`, in the order of the numbers."""
    sent = partials.repartitionById(cut.count, "block")
    return sent.mapInArrow(partial(_merge, cut.starts, k), FLAT)


def _merge(
    starts: tuple[int, ...], k: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Merge the results for the rows of one block, piece by piece as they arrive."""
    block, whole = -1, Found.nothing(0, k)
    for batch in batches:
        for at, place in enumerate(batch.column("place").to_pylist()):
            if block < 0:
                block = batch.column("block")[at].as_py()
                whole = Found.nothing(starts[block + 1] - starts[block], k)
            part = piece(batch, at, k)
            rows = slice(place, place + len(part.near))
            known = Found(whole.numbers[rows], whole.near[rows]).with_part(0, part)
            whole.numbers[rows], whole.near[rows] = known.numbers, known.near
    for start in range(0, len(whole.near), _ROWS):
        rows = slice(start, start + _ROWS)
        own, rank = np.nonzero(whole.numbers[rows] >= 0)
        yield pa.RecordBatch.from_pydict(
            {
                "block": pa.array(np.full(len(own), block, np.int32)),
                "number": pa.array(own + start + starts[block]),
                "rank": pa.array((rank + 1).astype(np.int32)),
                "neighbour": pa.array(whole.numbers[own + start, rank]),
                "similarity": pa.array(whole.near[own + start, rank]),
            }
        )


def piece(batch: pa.RecordBatch, at: int, k: int) -> Found:
    """Read one record of `PARTIAL`."""
    numbers, near = (batch.column(name)[at].as_buffer() for name in ("numbers", "near"))
    return Found(
        np.frombuffer(numbers, np.int64).reshape(-1, k),
        np.frombuffer(near, np.float32).reshape(-1, k),
    )
