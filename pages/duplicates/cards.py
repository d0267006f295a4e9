"""The card of an image among its duplicates: what helps to choose which one to keep."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from aina_core.duplicates import TURNS
from aina_core.search.searcher import Searcher
from ui import image_cards
from ui.components import Card


def image_card(
    opened: Searcher,
    image_id: str,
    *,
    similarity: float | None,
    notes: list[str],
    mark: str | None = None,
) -> Card:
    """Return the card of an image with what helps to choose: size, bytes, age, and some notes."""
    record, note = opened.image(image_id)
    day = datetime.fromtimestamp(record.mtime_ns / 1e9, UTC).date()
    return replace(
        image_cards.image_card(opened, image_id, mark=mark),
        label=note.label or image_id,
        caption=f"{record.width} × {record.height} · {_bytes(record.size)}",
        similarity=similarity,
        percentile=None if similarity is None else float(opened.percentile(similarity)),
        note=" · ".join([day.isoformat(), *(note for note in notes if note)]),
    )


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size / 1e3, 1):.0f} kB"


def cards_key(*ids: str) -> str:
    """Return a short key for what is drawn of some images or files."""
    return hashlib.sha256("\0".join(ids).encode(errors="surrogateescape")).hexdigest()[:16]


def turn_text(turn: str, before: str = ", ") -> str:
    """Return how a pair is turned, in words; nothing where it is not."""
    return "" if turn in ("", TURNS[0]) else f"{before}{turn}"
