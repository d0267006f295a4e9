"""Small pictures of originals and of their changed versions, made once and stored for a training.

They are stored in chunks, so that a run that is stopped or killed resumes there::

    FOLDER/
      pictures.u8, .json   pictures in the order of `Wanted.items`, and which they are
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.changes.made import Task, make_version, tasks
from aina_core.changes.wanted import Rows, Wanted
from aina_core.disk import paths
from aina_core.embedding import preprocess
from aina_core.embedding.runtimes import cores
from aina_core.errors import DamagedError, StoppedError
from aina_core.gallery import Gallery
from aina_core.models import Recipe
from aina_core.progress import Progress, Stop

_CHUNK = 128


def pictures(
    folder: Path,
    gallery: Gallery,
    recipe: Recipe,
    wanted: Wanted,
    *,
    progress: Progress,
    stop: Stop,
) -> Rows:
    """Return what is wanted, preprocessed for a network.

    Args:
        folder: of this training.
        gallery: of the originals.
        recipe: the preprocessing.
        wanted: what is needed.
        progress: called after each image.
        stop: asked between images.

    Raises:
        StoppedError: it was stopped; what is decoded is stored.
    """
    items = wanted.items()
    size = 3 * recipe.crop**2
    identity = _identity(wanted, recipe)
    data, record = folder / "pictures.u8", folder / "pictures.json"
    done, failures = _already(data, record, identity, size)
    phase = "decoding"
    with data.open("ab") as file:
        file.truncate(done * size)

        def make(task: Task) -> tuple[int, np.ndarray | None, str]:
            pixels, problem = make_version(task)
            return task.place, None if pixels is None else preprocess(pixels, recipe), problem

        progress(phase, done, len(items))
        missing = [(place, wanted.change(column)) for place, column in items[done:]]
        for place, picture, problem in _in_threads(
            tasks(gallery, wanted.originals, missing), make, stop
        ):
            if picture is None:
                failures[place] = problem
            file.write(bytes(size) if picture is None else picture.tobytes())
            done += 1
            if done % _CHUNK == 0:
                _note(file, record, identity, done, failures)
            progress(phase, done, len(items))
        _note(file, record, identity, done, failures)
    if done < len(items):
        raise StoppedError(
            f"Stopped: {done:,} of {len(items):,} images are decoded; the same command goes on "
            "from there."
        )
    at = np.full(wanted.needed.shape, -1, np.int64)
    at[wanted.needed] = np.arange(len(items))
    shape = (len(items), recipe.crop, recipe.crop, 3)
    return Rows(np.memmap(data, np.uint8, mode="r", shape=shape), at, failures)


def _in_threads(tasks: Iterable[Any], make: Callable[[Any], Any], stop: Stop) -> Iterator[Any]:
    """Yield the results of tasks in their order, made on all cores, a few at a time."""
    pool = ThreadPoolExecutor(cores(), "decode")
    waiting: deque[Future[Any]] = deque()
    try:
        for task in tasks:
            if stop():
                break
            waiting.append(pool.submit(make, task))
            if len(waiting) >= 4 * cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _identity(wanted: Wanted, recipe: Recipe) -> str:
    listed = [
        [[o.id, o.sha256] for o in wanted.originals],
        wanted.changes,
        wanted.items(),
        repr(recipe),
    ]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _already(data: Path, record: Path, identity: str, size: int) -> tuple[int, dict[int, str]]:
    """How many complete pictures an earlier run has stored, and what it could not read."""
    try:
        noted: dict[str, Any] = paths.read_json(record)
        if noted["identity"] == identity and data.stat().st_size >= int(noted["done"]) * size:
            return int(noted["done"]), {int(k): str(v) for k, v in noted["failures"].items()}
    except (DamagedError, OSError, KeyError, TypeError, ValueError):
        pass
    return 0, {}


def _note(file: Any, record: Path, identity: str, done: int, failures: dict[int, str]) -> None:
    file.flush()
    os.fsync(file.fileno())
    paths.write_json(record, {"identity": identity, "done": done, "failures": failures})
