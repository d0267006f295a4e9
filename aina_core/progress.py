"""How long work reports its progress, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable

#: Called with a phase, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]
#: Called now and then: whether to finish the current item and end.
Stop = Callable[[], bool]


def silent(phase: str, done: int, total: int) -> None:
    """Report nothing."""


def never() -> bool:
    """Never stop."""
    return False
