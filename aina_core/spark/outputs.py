"""Folders that Spark jobs write, and that have no manifest before they are finished.

On this machine's file system a job writes into a folder beside its place, which is moved there when
all is done. Elsewhere, where moving can mean copying, it writes in place, marked as unfinished,
and the manifest is written last.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aina_core.disk import folders, paths
from aina_core.errors import DamagedError, GalleryBusyError, InputError
from aina_core.exchange import MANIFEST
from aina_core.spark.places import Files, is_uri, literal, local_path, public

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MARK = "_aina.unfinished"
_TEMPORARY = "_temporary"
# what Spark leaves beside its parts
_TRACES = ("_SUCCESS", _TEMPORARY, _MARK)
_PART = re.compile(r"part-.*\.parquet")


class Output(Protocol):
    """An output that is being written.

    Attributes:
        target: where Spark writes its parts, by mode "append".
    """

    target: str

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Put what was written into place, with its manifest."""
        ...

    def abandon(self) -> None:
        """Remove what was written; what was there before is kept if possible."""
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
    spark: SparkSession,
    out: str,
    columns: Sequence[str],
    *,
    kind: str | None = None,
    overwrite: bool,
) -> Output:
    """Prepare an output for parts.

    Args:
        spark: the session.
        out: a path, or the location of another file system that Spark knows.
        columns: see `check_output`.
        kind: of the results, as their manifest says it; None for embeddings. On another file
            system only results of the same kind are replaced.
        overwrite: whether finished results may be replaced.

    Raises:
        InputError: it is taken, or cannot be written to.
    """
    folder = local_path(out)
    if folder is None:
        return _Elsewhere(Files(spark, out), out, kind, overwrite)
    output = _Here(folder)
    try:
        check_output(
            out, columns, overwrite=overwrite
        )  # again, now that no other job can finish there
    except InputError:
        output.abandon()
        raise
    return output


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
        self._held = contextlib.ExitStack()
        try:
            hidden = folders.workspace(folder.parent, f".{folder.name}.unfinished")
            self._made = self._held.enter_context(hidden)
        except GalleryBusyError:
            raise InputError(
                f"Another job is writing to {folder}; wait until it has ended, or give --out "
                "another folder."
            ) from None
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error.strerror}.") from None
        self.target = f"file://{self._made}"

    def finish(self, manifest: Mapping[str, Any]) -> None:
        for trace in self._made.iterdir():
            if trace.is_dir():
                shutil.rmtree(trace)
            elif trace.suffix == ".crc" or trace.name in _TRACES:  # Hadoop's checksums and marks
                trace.unlink()
        paths.write_json(self._made / MANIFEST, dict(manifest))
        folders.put_in_place(self._made, self._folder, replace=True)
        self._held.close()

    def abandon(self) -> None:
        self._held.close()


class _Elsewhere:
    def __init__(self, files: Files, out: str, kind: str | None, overwrite: bool) -> None:
        self._files = files
        self.target = out
        if files.exists():
            names = _known(files)
            if names is None or (MANIFEST in names and not _is_kind(files.read(MANIFEST), kind)):
                raise InputError(
                    f"{public(out)} holds other things; give --out a folder that does not exist "
                    "yet."
                )
            if MANIFEST in names and not overwrite:
                raise _finished(public(out))
            # the manifest first: what is left without it counts for nothing
            for name in sorted(names, key=lambda name: name != MANIFEST):
                files.remove(name)
        files.write(_MARK, b"")

    def finish(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(dict(manifest), ensure_ascii=False, indent=1)
        self._files.write(MANIFEST, text.encode())
        self._files.remove(_MARK)

    def abandon(self) -> None:
        if not self._files.exists():
            return
        for name, folder in self._files.entries().items():
            if _is_ours(name, folder):
                self._files.remove(name)
        if not self._files.entries():
            self._files.remove()


def _known(files: Files) -> list[str] | None:
    """The names in a folder that holds only what jobs write; None for anything else."""
    if not files.is_folder():
        return None
    found = files.entries()
    return list(found) if all(_is_ours(*each) for each in found.items()) else None


def _is_ours(name: str, folder: bool) -> bool:
    if folder:
        return name == _TEMPORARY
    return name in (MANIFEST, *_TRACES) or _PART.fullmatch(name) is not None


def _is_kind(manifest: bytes, kind: str | None) -> bool:
    """Whether a manifest is of results of a kind."""
    try:
        found = json.loads(manifest)
    except ValueError:
        return False
    return isinstance(found, dict) and "format" in found and found.get("kind") == kind


def check_written(spark: SparkSession, output: Output, wanted: int, which: str = "true") -> None:
    """Refuse results that are not all there, or to which another process has added.

    Args:
        spark: the session.
        output: where they were written.
        wanted: how many rows there must be.
        which: of which rows, as Spark's SQL says it.

    Raises:
        DamagedError: there are more, or fewer.
    """
    found = spark.read.parquet(literal(output.target)).where(which).count()
    if found != wanted:
        raise DamagedError(
            f"The results have {found:,} rows where {wanted:,} were expected; something else has "
            "written to their place, or the embeddings have changed meanwhile: run it again."
        )


def same_place(first: str, second: str) -> bool:
    """Whether two places are one, or one lies in the other."""
    if is_uri(first) != is_uri(second) and None in (local_path(first), local_path(second)):
        return False
    ours, theirs = local_path(first), local_path(second)
    if ours is None or theirs is None:
        a, b = first.rstrip("/") + "/", second.rstrip("/") + "/"
        return a.startswith(b) or b.startswith(a)
    return ours == theirs or theirs.is_relative_to(ours) or ours.is_relative_to(theirs)
