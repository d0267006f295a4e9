"""One generation of vectors: its files, what their manifest must say, and reading them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aina_core.gallery.vectors.row_keys import Keys, Places

#: Of the manifest; 2 had no norms.
FORMAT = 3
_BLOCK_ROWS = 4096
_BASELINE_ROWS = 2000
_BASELINE_PAIRS = 20_000


@dataclass(frozen=True)
class Vectors:
    """One generation, opened and verified; it stays readable when the next one replaces it.

    Attributes:
        table: uint8, the bytes of the file of rows, memory-mapped.
        matrix: float32 (n, dim), unit rows, memory-mapped, read-only.
        norms: float32 (n,), the length of each embedding before normalisation, memory-mapped.
        baseline: float32 (m,), ascending similarities of random pairs; empty below two images.
        manifest: its manifest.
    """

    table: np.ndarray
    matrix: np.ndarray
    norms: np.ndarray
    baseline: np.ndarray
    manifest: dict[str, Any]

    @functools.cached_property
    def _keys(self) -> Keys:
        return Keys(self.table, len(self.matrix))

    @functools.cached_property
    def ids(self) -> Sequence[str]:
        """Image id of each row, ascending."""
        return self._keys.column(0)

    @functools.cached_property
    def checksums(self) -> Sequence[str]:
        """SHA-256 of the file that each row was computed from."""
        return self._keys.column(1)

    def blocks(self) -> Iterator[tuple[list[str], list[str]]]:
        """Yield ids and checksums of some thousand rows at a time."""
        return self._keys.blocks()

    @functools.cached_property
    def places(self) -> Places:
        """From image ids to rows."""
        return Places(self._keys, self.ids)

    @property
    def keys_checksum(self) -> str:
        """SHA-256 of the rows' file: equal for generations of the same images."""
        return self.manifest["files"][f"rows-{self.manifest['generation']}.jsonl"]["sha256"]

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
    """Whether a manifest has every entry that its readers rely on."""
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


def random_pairs(matrix: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the similarities of random pairs of different rows: what "similar" is compared with.

    Args:
        matrix: float32 (n, dim), unit rows.
        seed: of the choice of pairs; below about 200 rows all pairs are taken.

    Returns:
        float32 (m,), ascending, m ≤ 20,000; empty below two rows.
    """
    rng = np.random.default_rng(seed)
    count = len(matrix)
    chosen = np.sort(rng.choice(count, min(count, _BASELINE_ROWS), replace=False))
    rows = np.asarray(matrix[chosen])
    first, second = np.triu_indices(len(rows), 1)
    if len(first) > _BASELINE_PAIRS:
        drawn = np.sort(rng.choice(len(first), _BASELINE_PAIRS, replace=False))
        first, second = first[drawn], second[drawn]
    similarities = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        similarities[part] = np.einsum("ij,ij->i", rows[first[part]], rows[second[part]])
    return np.sort(similarities)


class Row(NamedTuple):
    """A row of the next generation, and whether it is in the journal or the last generation."""

    id: str
    sha256: str
    journaled: bool
    row: int
