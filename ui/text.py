"""Text shown literally where Streamlit would read Markdown."""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


def plain(text: object) -> str:
    """Return Markdown that reads as the text itself: names of files, galleries and columns, and
    the messages that contain them.

    Streamlit still sets arrows (`->`) and links web addresses; what one sees is what one gets.
    """
    return _PUNCTUATION.sub(r"\\\g<0>", str(text))
