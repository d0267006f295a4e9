"""Where a network runs: OpenVINO on the CPU, torch on the CPU or a CUDA device.

A runtime maps pictures, uint8 (n, crop, crop, 3), to unit rows, float32 (n, dim); the normalisation
by mean and standard deviation is part of its graph.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aina_core import paths
from aina_core.errors import DamagedError, InputError
from aina_core.models import FAST, ModelSpec, checksum, load_tensors

if TYPE_CHECKING:
    import torch
    from torch import nn

DEVICES = ("cpu", "cuda")
RUNTIMES = ("openvino", "torch")


class Runtime(Protocol):
    """What every runtime offers.

    Attributes:
        name: "openvino" or "torch".
        device: "cpu" or "cuda".
        precision: "f32", "bf16" or "f16".
        batch: how many pictures it likes at once; 1 where each decoding thread infers for itself.
    """

    name: str
    device: str
    precision: str
    batch: int

    def launch(self, pictures: np.ndarray) -> Callable[[], np.ndarray]:
        """Start on uint8 (n, crop, crop, 3); the call returned waits for float32 (n, dim)."""
        ...


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def choose(device: str | None, runtime: str | None) -> tuple[str, str]:
    """Settle device and runtime: a CUDA device with torch where there is one, else OpenVINO.

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


def open_runtime(spec: ModelSpec, mode: str, device: str, name: str) -> Runtime:
    """Load a model's weights into a runtime.

    Raises:
        ModelError: its weights are missing or refused.
    """
    if name == "openvino":
        return OpenVinoRuntime(spec, mode)
    return TorchRuntime(spec, mode, device)


def _module(spec: ModelSpec) -> nn.Module:
    """The whole network: bytes (n, h, w, 3) in, unit rows out."""
    import torch
    from torch import nn

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = spec.build(load_tensors(spec.weights.locate()))
            mean = torch.tensor(spec.recipe.mean).view(1, 3, 1, 1) * 255
            std = torch.tensor(spec.recipe.std).view(1, 3, 1, 1) * 255
            self.mean, self.std = nn.Buffer(mean), nn.Buffer(std)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            x = pictures.permute(0, 3, 1, 2).float()  # (n, 3, crop, crop)
            x = self.network((x - self.mean) / self.std)  # (n, dim)
            return nn.functional.normalize(x.float(), dim=1)

    return Whole().eval().requires_grad_(False)


class OpenVinoRuntime:
    """OpenVINO on the CPU, one stream a core, one picture a request.

    A request of one picture per core keeps the caches warm, and makes a picture's embedding
    independent of its neighbours in a batch, to the last bit. The converted network and its
    compiled form are kept in the cache folder.
    """

    name = "openvino"
    device = "cpu"
    batch = 1

    def __init__(self, spec: ModelSpec, mode: str) -> None:
        import openvino

        self.precision = "f32"
        core = openvino.Core()
        if mode == FAST:
            able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            self.precision = next((p for p in ("bf16", "f16") if _OPENVINO_NAMES[p] in able), "f32")
        folder = _converted(spec)
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "NUM_STREAMS": str(cores()),
            "INFERENCE_NUM_THREADS": cores(),
            "CACHE_DIR": str(folder / "compiled"),
        }
        self._network = core.compile_model(str(folder / "model.xml"), "CPU", settings)
        self._threads = threading.local()
        # its binding hangs for good when two threads infer for the first time at once
        with _first_inference:
            self.launch(np.zeros((1, spec.recipe.crop, spec.recipe.crop, 3), np.uint8))

    def launch(self, pictures: np.ndarray) -> Callable[[], np.ndarray]:
        request = getattr(self._threads, "request", None)
        if request is None:
            request = self._threads.request = self._network.create_infer_request()
        rows = [request.infer([picture[None]])[0].copy() for picture in pictures]
        result = np.concatenate(rows)
        return lambda: result


_first_inference = threading.Lock()
_OPENVINO_NAMES = {"bf16": "BF16", "f16": "FP16"}
_CONVERSION = 1  # raise it when the conversion changes


def _converted(spec: ModelSpec) -> Path:
    """Return the folder of the network in OpenVINO's form, converting it the first time."""
    weights = spec.weights.locate()
    versions = [version(package) for package in ("openvino", "torch", "timm")]
    what = [_CONVERSION, spec.name, repr(spec.recipe), checksum(weights), versions]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    folder = paths.cache() / "openvino" / f"{spec.name}-{key}"
    if not _intact(folder):
        _convert(spec, folder)
    return folder


def _intact(folder: Path) -> bool:
    try:
        recorded = paths.read_json(folder / "manifest.json")
        return all(paths.file_checksum(folder / name) == sha for name, sha in recorded.items())
    except (DamagedError, OSError):
        return False


def _convert(spec: ModelSpec, folder: Path) -> None:
    import openvino
    import torch

    side = spec.recipe.crop
    shape = [1, side, side, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of timm's size checks
        network = openvino.convert_model(
            _module(spec), example_input=torch.zeros(shape, dtype=torch.uint8), input=[shape]
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        openvino.save_model(network, aside / "model.xml", compress_to_fp16=False)
        sums = {name: paths.file_checksum(aside / name) for name in ("model.xml", "model.bin")}
        paths.write_json(aside / "manifest.json", sums)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was first: its copy is as good
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class TorchRuntime:
    """torch, eager, channels last; on CUDA with pinned memory and copies that overlap."""

    name = "torch"

    def __init__(self, spec: ModelSpec, mode: str, device: str) -> None:
        import torch

        self.device = device
        self.batch = 32
        self.precision = "f32"
        if mode == FAST and device == "cuda":
            self.precision = "bf16" if torch.cuda.is_bf16_supported() else "f16"
        self._module = _module(spec).to(device).to(memory_format=torch.channels_last)
        self._lock = threading.Lock()

    def launch(self, pictures: np.ndarray) -> Callable[[], np.ndarray]:
        import torch

        count = len(pictures)
        if 1 < count < self.batch:  # one shape, one kernel: a row does not depend on its batch
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
