"""`import` and `export`: embeddings into a gallery and out of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aina_core import models
from aina_core.cli.console import Reporter, command, gallery_option, show

_LISTED = 20


def add_import(commands: Any) -> None:
    text = "Make a gallery of embeddings that exist already; nothing is embedded."
    parser = command(commands, "import", _import, text)
    parser.description = (
        f"{text} SOURCE is a folder that `spark-index` or `export` has finished, which says "
        "itself whose embeddings it holds; or vectors that were made elsewhere: an npy file "
        "(n, d), or Parquet with a column of ids and one of lists of floats."
    )
    parser.add_argument("source", type=Path, help="folder, .npy or .parquet")
    parser.add_argument("--gallery", required=True, help="the gallery's name")
    parser.add_argument(
        "--model",
        help="what made vectors from elsewhere: a model that AINA has, or external:NAME",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="the pictures, which the ids are paths below; by default the folder's own, where it "
        "is here; else the gallery has no pictures",
    )
    parser.add_argument("--labels", type=Path, help="CSV with id, label and any further columns")
    parser.add_argument("--ids", type=Path, help="of an npy file: a text file with an id a line")
    parser.add_argument("--column", help="of Parquet: the vectors'; usual names are found")
    parser.add_argument("--id-column", help="of Parquet: the ids'; usual names are found")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the vectors that the gallery has under the model already",
    )


def _import(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.exchange import import_vectors, open_source

    source = open_source(
        options.source,
        model=options.model,
        ids=options.ids,
        column=options.column,
        id_column=options.id_column,
    )
    report = import_vectors(
        source,
        options.gallery,
        images=options.images,
        labels=options.labels,
        overwrite=options.overwrite,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    notes = [f"pictures in {report.pictures}" if report.pictures else "without pictures"]
    if report.missing:
        notes.append(f"{report.missing:,} images of the gallery have no vector")
    if report.without_file:
        notes.append(f"{report.without_file:,} images have no file there")
    if report.labelled is not None:
        notes.append(f"{report.labelled:,} named by the labels file")
    if not report.verified:
        notes.append("not verified: nothing shows that this machine's weights made them")
    text = (
        f"{report.gallery} under {report.model}: {report.rows:,} vectors, "
        f"{report.failed_count:,} failed, in {report.seconds} s, index in "
        f"{report.index_seconds} s; {'; '.join(notes)}"
    )
    failures = "".join(f"\n  {f['id']}: {f['reason']}" for f in report.failed[:_LISTED])
    left = report.failed_count - _LISTED
    failures += f"\n  and {left:,} more, listed on the Galleries page" if left > 0 else ""
    if report.unsuited is not None:
        failures += f"\n{report.unsuited}"
    if models.is_external(report.model):
        failures += f"\n{models.only_members(report.model)}"
    show(options, report.as_dict(), text + failures)
    return text


def add_export(commands: Any) -> None:
    text = "Write a gallery's embeddings as Parquet, which `import`, Spark and others read."
    parser = command(commands, "export", _export, text)
    gallery_option(parser)
    parser.add_argument("--model", default=models.DEFAULT, help=f"default: {models.DEFAULT}")
    parser.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")


def _export(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.exchange import export
    from aina_core.gallery import open_gallery

    report = export(
        open_gallery(options.gallery),
        str(models.ModelName.parse(options.model)),
        options.out,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    text = (
        f"{report.rows:,} rows, {report.failed_count:,} of them failures, of {report.gallery} "
        f"under {report.model} in {report.out}: {report.parts} files in {report.seconds} s"
    )
    show(options, report.as_dict(), text)
    return text
