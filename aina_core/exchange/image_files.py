"""The pictures of imported vectors: does a folder hold them, and what are its files?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from aina_core import images
from aina_core.errors import ImageError, StoppedError
from aina_core.exchange.source import File
from aina_core.exchange.staging import Incoming
from aina_core.progress import Progress, Stop

_SAMPLE = 1000
_AT_ONCE = 2048


def suits(incoming: Incoming, folder: Path, has_files: bool) -> str | None:
    """Say in one sentence why a folder cannot be that of the pictures; None where it can.

    It can where at least half of a thousand rows, evenly spread, have their file in it: of the
    recorded size, where that is known.

    Args:
        incoming: the rows.
        folder: of the pictures.
        has_files: whether sizes are known.
    """
    if not folder.is_dir():
        return f"The folder of images {folder} is missing; give a folder that exists."
    unsafe = incoming.unsafe()
    if unsafe is not None:
        return (
            f"The id {unsafe!r} is no path below a folder, so {folder} cannot be the folder of "
            "the images; leave --images out for a gallery without pictures."
        )
    found = total = 0
    example = ""
    for image_id, file in incoming.usable(_SAMPLE):
        total += 1
        try:
            size = (folder / image_id).stat().st_size
        except (OSError, ValueError):
            size = -1
        if size >= 0 and (not has_files or size == file.size):
            found += 1
        else:
            example = example or image_id
    if 2 * found >= total:
        return None
    return (
        f"Of {total:,} images looked up in {folder}, {total - found:,} are missing or of another "
        f"size, as: {example}; give the folder that the ids are relative to, or leave --images "
        "out for a gallery without pictures."
    )


def find_files(incoming: Incoming, folder: Path, progress: Progress, stop: Stop) -> int:
    """Record the checksum, size and shape of every row's file, using threads.

    Returns:
        How many have none that can be read.

    Raises:
        StoppedError: it was stopped.
    """
    phase, total = "looking up the files", incoming.counts()[0]
    missing = done = 0
    progress(phase, 0, total)
    rows = incoming.ids()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for block in _blocks(rows):
            if stop():
                raise StoppedError("Stopped while files were looked up; nothing was imported.")
            known = [
                (image_id, file)
                for image_id, file in zip(
                    block, threads.map(lambda each: look_at(folder / each), block), strict=True
                )
                if file is not None
            ]
            incoming.found(known)
            missing += len(block) - len(known)
            done += len(block)
            progress(phase, done, total)
    return missing


def _blocks(ids: Iterator[str]) -> Iterator[list[str]]:
    while block := list(islice(ids, _AT_ONCE)):
        yield block


def look_at(path: Path) -> File | None:
    """Describe a picture's file without decoding it; None if it cannot be read."""
    try:
        data, status = images.read_bytes(path), path.stat()
        width, height = images.upright_size(data)
    except (ImageError, OSError, ValueError):
        return None
    sha256 = hashlib.sha256(data).hexdigest()
    return File(sha256, status.st_size, status.st_mtime_ns, width, height)
