"""Rows that a run has computed and not committed yet: what a killed run leaves to the next one."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aina_core import paths


class Journal:
    """Rows that a run has computed, appended in chunks; a chunk counts when its line is whole."""

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        self.fingerprint = fingerprint
        self.dim = int(fingerprint["dim"])
        self.keys: list[tuple[str, str]] = []
        self._data, self._lines = folder / "journal.f32", folder / "journal.jsonl"
        self._resume()

    def _resume(self) -> None:
        """Keep the chunks that are whole; cut off what follows, or all when of another kind."""
        head = json.dumps({"fingerprint": dict(self.fingerprint)}) + "\n"
        kept, size = head, 0
        if self._data.exists() and self._lines.exists():
            lines = self._lines.read_text("utf-8", errors="replace").splitlines(keepends=True)
            with self._data.open("rb") as data:
                for line in lines[1:] if lines[:1] == [head] else ():
                    keys = self._whole_chunk(line, data)
                    if keys is None:
                        break
                    self.keys += keys
                    kept += line
                    size += len(keys) * self.dim * 4
        with self._data.open("ab") as data:
            data.truncate(size)
        with paths.replacing(self._lines) as file:
            file.write(kept.encode())

    def _whole_chunk(self, line: str, data: io.BufferedReader) -> list[tuple[str, str]] | None:
        try:
            entry = json.loads(line)
            keys = [(str(key), str(sha256)) for key, sha256 in entry["rows"]]
        except (ValueError, KeyError, TypeError):
            return None
        chunk = data.read(len(keys) * self.dim * 4)
        whole = line.endswith("\n") and hashlib.sha256(chunk).hexdigest() == entry.get("sha256")
        return keys if whole else None

    def append(self, keys: Sequence[tuple[str, str]], rows: np.ndarray) -> None:
        """Add a chunk; it is on the disk when the call returns.

        Args:
            keys: (image id, file checksum) of each row.
            rows: float32 (len(keys), dim).
        """
        chunk = np.ascontiguousarray(rows, "<f4").tobytes()
        entry = {"rows": list(keys), "sha256": hashlib.sha256(chunk).hexdigest()}
        for path, data in ((self._data, chunk), (self._lines, (json.dumps(entry) + "\n").encode())):
            with path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        self.keys += keys

    def rows(self) -> np.ndarray:
        """Return all rows, float32 (len(keys), dim), memory-mapped."""
        if not self.keys:
            return np.empty((0, self.dim), np.float32)
        return np.memmap(self._data, np.dtype("<f4"), "r", shape=(len(self.keys), self.dim))

    def end(self) -> None:
        """Delete the journal."""
        self._lines.unlink(missing_ok=True)
        self._data.unlink(missing_ok=True)
