"""Rows that a run has computed but not committed yet; a killed run is resumed from them."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from aina_core.disk import paths


class Journal:
    """Rows that a run has computed, appended in chunks; a chunk counts when its line is whole.

    Attributes:
        fingerprint: what makes its rows comparable to others.
        dim: length of an embedding.
        count: how many rows it has.
        data: their file, float32 (count, dim + 1) without a header: unit rows, and in the last
            column the norm of each before normalisation.
        row_bytes: length of a row in that file.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        self.fingerprint = fingerprint
        self.dim = int(fingerprint["dim"])
        self.row_bytes = (self.dim + 1) * 4
        self.count = 0
        self.data, self._lines = folder / "journal.f32", folder / "journal.jsonl"
        self._resume()

    def _resume(self) -> None:
        """Keep the complete chunks and cut off what follows; drop all those of another kind."""
        kind = {"row_bytes": self.row_bytes, "fingerprint": dict(self.fingerprint)}
        head = (json.dumps(kind) + "\n").encode()
        with self.data.open("ab+") as data, paths.replacing(self._lines) as kept:
            kept.write(head)
            data.seek(0)
            for line in self._chunks(head):
                keys = self._whole_chunk(line, data)
                if keys is None:
                    break
                kept.write(line)
                self.count += len(keys)
            data.truncate(self.count * self.row_bytes)

    def _chunks(self, head: bytes) -> Iterator[bytes]:
        """The lines after the head, when that is the one expected."""
        if self._lines.exists():
            with self._lines.open("rb") as lines:
                if lines.readline() == head:
                    yield from lines

    def _whole_chunk(self, line: bytes, data: IO[bytes]) -> list[tuple[str, str]] | None:
        try:
            entry = json.loads(line)
            keys = _keys(entry)
        except (ValueError, KeyError, TypeError):
            return None
        chunk = data.read(len(keys) * self.row_bytes)
        whole = line.endswith(b"\n") and hashlib.sha256(chunk).hexdigest() == entry.get("sha256")
        return keys if whole else None

    def append(self, keys: Sequence[tuple[str, str]], rows: np.ndarray, norms: np.ndarray) -> None:
        """Append a chunk; it is on disk when the call returns.

        Args:
            keys: (image id, file checksum) of each row.
            rows: float32 (len(keys), dim), unit rows.
            norms: float32 (len(keys),), the length that each had before.
        """
        chunk = np.column_stack([rows, norms]).astype("<f4").tobytes()
        entry = {"rows": list(keys), "sha256": hashlib.sha256(chunk).hexdigest()}
        for path, data in ((self.data, chunk), (self._lines, (json.dumps(entry) + "\n").encode())):
            with path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        self.count += len(keys)

    def keys(self) -> Iterator[tuple[str, str]]:
        """Yield (image id, file checksum) of each row, in the order of the rows."""
        with self._lines.open("rb") as lines:
            for line in itertools.islice(lines, 1, None):
                yield from _keys(json.loads(line))

    def end(self) -> None:
        """Delete the journal."""
        self._lines.unlink(missing_ok=True)
        self.data.unlink(missing_ok=True)


def _keys(entry: Any) -> list[tuple[str, str]]:
    return [(str(key), str(sha256)) for key, sha256 in entry["rows"]]
