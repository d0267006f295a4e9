"""`spark-index`, `spark-neighbours`, `spark-duplicates`: embed and compare images on Spark."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core import models
from aina_core.cli.console import Reporter, command, show

if TYPE_CHECKING:
    from aina_core.spark.duplicates import DuplicatesReport

_LINES = 20


def _spark_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that start Spark, and --overwrite."""
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


def _work(options: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """The keywords shared by all Spark jobs."""
    return {
        "master": options.master,
        "settings": dict(options.conf),
        "overwrite": options.overwrite,
        "progress": reporter.progress,
        "stop": reporter.stop,
    }


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
    _spark_options(parser)


def _index(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.models.settings import chosen_name
    from aina_core.spark.index import spark_index

    report = spark_index(
        options.source,
        str(chosen_name(options.model)),
        options.out,
        labels=options.labels,
        **_work(options, reporter),
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


def add_spark_neighbours(commands: Any) -> None:
    text = "Find the nearest of every embedding by Spark, into a folder of Parquet."
    parser = command(commands, "spark-neighbours", _neighbours, text)
    _embeddings(parser)
    parser.add_argument("-k", type=int, default=10, help="how many neighbours; default: 10")
    parser.add_argument(
        "--sample", type=int, default=1000, help="rows that annoy's recall is measured on"
    )
    _spark_options(parser)


def add_spark_duplicates(commands: Any) -> None:
    text = (
        "Find embeddings that are near-duplicates by Spark: pairs above a threshold into a folder "
        "of Parquet, in groups of which every two reach it."
    )
    parser = command(commands, "spark-duplicates", _duplicates, text)
    _embeddings(parser)
    parser.add_argument("--threshold", type=float, required=True, help="similarity from which on")
    parser.add_argument("--keep", default="largest", help="largest (default) or oldest")
    _spark_options(parser)


def _embeddings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "embeddings", help="a finished folder of spark-index or export, or its location"
    )
    parser.add_argument("--out", required=True, help="the folder of the results")
    parser.add_argument(
        "--method",
        default="exact",
        help="exact: every two are compared (default); annoy: an index of each block is asked",
    )


def _neighbours(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.spark.neighbours import spark_neighbours

    report = spark_neighbours(
        options.embeddings,
        options.k,
        options.out,
        method=options.method,
        sample=options.sample,
        **_work(options, reporter),
    )
    reporter.end(0, "")
    recall = (
        ""
        if report.recall_at_k is None
        else f"; index recall@{report.k} {report.recall_at_k:.4f} on {report.sampled:,} rows"
    )
    if report.unmeasured is not None:
        recall = f"; index recall was not measured: {report.unmeasured}"
    line = (
        f"{report.out}: the {report.k} nearest of each of {report.rows:,} embeddings, "
        f"{report.method}, in {report.seconds:.1f} s, after {report.start_seconds:.1f} s for the "
        f"start{recall}"
    )
    show(options, report.as_dict(), line)
    return line


def _duplicates(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.spark.duplicates import spark_duplicates

    report = spark_duplicates(
        options.embeddings,
        options.threshold,
        options.out,
        method=options.method,
        rule=options.keep,
        **_work(options, reporter),
    )
    reporter.end(0, "")
    line = (
        f"{report.out}: {report.rows:,} embeddings under {report.model} at "
        f"{report.threshold:.3f}: {report.pairs:,} pairs, {len(report.groups):,} groups, "
        f"{len(report.between):,} pairs between groups"
    )
    show(options, _document(report), "\n".join([line, *_lines(report)]))
    return line


def _document(report: DuplicatesReport) -> dict[str, Any]:
    groups = [
        {
            "ids": list(group.ids),
            "weakest": group.weakest.similarity,
            "weakest_pair": [group.weakest.first, group.weakest.second],
            "keep": group.keep,
            "chosen": False,
        }
        for group in report.groups
    ]
    return {
        "model": report.model,
        "threshold": report.threshold,
        "index": report.method,
        "rows": report.rows,
        "pairs": report.pairs,
        "groups": groups,
        "between": [asdict(pair) for pair in report.between],
        "seconds": report.seconds,
        "pairs_per_second": report.pairs_per_second,
        "start_seconds": report.start_seconds,
        "out": report.out,
    }


def _lines(report: DuplicatesReport) -> Iterator[str]:
    for group in report.groups[:_LINES]:
        others = ", ".join(image_id for image_id in group.ids if image_id != group.keep)
        weakest = group.weakest.similarity
        yield f"  keep {group.keep}; others {others}; weakest pair {weakest:.4f}"
    if len(report.groups) > _LINES:
        yield f"  and {len(report.groups) - _LINES:,} more groups; --json for all"
