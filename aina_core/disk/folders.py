"""The hidden folder in which an import makes what readers see only when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aina_core.errors import GalleryBusyError

_PREFIX, _HELD = ".importing-", "held"
_MAKING_SECONDS = 60.0


@contextlib.contextmanager
def aside_of(home: Path) -> Iterator[Path]:
    """Yield a hidden folder for the length of an import, after sweeping those of killed ones."""
    for left in home.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, GalleryBusyError):
            just_made = time.time() - left.stat().st_mtime < _MAKING_SECONDS
            if just_made and not (left / _HELD).exists():
                continue  # by another import, which is about to hold it
            with _held(left):
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=home, prefix=_PREFIX))
    try:
        with _held(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which its process loses when it is killed.

    Raises:
        GalleryBusyError: another process holds it.
    """
    with (folder / _HELD).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GalleryBusyError(f"{folder} is in use.") from None
        yield
