"""Places that Spark reads and writes, by the file systems that Spark knows."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_SECRET = re.compile(r"(?<=://)[^/@]*@")
# what a pattern of Hadoop's file names would take for more than itself
_PATTERN = re.compile(r"([\[\]{}*?\\])")


def is_uri(text: str) -> bool:
    """Whether a place is named with its file system, as "s3a://bucket/folder"."""
    return _SCHEME.match(text) is not None


def local_path(text: str) -> Path | None:
    """Return the path of a place on this machine's file system, links resolved; None elsewhere."""
    if not is_uri(text):
        return Path(text).expanduser().resolve()
    if text.lower().startswith("file:/"):
        return Path("/" + text[len("file:") :].lstrip("/")).resolve()
    return None


def location(text: str) -> str:
    """Return a place as Spark takes it, whatever its default file system is."""
    return text if is_uri(text) else f"file://{local_path(text)}"


def literal(uri: str) -> str:
    """Return a location that Spark takes literally, not as a pattern."""
    return _PATTERN.sub(r"\\\1", uri)


def public(text: str) -> str:
    """Return a place without the user and password that it may name."""
    return _SECRET.sub("", text)


class Files:
    """The file system of a location.

    Args:
        spark: the session.
        uri: as `location` gives it; passwords in it are not shown.

    Raises:
        InputError: Spark has no such file system, or cannot reach it.
    """

    def __init__(self, spark: SparkSession, uri: str) -> None:
        jvm: Any = spark._jvm
        self._jvm, self._shown = jvm, public(uri)
        with self._reached():
            root = jvm.org.apache.hadoop.fs.Path(uri)
            self._system = root.getFileSystem(spark._jsc.hadoopConfiguration())
            self._root = self._system.makeQualified(root)

    @property
    def qualified(self) -> str:
        """The prefix of the location that Spark puts before the names in it."""
        return str(self._root.toString())

    def exists(self, name: str = "") -> bool:
        """Whether the place exists, or a name in it."""
        with self._reached():
            return bool(self._system.exists(self._path(name)))

    def is_folder(self) -> bool:
        """Whether it is a folder."""
        with self._reached():
            return bool(self._system.getFileStatus(self._root).isDirectory())

    def entries(self) -> dict[str, bool]:
        """Return the names in a folder, each with whether it is a folder."""
        with self._reached():
            found = self._system.listStatus(self._root)
            return {str(each.getPath().getName()): bool(each.isDirectory()) for each in found}

    def write(self, name: str, content: bytes) -> None:
        """Write a file in the folder."""
        with self._reached():
            stream = self._system.create(self._path(name), True)
            try:
                stream.write(bytearray(content))
            finally:
                stream.close()

    def read(self, name: str) -> bytes:
        """Read a small file in the folder."""
        with self._reached():
            stream = self._system.open(self._path(name))
            try:
                return bytes(stream.readAllBytes())
            finally:
                stream.close()

    def remove(self, name: str = "") -> None:
        """Remove the folder, or one name in it."""
        with self._reached():
            self._system.delete(self._path(name), True)

    def _path(self, name: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(self._root, name) if name else self._root

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        from py4j.protocol import Py4JJavaError

        try:
            yield
        except Py4JJavaError as error:
            message = str(error.java_exception.getMessage() or error.java_exception)
            reason = (message.strip().splitlines() or ["unknown"])[0]
            raise InputError(f"{self._shown} cannot be reached: {public(reason)}") from None
