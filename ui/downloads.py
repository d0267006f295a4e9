"""Files to download: made when somebody asks for one, by a button that redraws nothing.

A button that also reran its page would be undone by that run: its end forgets the files offered
before it, among them the one just asked for, whenever a busy server hears of that request late.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterable, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from aina_core.csv_files import csv_text


def csv(
    name: str,
    header: Sequence[str],
    rows: Callable[[], Iterable[Sequence[object]]],
    *,
    label: str = "CSV",
    help: str | None = None,
    place: DeltaGenerator | None = None,
    key: str | None = None,
) -> None:
    """Draw a button for a table, which is written when it is clicked.

    Args:
        name: of the file.
        header: names of the columns.
        rows: gives one sequence of cells for each row; called on a click, in another thread.
        label: of the button.
        help: shown where somebody points at the button.
        place: a column for the button to fill; by default it follows what was drawn before.
        key: names the button within the page; by default the file's name does.
    """

    def table() -> bytes:
        # a file's name that is not Unicode is written as an escape, as the command line does
        return csv_text(header, rows()).encode(errors="backslashreplace")

    file(name, table, label=label, help=help, place=place, key=key)


def file(
    name: str,
    make: Callable[[], str | bytes],
    *,
    label: str,
    help: str | None = None,
    place: DeltaGenerator | None = None,
    key: str | None = None,
) -> None:
    """Draw a button for any file; `make` gives its content, the rest is as for `csv`."""
    (st if place is None else place).download_button(
        label,
        make,
        name,
        mimetypes.guess_type(name)[0] or "application/octet-stream",
        key=f"download.{key or name}",
        help=help,
        on_click="ignore",
        icon=":material/download:",
        width="content" if place is None else "stretch",
    )
