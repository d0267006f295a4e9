"""The rows that a job writes, and the check that they are complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aina_core.spark.sources import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: `exchange.SCHEMA`, as Spark calls it.
COLUMNS = (
    "id string, embedding array<float>, norm float, width int, height int, label string, "
    "failure string, sha256 string, size bigint, mtime_ns bigint"
)


def write(rows: DataFrame, target: str) -> None:
    """Append rows to an output; a task that is tried twice adds those of one try."""
    # hardly two numbers of an embedding are the same
    plain = "parquet.enable.dictionary#embedding.list.element"
    rows.write.mode("append").option(plain, "false").parquet(target)


def complete(spark: SparkSession, source: Source, target: str) -> tuple[int, int]:
    """Append rows for files that Spark skipped silently, and count all rows.

    Returns:
        How many rows are there, and how many of them failed.
    """
    count, failed = _count(spark, target)
    if count < source.count and source.missing is not None:
        done = _read(spark, target).select("id")
        write(_passed_over(source.missing(done)).coalesce(1), target)
        count, failed = _count(spark, target)
    return count, failed


def _read(spark: SparkSession, target: str) -> DataFrame:
    return spark.read.schema(COLUMNS).parquet(target)


def _count(spark: SparkSession, target: str) -> tuple[int, int]:
    from pyspark.sql import functions as f

    told = _read(spark, target).agg(f.count("*"), f.count("failure")).first()
    assert told is not None
    return int(told[0]), int(told[1])


def _passed_over(files: DataFrame) -> DataFrame:
    """Rows of `COLUMNS` for files that Spark could not read, given as id, size, mtime_ns."""
    from pyspark.sql import functions as f

    known = files.withColumn("failure", f.lit("cannot be read by Spark"))
    fields = [field.split() for field in COLUMNS.split(", ")]
    return known.select(
        *(
            f.col(name) if name in known.columns else f.lit(None).cast(kind).alias(name)
            for name, kind in fields
        )
    )
