"""`galleries` and `verify`: list galleries, and check that they are intact."""

from __future__ import annotations

import argparse
import json
from typing import Any

from aina_core.cli.console import Reporter, command, show
from aina_core.errors import InputError


def add_galleries(commands: Any) -> None:
    parser = command(commands, "galleries", _galleries, "List, rename or delete galleries.")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--rename", nargs=2, metavar=("NAME", "NEW"), help="another name")
    change.add_argument("--delete", metavar="NAME", help="never deletes the folder of its images")
    parser.add_argument("--model", help="with --delete: only this model's vectors")


def _galleries(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.gallery import galleries, open_gallery

    if options.rename:
        open_gallery(options.rename[0]).rename(options.rename[1])
    elif options.delete and options.model:
        open_gallery(options.delete).delete_model(options.model)
    elif options.delete:
        open_gallery(options.delete).delete()
    document: list[dict[str, Any]] = []
    for name in galleries():
        gallery = open_gallery(name)
        images, failed = gallery.catalogue.counts()
        document.append(
            {
                "name": name,
                "folder": str(gallery.root),
                "images": images,
                "failed": failed,
                "models": gallery.models(),
                "bytes": gallery.size_on_disk(),
            }
        )
    lines = [
        f"{g['name']}: {g['images']} images, {g['failed']} failed, "
        f"{', '.join(g['models']) or 'not indexed'}; {g['folder']}"
        for g in document
    ]
    show(options, document, "\n".join(lines) or "no gallery yet; begin with: demo")
    return f"{len(document)} galleries"


def add_verify(commands: Any) -> None:
    parser = command(commands, "verify", _verify, "Check every checksum of a gallery.")
    parser.add_argument("--gallery", required=True)
    parser.add_argument("--repair", action="store_true", help="make again what can be made again")


def _verify(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.gallery import open_gallery
    from aina_core.gallery.verify import repair, verify

    gallery = open_gallery(options.gallery)
    problems = verify(gallery)
    if problems and options.repair:
        problems = repair(gallery, progress=reporter.progress, stop=reporter.stop)
    reporter.end(0, "")
    document = {"ok": not problems, "problems": problems}
    if options.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    if problems:
        raise InputError(f"The gallery {gallery.name} is not whole: {' '.join(problems)}")
    if not options.json:
        print(f"The gallery {gallery.name} is whole.")
    return "whole"
