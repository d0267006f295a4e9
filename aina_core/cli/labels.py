"""`labels`: what is on the images, in words of one's own or by a network's classes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core import images
from aina_core.cli.console import Reporter, box, command, gallery_option, model_options, show
from aina_core.csv_files import check_csv, write_csv
from aina_core.errors import ImageError, InputError
from aina_core.models.settings import chosen_name

if TYPE_CHECKING:
    import numpy as np

    from aina_core.embedding import Embedder
    from aina_core.search.classes import Guess

    #: From unit rows, float32 (n, dim), and their norms, float32 (n,), to guesses.
    Guessing = Callable[[np.ndarray, np.ndarray], list[list[Guess]]]

_BLOCK = 2048


def add_labels(commands: Any) -> None:
    parser = command(commands, "labels", _labels, "Say what is on the images, with probabilities.")
    parser.description = (
        "Say what is on every image of a gallery, or on one file. With --label, by a model that "
        "has a text tower: the softmax of the similarities to your labels, each put into every "
        "prompt (zero-shot). Without, by a model that was trained to tell classes apart: the most "
        "probable of its classes."
    )
    gallery_option(parser)
    parser.add_argument("--image", type=Path, help="one image file instead of the gallery")
    parser.add_argument("--crop", type=box, metavar="X,Y,W,H", help="of --image, in upright pixels")
    parser.add_argument("--label", action="append", metavar="WORDS", help="two or more")
    parser.add_argument(
        "--prompt",
        action="append",
        metavar="SENTENCE",
        help='with {} where the label goes; several are averaged; default: "a photo of {}."',
    )
    parser.add_argument("--top", type=int, default=5, help="how many classes; default: 5")
    parser.add_argument("--csv", type=Path, help="where the table goes")
    model_options(parser)


def _labels(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.embedding import load_embedder
    from aina_core.gallery import open_gallery
    from aina_core.search.searcher import Searcher

    if options.top < 1:
        raise InputError(f"--top must be at least 1, not {options.top}.")
    check_csv(options.csv)
    if options.crop and options.image is None:
        raise InputError("--crop is of one picture; give --image too.")
    model = str(chosen_name(options.model, options.mode))
    searcher = Searcher(open_gallery(options.gallery), model) if options.image is None else None
    embedder = load_embedder(model, device=options.device, runtime=options.runtime)
    guess = _guessing(options, embedder)
    one = searcher is None
    found = _of_file(options, embedder, guess) if one else _of_gallery(searcher, guess)
    document: dict[str, Any] = {
        **({"gallery": searcher.gallery.name} if searcher is not None else {}),
        "model": model,
        "by": "labels" if options.label else "classes",
    }
    if options.csv is not None:
        document |= {"images": _write(options.csv, found), "csv": str(options.csv)}
        show(options, document, f"{document['images']:,} images in {options.csv}")
        return f"{document['images']} images"
    listed = list(found)
    document["images"] = [
        {"id": name, "labels": [{"label": g.name, "probability": g.probability} for g in guesses]}
        for name, guesses in listed
    ]
    lines = (
        f"{name}: {', '.join(f'{g.name} {g.probability:.1%}' for g in guesses)}"
        for name, guesses in listed
    )
    show(options, document, "\n".join(lines) or "The gallery has no images yet.")
    return f"{len(listed)} images"


def _guessing(options: argparse.Namespace, embedder: Embedder) -> Guessing:
    """Decide what to guess by: given labels, or the network's own classes."""
    from aina_core.search.classes import PROMPTS, best_labels, label_vectors, top_classes

    if options.label:
        vectors = label_vectors(embedder, options.label, options.prompt or PROMPTS)
        return lambda rows, _: best_labels(rows, options.label, vectors)
    if options.prompt:
        raise InputError("A prompt is a sentence for labels; give --label, at least twice.")
    if not embedder.spec.classes and embedder.spec.text:
        raise InputError(
            f"{embedder.model} has no classes of its own; give --label, twice or more."
        )
    return lambda rows, norms: top_classes(embedder, rows, norms, options.top)


def _of_file(
    options: argparse.Namespace, embedder: Embedder, guess: Guessing
) -> Iterator[tuple[str, list[Guess]]]:
    import numpy as np

    from aina_core.search.query import embed_picture

    try:
        row, norm = embed_picture(embedder, images.read_bytes(options.image), options.crop)
    except ImageError as error:
        reason = str(error).rstrip(".")
        raise InputError(f"The image {options.image.name} cannot be used: {reason}.") from None
    yield str(options.image), guess(row[None], np.array([norm], np.float32))[0]


def _of_gallery(searcher: Any, guess: Guessing) -> Iterator[tuple[str, list[Guess]]]:
    import numpy as np

    shown = np.flatnonzero(searcher.shown)
    matrix, norms = searcher.embedded
    for start in range(0, len(shown), _BLOCK):
        rows = shown[start : start + _BLOCK]
        guesses = guess(np.asarray(matrix[rows]), np.asarray(norms[rows]))
        yield from ((searcher.ids[row], each) for row, each in zip(rows, guesses, strict=True))


def _write(target: Path, found: Iterator[tuple[str, list[Guess]]]) -> int:
    """Write a line per guess; return the number of images."""
    count = 0

    def lines() -> Iterator[tuple[str, int, str, str]]:
        nonlocal count
        for name, guesses in found:
            count += 1
            for rank, guess in enumerate(guesses, start=1):
                yield name, rank, guess.name, f"{guess.probability:.6f}"

    write_csv(target, ["id", "rank", "label", "probability"], lines())
    return count
