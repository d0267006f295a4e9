"""`search`: a query of one or several terms, a class, or many queries, to their neighbours."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.cli.console import Reporter, box, command, gallery_option, model_options, show
from aina_core.csv_files import check_csv, write_csv
from aina_core.errors import ImageError, InputError
from aina_core.models import ModelName, class_names
from aina_core.models.settings import chosen_name
from aina_core.search.query import (
    FILE,
    IMAGE,
    TEXT,
    Term,
    find_class,
    members,
    one_picture,
    parse,
    query_vector,
    term_embedding,
    term_vector,
)

if TYPE_CHECKING:
    from aina_core.embedding import Embedder
    from aina_core.search.searcher import Neighbour, Searcher


def add_search(commands: Any) -> None:
    parser = command(commands, "search", _search, "Find the images nearest to a query.")
    parser.description = (
        "Find the images nearest to a query: a picture, several of them, words, or a class. "
        "--image, --image-id and --text can be given many times and together; a number after the "
        "last colon is the term's weight (A:2, B:-0.5; 1 without one), unless there is a file, or "
        "an image, that really has that name. The weighted sum is what is searched by."
    )
    gallery_option(parser)
    parser.add_argument(
        "--crop", type=box, metavar="X,Y,W,H", help="of the first picture, in upright pixels"
    )
    parser.add_argument("-k", type=int, default=10, help="how many; default: 10")
    parser.add_argument("--exact", action="store_true", help="exact search instead of the index")
    parser.add_argument("--csv", type=Path, help="where the neighbours of --images go")
    parser.add_argument(
        "--rerank",
        action="store_true",
        help="rank the nearest, 100 at least, by the probability that a hit and the query are of "
        "one kind: for models trained as siamese-dense, and a query of one picture",
    )
    for option, kind, metavar, text in (
        ("--image", FILE, "FILE[:WEIGHT]", "an image file"),
        ("--image-id", IMAGE, "ID[:WEIGHT]", "an image of the gallery, left out of its hits"),
        ("--text", TEXT, "TEXT[:WEIGHT]", "words, for models that have a text tower"),
    ):
        parser.add_argument(
            option,
            action="append",
            dest="terms",
            type=functools.partial(_typed, kind),
            metavar=metavar,
            help=text,
        )
    parser.add_argument(
        "--class",
        dest="class_",
        metavar="NAME",
        help="rank by the probability of a class of the model: its name, or a part of it",
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="many queries in one run")
    model_options(parser)


def _typed(kind: str, text: str) -> tuple[str, str]:
    return kind, text


def _search(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.embedding import load_embedder
    from aina_core.embedding.heads import demand_pairs
    from aina_core.gallery import open_gallery
    from aina_core.search.searcher import Searcher

    if options.k < 1:
        raise InputError(f"-k must be at least 1, not {options.k}.")
    if bool(options.images) != bool(options.csv):
        raise InputError("--images needs --csv FILE for its result, and --csv needs --images.")
    if (options.terms is not None) + (options.class_ is not None) + bool(options.images) != 1:
        raise InputError(
            "Give a query: --image, --image-id and --text, as many as you like; or --class; or "
            "--images, each alone."
        )
    if options.class_ is not None and options.crop:
        raise InputError("--crop is of a picture; it does not go with --class.")
    if options.class_ is not None and options.rerank:
        raise InputError("--rerank holds pictures against a picture; it does not go with --class.")
    gallery = open_gallery(options.gallery)
    model = str(chosen_name(options.model, options.mode))
    if options.rerank:  # reported before anything is loaded
        demand_pairs(ModelName.parse(model).spec())
    searcher = Searcher(gallery, model)

    def embedder() -> Any:
        loaded = load_embedder(model, device=options.device, runtime=options.runtime)
        return searcher.checked(loaded)

    if options.images:
        return _search_many(options, searcher, embedder(), reporter)
    if options.class_ is not None:
        return _search_class(options, searcher, embedder)
    return _search_terms(options, searcher, embedder)


def _search_terms(
    options: argparse.Namespace, searcher: Searcher, embedder: Callable[[], Embedder]
) -> str:
    from aina_core.search.pairs import rerank

    terms = _terms(options, searcher)
    picture = one_picture(terms) if options.rerank else None
    loaded = functools.cache(embedder)
    vector = query_vector(terms, lambda term: term_vector(searcher, term, loaded)[0])
    result = searcher.search(vector, exclude=members(terms), exact=options.exact)
    document: dict[str, Any] = {
        "gallery": searcher.gallery.name,
        "model": searcher.model,
        "query": _query_document(terms),
        "index": {"kind": result.index.kind, "recall_at_10": result.index.recall_at_10},
    }
    text = ""
    if picture is None:
        neighbours = result.nearest(options.k)
    else:
        whole = term_embedding(searcher, picture, loaded)[0]
        judged = rerank(searcher, result, whole, loaded(), k=options.k)
        neighbours = judged.hits
        document["rerank"] = {"candidates": judged.candidates}
        text = f"Of the {judged.candidates} nearest, the most likely of one kind with the query:\n"
    document["neighbours"] = [_neighbour_document(hit) for hit in neighbours]
    lines = [_neighbour_line(hit) for hit in neighbours]
    show(options, document, text + "\n".join(lines) if lines else "There is no image to find.")
    return f"{len(neighbours)} neighbours"


def _neighbour_document(hit: Neighbour) -> dict[str, Any]:
    likely = {} if hit.probability is None else {"probability": hit.probability}
    return {"id": hit.id, "similarity": hit.similarity, **likely, "label": hit.label}


def _neighbour_line(hit: Neighbour) -> str:
    likely = "" if hit.probability is None else f"{hit.probability:.4f}  "
    return f"{likely}{hit.similarity:.4f}  {hit.percentile:6.1%}  {hit.id}"


def _terms(options: argparse.Namespace, searcher: Searcher) -> list[Term]:
    """The terms in the order in which they were given; the crop goes to the first picture."""
    named = {FILE: lambda text: Path(text).exists(), IMAGE: searcher.has, TEXT: lambda _: False}
    terms = [parse(kind, text, named[kind]) for kind, text in options.terms]
    if options.crop:
        first = next((at for at, term in enumerate(terms) if term.kind != TEXT), None)
        if first is None:
            raise InputError("--crop is of a picture, and the query has none; give --image too.")
        terms[first] = terms[first]._replace(crop=options.crop)
    return terms


def _query_document(terms: list[Term]) -> dict[str, Any]:
    """A query as JSON: a single picture as such, otherwise its terms with their weights."""
    names = {FILE: "image", IMAGE: "image_id", TEXT: "text"}
    said = [
        {names[term.kind]: term.value}
        | ({"crop": list(term.crop)} if term.crop else {})
        | {"weight": term.weight}
        for term in terms
    ]
    if len(said) == 1 and said[0]["weight"] == 1:
        return {name: value for name, value in said[0].items() if name != "weight"}
    return {"terms": said}


def _search_class(
    options: argparse.Namespace, searcher: Searcher, embedder: Callable[[], Embedder]
) -> str:
    from aina_core.search.classes import by_class

    loaded = embedder()
    names = class_names(loaded.spec)
    place = find_class(names, options.class_) if names else 0  # without any `by_class` raises
    found = searcher.of_class(by_class(searcher, loaded, place)).nearest(options.k)
    document = {
        "gallery": searcher.gallery.name,
        "model": searcher.model,
        "query": {"class": names[place]},
        "neighbours": [
            {"id": hit.id, "probability": hit.probability, "label": hit.label} for hit in found
        ],
    }
    lines = [f"{hit.probability:.4f}  {hit.id}" for hit in found]
    show(options, document, "\n".join([f"{names[place]}:", *lines]))
    return f"{len(found)} images"


def _search_many(
    options: argparse.Namespace, searcher: Any, embedder: Any, reporter: Reporter
) -> str:
    from aina_core import images
    from aina_core.gallery.scan import scan
    from aina_core.search.pairs import rerank

    check_csv(options.csv)
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
        embedded = embedder.run(files, prepare, stop=reporter.stop)
        for done, (file, reason, vector) in enumerate(embedded, start=1):
            reporter.progress("searching", done, len(files))
            if vector is None:
                failed.append({"id": file.id, "reason": reason})
                continue
            found = searcher.search(searcher.reduced(vector), exact=options.exact)
            if options.rerank:
                hits = rerank(searcher, found, vector, embedder, k=options.k).hits
            else:
                hits = found.nearest(options.k)
            for rank, hit in enumerate(hits, start=1):
                numbers = [f"{hit.similarity:.6f}", f"{hit.percentile:.4f}"]
                if hit.probability is not None:
                    numbers.append(f"{hit.probability:.6f}")
                yield file.id, rank, hit.id, *numbers, hit.label

    likely = ["probability"] if options.rerank else []
    header = ["query", "rank", "id", "similarity", "percentile", *likely, "label"]
    write_csv(options.csv, header, rows())
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
