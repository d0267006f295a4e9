"""Files of weights, read without trust.

A checkpoint may come from anywhere. Nothing in it is ever run: torch's files are read with
`weights_only=True`, which knows tensors and plain containers alone, safetensors hold nothing else,
and a TorchScript archive, whose reading can run code of its own, is opened only when its whole
SHA-256 is the published one.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.errors import WeightsRefusedError

# torch writes an entry a tensor; the largest networks have some thousands.
_MOST_ENTRIES = 20_000
_LONGEST_HEADER = 100_000_000  # bytes, as safetensors' own limit
_SHA256_DIGITS = 64
_NOT_ONLY_TENSORS = "it is damaged, or holds more than tensors"
# how torch names what it was asked to call or make
_FOREIGN = re.compile(r"GLOBAL ([\w.]*\w)")


def checksum(path: Path) -> str:
    """Return a file's SHA-256 in hex; computed again when its size or modification time differs."""
    status = path.stat()
    return _checksum(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _checksum(path: Path, size: int, mtime_ns: int) -> str:
    return paths.file_checksum(path)


# ── what kind of file it is ──────────────────────────────────────────────────────────────────────


def check_container(path: Path, *, script: bool = False) -> None:
    """Refuse what is not a whole checkpoint, by its headers alone; cheap when called again.

    Args:
        path: of a file.
        script: whether a TorchScript archive is welcome.

    Raises:
        WeightsRefusedError: it is damaged, or no checkpoint at all.
    """
    status = path.stat()
    kind, reason = _container(path, status.st_size, status.st_mtime_ns)
    if kind == "script" and not script:
        reason = "it is a TorchScript archive, not a checkpoint of plain tensors"
    if reason:
        raise WeightsRefusedError(f"The weights {path.name} cannot be read: {reason}.")


@functools.lru_cache(maxsize=256)
def _container(path: Path, size: int, mtime_ns: int) -> tuple[str, str]:
    """Return what a file is ("zip", "script", "legacy" or "safetensors"), and why it is refused."""
    with path.open("rb") as file:
        start = file.read(8)
        if start.startswith(b"PK"):
            return _zip(path, size)
        if start.startswith(b"\x80"):
            return "legacy", ""
        if len(start) == 8 and file.read(1) == b"{":
            return "safetensors", _safetensors(path, int.from_bytes(start, "little"), size)
    return "", "it is neither a file of torch's nor of safetensors', or it is damaged"


def _zip(path: Path, size: int) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "zip", "it is damaged or incomplete"
    names = {Path(entry.filename).name for entry in entries}
    if "constants.pkl" in names:
        return "script", ""
    # torch stores tensors as they are; what is packed, or is said to be longer than the file, is a
    # trap for memory
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or len(entries) > _MOST_ENTRIES or sum(e.file_size for e in entries) > size:
        return "zip", "it is not a file as torch writes it"
    return "zip", "" if "data.pkl" in names else "it is a ZIP file, but not one of torch's"


def _safetensors(path: Path, length: int, size: int) -> str:
    if length > min(_LONGEST_HEADER, size - 8):
        return "it is damaged or incomplete"
    with path.open("rb") as file:
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            end = max((e["data_offsets"][1] for k, e in header.items() if k != "__metadata__"))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return "it is damaged"
    return "" if end == size - 8 - length else "it is damaged or incomplete"


# ── its tensors ──────────────────────────────────────────────────────────────────────────────────


def load_tensors(
    path: Path, *, inside: str = "", namespace: bool = False, script_sha256: str = ""
) -> dict[str, Any]:
    """Read a checkpoint's tensors on the CPU, by name and in the file's order.

    Args:
        path: a file of torch's or of safetensors'.
        inside: where the file keeps more than its weights, the key under which they may stand.
        namespace: whether options of a command line (`argparse.Namespace`) may stand beside them.
        script_sha256: the whole published SHA-256 of a TorchScript archive that may be opened.

    Raises:
        WeightsRefusedError: it is damaged, or holds anything but tensors.
    """
    script = len(script_sha256) == _SHA256_DIGITS and checksum(path) == script_sha256
    check_container(path, script=script)
    status = path.stat()
    kind, _ = _container(path, status.st_size, status.st_mtime_ns)
    try:
        tensors = _read(path, kind, namespace)
    except Exception as error:  # torch raises many kinds; each means that the file is not usable
        raise WeightsRefusedError(
            f"The weights {path.name} cannot be read: {_reason(error)}."
        ) from None
    if inside and isinstance(tensors, dict) and isinstance(tensors.get(inside), dict):
        tensors = tensors[inside]
    return _named(tensors, path)


def _reason(error: Exception) -> str:
    """What is wrong with a file, without torch's advice on how to read it all the same."""
    text = str(error)
    if "weights only" in text.lower() or "weights_only" in text:
        foreign = _FOREIGN.search(text)
        return f"it holds {foreign[1]}, not only tensors" if foreign else _NOT_ONLY_TENSORS
    return text.splitlines()[0].rstrip(".: ") if text.strip() else type(error).__name__


def _read(path: Path, kind: str, namespace: bool) -> Any:
    import torch

    if kind == "safetensors":
        from safetensors.torch import load_file

        return load_file(path, device="cpu")
    if kind == "script":
        return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    allowed = torch.serialization.safe_globals([argparse.Namespace]) if namespace else None
    with allowed or contextlib.nullcontext():
        return torch.load(path, map_location="cpu", weights_only=True)


def _named(tensors: Any, path: Path) -> dict[str, Any]:
    import torch

    if not isinstance(tensors, dict) or not tensors:
        raise WeightsRefusedError(f"The weights {path.name} hold no named tensors.")
    if not all(isinstance(k, str) and torch.is_tensor(t) for k, t in tensors.items()):
        raise WeightsRefusedError(f"The weights {path.name} hold more than named tensors.")
    return dict(tensors)


def fill(module: Any, tensors: dict[str, Any], path: Path) -> None:
    """Give a network the tensors of a file: all that it has, and no others.

    Counts of batches, which old files lack and which change nothing, may be missing.

    Args:
        module: a torch module.
        tensors: by the names of its state.
        path: the file, for what is said of it.

    Raises:
        WeightsRefusedError: a tensor is missing, unknown, of another shape, or not finite.
    """
    own = module.state_dict()
    needed = {key for key in own if not key.endswith("num_batches_tracked")}
    reason = ""
    if missing := sorted(needed - tensors.keys()):
        reason = f"{missing[0]} is missing"
    elif unknown := sorted(tensors.keys() - own.keys()):
        reason = f"{unknown[0]} is not part of it"
    else:
        for key, tensor in tensors.items():
            if tensor.shape != own[key].shape:
                reason = f"{key} is {_shape(tensor)}, not {_shape(own[key])}"
            elif tensor.device.type != "cpu" or not tensor.isfinite().all():
                reason = f"{key} holds what is not a number"
            if reason:
                break
    if reason:
        raise WeightsRefusedError(f"The weights {path.name} do not fit the network: {reason}.")
    module.load_state_dict({**own, **tensors})


def _shape(tensor: Any) -> str:
    return " × ".join(map(str, tensor.shape)) or "a single number"
