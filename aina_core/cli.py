"""The command line: `python -m aina_core COMMAND`, each with --help and --json.

One JSON document on stdout, everything else on stderr. Exit 0: done; 2: something that the user
can mend, said in one line.
"""

from __future__ import annotations

import argparse
import csv
import errno
import io
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from aina_core import __version__, models, work
from aina_core.errors import AinaError, ImageError, InputError
from aina_core.models import ModelName

#: Faults of the machine that its user can mend: no permission, no space, a file for a folder.
_MENDABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a file's name need not be valid UTF-8; what replaces its bytes is an escape in JSON too
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    reporter = work.Reporter.of_this_process() or _Terminal()
    try:
        message = options.run(options, reporter)
        status = 0
    except AinaError as error:
        status, message = 2, " ".join(str(error).splitlines())
        print(f"aina: {message}", file=sys.stderr)
    except OSError as error:
        if error.errno not in _MENDABLE:
            reporter.end(1, f"AINA failed: {error}")
            raise
        status, message = 2, f"{error.filename or 'Writing'}: {error.strerror}; mend that first."
        print(f"aina: {message}", file=sys.stderr)
    except BaseException as error:
        reporter.end(1, f"AINA failed: {type(error).__name__}: {error}")
        raise
    reporter.end(status, message or "")
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong with the options, and how to learn more."""
        line = " ".join(message.splitlines())
        self.exit(2, f"aina: {line}; see: {self.prog} --help\n")


class _Terminal:
    """Progress bars on stderr; Ctrl-C asks the work to end, a second one ends it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._phase = ""
        self._stopping = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True
        print("\nstopping; once more to break off", file=sys.stderr)

    def stop(self) -> bool:
        return self._stopping

    def progress(self, phase: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if phase != self._phase:
            self.end(0, "")
            self._phase = phase
            if not total:
                print(f"{phase} …", file=sys.stderr)
        if total:
            if self._bar is None:
                pause = 0.2 if sys.stderr.isatty() else 10.0
                self._bar = tqdm(
                    total=total, desc=phase, unit="", file=sys.stderr, mininterval=pause
                )
            self._bar.update(done - self._bar.n)

    def end(self, status: int, message: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


Reporter = work.Reporter | _Terminal


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m aina_core", description="AINA: explore what similar means to a network."
    )
    parser.add_argument("--version", action="version", version=f"AINA {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_index, _add_search, _add_galleries, _add_models, _add_demo, _add_verify):
        add(commands)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)
    return parser


def _model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=models.DEFAULT, help=f"default: {models.DEFAULT}")
    parser.add_argument("--mode", help="exact (default) or fast")
    parser.add_argument("--device", help="cpu or cuda; by default what is there")
    parser.add_argument("--runtime", help="openvino or torch; by default what suits the device")


def _print(options: argparse.Namespace, document: Any, text: str) -> None:
    if options.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        print(text)


# ── index ────────────────────────────────────────────────────────────────────────────────────────


def _add_index(commands: Any) -> None:
    text = "Embed a folder's images into a gallery; only what is new or changed is computed."
    parser = _command(commands, "index", _index, text)
    parser.add_argument("folder", type=Path, help="with the images, sub-folders included")
    parser.add_argument("--gallery", required=True, help="the gallery's name")
    parser.add_argument("--labels", type=Path, help="CSV with id, label and any further columns")
    _model_options(parser)


def _index(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.indexing import index

    report = index(
        options.gallery,
        options.folder,
        options.model,
        labels=options.labels,
        mode=options.mode,
        device=options.device,
        runtime=options.runtime,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    document = report.as_dict()
    failures = "".join(f"\n  {f['id']}: {f['reason']}" for f in document["failed"])
    text = (
        f"{report.gallery} under {report.model}: {report.added} added, {report.updated} updated, "
        f"{report.removed} removed, {report.unchanged} unchanged, {len(report.failed)} failed; "
        f"{report.images_per_second} images/s on {report.device} by {report.runtime}, "
        f"{report.mode}{', stopped' if report.stopped else ''}"
    )
    _print(options, document, text + failures)
    return text


# ── search ───────────────────────────────────────────────────────────────────────────────────────


def _add_search(commands: Any) -> None:
    parser = _command(commands, "search", _search, "Find the images nearest to a query.")
    parser.add_argument("--gallery", default="demo", help="default: demo")
    parser.add_argument("--crop", type=_box, metavar="X,Y,W,H", help="in upright pixels")
    parser.add_argument("-k", type=int, default=10, help="how many; default: 10")
    parser.add_argument("--exact", action="store_true", help="exact search instead of the index")
    parser.add_argument("--csv", type=Path, help="where the neighbours of --images go")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--image", type=Path, help="an image file")
    query.add_argument("--image-id", metavar="ID", help="an image of the gallery")
    query.add_argument("--images", type=Path, metavar="FOLDER", help="many queries in one run")
    _model_options(parser)


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a crop: give x,y,width,height in pixels"
        ) from None
    if width < 1 or height < 1:
        raise argparse.ArgumentTypeError(f"the crop {text!r} is empty")
    return x, y, width, height


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
    _print(options, document, "\n".join(lines))
    return f"{len(neighbours)} neighbours"


def _search_many(
    options: argparse.Namespace, searcher: Any, embedder: Any, reporter: Reporter
) -> str:
    from aina_core import images
    from aina_core.gallery.scan import scan
    from aina_core.search import embed_query

    files, _ = scan(options.images)
    failed: list[dict[str, str]] = []

    def rows() -> Iterator[tuple[Any, ...]]:
        yield "query", "rank", "id", "similarity", "label"
        for done, file in enumerate(files, start=1):
            try:
                vector = embed_query(embedder, images.read_bytes(file.path), options.crop)
            except ImageError as error:
                failed.append({"id": file.id, "reason": str(error)})
                continue
            found = searcher.search(vector, exact=options.exact).nearest(options.k)
            for rank, hit in enumerate(found, start=1):
                yield file.id, rank, hit.id, f"{hit.similarity:.6f}", hit.label
            reporter.progress("searching", done, len(files))

    try:
        with options.csv.open("w", newline="", encoding="utf-8") as output:
            csv.writer(output).writerows(rows())
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
    _print(options, document, text + "".join(f"\n  {f['id']}: {f['reason']}" for f in failed))
    return text


# ── galleries, models ────────────────────────────────────────────────────────────────────────────


def _add_galleries(commands: Any) -> None:
    parser = _command(commands, "galleries", _galleries, "List, rename or delete galleries.")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--rename", nargs=2, metavar=("NAME", "NEW"))
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
    _print(options, document, "\n".join(lines) or "no gallery yet; begin with: demo")
    return f"{len(document)} galleries"


def _add_models(commands: Any) -> None:
    _command(commands, "models", _models, "List the models and whether they can be used here.")


def _models(options: argparse.Namespace, reporter: Reporter) -> str:
    document = []
    for name in models.names():
        spec, found = models.get(name), models.state(name)
        document.append(
            {
                "name": name,
                "family": spec.family,
                "dim": spec.dim,
                "input_size": spec.recipe.crop,
                "status": found.status,
                "reason": found.reason,
                "weights": None if found.path is None else str(found.path),
                "license": spec.license,
            }
        )
    lines = [
        f"{m['name']}: {m['status']}, {m['dim']}-d, input {m['input_size']} px, {m['license']}"
        + (f"; {m['reason']}" if m["reason"] else "")
        for m in document
    ]
    _print(options, document, "\n".join(lines))
    return f"{len(document)} models"


# ── demo, verify ─────────────────────────────────────────────────────────────────────────────────


def _add_demo(commands: Any) -> None:
    text = "Build the demo gallery: photographs, each with its 18 modifications."
    parser = _command(commands, "demo", _demo, text)
    parser.add_argument("--stamps", action="store_true", help="the 796 pictures of Tux Paint's set")
    parser.add_argument("--first", action="store_true", help="only where there is no gallery yet")
    _model_options(parser)


def _demo(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core import demo
    from aina_core.gallery import create, galleries, open_gallery

    # a demo without a model is one that was broken off
    if options.first and any(name != "demo" or open_gallery(name).models() for name in galleries()):
        return "there are galleries already"
    from aina_core.indexing import index

    name = "stamps" if options.stamps else "demo"
    gallery = create(name, None)
    write = demo.fetch_stamps if options.stamps else demo.write_photographs
    labels = write(gallery.root, reporter.progress)
    report = index(
        name,
        None,
        options.model,
        labels=labels,
        mode=options.mode,
        device=options.device,
        runtime=options.runtime,
        progress=reporter.progress,
        stop=reporter.stop,
    )
    reporter.end(0, "")
    text = f"gallery {name}: {report.added + report.updated + report.unchanged} images"
    _print(options, report.as_dict(), text)
    return text


def _add_verify(commands: Any) -> None:
    parser = _command(commands, "verify", _verify, "Check every checksum of a gallery.")
    parser.add_argument("--gallery", required=True)
    parser.add_argument("--repair", action="store_true", help="make again what can be made again")


def _verify(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.gallery import open_gallery
    from aina_core.verify import repair, verify

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
