"""`index`: a folder into a gallery."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aina_core.cli.console import Reporter, command, model_options, show
from aina_core.models.settings import chosen_name


def add_index(commands: Any) -> None:
    text = "Embed a folder's images into a gallery; only what is new or changed is computed."
    parser = command(commands, "index", _index, text)
    parser.add_argument("folder", type=Path, help="with the images, sub-folders included")
    parser.add_argument("--gallery", required=True, help="the gallery's name")
    parser.add_argument("--labels", type=Path, help="CSV with id, label and any further columns")
    model_options(parser)


def _index(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.gallery import open_gallery
    from aina_core.gallery.indexing import index

    report = index(
        options.gallery,
        options.folder,
        str(chosen_name(options.model, options.mode)),
        labels=options.labels,
        device=options.device,
        runtime=options.runtime,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    document = report.as_dict()
    failures = "".join(f"\n  {f['id']}: {f['reason']}" for f in document["failed"])
    notes = "" if report.labelled is None else f"; {report.labelled} named by the labels file"
    agreement = open_gallery(report.gallery).manifest(report.model).get("agreement")
    if agreement:
        notes += (
            f"; against exact mode: lowest cosine {agreement['lowest_cosine']}, "
            f"top-10 overlap {agreement['top10_overlap']}"
        )
    text = (
        f"{report.gallery} under {report.model}: {report.added} added, {report.updated} updated, "
        f"{report.removed} removed, {report.unchanged} unchanged, {len(report.failed)} failed; "
        f"{report.images_per_second} images/s on {report.device} by {report.runtime}, "
        f"{report.mode}{', stopped' if report.stopped else ''}{notes}"
    )
    show(options, document, text + failures)
    return text
