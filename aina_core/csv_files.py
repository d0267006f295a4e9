"""Tables as CSV: one way to write them, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from aina_core.disk import paths
from aina_core.errors import InputError

_NUMBER = re.compile(r"-\d+(\.\d+)?")


def csv_text(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    guarded: bool = True,
    line_end: str = "\r\n",
) -> str:
    """Return a table as CSV.

    Args:
        header: names of the columns.
        rows: one sequence of cells each.
        guarded: whether text that a spreadsheet would run as a formula gets a leading quote; not
            for a table that AINA reads back, whose cells must stay what they are.
        line_end: what ends a line.
    """
    text = io.StringIO()
    _write(text, header, rows, guarded, line_end)
    return text.getvalue()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table for people into a file, all or nothing.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with paths.replacing(path) as file:
            # what cannot be written as UTF-8, as some files' names, is written as an escape
            text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
            _write(text, header, rows)
            text.detach()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None


def check_csv(path: Path | None) -> None:
    """Refuse a path that no table can be written to, before any work is done.

    Raises:
        InputError: it is a folder.
    """
    if path is not None and path.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder.")


def _write(
    file: TextIO,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    guarded: bool = True,
    line_end: str = "\r\n",
) -> None:
    table = csv.writer(file, lineterminator=line_end)
    table.writerow([_guarded(cell) for cell in header] if guarded else header)
    table.writerows([_guarded(cell) for cell in row] if guarded else row for row in rows)


def _guarded(cell: object) -> object:
    """A cell as it is; text that a spreadsheet would run gets a leading quote."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell if _NUMBER.fullmatch(cell) else f"'{cell}"
    return cell
