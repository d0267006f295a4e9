"""Where a network runs: OpenVINO on the CPU, torch on the CPU or a CUDA device.

A runtime maps pictures, uint8 (n, height, width, 3), to float32 (n, dim + 1): unit rows of length
dim, and in the last column the length that each had before it was made a unit. The normalisation by
mean and standard deviation is part of its graph.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aina_core.embedding.conversion import LOADING, converted
from aina_core.embedding.preprocess import LEAST
from aina_core.embedding.whole import whole_network
from aina_core.errors import InputError
from aina_core.models import FAST, ModelSpec
from aina_core.models.settings import DEVICES

RUNTIMES = ("openvino", "torch")


class Runtime(Protocol):
    """What every runtime offers.

    Attributes:
        name: "openvino" or "torch".
        device: "cpu" or "cuda".
        precision: "f32", "bf16" or "f16".
        batch: how many pictures it takes at once; 1 where each decoding thread infers for itself.
        bytes: about how much memory it takes.
    """

    name: str
    device: str
    precision: str
    batch: int
    bytes: int

    def launch(self, pictures: np.ndarray) -> Callable[[], np.ndarray]:
        """Start on pictures of one shape, as `preprocess` gives them; the call waits for rows.

        The pictures are uint8 (n, crop, crop, 3), or of any height and width at their own size.

        float32 (n, dim + 1): a unit row, and the length that it had before.
        """
        ...


def cores() -> int:
    """The number of processors that this process may use; fewer where `AINA_CORES` says so.

    One of several processes that share a machine, as Spark's are, gets its share that way.
    """
    allowed = len(os.sched_getaffinity(0))
    given = os.environ.get("AINA_CORES", "")
    return min(allowed, int(given)) if given.isdecimal() and int(given) else allowed


def choose(device: str | None, runtime: str | None) -> tuple[str, str]:
    """Choose device and runtime: a CUDA device with torch where there is one, else OpenVINO.

    Raises:
        InputError: an unknown name, or a combination that cannot run here.
    """
    import torch

    if device not in (None, *DEVICES):
        raise InputError(f"There is no device {device!r}; choose from: {', '.join(DEVICES)}.")
    if runtime not in (None, *RUNTIMES):
        raise InputError(f"There is no runtime {runtime!r}; choose from: {', '.join(RUNTIMES)}.")
    if device is None:
        device = "cuda" if torch.cuda.is_available() and runtime != "openvino" else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("No CUDA device was found on this machine; choose the device cpu.")
    if device == "cuda" and runtime == "openvino":
        raise InputError("OpenVINO runs on the CPU here; for the device cuda choose torch.")
    return device, runtime or ("torch" if device == "cuda" else "openvino")


def working_bytes(spec: ModelSpec) -> int:
    """Return roughly how much memory a model takes besides its weights.

    Kernels, and what a picture becomes on its way; measured on efficientnet-lite0 on two cores,
    where pictures at their own size took 350 to 500 MB, of 40 and of 120 shapes.
    """
    return (448 if spec.recipe.native else 64) << 20


def open_runtime(spec: ModelSpec, mode: str, device: str, name: str) -> Runtime:
    """Load a model's weights into a runtime.

    Where pictures keep their own size and OpenVINO cannot follow (see `conversion.converted`), it
    is torch on the CPU instead.

    Raises:
        ModelError: its weights are missing or refused.
    """
    if name == "openvino":
        folder = converted(spec)
        if folder is not None:
            return OpenVinoRuntime(spec, mode, folder)
    return TorchRuntime(spec, mode, device)


class OpenVinoRuntime:
    """OpenVINO on the CPU, one stream a core, one picture a request.

    A request of one picture per core keeps the caches warm, and makes a picture's embedding
    independent of its neighbours in a batch, to the last bit. The converted network and its
    compiled form are kept in the cache folder. Where pictures keep their own size, one network
    takes any.

    Args:
        spec: the model.
        mode: "exact" or "fast".
        folder: of the converted network.
    """

    name = "openvino"
    device = "cpu"
    batch = 1

    def __init__(self, spec: ModelSpec, mode: str, folder: Path) -> None:
        import openvino

        self.precision = "f32"
        core = openvino.Core()
        if mode == FAST:
            able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            self.precision = next((p for p in ("bf16", "f16") if _OPENVINO_NAMES[p] in able), "f32")
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "NUM_STREAMS": str(cores()),
            "INFERENCE_NUM_THREADS": cores(),
            "ENABLE_CPU_PINNING": False,  # two processes would be bound to the same core
            "CACHE_DIR": str(folder / "compiled"),
        }
        if spec.recipe.native:
            settings["CPU_RUNTIME_CACHE_CAPACITY"] = _KERNELS
        with LOADING:
            self._network = core.compile_model(str(folder / "model.xml"), "CPU", settings)
        self._threads = threading.local()
        self.bytes = working_bytes(spec) + 2 * (folder / "model.bin").stat().st_size
        side = LEAST if spec.recipe.native else spec.recipe.crop
        # its binding hangs for good when two threads infer for the first time at once
        with _first_inference:
            self.launch(np.zeros((1, side, side, 3), np.uint8))

    def launch(self, pictures: np.ndarray) -> Callable[[], np.ndarray]:
        request = getattr(self._threads, "request", None)
        if request is None:
            request = self._threads.request = self._network.create_infer_request()
        rows = [request.infer([picture[None]])[0].copy() for picture in pictures]
        result = np.concatenate(rows)
        return lambda: result


_first_inference = threading.Lock()
_OPENVINO_NAMES = {"bf16": "BF16", "f16": "FP16"}
# How many kernels, each of a layer and a shape, are kept: those of 10 to 20 shapes.
_KERNELS = 1000


class TorchRuntime:
    """torch, eager, channels last; on CUDA with pinned memory and copies that overlap."""

    name = "torch"

    def __init__(self, spec: ModelSpec, mode: str, device: str) -> None:
        import torch

        self.device = device
        # pictures at their own size are about six times as large, and not all of one shape
        self._alike = not spec.recipe.native
        self.batch = 32 if self._alike else 8
        self.precision = "f32"
        if mode == FAST and device == "cuda":
            self.precision = "bf16" if torch.cuda.is_bf16_supported() else "f16"
        self._module = whole_network(spec).to(device).to(memory_format=torch.channels_last)
        tensors = itertools.chain(self._module.parameters(), self._module.buffers())
        self.bytes = working_bytes(spec) + sum(tensor.nbytes for tensor in tensors)
        self._lock = threading.Lock()

    def launch(self, pictures: np.ndarray) -> Callable[[], np.ndarray]:
        import torch

        count = len(pictures)
        if self._alike and 1 < count < self.batch:
            # one shape, one kernel: a row does not depend on its batch
            padding = np.zeros((self.batch - count, *pictures.shape[1:]), np.uint8)
            pictures = np.concatenate([pictures, padding])
        batch = torch.from_numpy(pictures)
        with self._lock, torch.inference_mode(), self._precise():
            if self.device == "cuda":
                batch = batch.pin_memory().to("cuda", non_blocking=True)
            rows = self._module(batch)[:count]
        return lambda: rows.float().cpu().numpy()

    def _precise(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self.precision == "f32":
            # fp32 means fp32, and a resumed run the same bytes
            return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        kind = {"bf16": torch.bfloat16, "f16": torch.float16}[self.precision]
        return torch.autocast(self.device, kind)
