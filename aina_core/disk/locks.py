"""Locks of folders: one process works in a folder, and any number may ask whether one does.

A lock is an open file that the system locks, so it ends with its process, however that ends.
`filelock` takes and releases it. Only the question `is_busy` asks the system itself: it needs a
shared lock on the same file, or two who ask at once would take each other for the worker, and
filelock has none (its reader and writer lock is an SQLite database in the place of the file).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

from aina_core.errors import GalleryBusyError, StoppedError
from aina_core.progress import never

_FILE = "lock"
# `is_busy` holds the lock for a moment: too short to be taken for a worker.
_PATIENCE_SECONDS = 0.5
_PAUSE_SECONDS = 0.005


@contextlib.contextmanager
def alone(
    folder: Path,
    what: str,
    *,
    file: str = _FILE,
    make: bool = True,
    patience: float = _PATIENCE_SECONDS,
    stop: Callable[[], bool] = never,
) -> Iterator[None]:
    """Be the only one that works in a folder.

    Whoever removes or renames the folder does so while holding the lock; those who waited for it
    then lock the folder that is in its place, not the one that has gone.

    Args:
        folder: the folder; one of its files is locked as long as the block runs.
        what: is done there, as in "Another process is …".
        file: name of the file that is locked.
        make: whether a missing folder is made.
        patience: seconds to wait for another process.
        stop: asked while waiting.

    Raises:
        GalleryBusyError: another process works there.
        StoppedError: it was stopped while waiting.
        FileNotFoundError: the folder is missing and is not to be made.
        OSError: the folder cannot be written to, or its file system has no locks.
    """
    end = time.monotonic() + patience
    descriptor = _open(folder, file, make)
    try:
        while not (_lock(descriptor, what, end, stop) and _is_at(descriptor, folder / file)):
            os.close(descriptor)
            descriptor = -1
            descriptor = _open(folder, file, make)
        os.utime(folder)  # what is in use is not swept away
        yield
    finally:
        if descriptor >= 0:
            # closing is not enough while a process that is just being started has a copy
            with contextlib.suppress(OSError):
                unlock_descriptor(descriptor)
            os.close(descriptor)


def _open(folder: Path, file: str, make: bool) -> int:
    while True:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(folder / file, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:  # removed since
            if not make:
                raise


def _lock(descriptor: int, what: str, end: float, stop: Callable[[], bool]) -> bool:
    while not lock_descriptor(descriptor, blocking=False):
        if time.monotonic() > end:
            raise GalleryBusyError(
                f"Another process is {what}; wait until it has ended, or stop it."
            )
        if stop():
            raise StoppedError(f"Stopped while another process was {what}.")
        time.sleep(_PAUSE_SECONDS)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_busy(folder: Path) -> bool:
    """Return whether a process works in a folder (see `alone`)."""
    try:
        descriptor = os.open(folder / _FILE, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
