"""The placeholder for a missing picture: a quiet frame with the image's id."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

_SIDE = 256
_LETTERS, _LINES = 18, 4  # of the id: letters a line, and lines
_INK = "#7b8088"  # as legible on white as on the dark theme's background
_PARTS = re.compile(r"[^/ _-]*[/ _-]|[^/ _-]+")  # lines break after these signs
_FRAME = (
    f'<g fill="none" stroke="{_INK}" stroke-width="5" stroke-linejoin="round">'
    '<rect x="92" y="48" width="72" height="56" rx="6"/>'
    '<path d="M96 98l22-26 16 17 11-11 17 20"/><circle cx="144" cy="66" r="5"/></g>'
)


def placeholder(image_id: str) -> str:
    """Return an id as an SVG picture; everything in it is text, nothing can run."""
    lines = "".join(
        f'<text x="{_SIDE // 2}" y="{142 + 26 * place}">{escape(line)}</text>'
        for place, line in enumerate(_lines(image_id))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIDE}" height="{_SIDE}" '
        f'viewBox="0 0 {_SIDE} {_SIDE}">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="{_INK}" fill-opacity="0.12"/>{_FRAME}'
        f'<g fill="{_INK}" font-family="sans-serif" font-size="22" text-anchor="middle">{lines}</g>'
        "</svg>"
    )


def _lines(image_id: str) -> list[str]:
    """The id in a few short lines; a long one is cut to its end, where file names differ."""
    text = "".join(
        letter if _drawable(letter) else "\N{REPLACEMENT CHARACTER}" for letter in image_id
    )
    lines = [""]
    for part in _PARTS.findall(text):
        for start in range(0, len(part), _LETTERS):
            piece = part[start : start + _LETTERS]
            if len(lines[-1]) + len(piece) > _LETTERS:
                lines.append("")
            lines[-1] += piece
    if len(lines) > _LINES:
        lines = ["…" + lines[-_LINES][1:], *lines[1 - _LINES :]]
    return lines


def _drawable(letter: str) -> bool:
    """Whether XML may hold a letter."""
    code = ord(letter)
    return 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF
