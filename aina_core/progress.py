"""How long work tells of itself, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable

#: Called with a phase, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]
#: Asked now and then whether to finish what is under way and end.
Stop = Callable[[], bool]


def silent(phase: str, done: int, total: int) -> None:
    """The progress of a caller that shows none."""


def never() -> bool:
    """The stop of a caller that never stops."""
    return False
