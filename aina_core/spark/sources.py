"""What a job embeds: a folder, files on Spark's file systems, or a table; all as rows of one kind.

A row names one image and says where its bytes are:

    id, label           as the results will have them; the label null where there is none
    size, mtime_ns      of its file; null where the worker is to ask
    problem             why it cannot be read, known already; null else
    path, url, content  one of them: a file that workers reach, an address, or the bytes themselves
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from aina_core import images
from aina_core.errors import InputError
from aina_core.gallery.scan import walk
from aina_core.spark.places import Files, literal, local_path, public

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: The columns that workers are given, with Spark's types.
COLUMNS = {
    "id": "string",
    "label": "string",
    "size": "bigint",
    "mtime_ns": "bigint",
    "problem": "string",
    "path": "string",
    "url": "string",
    "content": "binary",
}
#: Images of one task: so many that starting it costs nothing beside them.
IMAGES_PER_TASK = 500
# Tasks of one core, at least: with few, the last one keeps the others waiting. With so few images
# in each that starting it would count, the lesser number does.
_TASKS_PER_CORE, _FEWEST_PER_CORE, _LEAST_IMAGES = 16, 4, 100
# Above so many tasks the driver is busy with them, and the results are too many files.
_MOST_TASKS = 20_000
_SLASHES = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):/+")
# What opening a file costs, as Spark wants it: in bytes that could be read meanwhile.
_OPENING_BYTES = 64 << 10


@dataclass(frozen=True)
class Source:
    """The images to embed.

    Attributes:
        rows: by `COLUMNS`, cut into tasks.
        ids: the column id of `rows`, cheap to compute.
        count: of the rows.
        root: the local folder of the images, or None.
        missing: what Spark passed over silently, as rows of id, size, mtime_ns, given the ids of
            the results; None where it passes over nothing.
    """

    rows: DataFrame
    ids: DataFrame
    count: int
    root: Path | None
    missing: Callable[[DataFrame], DataFrame] | None = None


def is_table(source: str) -> str | None:
    """Return "csv" or "parquet" if a place is named like a table; None for a folder."""
    suffix = re.search(r"\.(csv|tsv|parquet)/*$", source, re.IGNORECASE)
    if suffix is not None:
        return "parquet" if suffix[1].lower() == "parquet" else "csv"
    folder = local_path(source)
    if folder is not None and folder.is_dir() and any(folder.glob("part-*.parquet")):
        return "parquet"
    return None


def check_source(source: str) -> None:
    """Refuse a missing source, as far as that can be told before Spark is started.

    Raises:
        InputError: it is missing, or of a kind that no source has.
    """
    path = local_path(source)
    if path is None:
        return
    try:
        missing, folder = not path.exists(), path.is_dir()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    if missing:
        raise InputError(
            f"The source {path} is missing; give a folder of images, or a table (.csv, .parquet)."
        )
    if not folder and is_table(source) is None:
        raise InputError(
            f"The source {path} is a file; give a folder of images, or a table (.csv, .parquet)."
        )


@dataclass(frozen=True)
class FolderListing:
    """The contents of a folder on this machine.

    Attributes:
        folder: the path.
        table: id, size, mtime_ns, problem, path; each id once.
        unreadable: ids of sub-folders that could not be read.
    """

    folder: Path
    table: pa.Table
    unreadable: list[str]


def list_folder(folder: Path) -> FolderListing:
    """Read a folder as a gallery does: the same ids, the same failures.

    Raises:
        GalleryError: the folder is missing or cannot be read.
        InputError: it holds no images.
    """
    unreadable: list[str] = []
    columns: list[list[Any]] = [[] for _ in range(5)]
    for file in walk(folder, unreadable):
        path = None if file.problem else str(file.path)
        for column, value in zip(
            columns, (file.id, file.size, file.mtime_ns, file.problem, path), strict=True
        ):
            column.append(value)
    table = pa.table(
        {
            "id": pa.array(columns[0], pa.string()),
            "size": pa.array(columns[1], pa.int64()),
            "mtime_ns": pa.array(columns[2], pa.int64()),
            "problem": pa.array(columns[3], pa.string()),
            "path": pa.array(columns[4], pa.string()),
        }
    )
    if not table.num_rows:
        raise _empty(str(folder))
    # a name that is not UTF-8 is written with escapes, which another name may hold as they are
    known = pc.is_null(table["problem"])
    escaped, others = table.filter(pc.invert(known)), table.filter(known)
    twice = pc.is_in(escaped["id"], value_set=others["id"].combine_chunks())
    table = pa.concat_tables([others, escaped.filter(pc.invert(twice))])
    return FolderListing(folder, table, sorted(unreadable))


def folder_rows(spark: SparkSession, listing: FolderListing) -> Source:
    """Take the images of a folder on this machine; workers reach it by the same path."""
    frame: DataFrame = spark.createDataFrame(listing.table)
    count = listing.table.num_rows
    rows = complete(frame).repartition(tasks(spark, count), "id")
    return Source(rows, rows.select("id"), count, listing.folder)


def uri_rows(spark: SparkSession, uri: str) -> Source:
    """Take the images of a folder on any file system that Spark reads.

    Spark hands their bytes to the workers. It passes over names that begin with a dot or an
    underscore, and over links that lead nowhere.

    Raises:
        InputError: it is missing, cannot be reached, or holds no images.
    """
    from pyspark.sql import functions as f

    files = Files(spark, uri)
    if not files.exists():
        raise InputError(f"The source {public(uri)} is missing; give a folder of images.")
    root = files.qualified.rstrip("/") + "/"
    listed = _listing(spark, uri)
    told = listed.agg(f.count("*").alias("count"), f.sum("length").alias("bytes")).first()
    assert told is not None
    count, empty = int(told["count"]), _empty_files(spark, listed, files.qualified)
    if empty is not None:
        count += empty.count()
    if not count:
        raise _empty(public(uri))
    cut = tasks(spark, count)
    share = (int(told["bytes"] or 0) + count * _OPENING_BYTES) // cut + 1
    for key, value in {
        "spark.sql.files.openCostInBytes": _OPENING_BYTES,
        "spark.sql.files.maxPartitionBytes": share,
        "spark.sql.files.minPartitionNum": cut,
    }.items():
        spark.conf.set(key, str(value))
    named = [
        f.substring(f.col("path"), len(root) + 1, 1 << 30).alias("id"),
        f.col("length").alias("size"),
        (f.unix_micros("modificationTime") * 1000).alias("mtime_ns"),
    ]
    small = listed.where(f.col("length") <= images.MAX_BYTES)
    rows = complete(small.select(*named, "content"))
    known = listed.select(*named)
    if listed.where(f.col("length") > images.MAX_BYTES).limit(1).count():
        problem = f.lit(f"the file is over {images.MAX_BYTES >> 20} MB").alias("problem")
        large = listed.where(f.col("length") > images.MAX_BYTES).select(*named, problem)
        rows = rows.unionByName(complete(large))
    if empty is not None:
        rows = rows.unionByName(complete(empty.withColumn("content", f.lit(b""))))
        known = known.unionByName(empty)
    return Source(
        rows,
        known.select("id"),
        count,
        local_path(uri),
        lambda done: known.join(done, "id", "left_anti"),
    )


def _empty_files(spark: SparkSession, listed: DataFrame, root: str) -> DataFrame | None:
    """The files of a listing that Spark leaves out because they are empty, as id, size, mtime_ns.

    Args:
        spark: the session.
        listed: see `_listing`.
        root: the folder, as Spark writes it.
    """
    from pyspark.sql import functions as f
    from pyspark.sql.classic.column import Column

    jvm: Any = spark._jvm
    names: Any = listed._jdf.inputFiles()
    if len(names) == listed.count():
        return None
    # without a way through Python, which would take a call for each of them
    column = Column(jvm.org.apache.spark.sql.functions.lit(names))
    every = spark.range(1).select(f.explode(column).alias("value"))
    # encoded as in an address, but for its "+"; with one slash or three before a path
    decoded = f.url_decode(f.regexp_replace("value", r"\+", "%2B"))
    start = len(_SLASHES.sub(r"\1:/", root).rstrip("/")) + 2
    one = f.regexp_replace(decoded, _SLASHES.pattern, "$1:/")
    ids = every.select(f.substring(one, start, 1 << 30).alias("id"))
    seen = listed.select(f.substring("path", len(root.rstrip("/")) + 2, 1 << 30).alias("id"))
    nothing = f.lit(0).cast("bigint")
    return ids.join(seen, "id", "left_anti").select(
        "id", nothing.alias("size"), nothing.alias("mtime_ns")
    )


def _listing(spark: SparkSession, uri: str) -> DataFrame:
    """The files below a location that are named like pictures; contents are read on demand."""
    endings = ",".join(
        "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in suffix)
        for suffix in sorted(ending.lstrip(".") for ending in images.SUFFIXES)
    )
    return (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", f"*.{{{endings}}}")
        # a file that cannot be read is an outcome, not the end of the job (see `Source.missing`)
        .option("ignoreCorruptFiles", "true")
        .option("ignoreMissingFiles", "true")
        .load(literal(uri))
    )


def complete(frame: DataFrame) -> DataFrame:
    """Give a frame all `COLUMNS`, null where it has none of that name."""
    from pyspark.sql import functions as f

    return frame.select(
        *(
            f.col(name).cast(kind) if name in frame.columns else f.lit(None).cast(kind).alias(name)
            for name, kind in COLUMNS.items()
        )
    )


def tasks(spark: SparkSession, count: int) -> int:
    """Return the number of tasks for a number of images."""
    cores = spark.sparkContext.defaultParallelism
    even = min(_TASKS_PER_CORE * cores, -(-count // _LEAST_IMAGES))
    wanted = max(-(-count // IMAGES_PER_TASK), even, _FEWEST_PER_CORE * cores)
    return max(1, min(count, wanted, _MOST_TASKS))


def _empty(place: str) -> InputError:
    endings = ", ".join(sorted(images.SUFFIXES))
    return InputError(f"{place} holds no images; they are told by their endings: {endings}.")
