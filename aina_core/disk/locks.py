"""Locks of folders: who works in one, and whether somebody does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from aina_core.errors import GalleryBusyError, StoppedError

_FILE = "lock"
# Whoever asks (`is_busy`) holds the lock for a moment: too short to be taken for a worker.
_PATIENCE_SECONDS = 0.5
_PAUSE_SECONDS = 0.005


@contextlib.contextmanager
def alone(
    folder: Path,
    what: str,
    *,
    patience: float = _PATIENCE_SECONDS,
    stop: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Be the only one that works in a folder, which is made where it is not there.

    Whoever removes the folder, or puts it aside, does so while holding the lock: those who wait
    then make it anew.

    Args:
        folder: the folder; its file `lock` is locked as long as the block runs.
        what: is done there, as in "Another process is …".
        patience: seconds to wait for another process.
        stop: asked while waiting.

    Raises:
        GalleryBusyError: another process works there.
        StoppedError: it was stopped while waiting.
    """
    descriptor = _held(folder, what, patience, stop or (lambda: False))
    try:
        yield
    finally:
        # closing is not enough while a process that is just being started has a copy
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _held(folder: Path, what: str, patience: float, stop: Callable[[], bool]) -> int:
    """Return the descriptor of a folder's lock, once it is held and the folder is still there."""
    end = time.monotonic() + patience
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / _FILE, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:  # removed since
            continue
        try:
            _lock(descriptor, what, end, stop)
            if _is_lock_of(descriptor, folder):
                os.utime(folder)  # what is used is not swept away
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_lock_of(descriptor: int, folder: Path) -> bool:
    """Whether an open file is the lock that stands in a folder now."""
    try:
        return os.path.samestat(os.fstat(descriptor), (folder / _FILE).stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, what: str, end: float, stop: Callable[[], bool]) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                raise GalleryBusyError(
                    f"Another process is {what}; wait until it has ended, or stop it."
                ) from None
            if stop():
                raise StoppedError(f"Stopped while another process was {what}.") from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def is_busy(folder: Path) -> bool:
    """Return whether a process works in a folder (see `alone`)."""
    try:
        descriptor = os.open(folder / _FILE, os.O_RDWR)
    except OSError:
        return False
    try:
        # shared: two who look at once must not take each other for the worker
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
