"""Folders that appear whole and disappear whole, whenever a process is killed.

::

    PARENT/
      .aina-new-1f0c9a2e/      a workspace, removed when its block ends
        lock                   held by the process that works in it
        made/                  what it makes, before that takes its place in one step
      .aina-deleted-5b7e0d31/  what was discarded, until all of it is removed

Whoever makes or discards something sweeps what killed processes have left in the same parent: the
folders of these names whose lock nobody holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from aina_core.disk import paths
from aina_core.disk.locks import alone
from aina_core.errors import GalleryBusyError

_NEW, _DELETED = ".aina-new-", ".aina-deleted-"
# Names used by earlier versions; they are swept only in AINA's own folders.
_EARLIER = (".deleted-*", ".fetch-*", ".importing-*", ".new-*", ".upload-*")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def workspace(parent: Path, name: str | None = None) -> Iterator[Path]:
    """Yield an empty folder in a hidden one, which is removed when the block ends.

    Args:
        parent: where the hidden folder is; made where it is missing.
        name: of the hidden folder, where only one process at a time may have it.

    Raises:
        GalleryBusyError: another process has the hidden folder of that name.
        OSError: the parent cannot be written to.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent, *([name] if name else []))
    hidden = parent / (name or f"{_NEW}{secrets.token_hex(4)}")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone(hidden, f"writing to {hidden}"))
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # some network file systems; nobody sweeps there
                raise
        held.callback(shutil.rmtree, hidden, ignore_errors=True)
        made = hidden / "made"
        made.mkdir()
        yield made


@contextlib.contextmanager
def making(place: Path) -> Iterator[Path]:
    """Yield an empty folder that takes its place in one step when the block succeeds.

    When the block fails, or its process is killed, there is nothing at the place.

    Raises:
        FileExistsError: the place is taken.
        OSError: it cannot be written to.
    """
    with workspace(place.parent) as made:
        yield made
        put_in_place(made, place)


def put_in_place(made: Path, place: Path, *, replace: bool = False) -> None:
    """Give a folder its place in one step, once all of it is on the disk.

    Args:
        made: the folder, on the same file system.
        place: where it shall be; an empty folder there gives way.
        replace: whether any other folder there is discarded.

    Raises:
        FileExistsError: the place is taken.
        OSError: it cannot be written to.
    """
    for folder, _, files in os.walk(made):
        for path in (*(Path(folder, file) for file in files), Path(folder)):
            _sync(path)
    old = _aside(place) if replace and place.exists() else None
    try:
        made.rename(place)
    except OSError as error:
        if old is not None:
            old.rename(place)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from None
        raise
    paths.sync_folder(place.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a folder: for readers in one step, however long it takes."""
    shutil.rmtree(_aside(path), ignore_errors=True)
    sweep(path.parent)


def _aside(path: Path) -> Path:
    return path.rename(path.with_name(f"{_DELETED}{secrets.token_hex(4)}"))


def sweep(parent: Path, *names: str) -> None:
    """Remove what killed processes have left in a folder; never what a living one works on.

    Args:
        parent: the folder.
        names: of hidden folders that are swept besides.
    """
    own = any(parent.is_relative_to(folder) for folder in (paths.home(), paths.cache()))
    for pattern in (f"{_NEW}*", f"{_DELETED}*", *(_EARLIER if own else ())):
        for left in parent.glob(pattern):
            _remove_free(left)
    for name in names:
        _remove_free(parent / name)


def sweep_unused(parent: Path, seconds: float) -> None:
    """Discard the folders in a folder that nobody has worked in for that long (see `alone`)."""
    for path in parent.glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > seconds:
                _remove_free(path)


def _remove_free(folder: Path) -> None:
    with (
        contextlib.suppress(OSError, GalleryBusyError),
        alone(folder, "writing to it", make=False, patience=0),
    ):
        shutil.rmtree(_aside(folder), ignore_errors=True)
