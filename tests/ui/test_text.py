"""Text as it is, on the screen and in tables."""

import csv
import io
import string

import pytest

from aina_core.csv_files import csv_text
from ui.text import plain

MARKDOWN = [
    "<b>x</b>",
    "**x**",
    "_x_",
    "[a](javascript:alert(1))",
    "![a](http://e.org/x.png)",
    ":red[x]",
    ":material/home:",
    "$x$",
    "`x`",
    "# x",
    "| x |",
    "~~x~~",
    "&lt;",
    "\\*",
]


@pytest.mark.parametrize("text", MARKDOWN)
def test_every_sign_that_markdown_reads_is_escaped(text):
    shown = plain(text)
    escaped = iter(shown)
    read = "".join(next(escaped) if sign == "\\" else sign for sign in escaped)
    assert read == text


def test_all_of_ascii_punctuation_and_nothing_else():
    assert plain(string.punctuation) == "".join(f"\\{sign}" for sign in string.punctuation)
    for text in ("", "Käfer 3 – müde … 北京", "a\nb"):
        assert plain(text) == text


def test_what_is_no_text_is_made_one():
    assert plain(ValueError("no *way*")) == r"no \*way\*"


FORMULAS = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "-1+1", "-", "--1", "-1.e"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_in_a_table_becomes_text(text):
    found = list(csv.reader(io.StringIO(csv_text(["a"], [[text]]), newline="")))
    assert found == [["a"], [f"'{text}"]]


@pytest.mark.parametrize("cell", ["-0.120000", "-3", "0.5", "x", 'a "b", c', "a\nb", -0.5, 3, None])
def test_numbers_and_texts_stay_what_they_are(cell):
    found = list(csv.reader(io.StringIO(csv_text(["a", "b"], [[cell, 1]]), newline="")))
    assert found[1] == ["" if cell is None else str(cell), "1"]
