"""`map`: a gallery in two or three dimensions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.cli.console import Reporter, command, gallery_option, show, stoppable
from aina_core.csv_files import check_csv, write_csv
from aina_core.models import DEFAULT
from aina_core.models.settings import chosen_name

_AXES = "xyz"


def add_map(commands: Any) -> None:
    text = "Lay a gallery's images out in two or three dimensions; opened at once the next time."
    parser = command(commands, "map", _map, text)
    gallery_option(parser)
    parser.add_argument("--model", default=DEFAULT, help=f"default: {DEFAULT}")
    parser.add_argument("--mode", help="exact (default) or fast")
    parser.add_argument("--method", default="umap", help="umap (default), tsne or pca")
    parser.add_argument("--dims", type=int, default=2, help="2 (default) or 3")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--components", type=int, default=0, help="principal components first; default: 0, none"
    )
    parser.add_argument("--neighbours", type=int, default=15, help="for umap; default: 15")
    parser.add_argument("--min-dist", type=float, default=0.1, help="for umap; default: 0.1")
    parser.add_argument("--perplexity", type=float, default=30.0, help="for tsne; default: 30")
    parser.add_argument("--csv", type=Path, help="where the points go as a table too")


@stoppable
def _map(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.gallery import open_gallery
    from aina_core.projection import Settings, project
    from aina_core.search.searcher import Searcher

    settings = Settings(
        method=options.method,
        dims=options.dims,
        seed=options.seed,
        components=options.components,
        neighbours=options.neighbours,
        min_dist=options.min_dist,
        perplexity=options.perplexity,
    )
    check_csv(options.csv)
    gallery = open_gallery(options.gallery)
    model = str(chosen_name(options.model, options.mode))
    made = project(gallery, model, settings, progress=reporter.progress, stop=reporter.stop)
    reporter.end(0, "")
    points = list(_points(Searcher(gallery, model), made))
    if options.csv is not None:
        _write(options.csv, settings.dims, points)
    document = {
        "gallery": gallery.name,
        "model": model,
        "method": settings.method,
        "settings": settings.relevant(),
        "trustworthiness": made.trustworthiness,
        "preservation": made.preservation,
        "sample": made.sample,
        "k": made.k,
        "fitted": made.fitted,
        "seconds": made.seconds,
        "points": [{"id": key, **_named(place)} for key, place, _ in points],
    }
    text = (
        f"{gallery.name} under {model} by {settings.method}: {len(points)} images, "
        f"trustworthiness {made.trustworthiness:.3f}, {made.preservation:.0%} of the {made.k} "
        f"nearest kept, measured on {made.sample} images; computed in {made.seconds:.1f} s"
    )
    show(options, document, text)
    return text


def _points(searcher: Any, made: Any) -> Iterator[tuple[str, list[float], str]]:
    """Yield id, coordinates and label of the images whose file has not changed since."""
    labels = searcher.annotations.labels.texts(np.arange(len(made.ids)))
    each = zip(made.ids, made.coordinates.tolist(), labels, searcher.shown, strict=True)
    for key, place, label, shown in each:
        if shown:
            yield key, place, label


def _named(place: list[float]) -> dict[str, float]:
    return dict(zip(_AXES, place, strict=False))


def _write(path: Path, dims: int, points: list[tuple[str, list[float], str]]) -> None:
    rows = ([key, *place, label] for key, place, label in points)
    write_csv(path, ["id", *_AXES[:dims], "label"], rows)
