"""Text in figures: plotly reads some HTML in what it draws, and names of files are no HTML."""

from __future__ import annotations

import html


def literal(text: str, longest: int = 28) -> str:
    """Return what plotly draws as the text itself, shortened in the middle to a length."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[-(longest - 1 - longest // 2) :]}"
    return html.escape(text, quote=False)
