"""A network in OpenVINO's form, converted once and kept in the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from aina_core.disk import folders, paths
from aina_core.embedding.preprocess import LEAST, MULTIPLE
from aina_core.embedding.whole import whole_network
from aina_core.errors import DamagedError
from aina_core.models import ModelSpec, checksum

if TYPE_CHECKING:
    from torch import nn

#: Held while OpenVINO converts, reads or compiles a network. It sets the process's locale to C for
#: that long, and two that do so at once leave it there: files are then read as ASCII.
LOADING = threading.Lock()

_CONVERSION = 4  # raise it when the conversion changes
_FILES = ("model.xml", "model.bin")
# Heights and widths by which a network for any size is converted, and then tried.
_TRACED = (3 * MULTIPLE, 4 * MULTIPLE)
_TRIED = ((LEAST, LEAST), (7 * MULTIPLE, 3 * MULTIPLE))
_DIFFERENCE = 1e-4  # between two libraries' rows; two sizes' rows differ by a hundred times that


def converted(spec: ModelSpec) -> Path | None:
    """Return the folder of a network in OpenVINO's form, converting it the first time.

    Returns:
        None where pictures keep their own size, but the conversion only holds for one size: what
        follows a network's course on one picture may take that picture's size for a constant.
    """
    weights = spec.weights.locate()
    versions = [version(package) for package in ("openvino", "torch", "timm")]
    what = [_CONVERSION, spec.name, repr(spec.recipe), checksum(weights), versions]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    folder = paths.cache() / "openvino" / f"{quote(spec.name, safe='')}-{key}"
    with LOADING:
        manifest = _intact(folder)
        if manifest is None:
            _convert(spec, folder)
            manifest = paths.read_json(folder / "manifest.json")
    return folder if manifest["files"] else None


def _intact(folder: Path) -> dict[str, Any] | None:
    """The manifest of a conversion, if its files match it."""
    try:
        manifest = paths.read_json(folder / "manifest.json")
        files = manifest["files"]
        whole = all(paths.file_checksum(folder / name) == files[name] for name in files)
        return manifest if whole and set(files) in (set(), set(_FILES)) else None
    except (DamagedError, OSError, KeyError, TypeError):
        return None


def _convert(spec: ModelSpec, folder: Path) -> None:
    import openvino
    import torch

    module = whole_network(spec)
    native = spec.recipe.native
    height, width = _TRACED if native else (spec.recipe.crop, spec.recipe.crop)
    sides = [-1, -1] if native else [height, width]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of timm's size checks
        network = openvino.convert_model(
            module,
            example_input=torch.zeros([1, height, width, 3], dtype=torch.uint8),
            input=[[1, *sides, 3]],
        )
    names = () if native and not _holds_for_any_size(network, module) else _FILES
    if folder.exists() and _intact(folder) is None:
        folders.discard(folder)
    # another process may have been first: its copy is as good
    with contextlib.suppress(FileExistsError), folders.making(folder) as made:
        if names:
            openvino.save_model(network, made / "model.xml", compress_to_fp16=False)
        files = {name: paths.file_checksum(made / name) for name in names}
        paths.write_json(made / "manifest.json", {"files": files})


def _holds_for_any_size(network: Any, module: nn.Module) -> bool:
    """Whether a converted network agrees with torch's at sizes that it was not traced at."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        compiled = openvino.Core().compile_model(network, "CPU", settings)
        return all(_agrees(compiled, module, size) for size in _TRIED)
    except RuntimeError:  # the sizes of two layers do not fit
        return False


def _agrees(compiled: Any, module: nn.Module, size: Sequence[int]) -> bool:
    import torch

    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    with torch.inference_mode():
        row = module(torch.from_numpy(picture)).numpy()[:, :-1]
    found = compiled([picture])[0][:, :-1]
    return found.shape == row.shape and bool(np.abs(found - row).max() < _DIFFERENCE)
