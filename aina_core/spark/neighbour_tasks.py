"""The nearest of every row among all: on Spark, exact or by an Annoy index of each block.

Exact: every two blocks are a task, so each pair of rows is compared once, for both its ends. Annoy:
every block is a task that builds an index of its rows and is asked for every row. Either way a
second stage merges what the tasks found, block by block, and none of it passes through the driver.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aina_core.errors import InputError
from aina_core.index import Index, open_index
from aina_core.spark.block_pairs import Found, nearest_among, nearest_between, nearest_within
from aina_core.spark.blocks import Cut, Filling, chunked, most_rows, numbered
from aina_core.spark.partials import PARTIAL, merged, pieces

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: How neighbours are found.
METHODS = ("exact", "annoy")
#: The columns of the results.
COLUMNS = ("id", "neighbour", "rank", "similarity")
#: More neighbours of a row than this are a matrix rather than a list.
MOST_K = 1000
#: A block with an index takes so many bytes at most, on the worker's disk.
INDEXED_BYTES = 1 << 30
#: An index of fewer rows finds no sooner than a comparison with all of them.
LEAST_INDEXED = 5000

#: A sample's vectors have so many numbers at most, and so many neighbours are kept of it.
SAMPLED_NUMBERS, SAMPLED_NEIGHBOURS = 1 << 24, 1 << 22

_BUFFERED = 4096  # rows that sampled queries are compared with at once


def check_k(k: int) -> None:
    """Refuse an impossible number of neighbours.

    Raises:
        InputError: it is below 1 or above `MOST_K`.
    """
    if not 1 <= k <= MOST_K:
        raise InputError(f"{k} neighbours were asked for; ask for 1 to {MOST_K:,}.")


def indexes_for(count: int, dim: int, cores: int, k: int = 0) -> int:
    """Return the number of indexed blocks that keeps every core busy and none too large.

    Args:
        count: how many rows.
        dim: length of an embedding.
        cores: how many tasks run at a time.
        k: neighbours that are kept of each row; 0 for none.
    """
    needed = math.ceil(count / most_rows(dim, k, INDEXED_BYTES))
    return max(1, needed, min(cores, count // LEAST_INDEXED))


def sample_for(size: int, dim: int, k: int) -> int:
    """Return on how many rows recall can be measured for a number of neighbours.

    Every task has them and their neighbours in memory, and the driver has them too.
    """
    return max(1, min(size, SAMPLED_NUMBERS // dim, SAMPLED_NEIGHBOURS // (k + 1)))


def exact_neighbours(rows: DataFrame, cut: Cut, k: int) -> DataFrame:
    """Return the exact k nearest of every row, as `FLAT`, a block a partition."""
    found = paired(chunked(rows, cut), cut).mapInArrow(
        partial(_join, cut.starts, cut.dim, k), PARTIAL
    )
    return merged(found, cut, k)


def annoy_neighbours(rows: DataFrame, cut: Cut, k: int) -> DataFrame:
    """Return the k nearest of every row that an Annoy index of each block finds, as `FLAT`."""
    found = asked(chunked(rows, cut), cut).mapInArrow(
        partial(_ask, cut.starts, cut.dim, k), PARTIAL
    )
    return merged(found, cut, k)


def paired(chunks: DataFrame, cut: Cut) -> DataFrame:
    """Send the chunks of every two blocks, and of each with itself, to a partition of their own.

    The column `task` is its number: of blocks (0, 0), (0, 1), … (1, 1), …
    """
    from pyspark.sql import functions as f

    every = f.explode(f.sequence(f.lit(0), f.lit(cut.count - 1)))
    low, high = f.least("block", "other"), f.greatest("block", "other")
    before = low * f.lit(2 * cut.count - 1) - low * low  # twice the tasks of lower blocks, less low
    task = ((before / 2).cast("int") + high).alias("task")
    sent = chunks.withColumn("other", every).select(task, "block", "place", "vectors")
    return sent.repartitionById(cut.count * (cut.count + 1) // 2, "task")


def tasks(count: int) -> list[tuple[int, int]]:
    """The two blocks of each task of `paired`, by its number."""
    return [(low, high) for low in range(count) for high in range(low, count)]


def asked(chunks: DataFrame, cut: Cut) -> DataFrame:
    """Send every chunk to every block's partition, the block's own chunks first.

    The column `task` is the number of that block.
    """
    from pyspark.sql import functions as f

    every = f.explode(f.sequence(f.lit(0), f.lit(cut.count - 1)))
    sent = chunks.withColumn("task", every).repartitionById(cut.count, "task")
    return sent.sortWithinPartitions(f.col("block") != f.col("task"), "block", "place")


def with_ids(flat: DataFrame, rows: DataFrame, cut: Cut) -> DataFrame:
    """Return `FLAT` by ids: `id`, `neighbour`, `rank` from 1 on, `similarity`, in this order."""
    ids = numbered(rows, cut)
    own = ids.withColumnRenamed("id", "own")
    other = ids.withColumnRenamed("id", "theirs").withColumnRenamed("number", "neighbour")
    named = flat.join(own, "number").join(other, "neighbour")
    placed = named.repartitionById(cut.count, "block").sortWithinPartitions("number", "rank")
    return placed.selectExpr("own AS id", "theirs AS neighbour", "rank", "similarity")


def records(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, int, int, pa.Buffer]]:
    """Yield task, block, place and vectors of the chunks of a task."""
    for batch in batches:
        tasks, blocks, places = (batch.column(n).to_pylist() for n in ("task", "block", "place"))
        vectors = batch.column("vectors")
        for at, (task, block, place) in enumerate(zip(tasks, blocks, places, strict=True)):
            yield task, block, place, vectors[at].as_buffer()


def filled(
    starts: tuple[int, ...], dim: int, batches: Iterable[pa.RecordBatch]
) -> list[tuple[int, np.ndarray]]:
    """Gather the one or two blocks of a task of `paired`: their numbers and vectors, ascending."""
    blocks: dict[int, Filling] = {}
    for _, block, place, vectors in records(batches):
        if block not in blocks:
            blocks[block] = Filling(starts[block + 1] - starts[block], dim)
        blocks[block].fill(place, vectors)
    return [(block, blocks[block].full()) for block in sorted(blocks)]


def _join(
    starts: tuple[int, ...], dim: int, k: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    blocks = filled(starts, dim, batches)
    if len(blocks) == 1:
        ((block, vectors),) = blocks
        yield from pieces(block, 0, nearest_within(vectors, starts[block], k))
    elif blocks:
        (one, left), (other, right) = blocks
        found = nearest_between(left, right, (starts[one], starts[other]), k)
        yield from pieces(one, 0, found[0])
        yield from pieces(other, 0, found[1])


def searched(
    starts: tuple[int, ...], dim: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[tuple[Index, np.ndarray, int, int]]:
    """Build the index of a task of `asked`, and yield the queries for it.

    The block's vectors and its index lie in a temporary folder of the worker, memory-mapped.

    Yields:
        The index; queries float32 (q, dim), of another block or, in the end, of its own; the number
        of the first of them, and that of the index's first row.
    """
    with tempfile.TemporaryDirectory(prefix="aina-annoy-") as name:
        index: Index | None = None
        vectors, first = np.empty((0, dim), np.float32), 0
        for task, block, place, data in records(batches):
            part = np.frombuffer(data, np.float32).reshape(-1, dim)
            if block == task:
                if not len(vectors):
                    first, shape = starts[task], (starts[task + 1] - starts[task], dim)
                    vectors = np.memmap(Path(name, "rows"), np.float32, "w+", shape=shape)
                vectors[place : place + len(part)] = part
            else:
                index = index or _indexed(vectors, name)
                yield index, part, starts[block] + place, first
        index = index or _indexed(vectors, name) if len(vectors) else None
        for start in range(0, len(vectors), _BUFFERED):
            assert index is not None
            yield index, np.array(vectors[start : start + _BUFFERED]), first + start, first


def _indexed(vectors: np.ndarray, folder: str) -> Index:
    # the checksum only tells the vectors of a folder from others
    return open_index("annoy", vectors, Path(folder), checksum="")


def _ask(
    starts: tuple[int, ...], dim: int, k: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for index, queries, number, first in searched(starts, dim, batches):
        own = np.arange(number, number + len(queries))
        numbers, near = index.search(queries, k + 1)
        numbers += first
        others = numbers != own[:, None]
        # without itself k are left; with k + 1 others, as of many equal rows, the last goes
        others[others.all(axis=1), k:] = False
        found = Found.nothing(len(own), k)
        rows, places = np.nonzero(others)
        rank = places - (~others).cumsum(axis=1)[rows, places]
        found.numbers[rows, rank], found.near[rows, rank] = (
            numbers[rows, places],
            near[rows, places],
        )
        block = int(np.searchsorted(starts, number, side="right")) - 1
        yield from pieces(block, number - starts[block], found)


def sampled(rows: DataFrame, cut: Cut, k: int, size: int) -> tuple[list[str], np.ndarray]:
    """Compare rows, chosen by their ids' hash, with all others.

    Returns:
        Their ids, `sample_for` many, and the similarity of the k-th nearest of each, float32 (s,);
        of the farthest where there are fewer.
    """
    from pyspark.sql import functions as f

    size = sample_for(size, cut.dim, k)
    first = rows.select("id", "embedding").orderBy(f.xxhash64("id")).limit(size)
    chosen = first.toArrow()
    queries = chosen.column("embedding").combine_chunks().flatten().to_numpy()
    queries = np.ascontiguousarray(queries.reshape(-1, cut.dim), np.float32)
    wanted = min(k, cut.starts[-1] - 1) + 1  # every row finds itself too
    among = partial(_among, queries, wanted)
    parts = chunked(rows, cut).mapInArrow(among, PARTIAL)
    # as if they were the rows of one block: a task merges what the blocks have for them
    of_sample = Cut((), (0, len(queries)), cut.dim)
    last = merged(parts, of_sample, wanted).where(f.col("rank") == wanted)
    found = last.select("number", "similarity").toArrow()
    kth = np.full(len(queries), -np.inf, np.float32)
    kth[found.column("number").to_numpy()] = found.column("similarity").to_numpy()
    return chosen.column("id").to_pylist(), kth


def _among(
    queries: np.ndarray, k: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The nearest of a few queries in one block."""
    whole, number = Found.nothing(len(queries), k), 0
    waiting: list[np.ndarray] = []
    for batch in batches:
        for at in range(len(batch)):
            data = batch.column("vectors")[at].as_buffer()
            waiting.append(np.frombuffer(data, np.float32).reshape(-1, queries.shape[1]))
        if sum(map(len, waiting)) >= _BUFFERED:
            whole, number = _among_these(whole, queries, waiting, number)
            waiting = []
    if waiting:
        whole, _ = _among_these(whole, queries, waiting, number)
    yield from pieces(0, 0, whole)


def _among_these(
    whole: Found, queries: np.ndarray, waiting: list[np.ndarray], number: int
) -> tuple[Found, int]:
    """Merge the neighbours of some rows, numbered within the task; return the next number too."""
    vectors = np.concatenate(waiting)
    found = nearest_among(queries, vectors, number, whole.near.shape[1])
    return whole.with_part(0, found), number + len(vectors)
