"""Images to unit rows: the same code for an upload and for a million files."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from aina_core import models
from aina_core.embedding.batches import in_batches
from aina_core.embedding.heads import Heads, demand_pairs
from aina_core.embedding.preprocess import View, describe, preprocess, view
from aina_core.embedding.runtimes import DEVICES, RUNTIMES, Runtime, choose, cores, open_runtime
from aina_core.errors import InputError
from aina_core.models import FAST, ModelName, settings

__all__ = ["DEVICES", "RUNTIMES", "Embedder", "View", "load_embedder", "preprocess", "view"]

#: At most this many items are taken and not yet given back, whatever the number of cores.
MAX_IN_FLIGHT = 128
# How many waiting pictures are searched for ones of the same shape.
_HELD = 64
Item = TypeVar("Item")
Extra = TypeVar("Extra")
#: A job of the pipeline: from an item to its pixels, or None to skip it, and whatever goes with it.
Prepare = Callable[[Item], tuple[np.ndarray | None, Extra]]


def load_embedder(
    model: str, *, mode: str | None = None, device: str | None = None, runtime: str | None = None
) -> Embedder:
    """Load a model, ready to embed.

    Args:
        model: a registered name, with or without variants: "efficientnet-lite0@fast". A reduced
            one, "efficientnet-lite0@pca100", loads what it is reduced from: the axes are a
            gallery's own (see `Searcher.reduced`).
        mode: "exact" or "fast"; by default what the name says.
        device: "cpu" or "cuda"; by default as settled for the model (see `models.settings`), or a
            CUDA device where there is one.
        runtime: "openvino" or "torch"; by default OpenVINO on the CPU, torch on CUDA.

    Raises:
        UnknownNameError: no such model.
        InputError: options that contradict each other or this machine.
        ModelError: its weights are missing or refused.
    """
    name = ModelName.parse(model, mode).source
    models.require_network(name.base)
    if device is None and runtime != "openvino":
        device = settled_device(name.base)
    return Embedder(name, open_runtime(name.spec(), name.mode, *choose(device, runtime)))


def settled_device(base: str) -> str | None:
    """The device set for a model, if available; None if none is set.

    Raises:
        InputError: it is not there.
    """
    device = settings.device(base)
    try:
        choose(device, None)
    except InputError as error:
        reason = str(error).partition(";")[0]
        raise InputError(
            f"The settings of {base} say {device}: {reason}; run: python -m aina_core models set "
            f"{base} --device auto"
        ) from None
    return device


class Embedder:
    """A loaded model. Safe to share between threads.

    Attributes:
        model: its full name, with the variant.
        dim: length of an embedding.
        runtime: where it runs.
        reduced_side: in fast mode, how small a JPEG may be decoded (see `images.decode`).
    """

    def __init__(self, name: ModelName, runtime: Runtime) -> None:
        self.spec = name.spec()
        self.model = str(name)
        self.mode = name.mode
        self.dim = self.spec.dim
        self.runtime = runtime
        recipe = self.spec.recipe
        self.reduced_side = (recipe.native or recipe.resize) if name.mode == FAST else None
        self._heads = Heads(self.spec)

    @property
    def bytes(self) -> int:
        """Roughly how much memory it takes."""
        return self.runtime.bytes + self._heads.bytes

    def fingerprint(self) -> dict[str, Any]:
        """What makes two embeddings comparable: model, weights, preprocessing, mode, precision."""
        return {
            "model": self.model,
            "mode": self.mode,
            "precision": self.runtime.precision,
            "dim": self.dim,
            "weights": models.checksum(self.spec.weights.locate()),
            "preprocessing": {
                **describe(self.spec.recipe),
                "reduced_side": self.reduced_side,
            },
        }

    def versions(self) -> dict[str, str]:
        """The versions of the libraries that compute."""
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

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts into the space of the pictures, by the model's text tower.

        Args:
            texts: each as people write it.

        Returns:
            float32 (n, dim), unit rows, in the order given.

        Raises:
            InputError: the model has no text tower, or a text is empty or no valid Unicode.
        """
        if not self.spec.text:
            able = [name for name in models.registered() if models.get(name).text]
            instead = f", or choose a model that has one: {', '.join(able)}" if able else ""
            raise InputError(
                f"{self.model} has no text tower, so it knows no words; leave them out{instead}."
            )
        for text in texts:
            if not text.strip() or not _is_unicode(text):
                raise InputError(f"The text {text!r} is empty or not valid; give words.")
        return self._heads.texts(texts)

    def probabilities(
        self, rows: np.ndarray, norms: np.ndarray, chosen: int | None = None
    ) -> np.ndarray:
        """Return the probabilities of the model's classes: the softmax of its head.

        Args:
            rows: float32 (n, dim), embeddings made units; may be a memory map.
            norms: float32 (n,), the length that each had before.
            chosen: one class, by its place in `models.class_names`; None for all.

        Returns:
            float32 (n, classes), each row of sum 1; or (n,) of the class chosen.

        Raises:
            InputError: the model has no classes, or the rows are not its embeddings.
        """
        if not self.spec.classes:
            able = [name for name in models.registered() if models.get(name).classes]
            raise InputError(
                f"{self.model} was not trained to tell classes apart; choose one of those that "
                f"were: {', '.join(able)}."
            )
        if rows.shape[1:] != (self.spec.dim,) or norms.shape != rows.shape[:1]:
            raise InputError(
                f"Rows of shape {rows.shape} with norms of shape {norms.shape} were given; the "
                f"classes of {self.spec.name} are computed from (n, {self.spec.dim}) and (n,)."
            )
        count = len(models.class_names(self.spec))
        empty = np.empty((0, count) if chosen is None else 0, np.float32)
        return np.concatenate([empty, *self._heads.probabilities(rows, norms, chosen)])

    def pair_probabilities(self, vector: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return how likely a picture and each of others are of one kind (see `Heads.pairs`).

        Raises:
            InputError: the model judges no pairs, or these are not its embeddings.
        """
        demand_pairs(self.spec)
        if vector.shape != (self.dim,) or rows.shape[1:] != (self.dim,):
            raise InputError(
                f"A vector of shape {vector.shape} and rows of shape {rows.shape} were given; "
                f"{self.spec.name} judges pairs from ({self.dim},) and (n, {self.dim})."
            )
        return self._heads.pairs(vector, rows)

    def run(
        self,
        items: Iterable[Item],
        prepare: Prepare[Item, Extra],
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[Item, Extra, Any]]:
        """Prepare and embed items: `run_with_norms` without the norms.

        Yields:
            (item, extra, row): row is float32 (dim,), of unit length, or None.
        """
        for item, extra, row, _ in self.run_with_norms(items, prepare, stop=stop):
            yield item, extra, row

    def run_with_norms(
        self,
        items: Iterable[Item],
        prepare: Prepare[Item, Extra],
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[Item, Extra, Any, float]]:
        """Prepare and embed items on all cores, a bounded number at a time, in order.

        Args:
            items: anything.
            prepare: called on a worker thread; returns (pixels, extra), with pixels uint8
                (height, width, 3), or None for an item that is not to be embedded.
            stop: asked before each new item; when it says yes, those under way are finished.

        Yields:
            (item, extra, row, norm): row is float32 (dim,), of unit length, or None; norm the
            length that the embedding had before, 0 without a row.
        """
        remaining = itertools.takewhile(lambda _: not stop(), items)
        batch = self.runtime.batch
        held = max(2 * batch, _HELD if self.spec.recipe.native else 0)  # beside the window
        work = self._embed_one if batch == 1 else self._picture
        window = min(2 * cores() + 3 * (batch - 1), MAX_IN_FLIGHT - held)
        pool = ThreadPoolExecutor(cores(), "embed", initializer=_one_thread)
        try:
            results = _ordered(pool, remaining, lambda item: (item, *work(item, prepare)), window)
            rows = results if batch == 1 else in_batches(results, self.runtime, held)
            for item, extra, row in rows:
                if row is None:
                    yield item, extra, None, 0.0
                else:
                    yield item, extra, row[: self.dim], float(row[self.dim])
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


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ordered(
    pool: ThreadPoolExecutor,
    items: Iterable[Item],
    work: Callable[[Item], Extra],
    window: int,
) -> Iterator[Extra]:
    """`pool.map` that reads at most `window` items ahead."""
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
