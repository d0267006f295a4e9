"""The cost of a model on this machine, measured while it is used."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aina_core.embedding import Embedder

_SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Cost:
    """The cost of embedding.

    Attributes:
        dim: length of an embedding.
        bytes_per_vector: of a stored embedding.
        images: how many images were embedded while it was measured.
        images_per_second: from reading the file to the embedding; None if there were no images.
        peak_memory: of the whole process meanwhile, bytes of resident memory.
        device: where it ran.
        runtime: its name.
        precision: "f32", "bf16" or "f16".
    """

    dim: int
    bytes_per_vector: int
    images: int
    images_per_second: float | None
    peak_memory: int
    device: str
    runtime: str
    precision: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class Meter:
    """Counts images, seconds and memory over all runs of one piece of work.

    Attributes:
        images: embedded so far.
        seconds: that they took.
        peak: the most resident memory of the process, in bytes.
    """

    def __init__(self, images: int = 0, seconds: float = 0.0, peak: int = 0) -> None:
        self.images, self.seconds, self.peak = images, seconds, peak

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Measure memory and time while the block runs."""
        ended = threading.Event()

        def watch() -> None:
            while True:
                self.peak = max(self.peak, resident_bytes())
                if ended.wait(_SECONDS_BETWEEN_LOOKS):
                    return

        watcher = threading.Thread(target=watch, name="memory", daemon=True)
        earlier, started = self.seconds, time.monotonic()
        self._elapsed = lambda: earlier + time.monotonic() - started
        watcher.start()
        try:
            yield
        finally:
            self.look()
            ended.set()
            watcher.join()

    def look(self) -> None:
        """Update the seconds."""
        self.seconds = self._elapsed()

    def record(self) -> dict[str, Any]:
        """Return what a later run needs to go on counting, as JSON values."""
        return {"images": self.images, "seconds": self.seconds, "peak": self.peak}

    def cost(self, embedder: Embedder) -> Cost:
        """Return the measured cost of a model."""
        rate = self.images / self.seconds if self.images and self.seconds else None
        return Cost(
            dim=embedder.dim,
            bytes_per_vector=4 * embedder.dim,
            images=self.images,
            images_per_second=None if rate is None else round(rate, 2),
            peak_memory=self.peak,
            device=embedder.runtime.device,
            runtime=embedder.runtime.name,
            precision=embedder.runtime.precision,
        )


def resident_bytes() -> int:
    """Return the resident memory of this process, in bytes."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
