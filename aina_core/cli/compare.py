"""`agreement` and `pair`: do models see the same?"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.cli.console import (
    Reporter,
    box,
    command,
    device_options,
    gallery_option,
    show,
    stoppable,
)
from aina_core.csv_files import check_csv, write_csv
from aina_core.models import ModelName

if TYPE_CHECKING:
    import numpy as np

    from aina_core.similarity import Agreement, PairAgreement

_MOST_DIFFERENT = 10


def add_agreement(commands: Any) -> None:
    text = "Count how many of the nearest images of every image models share."
    parser = command(commands, "agreement", _agreement, text)
    gallery_option(parser)
    _models_option(parser, "two to four that the gallery is indexed by")
    parser.add_argument("-k", type=int, default=4, help="nearest of each image; default: 4")
    parser.add_argument("--csv", type=Path, help="where every image goes, with what models share")


def _models_option(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--models", nargs="+", required=True, metavar="MODEL", help=text)


@stoppable
def _agreement(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.gallery import open_gallery
    from aina_core.search.searcher import Searcher
    from aina_core.similarity import agreement, check_models

    models = [str(ModelName.parse(model)) for model in options.models]
    check_models(models)
    check_csv(options.csv)
    gallery = open_gallery(options.gallery)
    for model in models:
        gallery.manifest(model)  # raises for a model that is not indexed, before any work
    searchers = [Searcher(gallery, model) for model in models]
    found = agreement(searchers, options.k, progress=reporter.progress, stop=reporter.stop)
    reporter.end(0, "")
    if options.csv is not None:
        _write(options.csv, found)
    document = {"gallery": gallery.name, **_document(found)}
    lines = [
        f"{', '.join(found.models)} in {gallery.name}: of the {found.k} nearest of each of "
        f"{len(found.ids)} images",
        *_lines(found.counts),
    ]
    lines += [
        f"{' and '.join(pair.models)}: rank-biased overlap {pair.mean_overlap:.3f}"
        for pair in found.pairs
    ]
    lines += [
        f"{model} was searched by Annoy, index recall@10 {recall:.3f}"
        for model, recall in found.index_recall.items()
        if recall < 1
    ]
    show(options, document, "\n".join(lines))
    return lines[0]


def _document(found: Agreement) -> dict[str, Any]:
    from aina_core.similarity.overlap import PERSISTENCE

    document: dict[str, Any] = {
        "k": found.k,
        "models": list(found.models),
        "images": len(found.ids),
        **_counted(found.counts),
        "rbo_p": PERSISTENCE,
        "index_recall": found.index_recall,
    }
    pairs = [_pair_document(found, pair) for pair in found.pairs]
    if len(pairs) == 1:
        (only,) = pairs
        return {**document, "rbo": only["rbo"], "most_different": only["most_different"]}
    return {**document, "pairs": pairs}


def _counted(counts: np.ndarray) -> dict[str, dict[str, Any]]:
    total = int(counts.sum())
    shared = {str(number): int(count) for number, count in enumerate(counts)}
    percent = {number: round(100 * count / total, 2) for number, count in shared.items()}
    return {"shared": shared, "percent": percent}


def _pair_document(found: Agreement, pair: PairAgreement) -> dict[str, Any]:
    return {
        "models": list(pair.models),
        **_counted(pair.counts),
        "rbo": round(pair.mean_overlap, 4),
        "most_different": [
            {
                "id": found.ids[place],
                "shared": int(pair.shared[place]),
                "rbo": round(float(pair.overlap[place]), 4),
            }
            for place in pair.most_different(_MOST_DIFFERENT)
        ],
    }


def _lines(counts: np.ndarray) -> list[str]:
    total = int(counts.sum())
    lines = [f"  {n} shared: {count:,} ({count / total:.1%})" for n, count in enumerate(counts)]
    return lines[::-1]


def _write(path: Path, found: Agreement) -> None:
    names = [" & ".join(pair.models) for pair in found.pairs]
    header = ["id", *(f"{what} {name}" for name in names for what in ("shared", "rbo"))]
    columns = [values for pair in found.pairs for values in (pair.shared, pair.overlap.round(4))]
    write_csv(path, header, zip(found.ids, *(column.tolist() for column in columns), strict=True))


def add_pair(commands: Any) -> None:
    text = "Compare one image with one other: every model's similarity, and how much that is."
    parser = command(commands, "pair", _pair, text)
    first = parser.add_mutually_exclusive_group(required=True)
    first.add_argument("--image", type=Path, help="an image file")
    first.add_argument("--image-id", metavar="ID", help="an image of the gallery")
    second = parser.add_mutually_exclusive_group(required=True)
    second.add_argument("--with", dest="other", type=Path, help="the other image file")
    second.add_argument("--with-id", dest="other_id", metavar="ID", help="of the gallery")
    parser.add_argument("--crop", type=box, metavar="X,Y,W,H", help="of the first, upright pixels")
    parser.add_argument("--with-crop", dest="other_crop", type=box, metavar="X,Y,W,H")
    _models_option(parser, "one or more")
    parser.add_argument("--gallery", help="whose ids, and whose random pairs, are meant")
    device_options(parser)


def _pair(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.embedding import load_embedder
    from aina_core.gallery import open_gallery
    from aina_core.similarity import Picture, pair

    found = pair(
        Picture(options.image or options.image_id, options.crop),
        Picture(options.other or options.other_id, options.other_crop),
        options.models,
        gallery=None if options.gallery is None else open_gallery(options.gallery),
        embedder=lambda m: load_embedder(m, device=options.device, runtime=options.runtime),
    )
    document = {
        "image": options.image_id or str(options.image),
        "with": options.other_id or str(options.other),
        "gallery": options.gallery,
        "models": {model: vars(one) for model, one in found.items()},
    }
    lines = [
        f"{model}: similarity {one.similarity:.4f}{_percentile(one.percentile)}"
        for model, one in found.items()
    ]
    show(options, document, "\n".join(lines))
    return f"{len(found)} models"


def _percentile(value: float | None) -> str:
    """A percentile in words, rounded down so that only a true 1 reads as 100%."""
    return "" if value is None else f", nearer than {math.floor(value * 1000) / 10:.1f}% of pairs"
