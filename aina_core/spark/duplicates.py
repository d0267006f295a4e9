"""`spark_duplicates`: the duplicates in a folder of embeddings, found by Spark.

Tasks find the pairs that reach the threshold. Those are few: the driver collects them and groups
them in the same way as a gallery's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from aina_core.duplicates import Pair, Pairs, check_threshold
from aina_core.duplicates.groups import Grouped, complete_link
from aina_core.duplicates.indexed import too_many
from aina_core.duplicates.keep import WITHOUT_PICTURES, by_rule
from aina_core.duplicates.pairs import MOST_PAIRS, TURNS, ordered
from aina_core.errors import StoppedError, UnknownNameError
from aina_core.gallery import ImageRecord
from aina_core.progress import Progress, Stop, never, silent
from aina_core.spark.block_pairs import pairs_between, pairs_by_index
from aina_core.spark.blocks import Cut, chunked, numbered
from aina_core.spark.embeddings import Opened, Steps, open_embeddings
from aina_core.spark.neighbour_tasks import asked, filled, paired, searched
from aina_core.spark.neighbours import FORMAT, check_method, check_places, cut_for
from aina_core.spark.outputs import Output, check_written, open_output
from aina_core.spark.places import public
from aina_core.spark.session import session
from aina_core.spark.steps import mendable

_RESULT = pa.schema(
    [
        ("first", pa.string()),
        ("second", pa.string()),
        ("similarity", pa.float32()),
        # of those that stand in no common group, null both
        ("group", pa.int32()),
        ("keep", pa.string()),
    ]
)
_PAIRS = "first bigint, second bigint, similarity float"
_WRITTEN = 500_000  # pairs handed to Spark at a time
_LATEST = 2**63 - 1


@dataclass(frozen=True)
class FoundGroup:
    """Images that all reach the threshold with each other.

    Attributes:
        ids: in their order.
        weakest: the pair that is least alike.
        keep: the id of the image to keep.
    """

    ids: tuple[str, ...]
    weakest: Pair
    keep: str


@dataclass(frozen=True)
class DuplicatesReport:
    """The outcome of a job.

    Attributes:
        rows: embeddings that were compared.
        method: "exact" or "annoy".
        threshold: from which similarity.
        pairs: how many pairs reach it.
        groups: as a gallery's.
        between: pairs that reach it without a group in common.
        seconds: from the first task to the finished folder.
        pairs_per_second: the pairs of rows that there are, by `seconds`.
        start_seconds: before: Spark's start.
        model: the model's full name.
        out: where the pairs are.
    """

    rows: int
    method: str
    threshold: float
    pairs: int
    groups: tuple[FoundGroup, ...]
    between: tuple[Pair, ...]
    seconds: float
    pairs_per_second: float
    start_seconds: float
    model: str
    out: str


def check_rule(rule: str) -> None:
    """Refuse an unknown rule for what to keep, or one that needs pictures.

    Raises:
        UnknownNameError: no such rule.
    """
    if rule not in WITHOUT_PICTURES:
        raise UnknownNameError("rule without pictures for what to keep", rule, WITHOUT_PICTURES)


def spark_duplicates(
    embeddings: str,
    threshold: float,
    out: str,
    *,
    method: str = "exact",
    rule: str = "largest",
    master: str | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    stop: Stop = never,
) -> DuplicatesReport:
    """Find the pairs of embeddings that reach a threshold by Spark, and group them.

    The rows of the results are pairs: first, second, similarity, and where both stand in one group
    its number and the id of its image to keep.

    Args:
        embeddings: a finished folder of `spark-index` or `export`; a path or a location.
        threshold: the least similarity.
        out: where the pairs go. Nothing is readable there before the end.
        method: "exact" or "annoy".
        rule: one of `keep.WITHOUT_PICTURES`.
        master: see `session`.
        settings: of Spark.
        overwrite: replace finished results.
        progress: told of every phase.
        stop: when it returns True, the job is cancelled and leaves nothing.

    Raises:
        InputError: more than `MOST_PAIRS` pairs reach the threshold.
        AinaError: see `open_embeddings`, `session`, `outputs.open_output`.
        StoppedError: it was asked to stop.
    """
    started = time.monotonic()
    check_method(method)
    check_rule(rule)
    check_threshold(threshold)
    check_places(embeddings, out, _RESULT.names, overwrite=overwrite)
    progress("starting Spark", 0, 0)
    with session(master, "AINA: duplicates", settings) as spark:
        opened = open_embeddings(spark, embeddings)
        output = open_output(spark, out, _RESULT.names, kind="duplicates", overwrite=overwrite)
        try:
            steps = Steps(spark, progress, stop)
            starting = time.monotonic() - started
            return find(steps, opened, threshold, method, rule, output, public(out), starting)
        except BaseException as error:
            output.abandon()
            raise mendable(error, spark.sparkContext.master) from None


def find(
    steps: Steps,
    opened: Opened,
    threshold: float,
    method: str,
    rule: str,
    output: Output,
    out: str,
    starting: float,
) -> DuplicatesReport:
    """Find, group and write in an existing session; see `spark_duplicates`."""
    begun = time.monotonic()
    if opened.count:
        cut = cut_for(steps, opened, method)
        pairs = _find_pairs(steps, opened, cut, threshold, method)
        records = steps("looking at their ids", lambda: _records(opened, cut, pairs))
    else:
        pairs, records = _ordered_pairs(np.empty((3, 0)), threshold, method), {}
    steps.progress("grouping", 0, 0)
    grouped = complete_link(pairs)
    named = _Named(pairs, records, rule)
    groups = tuple(named.group(group.rows, group.place) for group in grouped.groups)
    steps("writing", lambda: _write(steps, named, grouped, groups, output))
    steps("counting", lambda: check_written(steps.spark, output, len(pairs)))
    output.finish(
        {
            **opened.described(),
            **{"format": FORMAT, "kind": "duplicates", "method": method, "keep": rule},
            **{"threshold": threshold, "pairs": len(pairs), "groups": len(groups)},
        }
    )
    seconds = time.monotonic() - begun
    return DuplicatesReport(
        rows=opened.count,
        method=method,
        threshold=threshold,
        pairs=len(pairs),
        groups=groups,
        between=tuple(named.pair(at) for at in grouped.between),
        seconds=round(seconds, 3),
        pairs_per_second=round(opened.count * (opened.count - 1) / 2 / seconds, 1),
        start_seconds=round(starting, 3),
        model=opened.manifest["model"],
        out=out,
    )


def _records(opened: Opened, cut: Cut, pairs: Pairs) -> dict[int, ImageRecord]:
    """What is known of the images of pairs, by their numbers."""
    numbers = np.unique(np.concatenate([pairs.first, pairs.second]))
    spark = opened.rows.sparkSession
    wanted = spark.createDataFrame(pa.table({"number": pa.array(numbers, pa.int64())}))
    known = numbered(opened.rows, cut, "width", "height", "size", "mtime_ns")
    table = known.join(wanted, "number", "semi").toArrow()
    columns = {name: table.column(name).to_pylist() for name in table.schema.names}
    found = {}
    for at, number in enumerate(columns["number"]):
        width, height, size = (columns[name][at] or 0 for name in ("width", "height", "size"))
        changed = columns["mtime_ns"][at] or _LATEST
        found[number] = ImageRecord(columns["id"][at], size, changed, "", width, height)
    return found


class _Named:
    """Pairs by ids."""

    def __init__(self, pairs: Pairs, records: Mapping[int, ImageRecord], rule: str) -> None:
        self.pairs, self.records, self._rule = pairs, records, rule

    def pair(self, at: int) -> Pair:
        first, second, near, turn = (part[at] for part in self.pairs.parts)
        ids = self.records[int(first)].id, self.records[int(second)].id
        return Pair(*ids, float(near), TURNS[int(turn)])

    def group(self, rows: tuple[int, ...], weakest: int) -> FoundGroup:
        records = [self.records[row] for row in rows]
        kept = by_rule(None, records, self._rule)
        return FoundGroup(tuple(record.id for record in records), self.pair(weakest), kept)


def _write(
    steps: Steps, named: _Named, grouped: Grouped, groups: tuple[FoundGroup, ...], output: Output
) -> None:
    group_of = {row: at for at, group in enumerate(grouped.groups) for row in group.rows}
    for start in range(0, max(1, len(named.pairs)), _WRITTEN):
        part = slice(start, start + _WRITTEN)
        ends = [rows[part].tolist() for rows in (named.pairs.first, named.pairs.second)]
        common = [
            one if one is not None and one == group_of.get(second) else None
            for first, second in zip(*ends, strict=True)
            for one in [group_of.get(first)]
        ]
        table = pa.table(
            [
                *([named.records[row].id for row in rows] for rows in ends),
                named.pairs.similarity[part],
                [None if at is None else at + 1 for at in common],
                [None if at is None else groups[at].keep for at in common],
            ],
            schema=_RESULT,
        )
        frame = steps.spark.createDataFrame(table)
        frame.coalesce(1).write.mode("append").parquet(output.target)


def _find_pairs(steps: Steps, opened: Opened, cut: Cut, threshold: float, method: str) -> Pairs:
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

    found = sent(chunked(opened.rows, cut), cut).mapInArrow(told, _PAIRS)
    watched = Steps(steps.spark, steps.progress, lambda: steps.stop() or counted.value > most)
    try:
        table = watched("comparing", found.toArrow)
    except StoppedError:
        if counted.value > most:
            raise too_many(threshold, MOST_PAIRS) from None
        raise
    pairs = _ordered_pairs([table.column(at).to_numpy() for at in range(3)], threshold, method)
    if len(pairs) > MOST_PAIRS:
        raise too_many(threshold, MOST_PAIRS)
    return pairs


def _ordered_pairs(found: Any, threshold: float, method: str) -> Pairs:
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
