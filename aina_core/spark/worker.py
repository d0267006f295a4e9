"""What runs in Spark's worker processes: rows of a source in, rows of results out."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aina_core import images
from aina_core.embedding import Embedder, load_embedder
from aina_core.errors import ImageError, ModelError
from aina_core.exchange import SCHEMA
from aina_core.gallery.catalogue import ImageRecord
from aina_core.gallery.scan import look
from aina_core.spark.download import fetch

#: Rows that a worker hands over at a time.
_HANDED = 64
#: Pictures that are fetched at a time: a server is waited for, not a processor.
_FETCHED = 8
_RESOURCES = ("gpu",)


@dataclass(frozen=True)
class Work:
    """What a job does with its rows; travels to the workers.

    Attributes:
        model: its full name.
        fingerprint: as this machine's own embedder says it; workers' must be the same.
    """

    model: str
    fingerprint: Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """A worker's report about itself.

    Attributes:
        computed_on: as {"cpu/openvino"}.
        load_seconds: the longest that the model's loading took.
    """

    computed_on: frozenset[str] = frozenset()
    load_seconds: float = 0.0

    def __add__(self, other: Seen) -> Seen:
        return Seen(
            self.computed_on | other.computed_on, max(self.load_seconds, other.load_seconds)
        )


def embed(
    batches: Iterable[pa.RecordBatch], work: Work, tell: Any, resources: Mapping[str, Sequence[str]]
) -> Iterator[pa.RecordBatch]:
    """Embed the rows of one task.

    Args:
        batches: with the columns of `sources.COLUMNS`.
        work: what to do.
        tell: called with a `Seen`.
        resources: addresses of what Spark has given the task, by their kinds.

    Yields:
        Rows of `exchange.SCHEMA`.

    Raises:
        ModelError: this machine has other weights than the driver, or none.
    """
    embedder, seconds = _loaded(work, resources)
    tell(Seen(frozenset({f"{embedder.runtime.device}/{embedder.runtime.name}"}), seconds))
    items = _fetched(_Item(batch, row) for batch in batches for row in range(batch.num_rows))

    def prepare(item: _Item) -> tuple[np.ndarray | None, ImageRecord]:
        record, pixels = item.look(embedder.reduced_side)
        return pixels, record

    rows: list[dict[str, Any]] = []
    for item, record, row, norm in embedder.run_with_norms(items, prepare):
        rows.append(_row(item.label, record, row, norm))
        if len(rows) >= _HANDED:
            yield batch_of(rows)
            rows = []
    if rows:
        yield batch_of(rows)


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Return rows of `exchange.SCHEMA`, each a dict with all its names, as one batch."""
    # column by column: `from_pylist` takes a hundred times as long over the vectors
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    return pa.RecordBatch.from_pydict(columns, SCHEMA)


def _row(label: str | None, record: ImageRecord, row: Any, norm: float) -> dict[str, Any]:
    failed = row is None
    return {
        "id": record.id,
        "embedding": row,
        "norm": None if failed else norm,
        "width": None if failed else record.width,
        "height": None if failed else record.height,
        "label": label,
        "failure": record.failure,
        "sha256": record.sha256 or None,
        "size": record.size,
        "mtime_ns": record.mtime_ns,
    }


class _Item:
    """One row of a source; its bytes are taken from the batch on demand."""

    def __init__(self, batch: pa.RecordBatch, row: int) -> None:
        self._batch, self._row = batch, row
        self.label: str | None = self._value("label")
        self.url: str | None = None if self._value("problem") else self._value("url")
        self.fetched: Future[bytes] | None = None

    def _value(self, name: str) -> Any:
        return self._batch.column(name)[self._row].as_py()

    def look(self, at_least: int | None) -> ImageRecordAndPixels:
        """Read and decode it (see `scan.look`)."""
        size, mtime_ns = self._value("size"), self._value("mtime_ns")
        got = 0
        path = self._value("path")
        problem = self._value("problem")
        if size is None and path is not None and problem is None:
            size, mtime_ns = _asked(Path(path))

        def read() -> bytes:
            nonlocal got
            if problem is not None:
                raise ImageError(problem)
            if path is not None:
                return images.read_bytes(Path(path))
            fetched, self.fetched = self.fetched, None  # its bytes are needed once
            data = self._value("content") if fetched is None else fetched.result()
            got = len(data)
            if got > images.MAX_BYTES:
                raise ImageError(f"the file is over {images.MAX_BYTES >> 20} MB")
            return bytes(data)

        record, pixels = look(self._value("id"), size or 0, mtime_ns or 0, read, at_least=at_least)
        if size is None:
            record = dataclasses.replace(record, size=got)
        return record, pixels


ImageRecordAndPixels = tuple[ImageRecord, np.ndarray | None]


def _asked(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _fetched(items: Iterator[_Item]) -> Iterator[_Item]:
    """Start fetching addresses some items ahead."""
    pool: ThreadPoolExecutor | None = None
    ahead: deque[_Item] = deque()
    try:
        for item in items:
            if item.url is not None:
                pool = pool or ThreadPoolExecutor(_FETCHED, "fetch")
                item.fetched = pool.submit(fetch, item.url)
            ahead.append(item)
            if item.url is None or len(ahead) >= _FETCHED:
                yield ahead.popleft()
        yield from ahead
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


# ── the model of this process ────────────────────────────────────────────────────────────────────

_loading = threading.Lock()
_kept: dict[str, Embedder] = {}


def device_of(resources: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Choose where a task computes.

    Args:
        resources: addresses of what Spark has given it, by their kinds: {"gpu": ["1"]}.

    Returns:
        The device as `load_embedder` takes it, and what CUDA_VISIBLE_DEVICES is to be: the task's
        GPUs, or nothing, so that a task that was given none takes none from another.
    """
    addresses = [address for kind in _RESOURCES for address in resources.get(kind, ())]
    return ("cuda" if addresses else "cpu"), ",".join(addresses)


def _loaded(work: Work, resources: Mapping[str, Sequence[str]]) -> tuple[Embedder, float]:
    """Return the model, loaded once per process, and the seconds it took this time.

    A process that uses a GPU stays with it, whatever later tasks are given.

    Raises:
        ModelError: its weights are missing, or it is not what the driver has.
    """
    with _loading:
        started = time.monotonic()
        if work.model not in _kept:
            device, visible = device_of(resources)
            os.environ["CUDA_VISIBLE_DEVICES"] = visible  # before torch looks at it
            _kept.clear()
            _kept[work.model] = load_embedder(work.model, device=device)
        embedder = _kept[work.model]
        _check(embedder.fingerprint(), work)
        return embedder, time.monotonic() - started


def _check(found: Mapping[str, Any], work: Work) -> None:
    differing = sorted(
        key for key in {*found, *work.fingerprint} if found.get(key) != work.fingerprint.get(key)
    )
    if differing:
        raise ModelError(
            f"The model {work.model} differs on the worker {os.uname().nodename} "
            f"({', '.join(differing)}); give all machines the same weights and the same AINA, and "
            "for different processors the exact mode."
        )
