"""The command line in a process of its own, and waiting for what others do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return as soon as a condition holds; fail when it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)


def start_tiny(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    """Start the command line with the tiny model in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "tests/support/tiny.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def refused(run) -> str:
    """The one line on stderr of a command that the user can mend."""
    assert run.status == 2 and run.out == ""
    (line,) = (said for said in run.err.splitlines() if not said.endswith(" …"))  # progress
    assert line.startswith("aina: ")
    return line
