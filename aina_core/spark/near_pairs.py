"""The pairs of embeddings that reach a threshold: found by tasks, gathered on the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from aina_core.duplicates.indexed import too_many
from aina_core.duplicates.pairs import MOST_PAIRS, Pairs, ordered
from aina_core.errors import StoppedError
from aina_core.spark.block_pairs import pairs_between, pairs_by_index
from aina_core.spark.blocks import Cut, chunked
from aina_core.spark.embeddings import Opened, Steps
from aina_core.spark.neighbour_tasks import asked, filled, paired, searched

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PAIRS = "first bigint, second bigint, similarity float"


def find_pairs(steps: Steps, opened: Opened, cut: Cut, threshold: float, method: str) -> Pairs:
    """The pairs that reach the threshold, on the driver.

    Raises:
        InputError: they are too many.
    """
    sent, join = (paired, _within_reach) if method == "exact" else (asked, _reached)
    # through the indexes a pair is found from both of its rows
    most = MOST_PAIRS * (1 if method == "exact" else 2)
    counted = steps.spark.sparkContext.accumulator(0)
    work = partial(join, cut.starts, cut.dim, threshold)

    def told(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in work(batches):
            counted.add(len(batch))
            yield batch

    found: DataFrame = sent(chunked(opened.rows, cut), cut).mapInArrow(told, _PAIRS)
    watched = Steps(steps.spark, steps.progress, lambda: steps.stop() or counted.value > most)
    try:
        table = watched("comparing", found.toArrow)
    except StoppedError:
        if counted.value > most:
            raise too_many(threshold, MOST_PAIRS) from None
        raise
    pairs = ordered_pairs([table.column(at).to_numpy() for at in range(3)], threshold, method)
    if len(pairs) > MOST_PAIRS:
        raise too_many(threshold, MOST_PAIRS)
    return pairs


def ordered_pairs(found: Any, threshold: float, method: str) -> Pairs:
    first, second, near = found
    turn = np.zeros(len(first), np.int8)
    parts = np.asarray(first, np.int64), np.asarray(second, np.int64), np.asarray(near, np.float32)
    return ordered(*parts, turn, threshold, method)


def _within_reach(
    starts: tuple[int, ...], dim: int, threshold: float, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The pairs of two blocks, or of one with itself."""
    blocks = filled(starts, dim, batches)
    if not blocks:
        return
    (one, left), (other, right) = blocks[0], blocks[-1]
    first, second, near = pairs_between(
        left, None if one == other else right, threshold, MOST_PAIRS
    )
    yield _found(first + starts[one], second + starts[other], near)


def _reached(
    starts: tuple[int, ...], dim: int, threshold: float, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The pairs of all rows with one block's, by its index."""
    for index, queries, number, first_row in searched(starts, dim, batches):
        own, others, near = pairs_by_index(index, queries, threshold, MOST_PAIRS)
        own, others = own + number, others + first_row
        different = own != others
        low, high = np.minimum(own, others)[different], np.maximum(own, others)[different]
        yield _found(low, high, near[different])


def _found(first: np.ndarray, second: np.ndarray, near: np.ndarray) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"first": pa.array(first), "second": pa.array(second), "similarity": pa.array(near)}
    )
