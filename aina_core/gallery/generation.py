"""One generation of vectors: its files, what their manifest must say, and how they read."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.errors import DamagedError

#: Of the manifest; 2 had no norms.
FORMAT = 3


@dataclass(frozen=True)
class Vectors:
    """One generation, opened and verified; it stays readable when the next one takes its place.

    Attributes:
        table: uint8, the bytes of the file of rows, memory-mapped.
        matrix: float32 (n, dim), unit rows, memory-mapped, read-only.
        norms: float32 (n,), the length of each embedding before it was made a unit, memory-mapped.
        baseline: float32 (m,), ascending similarities of random pairs; empty below two images.
        manifest: what is recorded of it.
    """

    table: np.ndarray
    matrix: np.ndarray
    norms: np.ndarray
    baseline: np.ndarray
    manifest: dict[str, Any]

    @functools.cached_property
    def _keys(self) -> list[list[str]]:
        keys = [json.loads(line) for line in self.table.tobytes().splitlines()]
        if len(keys) != len(self.matrix):
            raise DamagedError(f"There are {len(keys)} names for {len(self.matrix)} vectors.")
        return keys

    @functools.cached_property
    def ids(self) -> list[str]:
        """Image id of each row."""
        return [image_id for image_id, _ in self._keys]

    @functools.cached_property
    def checksums(self) -> list[str]:
        """SHA-256 of the file that each row was computed from."""
        return [sha256 for _, sha256 in self._keys]

    @property
    def checksum(self) -> str:
        """SHA-256 of the vectors' file: the identity of this generation."""
        return self.manifest["files"][f"vectors-{self.manifest['generation']}.npy"]["sha256"]


def file_names(generation: int) -> tuple[str, str, str, str]:
    """The files of a generation: vectors, rows, norms, baseline."""
    return (
        f"vectors-{generation}.npy",
        f"rows-{generation}.jsonl",
        f"norms-{generation}.npy",
        f"baseline-{generation}.npy",
    )


def is_complete(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest says all that its readers rely on."""
    kinds = {"generation": int, "count": int, "dim": int, "fingerprint": dict, "computed_on": list}
    if manifest.get("format") != FORMAT or not isinstance(manifest.get("files"), dict):
        return False
    if not all(isinstance(manifest.get(name), kind) for name, kind in kinds.items()):
        return False
    described = all(
        isinstance(file, dict) and {"size", "sha256"} <= file.keys()
        for file in manifest["files"].values()
    )
    return described and set(manifest["files"]) == set(file_names(manifest["generation"]))


def map_array(path: Path, count: int) -> np.ndarray:
    """Map an array; one without rows, which cannot be mapped, is read."""
    return np.load(path, mmap_mode="r") if count else np.load(path)
