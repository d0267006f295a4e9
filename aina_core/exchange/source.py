"""Rows on their way into a gallery, a few thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

#: So many rows are in memory at a time at most, and so many bytes of float32.
BLOCK_ROWS, BLOCK_BYTES = 8192, 64 << 20
#: The longest embedding that can be imported.
MOST_DIM = 65_536

#: Rows this near to unit length are kept to the bit.
_UNIT = 1e-6
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


class File(NamedTuple):
    """The file that a row was computed from; None for what is unknown."""

    sha256: str = ""
    size: int = 0
    mtime_ns: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Block:
    """Some rows of a source.

    Attributes:
        ids: of each.
        rows: float32 (m, dim), unit rows; the values of failed rows do not matter.
        norms: float32 (m,), the length that each had before.
        failures: why a row has no vector; None where it has one.
        files: what each was computed from.
        labels: of each; empty for none.
    """

    ids: list[str]
    rows: np.ndarray
    norms: np.ndarray
    failures: list[str | None]
    files: list[File]
    labels: list[str]


class Source(Protocol):
    """Embeddings that can be imported.

    Attributes:
        name: what people call it.
        model: the full name of the model that made them.
        dim: length of an embedding.
        fingerprint: what makes them comparable to others.
        computed_on: where they were made, as ["cpu/openvino"].
        versions: of the libraries that computed.
        root: the local folder of the images that it names; None where it names none.
        count: how many rows there are, failures too.
        has_files: whether it says what files the rows were computed from.
        verified: whether AINA made them, by the weights that this machine has.
    """

    name: str
    model: str
    dim: int
    fingerprint: Mapping[str, Any]
    computed_on: list[str]
    versions: Mapping[str, str]
    root: Path | None
    count: int
    has_files: bool
    verified: bool

    def blocks(self) -> Iterator[Block]:
        """Yield all rows, in their order.

        Raises:
            InputError: a row cannot be used at all: it has no id.
            DamagedError: the source does not hold what it says.
        """
        ...


def rows_for(dim: int) -> int:
    """Return how many rows of a length are in memory at a time."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * dim)))


def unit_rows(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Make vectors units; those that cannot be are failures.

    Args:
        vectors: floats of any width (m, dim).

    Returns:
        float32 (m, dim), unit rows; float32 (m,), the length that each had; and why one has none.
        A float32 row that is of unit length already is kept to the bit.
    """
    wide = np.asarray(vectors, np.float64)
    finite = np.asarray(np.isfinite(wide).all(axis=1))
    wide = np.where(finite[:, None], wide, 1.0)
    largest = np.abs(wide).max(axis=1, initial=0.0)
    scaled = wide / np.where(largest > 0, largest, 1.0)[:, None]  # whose squares do not overflow
    lengths = np.linalg.norm(scaled, axis=1)
    norms = lengths * largest
    rows = (scaled / np.where(lengths > 0, lengths, 1.0)[:, None]).astype(np.float32)
    if vectors.dtype == np.float32:
        unit = finite & (np.abs(norms - 1) <= _UNIT)
        rows[unit] = vectors[unit]
    failures: list[str | None] = [None] * len(rows)
    for place in np.flatnonzero(~(finite & (norms >= _SMALLEST) & (norms <= _LARGEST))).tolist():
        failures[place] = _problem(bool(finite[place]), float(norms[place]))
    with np.errstate(over="ignore"):
        return rows, norms.astype(np.float32), failures


def _problem(finite: bool, norm: float) -> str:
    if not finite:
        return "its vector holds numbers that are not finite"
    if norm < 1:
        return "its vector has no length, so it points nowhere"
    return f"its vector is too long, {norm:.3g}"
