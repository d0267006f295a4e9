"""What an image and a pair of images cost on one core: the stages, and the joins.

A part of `python -m benchmarks.spark`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aina_core import exchange, images
from aina_core.embedding import load_embedder, preprocess
from aina_core.gallery.scan import look
from aina_core.spark.worker import batch_of
from benchmarks.duplicates import vectors

MODEL = "efficientnet-lite0"
MASTER = "local[2]"
HANDED = 512
STAGED = 300


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def worked(work: Callable[[], object]) -> float:
    """Return the processor's seconds that something takes, in all threads.

    What else runs on the machine hardly changes them.
    """
    started = time.process_time()
    work()
    return time.process_time() - started


# ── stages ───────────────────────────────────────────────────────────────────────────────────────


def measure_stages(folder: Path) -> dict[str, float]:
    """A core's seconds for an image in each stage, the files in the system's memory."""
    embedder = load_embedder(MODEL, device="cpu")
    files = sorted((folder / "images").rglob("*.jpg"))[:STAGED]
    took = dict.fromkeys(("read", "decode", "preprocess", "embed"), 0.0)
    for path in files[:20]:
        embedder.embed([images.read_image(path)])
    rows: list[dict[str, Any]] = []
    for path in files:
        times = [_clocks()]
        data = images.read_bytes(path)
        times.append(_clocks())
        record, pixels = look(path.name, len(data), 0, lambda data=data: data)
        assert pixels is not None
        times.append(_clocks())
        picture = preprocess(pixels, embedder.spec.recipe)
        times.append(_clocks())
        row = embedder.runtime.launch(picture[None])()[0]
        times.append(_clocks())
        for name, before, after in zip(took, times, times[1:], strict=False):
            # the network runs in threads of its own, which may be awake for a while afterwards
            took[name] += float((after - before)[int(name == "embed")])
        known = {name: getattr(record, name) for name in ("id", "width", "height", "sha256")}
        known |= {"failure": None, "label": None, "mtime_ns": 0, "size": len(data)}
        rows.append({**known, "embedding": row[:-1], "norm": float(row[-1])})

    def write() -> None:
        with pq.ParquetWriter(folder / "stages.parquet", exchange.SCHEMA) as writer:
            for start in range(0, len(rows), HANDED):
                writer.write_batch(batch_of(rows[start : start + HANDED]))

    write()  # the first time, libraries are loaded
    before = _clocks()
    write()
    took["write"] = float((_clocks() - before)[0])
    size = sum(path.stat().st_size for path in files)
    pixels_seen = sum(row["width"] * row["height"] for row in rows)
    return {
        **{name: seconds / len(files) for name, seconds in took.items()},
        "bytes": size / len(files),
        "pixels": pixels_seen / len(files),
        "written": (folder / "stages.parquet").stat().st_size / len(files),
    }


def _clocks() -> np.ndarray:
    """The processor's seconds of this thread, and of all."""
    return np.array([time.thread_time(), time.process_time()])


def report_stages(found: dict[str, float]) -> None:
    names = ("read", "decode", "preprocess", "embed", "write")
    total = sum(found[name] for name in names)
    print(
        f"\nan image on one core ({found['pixels'] / 1e6:.2f} megapixels, {found['bytes']:,.0f} "
        f"bytes; its row {found['written']:,.0f} bytes)"
    )
    for name in names:
        note = " (with the checksum)" if name == "decode" else ""
        print(f"{name + note:30}{1000 * found[name]:8.2f} ms{found[name] / total:7.0%}")
    print(f"{'all':30}{1000 * total:8.2f} ms")


# ── joins ────────────────────────────────────────────────────────────────────────────────────────


def write_embeddings(folder: Path, count: int) -> None:
    """Write synthetic vectors as a finished folder."""
    folder.mkdir()
    rows = vectors(count, 1280)
    for start in range(0, count, 5000):
        part = rows[start : start + 5000]
        ids = [f"{number:08}.jpg" for number in range(start, start + len(part))]
        missing = dict.fromkeys(exchange.SCHEMA.names, [None] * len(part))
        flat = pa.ListArray.from_arrays(
            np.arange(len(part) + 1, dtype=np.int32) * 1280, pa.array(part.reshape(-1))
        )
        table = pa.table({**missing, "id": ids, "embedding": flat}, exchange.SCHEMA)
        pq.write_table(table, folder / f"part-{start:08}.parquet")
    named = {"format": exchange.FORMAT, "model": MODEL, "dim": 1280, "fingerprint": {}}
    named |= {"computed_on": [], "versions": {}, "source": "", "root": None}
    exchange.write_manifest(folder, {**named, "rows": count, "failed": 0})


def measure_blocks(folder: Path) -> dict[str, float]:
    """Nanoseconds for a pair of rows of two blocks, on one core; and an index's cost for a row."""
    from aina_core.index import open_index
    from aina_core.spark.block_pairs import nearest_between, pairs_between

    found: dict[str, float] = {}
    for dim in (1280, 128):
        rows = vectors(16_384, dim)
        left, right = rows[:8192], rows[8192:]
        pairs = len(left) * len(right)
        for name, join in (
            ("product", lambda left=left, right=right: _products(left, right)),
            ("nearest", lambda left=left, right=right: nearest_between(left, right, (0, 8192), 10)),
            ("pairs", lambda left=left, right=right: pairs_between(left, right, 0.9, 10**7)),
        ):
            found[f"{name} {dim}"] = worked(join) / pairs * 1e9
    rows = vectors(20_000, 1280)
    started = time.process_time()
    index = open_index("annoy", rows, folder / "index", checksum="")
    found["index row s"] = (time.process_time() - started) / len(rows)
    size = sum(path.stat().st_size for path in (folder / "index").iterdir())
    found["index row bytes"] = size / len(rows)
    found["index query s"] = worked(lambda: index.search(rows[:500], 10)) / 500
    return found


def _products(left: np.ndarray, right: np.ndarray) -> None:
    for start in range(0, len(left), 1024):
        left[start : start + 1024] @ right.T


def measure_joins(folder: Path) -> dict[str, float]:
    """`spark-neighbours` under local[2], exactly and by an index a block."""
    from aina_core.spark.neighbours import spark_neighbours

    found: dict[str, float] = {}
    for method in ("exact", "annoy"):
        report = spark_neighbours(
            *(str(folder / "embeddings"), 10, str(folder / method)), method=method, master=MASTER
        )
        found |= {f"{method} s": report.seconds, f"{method} pairs": report.pairs_per_second}
        found |= {f"{method} start": report.start_seconds, "rows": report.rows}
        found[f"{method} recall"] = 1.0 if report.recall_at_k is None else report.recall_at_k
    return found


def report_join(blocks: dict[str, float], joins: dict[str, float]) -> None:
    print(f"\na pair of rows on one core{'':14}{'dim 1280':>10}{'dim 128':>10}")
    for name, text in (
        ("product", "the product alone"),
        ("nearest", "its 10 nearest, both ways"),
        ("pairs", "pairs from 0.9 on"),
    ):
        each = [blocks[f"{name} {dim}"] for dim in (1280, 128)]
        print(f"{text:40}{each[0]:7.2f} ns{each[1]:7.2f} ns")
    print(
        f"an Annoy index of 20,000 rows: {1000 * blocks['index row s']:.2f} ms and "
        f"{blocks['index row bytes']:,.0f} bytes a row, {1000 * blocks['index query s']:.2f} ms a "
        "query"
    )
    print(f"\nspark-neighbours of {joins['rows']:,.0f} x 1280, k 10, {MASTER}")
    print(f"{'':12}{'seconds':>9}{'pairs/s':>15}{'recall':>9}")
    for method in ("exact", "annoy"):
        seconds, pairs, recall = (joins[f"{method} {key}"] for key in ("s", "pairs", "recall"))
        print(f"{method:12}{seconds:9.1f}{pairs:15,.0f}{recall:9.4f}")
    print(f"Spark's start before the first of them: {joins['exact start']:.1f} s")
