"""Studies that were run: stored with their settings, listed, opened, deleted.

::

    AINA_HOME/.studies/
      ID/
        run.json       settings, versions, the gallery's generation, checksums of the others
        results.json   figures
        images.json    the originals, or all images that were searched
        arrays/        what each image contributed (`disk/arrays.py`)
      .work/           embeddings of studies that are not finished (`changes/versions.py`)

A study's folder appears whole, in one step.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.changes.originals import Original
from aina_core.disk import arrays, folders, paths
from aina_core.errors import DamagedError, UnknownNameError
from aina_core.studies.kind import Run, Settings, Summary
from aina_core.studies.settings import read

_FORMAT = 1
_ID = re.compile(r"\d{8}-\d{6}-[a-z]+-[0-9a-f]{4}")
_UNUSED_SECONDS = 14 * 24 * 3600.0


def folder() -> Path:
    """Where studies are stored."""
    return paths.home() / ".studies"


def work_folder() -> Path:
    """Where unfinished studies grow; what was not touched for two weeks is removed."""
    work = folder() / ".work"
    folders.sweep_unused(work, _UNUSED_SECONDS)
    return work


def save(
    settings: Settings,
    results: Mapping[str, Any],
    images: Sequence[Original],
    contributed: Mapping[str, np.ndarray],
    *,
    gallery: Mapping[str, Any],
    verdict: str,
    versions: Mapping[str, str],
    models: Mapping[str, Any],
    seconds: float,
) -> Run:
    """Store a study and return it, opened. See `Summary` and `Run` for what is stored."""
    now = datetime.now(UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{settings.kind}-{secrets.token_hex(2)}"
    with folders.making(folder() / name) as aside:
        paths.write_json(aside / "results.json", dict(results))
        listed = [[image.id, image.sha256, image.label] for image in images]
        paths.write_json(aside / "images.json", {"images": listed})
        arrays.save(aside / "arrays", {"study": name}, contributed)
        record = {
            "format": _FORMAT,
            "created": now.isoformat(timespec="seconds"),
            "settings": settings.as_dict(),
            "gallery": dict(gallery),
            "verdict": verdict,
            "versions": dict(versions),
            "models": dict(models),
            "seconds": round(seconds, 1),
            "files": {
                file: paths.file_checksum(aside / file) for file in ("results.json", "images.json")
            },
        }
        paths.write_json(aside / "run.json", record)
    return load(name)


def studies() -> tuple[list[Summary], dict[str, str]]:
    """Return the stored studies, the newest first; and, by id, what is wrong with damaged ones."""
    found, damaged = [], {}
    for path in sorted(folder().glob("*-*"), reverse=True):
        if _ID.fullmatch(path.name):
            try:
                found.append(_summary(path))
            except DamagedError as error:
                damaged[path.name] = str(error)
    return found, damaged


def load(study_id: str) -> Run:
    """Open a stored study, verified.

    Raises:
        UnknownNameError: there is none of that id.
        DamagedError: it does not match what was recorded.
    """
    path = _place(study_id)
    try:
        summary = _summary(path)
        recorded = paths.read_json(path / "run.json")["files"]
        for file, checksum in recorded.items():
            if paths.file_checksum(path / Path(file).name) != checksum:
                raise DamagedError(f"the checksum of {file} differs from the one recorded")
        results = paths.read_json(path / "results.json")
        listed = paths.read_json(path / "images.json")["images"]
        images = [Original(*map(str, image)) for image in listed]
        kept = arrays.load(path / "arrays", {"study": path.name})
        if kept is None:
            raise DamagedError("its arrays are missing, or differ from what was recorded")
    except (DamagedError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).rstrip(".")
        raise DamagedError(
            f"The study {path.name} is damaged: {reason}; delete it and run it again."
        ) from None
    return Run(summary, results, images, kept.arrays)


def delete(study_id: str) -> None:
    """Delete a stored study, damaged or not.

    Raises:
        UnknownNameError: there is none of that id.
    """
    folders.discard(_place(study_id))


def _place(study_id: str) -> Path:
    path = folder() / study_id
    if not _ID.fullmatch(study_id) or not path.is_dir():
        known = (p.name for p in folder().glob("*-*") if _ID.fullmatch(p.name))
        raise UnknownNameError("stored study", study_id, known)
    return path


def _summary(path: Path) -> Summary:
    record = paths.read_json(path / "run.json")
    try:
        if record["format"] != _FORMAT:
            raise DamagedError(f"run.json has format {record['format']!r}, not {_FORMAT}.")
        return Summary(
            id=path.name,
            created=str(record["created"]),
            settings=read(record["settings"]),
            gallery=dict(record["gallery"]),
            verdict=str(record["verdict"]),
            versions=dict(record["versions"]),
            models=dict(record["models"]),
            seconds=float(record["seconds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"run.json lacks what it should say: {error}") from None
