"""Tables of images: a column id, and one that says where the bytes are. They are untrusted."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from aina_core.errors import InputError
from aina_core.exchange import MOST_LETTERS
from aina_core.spark.places import Files, literal, local_path, location, public
from aina_core.spark.sources import Source, complete, tasks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: The columns of which a table has one.
PLACES = ("path", "url", "content")
_MOST_CHARACTERS = 1 << 20  # of a cell


def table_rows(spark: SparkSession, source: str, kind: str) -> Source:
    """Take the images that a table names.

    A path is relative to the table's folder, or absolute, and workers must reach it; an address is
    fetched by the workers; bytes are the file's own.

    Args:
        spark: the session.
        source: a path, or a location that Spark reads.
        kind: "csv" or "parquet".

    Raises:
        InputError: it is missing or damaged, lacks columns, has rows without an id, or two of one.
    """
    from pyspark.sql import functions as f

    uri = location(source)
    if not Files(spark, uri).exists():
        raise InputError(f"The source {public(source)} is missing.")
    table = _read(spark, uri, kind)
    place = _place(table, public(source), kind)
    columns = [f.make_valid_utf8(f.col("id").cast("string")).alias("id")]
    if "label" in table.columns:
        columns.append(f.make_valid_utf8(f.col("label").cast("string")).alias("label"))
    if place == "content":
        columns.append(f.col("content"))
    else:
        text = f.make_valid_utf8(f.trim(f.col(place).cast("string")))
        columns.append(f.nullif(text, f.lit("")).alias(place))
    named = table.select(*columns)
    count = _check_ids(named.select("id"), public(source))
    said = f.lit(f"the table's row has no {place}")
    rows = complete(named).withColumn("problem", f.when(f.col(place).isNull(), said))
    if place == "path":
        rows = _with_folder(rows, source)
    cut = tasks(spark, count)
    if place != "content" or rows.rdd.getNumPartitions() < cut:
        rows = rows.repartition(cut, "id")
    return Source(rows, named.select("id"), count, None)


def _read(spark: SparkSession, uri: str, kind: str) -> DataFrame:
    if kind == "parquet":
        return spark.read.parquet(literal(uri))
    first = spark.read.text(literal(uri)).first()
    header = "" if first is None else str(first[0])
    return spark.read.csv(
        literal(uri),
        header=True,
        sep=max(",;\t", key=header.count),
        quote='"',
        escape='"',
        multiLine=True,
        encoding="UTF-8",
        maxCharsPerColumn=_MOST_CHARACTERS,
        enforceSchema=False,
    )


def _place(table: DataFrame, shown: str, kind: str) -> str:
    """Return which of `PLACES` a table has.

    Raises:
        InputError: none, or several, or no ids, or a column of a kind that it cannot be.
    """
    from pyspark.sql import types

    names = table.columns
    found = [name for name in PLACES if name in names]
    if names.count("id") != 1 or len(found) != 1:
        listed = ", ".join(names[:12]) or "none"
        raise InputError(
            f"The table {shown} must have the columns id and one of {', '.join(PLACES)}; "
            f"it has: {listed}."
        )
    place = found[0]
    kinds = {field.name: field.dataType for field in table.schema.fields}
    if isinstance(kinds["id"], types.ArrayType | types.MapType | types.StructType):
        raise InputError(f"The column id of {shown} must be text or numbers.")
    if (place == "content") != isinstance(kinds[place], types.BinaryType):
        wanted = "bytes, which only Parquet holds" if place == "content" else "text"
        raise InputError(f"The column {place} of {shown} must be {wanted}.")
    return place


def _check_ids(ids: DataFrame, shown: str) -> int:
    """Return the number of rows; no two may have the same id.

    Raises:
        InputError: there is none, or ids are missing, there more than once, or cannot be any.
    """
    from pyspark.sql import functions as f

    counted = ids.groupBy("id").agg(f.count("*").alias("rows"))
    wrong = (f.length("id") > MOST_LETTERS) | f.col("id").rlike("\\x00")
    told = counted.agg(
        f.sum("rows").alias("rows"),
        f.sum(f.when(f.coalesce(f.col("id"), f.lit("")) == "", f.col("rows"))).alias("nameless"),
        f.min(f.when(f.col("rows") > 1, f.col("id"))).alias("twice"),
        f.sum(f.when(f.col("rows") > 1, 1)).alias("doubles"),
        f.min(f.when(wrong, f.col("id"))).alias("wrong"),
    ).first()
    assert told is not None
    if not told["rows"]:
        raise InputError(f"The table {shown} has no rows.")
    if told["nameless"]:
        raise InputError(f"{told['nameless']:,} rows of {shown} have no id; give each one.")
    if told["wrong"] is not None:
        raise InputError(
            f"{shown} has the id {told['wrong'][:40]!r}; an id has 1 to {MOST_LETTERS:,} signs, "
            "and no zero byte."
        )
    if told["doubles"]:
        raise InputError(
            f"{told['doubles']:,} ids stand in {shown} more than once, as {told['twice']!r}; give "
            "each row an id of its own."
        )
    return int(told["rows"])


def _with_folder(rows: DataFrame, source: str) -> DataFrame:
    """Make paths that are relative to the table's folder absolute."""
    from pyspark.sql import functions as f

    path, problem = f.col("path"), f.col("problem")
    absolute = path.startswith("/")
    with_scheme = path.rlike("^[A-Za-z][A-Za-z0-9+.-]*:/")
    unread = f.lit("a path of workers' machines is expected; addresses go in a column url")
    rows = rows.withColumn("problem", f.when(with_scheme, unread).otherwise(problem))
    table = local_path(source)
    if table is None:
        nowhere = f.lit("the path is relative, but the table is not on this machine")
        relative = f.col("problem").isNull() & ~absolute
        return rows.withColumn("problem", f.when(relative, nowhere).otherwise(f.col("problem")))
    folder = str(PurePosixPath(table).parent)
    joined = f.concat(f.lit(folder + "/"), path)
    return rows.withColumn("path", f.when(absolute, path).otherwise(joined))
