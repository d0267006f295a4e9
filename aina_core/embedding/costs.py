"""What a model costs on this machine, measured while a study uses it."""

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
    """What embedding cost.

    Attributes:
        dim: length of an embedding.
        bytes_per_vector: of an embedding as it is stored.
        images: how many images were embedded while it was measured.
        images_per_second: of these, from opened file to embedding; None where there were none.
        peak_memory: of the whole process meanwhile, in bytes of memory held (resident set).
        device: where it ran.
        runtime: what ran it.
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
    """Counts images, seconds and memory, over all the runs that a study took.

    Attributes:
        images: embedded so far.
        seconds: that it took.
        peak: bytes of memory that the process held at most.
    """

    def __init__(self, images: int = 0, seconds: float = 0.0, peak: int = 0) -> None:
        self.images, self.seconds, self.peak = images, seconds, peak

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Watch the memory, and the clock, while the block runs."""
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
        """Bring the seconds up to date."""
        self.seconds = self._elapsed()

    def record(self) -> dict[str, Any]:
        """Return what a later run goes on from, as JSON values."""
        return {"images": self.images, "seconds": self.seconds, "peak": self.peak}

    def cost(self, embedder: Embedder) -> Cost:
        """Return what was measured of a model."""
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
    """Return how much memory this process holds now."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
