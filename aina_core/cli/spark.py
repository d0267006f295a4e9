"""`spark-index`: images into embeddings, by Spark; and what all commands on Spark share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aina_core import models
from aina_core.cli.console import Reporter, command, show


def spark_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that start Spark (see `spark_settings`)."""
    parser.add_argument(
        "--master",
        help="local[2] (two cores), local[2,4] (a failed task is tried up to four times), "
        "spark://HOST:7077, yarn; by default local[*,4]: all cores of this machine",
    )
    parser.add_argument(
        "--conf",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a setting of Spark; may be given several times",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace finished results")


def spark_settings(options: argparse.Namespace) -> dict[str, str]:
    """The settings of Spark that were given."""
    return dict(options.conf)


def _setting(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name.startswith("spark."):
        raise argparse.ArgumentTypeError(f"{text!r} is no setting: give spark.NAME=VALUE")
    return name, value


def add_spark_index(commands: Any) -> None:
    text = "Embed images by Spark, on this machine or a cluster, into a folder of Parquet."
    parser = command(commands, "spark-index", _index, text)
    parser.add_argument(
        "source",
        help="a folder; a location that Spark reads, as hdfs://… or s3a://…; or a table, .csv or "
        ".parquet, with the columns id and one of path, url, content, and maybe label",
    )
    parser.add_argument("--out", required=True, help="the folder of the results")
    parser.add_argument(
        "--model",
        default=models.DEFAULT,
        help=f"a name, with variants as NAME@native@fast; default: {models.DEFAULT}",
    )
    parser.add_argument("--labels", type=Path, help="CSV with id and label")
    spark_options(parser)


def _index(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.models.settings import chosen_name
    from aina_core.spark.index import spark_index

    report = spark_index(
        options.source,
        str(chosen_name(options.model)),
        options.out,
        labels=options.labels,
        master=options.master,
        settings=spark_settings(options),
        overwrite=options.overwrite,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    unread = f"; {len(report.unreadable)} sub-folders cannot be read" if report.unreadable else ""
    text = (
        f"{report.out}: {report.rows:,} rows under {report.model}, {report.failed_count:,} of them "
        f"failed{unread}; {report.images_per_second} images/s for {report.seconds:.1f} s on "
        f"{', '.join(report.computed_on)}, after {report.start_seconds:.1f} s for the start"
    )
    show(options, report.as_dict(), text)
    return text
