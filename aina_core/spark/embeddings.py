"""Embeddings that a job joins: a finished folder of them, as rows of Spark."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aina_core.errors import DamagedError, InputError
from aina_core.exchange import MANIFEST, check_manifest, read_manifest
from aina_core.progress import Progress, Stop
from aina_core.spark.places import Files, literal, local_path, location, public
from aina_core.spark.steps import run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Result = TypeVar("Result")
#: The columns that joins look at.
_COLUMNS = "id string, embedding array<float>, width int, height int, size bigint, mtime_ns bigint"


@dataclass(frozen=True, eq=False)
class Opened:
    """A finished folder of embeddings.

    Attributes:
        rows: those with an embedding.
        count: how many these are, by the manifest.
        dim: their length.
        manifest: as `exchange.check_manifest` says.
        place: where it is, without passwords.
    """

    rows: DataFrame
    count: int
    dim: int
    manifest: dict[str, Any]
    place: str

    def described(self) -> dict[str, Any]:
        """How results describe the embeddings they were computed from."""
        named = {name: self.manifest[name] for name in ("model", "dim", "fingerprint")}
        return {**named, "embeddings": self.place, "rows": self.count}


@dataclass(frozen=True)
class Steps:
    """How the steps of a job are run, reported and stopped."""

    spark: SparkSession
    progress: Progress
    stop: Stop

    def __call__(self, phase: str, action: Callable[[], Result], total: int = 0) -> Result:
        """Run an action of Spark; see `steps.run`."""
        return run(self.spark, phase, action, total=total, progress=self.progress, stop=self.stop)

    @property
    def cores(self) -> int:
        """How many tasks run at a time."""
        return max(1, int(self.spark.sparkContext.defaultParallelism))


def check_embeddings(place: str) -> None:
    """Refuse a local folder without finished embeddings, before anything is started.

    Raises:
        InputError: it has no manifest.
        DamagedError: its manifest cannot be read.
    """
    folder = local_path(place)
    if folder is not None:
        read_manifest(folder)


def open_embeddings(spark: SparkSession, place: str) -> Opened:
    """Open what `spark-index` or `export` has written.

    Args:
        spark: the session.
        place: a path, or the location of another file system that Spark knows.

    Raises:
        InputError: it is unfinished, or something else.
        DamagedError: its manifest cannot be read.
    """
    folder = local_path(place)
    shown = public(place) if folder is None else str(folder)
    manifest = _elsewhere(spark, place, shown) if folder is None else read_manifest(folder)
    uri = literal(location(place if folder is None else str(folder)))
    reader = spark.read.schema(_COLUMNS).option("recursiveFileLookup", True)
    rows = reader.parquet(uri).where("id IS NOT NULL AND embedding IS NOT NULL")
    return Opened(rows, manifest["rows"] - manifest["failed"], manifest["dim"], manifest, shown)


def _elsewhere(spark: SparkSession, place: str, shown: str) -> dict[str, Any]:
    files = Files(spark, place)
    if not files.exists(MANIFEST):
        raise InputError(
            f"{shown} holds no finished embeddings: it has no {MANIFEST}; give a folder that "
            "`spark-index` or `export` has written to the end."
        )
    try:
        manifest = json.loads(files.read(MANIFEST))
    except ValueError as error:
        raise DamagedError(f"{MANIFEST} in {shown} cannot be read: {error}") from None
    if not isinstance(manifest, dict):
        raise DamagedError(f"{MANIFEST} in {shown} is not a JSON object.")
    check_manifest(manifest, shown)
    return manifest
