"""An index on disk: native files and a manifest, verified before any library opens them.

The manifest `<kind>.json` is written last. It records what the index was built from (its
identity), what was measured, and the size and SHA-256 of each file, so a mixture of two builds that
a crash has left does not match it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aina_core.disk import folders, paths
from aina_core.errors import DamagedError


def exists(folder: Path, kind: str) -> bool:
    """Return whether a folder has an index of a kind, intact or not."""
    return _manifest_path(folder, kind).exists()


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """Read what `write` recorded.

    Raises:
        DamagedError: it cannot be read.
    """
    return paths.read_json(_manifest_path(folder, kind))


def find_problem(folder: Path, identity: dict[str, Any]) -> str | None:
    """Return in one sentence why the stored index is not the one described; None if it is.

    Args:
        folder: where it is stored.
        identity: JSON values that the manifest must repeat, among them its "kind" and the "names"
            of its files.
    """
    path = _manifest_path(folder, identity["kind"])
    if not path.exists():
        return f"{path.name} is missing."
    try:
        manifest = paths.read_json(path)
    except DamagedError:
        return f"{path.name} is not a readable JSON object."
    for key, value in identity.items():
        if manifest.get(key) != value:
            return f"{path.name} has {key} {manifest.get(key)!r}, but {value!r} was expected."
    if not _measured(manifest):
        return f"{path.name} lacks what was measured when the index was built."
    files = manifest.get("files")
    if not isinstance(files, dict) or sorted(files) != sorted(identity["names"]):
        return f"{path.name} does not describe the files of the index."
    problems = (_file_problem(folder / name, record) for name, record in files.items())
    return next((problem for problem in problems if problem), None)


@contextlib.contextmanager
def writing(folder: Path, identity: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a temporary folder for the files, and a dict for what is measured.

    When the block succeeds, the files take their places, each in one step, and the manifest
    follows. When it fails, nothing has changed.
    """
    measured: dict[str, Any] = {}
    with folders.workspace(folder) as made:
        yield made, measured
        files = {name: describe(made / name) for name in identity["names"]}
        for name in files:
            (made / name).replace(folder / name)
        paths.sync_folder(folder)
        manifest = {**identity, **measured, "files": files}
        paths.write_json(_manifest_path(folder, identity["kind"]), manifest)


def _manifest_path(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.json"


def describe(path: Path) -> dict[str, Any]:
    """Flush a file to the disk and return what a manifest records of it: its size and SHA-256."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return {"size": path.stat().st_size, "sha256": paths.file_checksum(path)}


def _measured(manifest: dict[str, Any]) -> bool:
    candidates, recall = manifest.get("candidates"), manifest.get("recall_at_10")
    return isinstance(candidates, int) and candidates > 0 and isinstance(recall, float)


def _file_problem(path: Path, record: Any) -> str | None:
    if not isinstance(record, dict):
        return f"The manifest does not describe {path.name}."
    if not path.is_file():
        return f"{path.name} is missing."
    size = path.stat().st_size
    if size != record.get("size"):
        return f"{path.name} has {size} bytes, but {record.get('size')} were written."
    if paths.file_checksum(path) != record.get("sha256"):
        return f"{path.name} has other bytes than were written (SHA-256 differs)."
    return None
