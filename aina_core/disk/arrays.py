"""Computed arrays that are kept: npy files and a manifest, verified when they are opened.

::

    FOLDER/
      manifest.json      what the arrays were made from, what was measured, each file's checksum
      NAME-1f0c9a2e.npy  an array; each write has a new number

The manifest switches from the old files to the new ones in one step: a reader sees either all the
old or all the new ones, and a process that is killed changes nothing.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.disk import paths
from aina_core.errors import DamagedError

_LEFTOVER_SECONDS = 3600.0


@dataclass(frozen=True, eq=False)
class Stored:
    """The arrays of a folder.

    Attributes:
        arrays: by name; read-only.
        record: what else was recorded, JSON values.
        checksums: SHA-256 of each array's file.
    """

    arrays: Mapping[str, np.ndarray]
    record: Mapping[str, Any]
    checksums: Mapping[str, str]


def save(
    folder: Path,
    identity: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    record: Mapping[str, Any] | None = None,
) -> None:
    """Replace the arrays of a folder, all or nothing.

    Args:
        folder: made if it is missing.
        identity: what they were made from, JSON values; `load` compares it.
        arrays: of numbers, by name.
        record: what else to keep with them, JSON values.

    Raises:
        OSError: the folder cannot be written to.
    """
    before = _named(folder)
    token = secrets.token_hex(4)
    files: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        path = folder / f"{name}-{token}.npy"
        with paths.replacing(path) as file:
            np.save(file, array, allow_pickle=False)
        checksum = paths.file_checksum(path)
        files[name] = {"file": path.name, "sha256": checksum, "shape": list(array.shape)}
    manifest = {"identity": dict(identity), "record": dict(record or {}), "files": files}
    paths.write_json(folder / "manifest.json", manifest)
    _sweep(folder, {file["file"] for file in files.values()}, before)


def load(folder: Path, identity: Mapping[str, Any]) -> Stored | None:
    """Open the arrays of a folder after checking what they were made from and their checksums.

    Args:
        folder: where they are.
        identity: what they must have been made from.

    Returns:
        None if there are none, if they were made from something else, or if a file differs from
        the manifest.
    """
    try:
        manifest = paths.read_json(folder / "manifest.json")
        if manifest["identity"] != dict(identity):
            return None
        arrays = {name: _open(folder, file) for name, file in manifest["files"].items()}
        checksums = {name: file["sha256"] for name, file in manifest["files"].items()}
        return Stored(arrays, dict(manifest["record"]), checksums)
    except (DamagedError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _open(folder: Path, file: Mapping[str, Any]) -> np.ndarray:
    path = folder / Path(file["file"]).name
    if paths.file_checksum(path) != file["sha256"]:
        raise DamagedError(f"The checksum of {path.name} differs from its manifest.")
    array = np.load(path, allow_pickle=False)
    array.flags.writeable = False
    return array


def _named(folder: Path) -> set[str]:
    """The files named in a folder's manifest; none if it cannot be read."""
    try:
        files = paths.read_json(folder / "manifest.json")["files"]
        return {Path(file["file"]).name for file in files.values()}
    except (DamagedError, KeyError, TypeError, AttributeError):
        return set()


def _sweep(folder: Path, keep: set[str], before: set[str]) -> None:
    """Delete the files of the previous manifest, and old leftovers of killed processes."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            old = time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS
            kind = path.suffix in (".npy", ".tmp")
            if kind and path.name not in keep and (old or path.name in before):
                path.unlink()
