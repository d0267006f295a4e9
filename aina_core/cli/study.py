"""`study`: run studies; list, show, compare and delete stored ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.cli.console import Reporter, command, show
from aina_core.csv_files import check_csv, write_csv
from aina_core.disk import paths
from aina_core.errors import InputError, StoppedError
from aina_core.models.settings import chosen_name
from aina_core.studies.kinds import KINDS
from aina_core.studies.settings import SET_TITLES

if TYPE_CHECKING:
    from aina_core.studies import Run, Settings
    from aina_core.studies.kind import Kind


def add_study(commands: Any) -> None:
    text = "Study which model sees similarity, with intervals; stored, listed, compared."
    parser = commands.add_parser("study", help=text, description=text)
    actions = parser.add_subparsers(required=True, metavar="STUDY")
    for kind in KINDS.values():
        _add_kind(actions, kind)
    command(actions, "list", _list, "List the stored studies.")
    shown = command(actions, "show", _show, "Show a stored study.")
    shown.add_argument("id", help="as `study list` has it")
    _add_files(shown)
    compared = command(actions, "compare", _compare, "Compare two studies of one kind.")
    compared.add_argument("first", help="the earlier one's id")
    compared.add_argument("second", help="the later one's id")
    deleted = command(actions, "delete", _delete, "Delete a stored study.")
    deleted.add_argument("id", help="as `study list` has it")


def _add_kind(actions: Any, kind: Kind) -> None:
    parser = command(actions, kind.name, lambda o, r: _run(kind.name, o, r), kind.about)
    parser.add_argument("--gallery", default="demo", help="default: demo")
    parser.add_argument("--models", nargs="+", required=True, metavar="MODEL", help="one or more")
    parser.add_argument(
        "--originals",
        "--queries",
        type=int,
        metavar="N",
        help="how many images are drawn; default: all",
    )
    parser.add_argument("--seed", type=int, default=0, help="of every draw; default: 0")
    if kind.changes:
        parser.add_argument(
            "--changes",
            nargs="+",
            default=(),
            metavar="NAME",
            help="modifications, profiles, or any of them by name; default: "
            + SET_TITLES[kind.changes],
        )
    if kind.ks:
        usual = " ".join(map(str, kind.ks))
        parser.add_argument("-k", nargs="+", type=int, default=(), help=f"default: {usual}")
    parser.add_argument("--device", help="cpu or cuda; by default what is there")
    parser.add_argument("--runtime", help="openvino or torch; by default what suits the device")
    _add_files(parser)


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=Path, help="file for every figure, as a table")
    parser.add_argument("--html", type=Path, help="file for the report with its figures")


def _run(kind: str, options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.embedding import load_embedder
    from aina_core.studies import run

    settings = _settings(kind, options)
    _check_files(options)
    try:
        made = run(
            settings,
            load=lambda m: load_embedder(m, device=options.device, runtime=options.runtime),
            progress=reporter.progress,
            stop=reporter.stop,
        )
    except StoppedError as stopped:
        reporter.end(0, "")
        show(options, {"stopped": True}, str(stopped))
        return str(stopped)
    reporter.end(0, "")
    return _tell(made, options)


def _settings(kind: str, options: argparse.Namespace) -> Settings:
    from aina_core.studies import settle

    return settle(
        kind,
        options.gallery,
        [str(chosen_name(model)) for model in options.models],
        originals=options.originals,
        changes=getattr(options, "changes", ()),
        ks=getattr(options, "k", ()),
        seed=options.seed,
    )


def _show(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.studies import load

    _check_files(options)
    return _tell(load(options.id), options)


def _tell(run: Run, options: argparse.Namespace) -> str:
    from aina_core.studies.kinds import figure_table, model_table
    from aina_core.studies.report import report

    if options.csv is not None:
        write_csv(options.csv, *figure_table(run))
    if options.html is not None:
        _write(options.html, report(run))
    header, table = model_table(run)
    text = [run.summary.verdict]
    for line in table:
        text.append(line[0])
        text += [f"  {n}: {cell}" for n, cell in zip(header[1:], line[1:], strict=True) if cell]
    for failed in run.results.get("failed", []):
        text.append(f"left out: {failed['id']}: {failed['reason']}")
    show(options, run.document(), "\n".join([*text, f"stored as {run.id}"]))
    return f"a study of {run.settings.kind} over {run.settings.gallery}: {len(run.images):,} images"


def _list(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.studies import studies

    found, damaged = studies()
    document = {
        "studies": [
            {
                "id": one.id,
                "created": one.created,
                "settings": one.settings.as_dict(),
                "verdict": one.verdict,
                "seconds": one.seconds,
            }
            for one in found
        ],
        "damaged": [{"id": key, "reason": reason} for key, reason in damaged.items()],
    }
    lines = [
        f"{one.id}: {one.settings.gallery}, {', '.join(one.settings.models)}: {one.verdict}"
        for one in found
    ]
    lines += [f"{key} is damaged: {reason}" for key, reason in damaged.items()]
    show(options, document, "\n".join(lines) or "no study yet; begin with: study modifications")
    return f"{len(found)} studies"


def _compare(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.studies import load
    from aina_core.studies.compare import compare

    found = compare(load(options.first), load(options.second))
    document = found.as_dict()
    lines = [*found.notes]
    for one in document["figures"]:
        at = f"@{one['k']}" if one["k"] else ""
        mark = {True: "  apart", False: "", None: ""}[one["apart"]]
        lines.append(
            f"{one['model']}, {one['what']}, {one['figure']}{at}: {one['first']} → {one['second']} "
            f"({one['difference']:+}){mark}"
        )
    show(options, document, "\n".join(lines))
    return f"{len(found.pairs)} figures"


def _delete(options: argparse.Namespace, reporter: Reporter) -> str:
    from aina_core.studies import delete

    delete(options.id)
    show(options, {"deleted": options.id}, f"deleted {options.id}")
    return f"deleted {options.id}"


def _check_files(options: argparse.Namespace) -> None:
    """Refuse files that cannot be written before the work begins, as far as that is known."""
    for path in (options.csv, options.html):
        check_csv(path)


def _write(path: Path, text: str) -> None:
    try:
        with paths.replacing(path) as file:
            # what cannot be written as UTF-8, as some files' names, is written as an escape
            file.write(text.encode(errors="backslashreplace"))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None
