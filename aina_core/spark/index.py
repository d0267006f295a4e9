"""`spark_index`: images to embeddings, as on one machine, by Spark."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aina_core.embedding import load_embedder
from aina_core.errors import DamagedError, InputError, StoppedError
from aina_core.exchange import FORMAT, SCHEMA, check_manifest
from aina_core.gallery import LabelsFile
from aina_core.models import ModelName
from aina_core.progress import Progress, Stop, never, silent
from aina_core.spark import worker
from aina_core.spark.outputs import Output, check_output, open_output, same_place
from aina_core.spark.places import is_uri, local_path, public
from aina_core.spark.results import COLUMNS, complete, write
from aina_core.spark.session import session
from aina_core.spark.sources import (
    FolderListing,
    Source,
    check_source,
    folder_rows,
    is_table,
    list_folder,
    uri_rows,
)
from aina_core.spark.steps import STOPPED, mendable, run
from aina_core.spark.tables import table_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class SparkReport:
    """The outcome of a job.

    Attributes:
        rows: images and files that failed, all of which have a row.
        failed_count: how many of them failed.
        seconds: from the first task to the finished folder; workers load the model in it.
        images_per_second: images embedded, by `seconds`.
        start_seconds: before: the model's loading here, Spark's start, the source's listing.
        load_seconds: the longest that a worker took to load the model, within `seconds`.
        model: the model's full name.
        dim: length of its embeddings.
        computed_on: as ["cpu/openvino"].
        out: where the results are.
        unreadable: ids of sub-folders that could not be read.
    """

    rows: int
    failed_count: int
    seconds: float
    images_per_second: float
    start_seconds: float
    load_seconds: float
    model: str
    dim: int
    computed_on: list[str]
    out: str
    unreadable: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        return asdict(self)


def spark_index(
    source: str,
    model: str,
    out: str,
    *,
    labels: Path | None = None,
    master: str | None = None,
    settings: Mapping[str, str] | None = None,
    spark: SparkSession | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    stop: Stop = never,
) -> SparkReport:
    """Embed images by Spark into a folder of Parquet (see `exchange.layout`).

    Args:
        source: a folder of this machine, a location that Spark reads, or a table
            (see `tables.table_rows`).
        model: a registered name, with or without variants; not a reduced one.
        out: where the results go: a path or a location. Nothing is readable there before the end.
        labels: a labels file (see `gallery.LabelsFile`); where it names an id, it counts.
        master: see `session`.
        settings: of Spark.
        spark: a session that is there already, and goes on; in place of the two above.
        overwrite: replace finished results.
        progress: told of every phase.
        stop: when it returns True, the job is cancelled and leaves nothing.

    Raises:
        AinaError: see `load_embedder`, `session`, `sources`, `outputs.open_output`.
        StoppedError: it was asked to stop.
    """
    started = time.monotonic()
    name = ModelName.parse(model)
    if name.components:
        raise InputError(
            f"{model} is reduced by axes of a gallery's own; give {name.source}, import the "
            "results, and reduce the gallery."
        )
    check_source(source)
    if same_place(source, out) and is_table(source):
        raise InputError("The source and --out are one place; give --out another folder.")
    check_output(out, SCHEMA.names, overwrite=overwrite)
    annotations = None if labels is None else LabelsFile(labels)
    found = _found(source, progress)
    progress("loading the model", 0, 0)
    # as workers without a GPU do; it also leaves the converted network where they find it
    embedder = load_embedder(str(name), device="cpu")
    described = _Described(
        embedder.model, embedder.dim, embedder.fingerprint(), embedder.versions()
    )
    del embedder
    if stop():
        raise StoppedError(STOPPED)
    progress("starting Spark", 0, 0)
    running = session(master, f"AINA: {name}", settings) if spark is None else nullcontext(spark)
    with running as opened:
        output = open_output(opened, out, SCHEMA.names, overwrite=overwrite)
        try:
            job = _Job(opened, source, found, described, output, progress, stop)
            return job.run(out, annotations, started)
        except BaseException as error:
            output.abandon()
            raise mendable(error, opened.sparkContext.master) from None


def _found(source: str, progress: Progress) -> FolderListing | None:
    """List a folder of this machine; None for every other source.

    Raises:
        AinaError: it cannot be read, or holds no images.
    """
    folder = local_path(source)
    if is_uri(source) or folder is None or is_table(source) is not None:
        return None
    progress("reading the folder", 0, 0)
    return list_folder(folder)


@dataclass(frozen=True)
class _Described:
    """How the results describe their model."""

    model: str
    dim: int
    fingerprint: dict[str, Any]
    versions: dict[str, str]


class _Job:
    def __init__(
        self,
        spark: SparkSession,
        source: str,
        found: FolderListing | None,
        described: _Described,
        output: Output,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._spark, self._source, self._found = spark, source, found
        self._described, self._output = described, output
        self._progress, self._stop = progress, stop

    def run(self, out: str, labels: LabelsFile | None, started: float) -> SparkReport:
        """Run the whole job; `started` is when the command was given."""
        source = self._step("reading the source", self._open)
        rows = source.rows if labels is None else self._labelled(source, labels)
        begun = time.monotonic()
        seen = self._embed(rows, source.count)
        count, failed = self._step(
            "checking", lambda: complete(self._spark, source, self._output.target)
        )
        if count != source.count:
            raise DamagedError(
                f"The results have {count:,} rows, and the source {source.count:,}; it has "
                "changed meanwhile: run the command once more."
            )
        described = self._described
        manifest = {
            "format": FORMAT,
            "model": described.model,
            "dim": described.dim,
            "fingerprint": described.fingerprint,
            "computed_on": sorted(seen.computed_on),
            "versions": described.versions,
            "source": public(self._source if is_uri(self._source) else _absolute(self._source)),
            "root": None if source.root is None else str(source.root),
            "rows": count,
            "failed": failed,
        }
        check_manifest(manifest, out)
        self._output.finish(manifest)
        seconds = time.monotonic() - begun
        return SparkReport(
            rows=count,
            failed_count=failed,
            seconds=round(seconds, 3),
            images_per_second=round((count - failed) / seconds, 2),
            start_seconds=round(begun - started, 3),
            load_seconds=round(seen.load_seconds, 3),
            model=described.model,
            dim=described.dim,
            computed_on=sorted(seen.computed_on),
            out=public(out),
            unreadable=[] if self._found is None else self._found.unreadable,
        )

    def _step(self, phase: str, action: Any, total: int = 0) -> Any:
        return run(
            self._spark, phase, action, total=total, progress=self._progress, stop=self._stop
        )

    def _open(self) -> Source:
        if self._found is not None:
            return folder_rows(self._spark, self._found)
        kind = is_table(self._source)
        if kind is not None:
            return table_rows(self._spark, self._source, kind)
        return uri_rows(self._spark, self._source)

    def _labelled(self, source: Source, labels: LabelsFile) -> DataFrame:
        """Replace labels by those of a labels file.

        Raises:
            InputError: it names none of the images.
        """
        import pyarrow as pa
        from pyspark.sql import functions as f

        said = {key: annotation.label for key, annotation in labels.items()}
        table = pa.table(
            {"id": pa.array(said, pa.string()), "said": pa.array(said.values(), pa.string())}
        )
        frame = f.broadcast(self._spark.createDataFrame(table))
        first = self._step(
            "reading the labels",
            lambda: (
                source.ids.join(frame, "id", "semi").first() or not said,
                source.ids.agg(f.min("id")).first(),
            ),
        )
        if not first[0]:
            raise InputError(
                f"None of the {len(said):,} ids of the labels file is an image of the source; an "
                f"id there is, as: {first[1][0]}"
            )
        joined = source.rows.join(frame, "id", "left")
        return joined.withColumn("label", f.coalesce("said", "label")).select(*source.rows.columns)

    def _embed(self, rows: DataFrame, count: int) -> worker.Seen:
        from pyspark.accumulators import AccumulatorParam

        class Summed(AccumulatorParam[worker.Seen]):
            def zero(self, value: worker.Seen) -> worker.Seen:
                return worker.Seen()

            def addInPlace(  # noqa: N802  Spark's name
                self, value1: worker.Seen, value2: worker.Seen
            ) -> worker.Seen:
                return value1 + value2

        seen = self._spark.sparkContext.accumulator(worker.Seen(), Summed())
        work = worker.Work(self._described.model, self._described.fingerprint)

        def embed(batches: Any) -> Any:
            from pyspark import TaskContext

            context = TaskContext.get()
            given = {} if context is None else context.resources()
            resources = {kind: list(info.addresses) for kind, info in given.items()}
            return worker.embed(batches, work, seen.add, resources)

        results = rows.mapInArrow(embed, COLUMNS)
        self._step("embedding", lambda: write(results, self._output.target), total=count)
        return seen.value


def _absolute(path: str) -> str:
    return str(local_path(path))
