"""Cells that a spreadsheet takes for what they are: text that looks like a formula is none."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"-\d+(\.\d+)?")


def plain_cell(cell: object) -> object:
    """Return a cell of a CSV; text that a spreadsheet would run gets a leading quote."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell if _NUMBER.fullmatch(cell) else f"'{cell}"
    return cell
