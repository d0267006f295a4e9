"""`duplicates`: which images a gallery holds twice, and which files of a folder it has."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.cli.check import check_folder, checked_document, checked_line, embedder_of, suggested
from aina_core.cli.console import Reporter, command, model_options, show
from aina_core.csv_files import check_csv, write_csv
from aina_core.errors import StoppedError
from aina_core.models.settings import chosen_name

if TYPE_CHECKING:
    from aina_core.duplicates import Duplicates, Pairs, Suggestion
    from aina_core.search.searcher import Searcher

_LINES = 20


def add_duplicates(commands: Any) -> None:
    text = (
        "Find images that are in a gallery twice: pairs above a threshold, in groups of which "
        "every two reach it. No file is deleted."
    )
    parser = command(commands, "duplicates", _duplicates, text)
    parser.add_argument("--gallery", default="demo", help="default: demo")
    parser.add_argument(
        "--threshold", type=float, help="similarity from which on; default: what the gallery says"
    )
    parser.add_argument("--csv", type=Path, help="where a line for each image of a group goes")
    parser.add_argument("--turned", action="store_true", help="mirrored and turned ones too")
    parser.add_argument("--verify", action="store_true", help="look at groups by matched points")
    parser.add_argument("--keep", default="largest", help="largest (default), sharpest or oldest")
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="which of its pictures the gallery has"
    )
    parser.add_argument(
        "--index", help="exact or annoy; by default exact up to 200,000 images, annoy above"
    )
    parser.add_argument(
        "--browse", action="store_true", help="store pairs further down too, for the app's slider"
    )
    model_options(parser)


def _duplicates(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.duplicates import check_rule, check_threshold
    from aina_core.gallery import open_gallery
    from aina_core.search.searcher import Searcher

    check_csv(options.csv)
    check_rule(options.keep)
    if options.threshold is not None:
        check_threshold(options.threshold)
    if options.against is not None:
        check_folder(options.against)
    gallery = open_gallery(options.gallery)
    model = str(chosen_name(options.model, options.mode))
    searcher = Searcher(gallery, model)
    try:
        asked = options.threshold is not None and not options.browse
        suggestion = None if asked else suggested(searcher, options, reporter)
        if suggestion is not None and reporter.stop():
            raise StoppedError("Stopped before a threshold was found; nothing was stored.")
        threshold = options.threshold
        if threshold is None and suggestion is not None:
            threshold = suggestion.threshold
        if options.against is not None:
            return _against(searcher, threshold, suggestion, options, reporter)
        return _within(searcher, threshold, suggestion, options, reporter)
    except StoppedError as stopped:
        reporter.end(0, "")
        show(options, {"stopped": True}, str(stopped))
        return str(stopped)


def _within(
    searcher: Searcher,
    threshold: float,
    suggestion: Suggestion | None,
    options: argparse.Namespace,
    reporter: Reporter,
) -> str:
    from aina_core.duplicates import COLUMNS, gather, table, to_verify, verify

    floor = threshold if suggestion is None or not options.browse else suggestion.floor
    pairs = _pairs(searcher, threshold, min(floor, threshold), options, reporter)
    found = gather(searcher, pairs, options.keep)
    verified = None
    if options.verify:
        verified = verify(
            searcher, to_verify(found), progress=reporter.progress, stop=reporter.stop
        )
    reporter.end(0, "")
    if options.csv is not None:
        write_csv(options.csv, COLUMNS, table(searcher, found, options.keep, verified))
    document = {
        "gallery": searcher.gallery.name,
        "model": searcher.model,
        "threshold": found.threshold,
        "suggested": None if suggestion is None else suggestion.describe(threshold),
        "index": pairs.way,
        "found": pairs.found,
        "turned": options.turned,
        "pairs": found.pairs,
        "groups": [_group(group, verified) for group in found.groups],
        "between": [asdict(pair) for pair in found.between],
    }
    line = (
        f"{searcher.gallery.name} under {searcher.model} at {found.threshold:.3f}: "
        f"{found.pairs:,} pairs, {len(found.groups):,} groups, "
        f"{len(found.between):,} pairs between groups"
    )
    if pairs.way != "exact":
        line += f"; through the index, which finds {pairs.found:.1%} of a sample's pairs"
    lines = [line, *([] if suggestion is None else [suggestion.describe(threshold)])]
    show(options, document, "\n".join([*lines, *_lines(found, verified)]))
    return line


def _pairs(
    searcher: Searcher,
    threshold: float,
    floor: float,
    options: argparse.Namespace,
    reporter: Reporter,
) -> Pairs:
    from aina_core.duplicates import find_pairs, merged, turned_pairs

    work: dict[str, Any] = {"progress": reporter.progress, "stop": reporter.stop}
    pairs = find_pairs(searcher, floor, way=options.index, **work).above(threshold)
    if not options.turned:
        return pairs
    turned = turned_pairs(searcher, embedder_of(searcher.model, options), floor, **work)
    return merged(pairs, turned.above(threshold))


def _group(group: Any, verified: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ids": list(group.ids),
        "weakest": group.weakest.similarity,
        "weakest_pair": [group.weakest.first, group.weakest.second],
        "keep": group.kept.id,
        "chosen": group.kept.chosen,
    }
    turned = {key: turn for key, (_, turn) in group.near.items() if turn != "as it is"}
    if turned:
        document["turned"] = turned
    if verified is not None:
        document["verified"] = [
            {
                "ids": [group.kept.id, image_id],
                "points": getattr(signal, "points", None),
                "words": str(signal),
            }
            for image_id in group.ids
            if (signal := verified.get((group.kept.id, image_id))) is not None
        ]
    return document


def _lines(found: Duplicates, verified: Any) -> Iterator[str]:
    for group in found.groups[:_LINES]:
        named = []
        for image_id in group.ids:
            signal = (verified or {}).get((group.kept.id, image_id))
            if image_id != group.kept.id:
                named.append(image_id if signal is None else f"{image_id} ({signal})")
        others = ", ".join(named)
        why, weakest = "chosen" if group.kept.chosen else "keep", group.weakest.similarity
        yield f"  {why} {group.kept.id}; others {others}; weakest pair {weakest:.4f}"
    if len(found.groups) > _LINES:
        yield f"  and {len(found.groups) - _LINES:,} more groups; --csv FILE or --json for all"


def _against(
    searcher: Searcher,
    threshold: float,
    suggestion: Suggestion | None,
    options: argparse.Namespace,
    reporter: Reporter,
) -> str:
    from aina_core.duplicates import Checker, keep_checked

    embedder = embedder_of(searcher.model, options)
    checker = Checker(searcher, embedder, threshold, turned=options.turned)
    folder = options.against
    checked = list(checker.check_folder(folder, progress=reporter.progress, stop=reporter.stop))
    reporter.end(0, "")
    if not reporter.stop():
        keep_checked(searcher, folder, threshold, checked)
    found = [one for one in checked if one.flagged]
    failed = [one for one in checked if one.failure is not None]
    if options.csv is not None:
        rows = (
            [_name(one.path, folder), hit.id, f"{hit.similarity:.6f}", match.turn]
            for one in found
            for match in one.matches
            for hit in [match.neighbour]
        )
        write_csv(options.csv, ["file", "id", "similarity", "relation"], rows)
    document = {
        "gallery": searcher.gallery.name,
        "model": searcher.model,
        "threshold": threshold,
        "suggested": None if suggestion is None else suggestion.describe(threshold),
        "against": str(folder),
        "files": len(checked),
        "found": [checked_document(one, _name(one.path, folder)) for one in found],
        "failed": [{"file": _name(one.path, folder), "reason": one.failure} for one in failed],
        **({"stopped": True} if reporter.stop() else {}),
    }
    line = (
        f"{len(found):,} of {len(checked):,} pictures of {folder} are in {searcher.gallery.name} "
        f"at {threshold:.3f} or nearer, {len(failed):,} cannot be read"
    )
    lines = [line, *(checked_line(one, _name(one.path, folder)) for one in found)]
    show(options, document, "\n".join(lines))
    return line


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
