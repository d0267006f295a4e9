"""Images to unit rows: the same code for an upload and for a million files."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from aina_core import models
from aina_core.embedding.preprocess import preprocess
from aina_core.embedding.runtimes import DEVICES, RUNTIMES, Runtime, choose, cores, open_runtime
from aina_core.models import FAST, ModelName

__all__ = ["DEVICES", "RUNTIMES", "Embedder", "load_embedder", "preprocess"]

#: At most this many items are taken and not yet given back, whatever the number of cores.
MAX_IN_FLIGHT = 128
Item = TypeVar("Item")
Extra = TypeVar("Extra")
#: A job of the pipeline: from an item to its pixels, or None to skip it, and whatever goes with it.
Prepare = Callable[[Item], tuple[np.ndarray | None, Extra]]


def load_embedder(
    model: str, *, mode: str | None = None, device: str | None = None, runtime: str | None = None
) -> Embedder:
    """Load a model, ready to embed.

    Args:
        model: a registered name, with or without a variant: "efficientnet-lite0@fast".
        mode: "exact" or "fast"; by default what the name says.
        device: "cpu" or "cuda"; by default a CUDA device where there is one.
        runtime: "openvino" or "torch"; by default OpenVINO on the CPU, torch on CUDA.

    Raises:
        UnknownNameError: no such model.
        InputError: options that contradict each other or this machine.
        ModelError: its weights are missing or refused.
    """
    name = ModelName.parse(model, mode)
    device, runtime = choose(device, runtime)
    return Embedder(name, open_runtime(models.get(name.base), name.mode, device, runtime))


class Embedder:
    """A loaded model. Safe to share between threads.

    Attributes:
        model: its full name, with the variant.
        dim: length of an embedding.
        runtime: where it runs.
        reduced_side: in fast mode, how small a JPEG may be decoded (see `images.decode`).
    """

    def __init__(self, name: ModelName, runtime: Runtime) -> None:
        self.spec = models.get(name.base)
        self.model = str(name)
        self.mode = name.mode
        self.dim = self.spec.dim
        self.runtime = runtime
        self.reduced_side = self.spec.recipe.resize if name.mode == FAST else None

    def fingerprint(self) -> dict[str, Any]:
        """What makes two embeddings comparable: model, weights, preprocessing, mode, precision."""
        recipe = self.spec.recipe
        return {
            "model": self.model,
            "mode": self.mode,
            "precision": self.runtime.precision,
            "dim": self.dim,
            "weights": models.checksum(self.spec.weights.locate()),
            "preprocessing": {
                "resize": recipe.resize,
                "crop": recipe.crop,
                "interpolation": recipe.interpolation,
                "mean": list(recipe.mean),
                "std": list(recipe.std),
                "reduced_side": self.reduced_side,
            },
        }

    def versions(self) -> dict[str, str]:
        """The versions of the libraries that computed."""
        return {name: version(name) for name in ("numpy", "openvino", "pillow", "timm", "torch")}

    def embed(self, images: Iterable[Image.Image | np.ndarray]) -> np.ndarray:
        """Embed pictures.

        Args:
            images: Pillow images of mode RGB, or uint8 arrays (height, width, 3).

        Returns:
            float32 (n, dim), unit rows, in the order given.
        """
        rows = [row for _, _, row in self.run(images, lambda image: (np.asarray(image), None))]
        return np.stack(rows) if rows else np.empty((0, self.dim), np.float32)

    def run(
        self,
        items: Iterable[Item],
        prepare: Prepare[Item, Extra],
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[Item, Extra, Any]]:
        """Prepare and embed items on all cores, a bounded number at a time, in order.

        Args:
            items: anything.
            prepare: called on a worker thread; returns (pixels, extra), with pixels uint8
                (height, width, 3), or None for an item that is not to be embedded.
            stop: asked before each new item; when it says yes, those under way are finished.

        Yields:
            (item, extra, row): row is float32 (dim,), of unit length, or None.
        """
        remaining = itertools.takewhile(lambda _: not stop(), items)
        work = self._embed_one if self.runtime.batch == 1 else self._picture
        batch = self.runtime.batch  # two of them are under way beside the window
        window = min(2 * cores() + 3 * (batch - 1), MAX_IN_FLIGHT - 2 * batch)
        pool = ThreadPoolExecutor(cores(), "embed", initializer=_one_thread)
        try:
            results = _ordered(pool, remaining, lambda item: (item, *work(item, prepare)), window)
            yield from (results if self.runtime.batch == 1 else self._in_batches(results))
        finally:
            pool.shutdown(cancel_futures=True)

    def _picture(
        self, item: Item, prepare: Prepare[Item, Extra]
    ) -> tuple[Extra, np.ndarray | None]:
        pixels, extra = prepare(item)
        return extra, None if pixels is None else preprocess(pixels, self.spec.recipe)

    def _embed_one(
        self, item: Item, prepare: Prepare[Item, Extra]
    ) -> tuple[Extra, np.ndarray | None]:
        extra, picture = self._picture(item, prepare)
        return extra, None if picture is None else self.runtime.launch(picture[None])()[0]

    def _in_batches(
        self, results: Iterator[tuple[Item, Extra, np.ndarray | None]]
    ) -> Iterator[tuple[Item, Extra, Any]]:
        """Gather pictures into batches; one is computed while the next is gathered."""
        pending: tuple[list[tuple[Item, Extra, Any]], Callable[[], np.ndarray]] | None = None
        while batch := list(itertools.islice(results, self.runtime.batch)):
            pictures = [picture for _, _, picture in batch if picture is not None]
            launched = self.runtime.launch(np.stack(pictures)) if pictures else None
            if pending is not None:
                yield from _finish(*pending)
            pending = (batch, launched or (lambda: np.empty((0, self.dim), np.float32)))
        if pending is not None:
            yield from _finish(*pending)


def _finish(
    batch: list[tuple[Item, Extra, Any]], fetch: Callable[[], np.ndarray]
) -> Iterator[tuple[Item, Extra, Any]]:
    rows = iter(fetch())
    for item, extra, picture in batch:
        yield item, extra, None if picture is None else next(rows)


def _ordered(
    pool: ThreadPoolExecutor,
    items: Iterable[Item],
    work: Callable[[Item], Extra],
    window: int,
) -> Iterator[Extra]:
    """`pool.map` that takes from `items` only as far ahead as `window`."""
    futures: deque[Future[Extra]] = deque()
    for item in items:
        futures.append(pool.submit(work, item))
        if len(futures) >= window:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


def _one_thread() -> None:
    """Each worker thread is a core's worth of work: torch must not start more inside it."""
    import torch

    torch.set_num_threads(1)
