"""`spark_neighbours`: the nearest of every embedding of a folder, by Spark."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core.errors import InputError, StoppedError, UnknownNameError
from aina_core.progress import Progress, Stop, never, silent
from aina_core.spark.blocks import Cut, blocks_for, cut_rows
from aina_core.spark.embeddings import Opened, Steps, check_embeddings, open_embeddings
from aina_core.spark.neighbour_tasks import (
    COLUMNS,
    METHODS,
    annoy_neighbours,
    check_k,
    exact_neighbours,
    indexes_for,
    sampled,
    with_ids,
)
from aina_core.spark.outputs import Output, check_output, check_written, open_output, same_place
from aina_core.spark.places import literal, public
from aina_core.spark.session import session
from aina_core.spark.steps import mendable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FORMAT = 1
#: On so many rows the recall of an approximate join is measured.
SAMPLE = 1000
# Similarities nearer to each other than this are one: any of several equal rows is a hit.
_EQUAL = np.float32(1e-6)


@dataclass(frozen=True)
class NeighboursReport:
    """The outcome of a job.

    Attributes:
        rows: embeddings, each with its neighbours.
        k: neighbours of each, or all others where these are fewer.
        method: one of `METHODS`.
        recall_at_k: the share of the exact k nearest that were found, on `sampled` rows; None for
            the exact method.
        sampled: how many rows it was measured on.
        unmeasured: why recall could not be measured, where it could not; the results are whole.
        seconds: of the join, from the first task to the finished folder, without that measurement.
        pairs_per_second: the pairs of rows that there are, by `seconds`; the exact method compares
            them all.
        start_seconds: before: Spark's start.
        model: the model's full name.
        dim: length of its embeddings.
        out: where the results are.
    """

    rows: int
    k: int
    method: str
    recall_at_k: float | None
    sampled: int
    unmeasured: str | None
    seconds: float
    pairs_per_second: float
    start_seconds: float
    model: str
    dim: int
    out: str

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        return asdict(self)


def check_method(method: str) -> None:
    """Refuse an unknown method.

    Raises:
        UnknownNameError: no such method.
    """
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)


def spark_neighbours(
    embeddings: str,
    k: int,
    out: str,
    *,
    method: str = "exact",
    sample: int = SAMPLE,
    master: str | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    stop: Stop = never,
) -> NeighboursReport:
    """Find the k nearest of every embedding by Spark, into a folder of Parquet.

    Its rows are id, neighbour, rank from 1 on, similarity; in the order of the ids within a part.

    Args:
        embeddings: a finished folder of `spark-index` or `export`; a path or a location.
        k: how many, 1 to `MOST_K`.
        out: where the results go. Nothing is readable there before the end.
        method: one of `METHODS`.
        sample: on how many rows recall is measured at most, where the method is not exact (see
            `neighbours.sample_for`).
        master: see `session`.
        settings: of Spark.
        overwrite: replace finished results.
        progress: told of every phase.
        stop: when it returns True, the job is cancelled and leaves nothing.

    Raises:
        AinaError: see `open_embeddings`, `session`, `outputs.open_output`.
        StoppedError: it was asked to stop.
    """
    started = time.monotonic()
    check_method(method)
    check_k(k)
    if sample < 1:
        raise InputError(f"A sample of {sample} rows was asked for; give at least 1.")
    check_places(embeddings, out, COLUMNS, overwrite=overwrite)
    progress("starting Spark", 0, 0)
    with session(master, "AINA: neighbours", settings) as spark:
        opened = open_embeddings(spark, embeddings)
        output = open_output(spark, out, COLUMNS, kind="neighbours", overwrite=overwrite)
        try:
            steps = Steps(spark, progress, stop)
            starting = time.monotonic() - started
            return find(steps, opened, k, method, sample, output, public(out), starting)
        except BaseException as error:
            output.abandon()
            raise mendable(error, spark.sparkContext.master) from None


def check_places(embeddings: str, out: str, columns: Any, *, overwrite: bool) -> None:
    """Refuse places that cannot be read or written, before anything is started.

    Raises:
        InputError: they cannot, or are one.
        DamagedError: the manifest of the embeddings cannot be read.
    """
    check_embeddings(embeddings)
    if same_place(embeddings, out):
        raise InputError("The embeddings and --out are one place; give --out another folder.")
    check_output(out, columns, overwrite=overwrite)


def find(
    steps: Steps,
    opened: Opened,
    k: int,
    method: str,
    sample: int,
    output: Output,
    out: str,
    starting: float,
) -> NeighboursReport:
    """Find, write and measure in an existing session; see `spark_neighbours`."""
    if opened.count < 2:
        raise InputError(f"Neighbours need at least two embeddings; {opened.place} has fewer.")
    begun = time.monotonic()
    k = min(k, opened.count - 1)
    cut = cut_for(steps, opened, method, k)
    join = exact_neighbours if method == "exact" else annoy_neighbours
    found = with_ids(join(opened.rows, cut, k), opened.rows, cut)
    phase = "comparing" if method == "exact" else "asking the indexes"
    steps(phase, lambda: found.write.mode("append").parquet(output.target))
    # an index may find fewer than k of a row, but never none
    wanted, which = (opened.count * k, "true") if method == "exact" else (opened.count, "rank = 1")
    steps("counting", lambda: check_written(steps.spark, output, wanted, which))
    seconds = time.monotonic() - begun
    recall, size, unmeasured = None, 0, None
    if method != "exact":
        try:
            recall, size = steps(
                "measuring recall", lambda: _recall(steps.spark, opened, cut, k, sample, output)
            )
        except StoppedError:
            raise
        except Exception as error:  # whatever it was, hours of joining are not thrown away for it
            unmeasured = str(error) or type(error).__name__
    manifest = {
        **opened.described(),
        **{"format": FORMAT, "kind": "neighbours", "k": k, "method": method},
        **{"recall_at_k": recall, "sampled": size, "blocks": cut.count},
    }
    output.finish(manifest)
    return NeighboursReport(
        rows=opened.count,
        k=k,
        method=method,
        recall_at_k=recall,
        sampled=size,
        unmeasured=unmeasured,
        seconds=round(seconds, 3),
        pairs_per_second=round(opened.count * (opened.count - 1) / 2 / seconds, 1),
        start_seconds=round(starting, 3),
        model=opened.manifest["model"],
        dim=opened.dim,
        out=out,
    )


def cut_for(steps: Steps, opened: Opened, method: str, k: int = 0) -> Cut:
    """Cut the rows as a method wants them that keeps k neighbours of each, or none."""
    plan = blocks_for if method == "exact" else indexes_for
    wanted = plan(opened.count, opened.dim, steps.cores, k)
    return steps(
        "looking at the ids", lambda: cut_rows(opened.rows, opened.count, opened.dim, wanted)
    )


def _recall(
    spark: SparkSession, opened: Opened, cut: Cut, k: int, sample: int, output: Output
) -> tuple[float, int]:
    """The mean share of found neighbours that are as near as the exact k-th, and of how many rows.

    By similarity, so that any of several equal rows is a hit.
    """
    from pyspark.sql import functions as f

    ids, kth = sampled(opened.rows, cut, k, sample)
    places = {image_id: at for at, image_id in enumerate(ids)}
    written = spark.read.parquet(literal(output.target)).select("id", "similarity")
    found = written.where(f.col("id").isin(ids)).toArrow()
    at = np.array([places[image_id] for image_id in found.column("id").to_pylist()], np.int64)
    near = found.column("similarity").to_numpy()
    hits = int((near >= kth[at] - _EQUAL).sum()) if len(at) else 0
    return round(hits / (k * len(ids)), 6), len(ids)
