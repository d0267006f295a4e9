"""Does Spark embed as fast as plain processes do, and what does an image, and a pair, cost?

    python -m benchmarks.spark [--images 5000] [--rounds 2] [--rows 20000]

The pictures are photographs of one megapixel and their modifications as JPEG files, none with the
bytes of another. They are embedded by

- the update of a gallery, one process on all cores, with and without thumbnails to make;
- two plain processes with one core each, which are given a half of the files each, and decode,
  embed and write Parquet by the same functions;
- `spark-index` under local[2].

Start-up counts for none of them: everybody embeds 64 pictures first and then waits for the word;
what that takes is in a column of its own. Rounds alternate, and medians count. The stages are timed
in a processor's seconds, on one core. For the join, blocks of synthetic vectors are held against
each other, and `spark-neighbours` runs under local[2], exactly and by an index a block.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from aina_core import exchange, images
from aina_core.changes import modifications
from aina_core.embedding import Embedder, load_embedder
from aina_core.gallery import create, update
from aina_core.gallery.scan import look
from aina_core.spark.worker import batch_of
from benchmarks.embedding import write_photographs
from benchmarks.spark_costs import (
    HANDED,
    MASTER,
    MODEL,
    measure_blocks,
    measure_joins,
    measure_stages,
    report_join,
    report_stages,
    timed,
    write_embeddings,
)

SOURCES, WARMING = 20, 64
#: For a process that is to use one core.
ONE_CORE = {"AINA_CORES": "1", "OMP_NUM_THREADS": "1"}
PARTS = ("embed", "stages", "join")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=20_000, help="of the join on Spark")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure](options.folder)))
        return
    wanted = options.only.split(",")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        os.environ["AINA_HOME"] = str(folder / "home")
        if "embed" in wanted or "stages" in wanted:
            write_pictures(folder / "images", options.images)
            write_pictures(folder / "warming", WARMING)
        if "embed" in wanted:
            report_embedding(folder, options.images, options.rounds)
        if "stages" in wanted:
            report_stages(run("stages", folder))
        if "join" in wanted:
            write_embeddings(folder / "embeddings", options.rows)
            report_join(run("blocks", folder), run("joins", folder))


def write_pictures(folder: Path, count: int) -> None:
    """Write JPEGs: photographs and their modifications, each as often as it takes.

    One that comes again has another comment in its header, so it costs the same to decode and has
    a checksum of its own.
    """
    made: list[bytes] = []
    with tempfile.TemporaryDirectory() as name:
        sources = Path(name, "sources")
        write_photographs(sources, min(SOURCES, count))
        changes = [None, *modifications.MODIFICATIONS]
        for path in sorted(sources.iterdir()):
            image = images.read_image(path)
            for change in changes[: count - len(made)]:
                file = io.BytesIO()
                changed = image if change is None else modifications.apply(change, image)
                changed.save(file, "JPEG", quality=90)
                made.append(file.getvalue())
    for number in range(count):
        comment = f"number {number}".encode()
        data = made[number % len(made)]
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        place = folder / f"{number // 500:03}" / f"{number:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data[:2] + segment + data[2:])


def run(name: str, folder: Path) -> dict[str, float]:
    """Measure in a process of its own."""
    alone = ONE_CORE if name in ("stages", "blocks") else {}
    done = subprocess.run(
        _command(name, folder),
        env={**os.environ, **alone},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _command(name: str, folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "benchmarks.spark"),
        *("--measure", name, "--folder", str(folder)),
    ]


# ── embedding ────────────────────────────────────────────────────────────────────────────────────


def measure_gallery(folder: Path) -> dict[str, float]:
    """One process on all cores; a second time with thumbnails that are there already."""
    started = time.perf_counter()
    embedder = load_embedder(MODEL, device="cpu")
    warm = create("warm", folder / "warming")
    update(warm, embedder)
    warm.delete()
    start = time.perf_counter() - started
    gallery = create("bench", folder / "images")
    first = timed(lambda: update(gallery, embedder))
    gallery.delete_model(MODEL)
    second = timed(lambda: update(gallery, embedder))
    gallery.delete()
    return {"start": start, "thumbnails": first, "seconds": second}


def measure_half(folder: Path) -> dict[str, float]:
    """One of two processes: warms up, reports it, and embeds its half on a signal."""
    started = time.perf_counter()
    half = int(os.environ["AINA_BENCH_HALF"])
    embedder = load_embedder(MODEL, device="cpu")
    files = sorted((folder / "images").rglob("*.jpg"))[half::2]
    _embed(embedder, sorted((folder / "warming").rglob("*.jpg")), folder / f"warm{half}.parquet")
    print("ready", flush=True)
    start = time.perf_counter() - started
    sys.stdin.readline()
    seconds = timed(lambda: _embed(embedder, files, folder / f"half{half}.parquet"))
    return {"start": start, "seconds": seconds}


def _embed(embedder: Embedder, files: list[Path], out: Path) -> None:
    """A plain loop over the shared functions, into a file of the shared format."""

    def prepare(path: Path) -> tuple[Any, Any]:
        status = path.stat()
        record, pixels = look(
            path.name, status.st_size, status.st_mtime_ns, lambda: images.read_bytes(path)
        )
        return pixels, record

    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(out, exchange.SCHEMA) as writer:
        for _, record, row, norm in embedder.run_with_norms(files, prepare):
            known = {name: getattr(record, name) for name in ("id", "width", "height", "failure")}
            known |= {name: getattr(record, name) for name in ("sha256", "size", "mtime_ns")}
            rows.append({**known, "embedding": row, "norm": norm, "label": None})
            if len(rows) >= HANDED:
                writer.write_batch(batch_of(rows))
                rows = []
        if rows:
            writer.write_batch(batch_of(rows))


def run_halves(folder: Path) -> dict[str, float]:
    """Two processes at a time; from the signal to the end of the later one."""
    environment = {**os.environ, **ONE_CORE}
    workers = [
        subprocess.Popen(
            _command("half", folder),
            env={**environment, "AINA_BENCH_HALF": str(half)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for half in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline().strip() == "ready"
    started = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
    if any(worker.returncode for worker in workers):
        sys.exit("a process failed")
    # a process takes a moment to end: what it says of itself counts, if the word came at once
    seconds = max(one["seconds"] for one in told)
    assert seconds <= time.perf_counter() - started
    return {"start": max(one["start"] for one in told), "seconds": seconds}


def measure_spark(folder: Path) -> dict[str, float]:
    """`spark-index` in a session whose workers have the model."""
    from aina_core.spark.index import spark_index
    from aina_core.spark.session import session

    started = time.perf_counter()
    with session(MASTER, "benchmark") as spark:
        spark_index(
            str(folder / "warming"), MODEL, str(folder / "warm"), spark=spark, overwrite=True
        )
        start = time.perf_counter() - started
        report = spark_index(
            str(folder / "images"), MODEL, str(folder / "out"), spark=spark, overwrite=True
        )
    size = sum(part.stat().st_size for part in exchange.parts(folder / "out"))
    return {
        "start": start,
        "seconds": report.seconds,
        "load": report.load_seconds,
        "listing": report.start_seconds,
        "bytes": size / report.rows,
    }


def report_embedding(folder: Path, count: int, rounds: int) -> None:
    """Measure in turns, and print the speeds."""
    found: dict[str, list[dict[str, float]]] = {"gallery": [], "halves": [], "spark": []}
    takes: dict[str, Callable[[], dict[str, float]]] = {
        "gallery": lambda: run("gallery", folder),
        "halves": lambda: run_halves(folder),
        "spark": lambda: run("spark", folder),
    }
    for number in range(rounds):
        names = list(takes) if number % 2 == 0 else list(reversed(takes))
        for name in names:
            found[name].append(takes[name]())
            print(f"  {name}: {found[name][-1]}", file=sys.stderr)

    def median(name: str, key: str) -> float:
        return statistics.median(one[key] for one in found[name])

    halves = count / median("halves", "seconds")
    print(f"\n{count:,} pictures, {MODEL}, the median of {rounds} rounds")
    print(f"{'':44}{'images/s':>9}{'of two':>8}{'start s':>9}")
    for text, name, key in (
        ("two processes, a core each", "halves", "seconds"),
        (f"spark-index, {MASTER}", "spark", "seconds"),
        ("one process, with thumbnails", "gallery", "thumbnails"),
        ("one process, thumbnails there already", "gallery", "seconds"),
    ):
        rate = count / median(name, key)
        print(f"{text:44}{rate:9.1f}{rate / halves:8.2f}{median(name, 'start'):9.1f}")
    print(
        f"of spark-index, further: {median('spark', 'listing'):.1f} s to load the model in the "
        f"driver and list the source, {median('spark', 'load'):.2f} s in a worker that has it"
    )
    print(f"the results take {median('spark', 'bytes'):,.0f} bytes an image")


MEASURES: dict[str, Callable[[Path], dict[str, float]]] = {
    "gallery": measure_gallery,
    "half": measure_half,
    "spark": measure_spark,
    "stages": measure_stages,
    "blocks": measure_blocks,
    "joins": measure_joins,
}


if __name__ == "__main__":
    main()
