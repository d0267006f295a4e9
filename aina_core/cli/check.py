"""`check`: is a file in a gallery already? For moderation queues."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.cli.console import Ended, Reporter, command, model_options, show
from aina_core.errors import GalleryError, InputError
from aina_core.models.settings import chosen_name

if TYPE_CHECKING:
    from aina_core.duplicates import Checked, Match, Suggestion
    from aina_core.search.searcher import Searcher

_CLEAN, _FLAGGED, _FAILED = 0, 1, 2


def add_check(commands: Any) -> None:
    text = (
        "Hold new files against a gallery. Exit 0: all were read and none is near to anything in "
        "it; 1: at least one is, whatever else happened; 2: none is, but something went wrong, as "
        "a file that cannot be read."
    )
    parser = command(commands, "check", _check, text)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="pictures")
    parser.add_argument("--gallery", required=True, metavar="KNOWN", help="the gallery")
    parser.add_argument(
        "--threshold", type=float, help="similarity from which on; default: what the gallery says"
    )
    parser.add_argument("--turned", action="store_true", help="mirrored and turned ones too")
    parser.add_argument(
        "--watch",
        type=Path,
        metavar="FOLDER",
        help="wait for pictures, and print a line (with --json, a document) for each; Ctrl-C ends",
    )
    parser.add_argument(
        "--every", type=float, default=1.0, metavar="S", help="seconds between looks; default: 1"
    )
    model_options(parser)


def _check(options: argparse.Namespace, reporter: Reporter) -> Ended:
    from aina_core.duplicates import Checker, check_threshold
    from aina_core.gallery import open_gallery
    from aina_core.search.searcher import Searcher

    if bool(options.files) == (options.watch is not None):
        raise InputError("Give the files to check, or --watch FOLDER to wait for them.")
    if options.threshold is not None:
        check_threshold(options.threshold)
    if options.watch is not None:
        check_folder(options.watch)
        if not 0.05 <= options.every <= 3600:
            raise InputError(f"--every {options.every} was given; give 0.05 to 3600 seconds.")
    gallery = open_gallery(options.gallery)
    searcher = Searcher(gallery, str(chosen_name(options.model, options.mode)))
    threshold = options.threshold
    if threshold is None:
        threshold = suggested(searcher, options, reporter).threshold
    embedder = embedder_of(searcher.model, options)
    checker = Checker(searcher, embedder, threshold, turned=options.turned)
    if options.watch is not None:
        return _watch(checker, options, reporter)
    checked = []
    for done, one in enumerate(checker.check(options.files, stop=reporter.stop), start=1):
        reporter.progress("files", done, len(options.files))
        checked.append(one)
    reporter.end(0, "")
    document = {
        "gallery": gallery.name,
        "model": searcher.model,
        "threshold": threshold,
        "flagged": sum(one.flagged for one in checked),
        "failed": sum(one.failure is not None for one in checked),
        "files": [checked_document(one, str(one.path)) for one in checked],
        **({"stopped": True} if len(checked) < len(options.files) else {}),
    }
    show(options, document, "\n".join(checked_line(one, str(one.path)) for one in checked))
    stopped = len(checked) < len(options.files)
    return _ended(len(checked), document["flagged"], document["failed"] + stopped)


def _watch(checker: Any, options: argparse.Namespace, reporter: Reporter) -> Ended:
    """Print a line for each file as it arrives, until it is interrupted."""
    from aina_core.duplicates import arriving

    flagged = failed = count = 0
    for batch in arriving(options.watch, every=options.every, stop=reporter.stop):
        for one in checker.check(batch):
            name = str(one.path)
            line = json.dumps(checked_document(one, name), ensure_ascii=False)
            print(line if options.json else checked_line(one, name), flush=True)
            flagged, failed = flagged + one.flagged, failed + (one.failure is not None)
            count += 1
    return _ended(count, flagged, failed)


def _ended(count: int, flagged: int, failed: int) -> Ended:
    message = f"{count:,} files checked, {flagged:,} flagged, {failed:,} not read"
    return Ended(_FLAGGED if flagged else _FAILED if failed else _CLEAN, message)


def check_folder(folder: Path) -> None:
    """Refuse a missing folder before anything is loaded."""
    if not folder.is_dir():
        raise GalleryError(f"The folder {folder} is missing; give a folder that exists.")


def embedder_of(model: str, options: argparse.Namespace) -> Any:
    """Load a model on the device and runtime of the options."""
    from aina_core.embedding import load_embedder

    return load_embedder(model, device=options.device, runtime=options.runtime)


def suggested(searcher: Searcher, options: argparse.Namespace, reporter: Reporter) -> Suggestion:
    """Return the threshold that the gallery suggests."""
    from aina_core.duplicates import suggest

    return suggest(
        searcher,
        embedder=lambda model: embedder_of(model, options),
        progress=reporter.progress,
        stop=reporter.stop,
    )


def checked_document(one: Checked, name: str) -> dict[str, Any]:
    if one.failure is not None:
        return {"file": name, "flagged": False, "error": one.failure}
    return {
        "file": name,
        "flagged": one.flagged,
        "nearest": None if one.nearest is None else _match(one.nearest),
        "matches": [_match(match) for match in one.matches],
    }


def _match(match: Match) -> dict[str, Any]:
    return {
        "id": match.neighbour.id,
        "similarity": match.neighbour.similarity,
        "label": match.neighbour.label,
        "relation": match.turn,
    }


def checked_line(one: Checked, name: str) -> str:
    if one.failure is not None:
        return f"error    {name}: {one.failure}"
    near = "" if one.nearest is None else _near(one.nearest)
    return f"{'FLAGGED' if one.flagged else 'clean  '}  {name}: {near or 'the gallery is empty'}"


def _near(match: Match) -> str:
    turned = "" if match.turn == "as it is" else f" ({match.turn})"
    return f"{match.neighbour.similarity:.4f} {match.neighbour.id}{turned}"
