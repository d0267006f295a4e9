"""Folders that Spark jobs write: nobody reads them before they are finished.

On this machine's file system a job writes into a folder beside its place, which is moved there when
all is done. Elsewhere, where moving can mean copying, it writes in place, marked as unfinished,
and the manifest is written last.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aina_core import paths
from aina_core.errors import InputError
from aina_core.exchange import MANIFEST
from aina_core.jobs.files import Files, is_uri, local_path, public

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MARK = "_aina.unfinished"
# what Spark leaves beside its parts
_TRACES = ("_SUCCESS", "_temporary", _MARK)


class Output(Protocol):
    """A place that is being written.

    Attributes:
        target: where Spark writes its parts, by mode "append".
    """

    target: str

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Make what was written readable, and say whose it is."""
        ...

    def abandon(self) -> None:
        """Remove what was written; what was there before stays, where that is possible."""
        ...


def check_output(out: str, columns: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a local place that must not be written to, before anything is started.

    Args:
        out: a path; the location of another file system is looked at by `open_output`.
        columns: of the parts that are to be written: only such a folder is ever replaced.
        overwrite: whether finished results may be replaced.

    Raises:
        InputError: it is taken.
    """
    folder = local_path(out)
    if folder is None or not (folder.exists() or folder.is_symlink()):
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give --out a folder that does not exist yet.")
    parts = [path for path in folder.iterdir() if path.suffix == ".parquet"]
    others = [
        path.name
        for path in folder.iterdir()
        if path not in parts and path.name not in (MANIFEST, *_TRACES) and path.suffix != ".crc"
    ]
    if others or not all(_has(path, columns) for path in parts):
        raise InputError(
            f"The folder {folder} holds other things; give --out a folder that does not exist yet."
        )
    if (folder / MANIFEST).exists() and not overwrite:
        raise _finished(str(folder))


def open_output(
    spark: SparkSession, out: str, columns: Sequence[str], *, overwrite: bool
) -> Output:
    """Prepare a place for parts.

    Args:
        spark: the session.
        out: a path, or the location of another file system that Spark knows.
        columns: see `check_output`.
        overwrite: whether finished results may be replaced.

    Raises:
        InputError: it is taken, or cannot be written to.
    """
    folder = local_path(out)
    if folder is None:
        return _Elsewhere(Files(spark, out), out, overwrite)
    check_output(out, columns, overwrite=overwrite)
    return _Here(folder)


def _has(part: Path, columns: Sequence[str]) -> bool:
    """Whether a file is Parquet of just these columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(part).names) == list(columns)
    except (OSError, pa.ArrowException):
        return False


def _finished(place: str) -> InputError:
    return InputError(
        f"{place} holds finished results; give --out another folder, or --overwrite to replace "
        "them."
    )


class _Here:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._staged = folder.with_name(f".{folder.name}.unfinished")
        shutil.rmtree(self._staged, ignore_errors=True)  # of a run that was killed
        try:
            self._staged.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error.strerror}.") from None
        self.target = f"file://{self._staged}"

    def finish(self, manifest: Mapping[str, Any]) -> None:
        for trace in self._staged.iterdir():
            if trace.is_dir():
                shutil.rmtree(trace)
            elif trace.suffix == ".crc" or trace.name in _TRACES:  # Hadoop's checksums and marks
                trace.unlink()
        for part in self._staged.iterdir():
            with part.open("rb") as file:
                os.fsync(file.fileno())
        paths.write_json(self._staged / MANIFEST, dict(manifest))
        old = self._folder.with_name(f".{self._folder.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        if self._folder.exists():
            self._folder.rename(old)
        self._staged.rename(self._folder)
        paths.sync_folder(self._folder.parent)
        shutil.rmtree(old, ignore_errors=True)

    def abandon(self) -> None:
        shutil.rmtree(self._staged, ignore_errors=True)


class _Elsewhere:
    def __init__(self, files: Files, out: str, overwrite: bool) -> None:
        self._files = files
        self.target = out
        if files.exists():
            names = files.names() if files.is_folder() else [""]
            if MANIFEST in names and not overwrite:
                raise _finished(public(out))
            if names and not {MANIFEST, _MARK} & set(names):
                raise InputError(
                    f"{public(out)} holds other things; give --out a folder that does not exist "
                    "yet."
                )
            files.remove()
        files.write(_MARK, b"")

    def finish(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(dict(manifest), ensure_ascii=False, indent=1)
        self._files.write(MANIFEST, text.encode())
        self._files.remove(_MARK)

    def abandon(self) -> None:
        self._files.remove()


def same_place(first: str, second: str) -> bool:
    """Whether two places are one, or one lies in the other."""
    if is_uri(first) != is_uri(second) and None in (local_path(first), local_path(second)):
        return False
    ours, theirs = local_path(first), local_path(second)
    if ours is None or theirs is None:
        a, b = first.rstrip("/") + "/", second.rstrip("/") + "/"
        return a.startswith(b) or b.startswith(a)
    return ours == theirs or theirs.is_relative_to(ours) or ours.is_relative_to(theirs)
