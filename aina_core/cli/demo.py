"""`demo`: galleries of real pictures to begin with."""

from __future__ import annotations

import argparse
from typing import Any

from aina_core.cli.console import Reporter, command, model_options, show
from aina_core.models.settings import chosen_name


def add_demo(commands: Any) -> None:
    text = "Build the demo gallery: photographs, each with its 18 modifications."
    parser = command(commands, "demo", _demo, text)
    parser.add_argument("--stamps", action="store_true", help="the 796 pictures of Tux Paint's set")
    parser.add_argument("--first", action="store_true", help="only where there is no gallery yet")
    model_options(parser)


def _demo(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core import demo
    from aina_core.gallery import create, galleries, open_gallery

    # a demo without a model was interrupted
    if options.first and any(name != "demo" or open_gallery(name).models() for name in galleries()):
        return "there are galleries already"
    from aina_core.gallery.indexing import index

    name = "stamps" if options.stamps else "demo"
    gallery = create(name, None)
    write = demo.fetch_stamps if options.stamps else demo.write_photographs
    labels = write(gallery.root, reporter.progress)
    report = index(
        name,
        None,
        str(chosen_name(options.model, options.mode)),
        labels=labels,
        device=options.device,
        runtime=options.runtime,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    text = f"gallery {name}: {report.added + report.updated + report.unchanged} images"
    show(options, report.as_dict(), text)
    return text
