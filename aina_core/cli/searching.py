"""`search`: a query, or many, to their neighbours."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aina_core import paths
from aina_core.cli.console import Reporter, box, command, model_options, show
from aina_core.errors import ImageError, InputError
from aina_core.models import ModelName


def add_search(commands: Any) -> None:
    parser = command(commands, "search", _search, "Find the images nearest to a query.")
    parser.add_argument("--gallery", default="demo", help="default: demo")
    parser.add_argument("--crop", type=box, metavar="X,Y,W,H", help="in upright pixels")
    parser.add_argument("-k", type=int, default=10, help="how many; default: 10")
    parser.add_argument("--exact", action="store_true", help="exact search instead of the index")
    parser.add_argument("--csv", type=Path, help="where the neighbours of --images go")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--image", type=Path, help="an image file")
    query.add_argument("--image-id", metavar="ID", help="an image of the gallery")
    query.add_argument("--images", type=Path, metavar="FOLDER", help="many queries in one run")
    model_options(parser)


def _search(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core import images
    from aina_core.embedding import load_embedder
    from aina_core.gallery import open_gallery
    from aina_core.search import Searcher, embed_query

    if options.k < 1:
        raise InputError(f"-k must be at least 1, not {options.k}.")
    if bool(options.images) != bool(options.csv):
        raise InputError("--images needs --csv FILE for its result, and --csv needs --images.")
    gallery = open_gallery(options.gallery)
    model = str(ModelName.parse(options.model, options.mode))
    searcher = Searcher(gallery, model)

    def embedder() -> Any:
        return load_embedder(model, device=options.device, runtime=options.runtime)

    if options.images:
        return _search_many(options, searcher, embedder(), reporter)
    if options.image_id is not None:
        query: dict[str, Any] = {"image_id": options.image_id}
        vector = searcher.vector(options.image_id)
        if options.crop:
            vector = embed_query(embedder(), gallery.read(options.image_id), options.crop)
    else:
        query = {"image": str(options.image)}
        try:
            vector = embed_query(embedder(), images.read_bytes(options.image), options.crop)
        except ImageError as error:
            raise InputError(
                f"The image {options.image.name} cannot be used: {str(error).rstrip('.')}."
            ) from None
    if options.crop:
        query["crop"] = list(options.crop)
    result = searcher.search(vector, exclude=options.image_id, exact=options.exact)
    neighbours = result.nearest(options.k)
    document = {
        "gallery": gallery.name,
        "model": model,
        "query": query,
        "index": {"kind": result.index.kind, "recall_at_10": result.index.recall_at_10},
        "neighbours": [
            {"id": hit.id, "similarity": hit.similarity, "label": hit.label} for hit in neighbours
        ],
    }
    lines = [f"{hit.similarity:.4f}  {hit.percentile:6.1%}  {hit.id}" for hit in neighbours]
    show(options, document, "\n".join(lines) or "There is no image to find.")
    return f"{len(neighbours)} neighbours"


def _search_many(
    options: argparse.Namespace, searcher: Any, embedder: Any, reporter: Reporter
) -> str:
    from aina_core import images
    from aina_core.gallery.scan import scan

    if options.csv.is_dir():
        raise InputError(f"{options.csv} cannot be written: it is a folder.")
    files, _ = scan(options.images)
    failed: list[dict[str, str]] = []
    side = embedder.reduced_side if options.crop is None else None

    def prepare(file: Any) -> tuple[Any, str]:
        try:
            decoded = images.decode(images.read_bytes(file.path), at_least=side)
            return images.crop_pixels(decoded.pixels, options.crop), ""
        except ImageError as error:
            return None, str(error)

    def rows() -> Iterator[tuple[Any, ...]]:
        yield "query", "rank", "id", "similarity", "percentile", "label"
        embedded = embedder.run(files, prepare, stop=reporter.stop)
        for done, (file, reason, vector) in enumerate(embedded, start=1):
            reporter.progress("searching", done, len(files))
            if vector is None:
                failed.append({"id": file.id, "reason": reason})
                continue
            found = searcher.search(vector, exact=options.exact).nearest(options.k)
            for rank, hit in enumerate(found, start=1):
                numbers = f"{hit.similarity:.6f}", f"{hit.percentile:.4f}"
                yield file.id, rank, hit.id, *numbers, hit.label

    try:
        with paths.replacing(options.csv) as file:
            output = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
            csv.writer(output).writerows(rows())
            output.detach()
    except OSError as error:
        raise InputError(f"{options.csv} cannot be written: {error.strerror}.") from None
    reporter.end(0, "")
    document = {
        "gallery": searcher.gallery.name,
        "model": searcher.model,
        "queries": len(files) - len(failed),
        "failed": failed,
        "csv": str(options.csv),
    }
    text = f"{document['queries']} queries, {len(failed)} failed; neighbours in {options.csv}"
    show(options, document, text + "".join(f"\n  {f['id']}: {f['reason']}" for f in failed))
    return text
