"""spark-index: the same as one machine finds, from every source, whatever happens to a worker."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from aina_core.embedding import load_embedder
from aina_core.errors import InputError, ModelError, StoppedError
from aina_core.exchange import MANIFEST, parts, read_manifest
from aina_core.gallery import create, update
from aina_core.progress import never, silent
from aina_core.spark.index import spark_index
from aina_core.spark.steps import run
from tests.support.process import ROOT
from tests.support.server import give, serving
from tests.support.spark import SETTINGS

LITE0 = "efficientnet-lite0"
JAVA = [word for pair in SETTINGS.items() for word in ("--conf", "=".join(pair))]


def rows(out: Path) -> dict[str, dict]:
    """The rows of a finished folder by their ids, of which there are no two of one."""
    found = [row for part in parts(out) for row in pq.read_table(part).to_pylist()]
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row for row in found}


def vectors(found: dict[str, dict], ids: list[str]) -> np.ndarray:
    return np.array([found[image_id]["embedding"] for image_id in ids], np.float32)


@pytest.fixture
def mixed(photos: Path) -> Path:
    """Twelve pictures, and files of every kind that is none."""
    picture = (photos / "brick" / "1.jpg").read_bytes()
    (photos / "empty.jpg").touch()
    (photos / "truncated.jpg").write_bytes(picture[: len(picture) // 2])
    (photos / "words.png").write_text("no picture")
    (photos / "broken.jpg").symlink_to(photos / "nowhere.jpg")
    (photos / "linked.jpg").symlink_to(photos / "brick" / "1.jpg")
    os.mkfifo(photos / "waiting.jpg")
    (photos / "folder.jpg").mkdir()
    (photos / ".hidden.jpg").write_bytes(picture)
    (photos / "notes.txt").write_text("not looked at")
    (photos / "100% ü #1.jpg").write_bytes(picture)
    Image.new("1", (20_000, 10_000)).save(photos / "huge.png")
    with open(os.fsencode(photos) + b"/caf\xe9.jpg", "wb") as file:  # noqa: PTH123  no Path can
        file.write(picture)
    return photos


def process_behind(port: int) -> int:
    """The process that a connection from a port of this machine belongs to."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            socket = f"socket:[{fields[9]}]"
            for link in Path("/proc").glob("[0-9]*/fd/*"):
                with contextlib.suppress(OSError):
                    if os.readlink(link) == socket:  # noqa: PTH115  not a path
                        return int(link.parts[2])
    raise AssertionError("nobody is there")


def test_a_folder_gives_what_one_machine_finds(spark, home, mixed, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\nbrick/1.jpg,wall\nempty.jpg,nothing\nelsewhere.jpg,x\n")
    seen: list[tuple[str, int, int]] = []
    report = spark_index(
        str(mixed),
        LITE0,
        str(tmp_path / "out"),
        labels=labels,
        spark=spark,
        progress=lambda *step: seen.append(step),
    )
    gallery = create("mine", mixed)
    expected = update(gallery, load_embedder(LITE0, device="cpu"))
    found = rows(tmp_path / "out")

    records = gallery.catalogue.images()
    failures = {record.id: record for record in gallery.catalogue.failures()}
    assert set(found) == set(records)
    assert {key: row["failure"] for key, row in found.items() if row["failure"]} == {
        key: record.failure for key, record in failures.items()
    }
    assert len(failures) == 7
    for key, record in records.items():
        row = found[key]
        assert (row["sha256"] or "", row["size"], row["mtime_ns"]) == (
            *(record.sha256, record.size, record.mtime_ns),
        )
        assert (row["width"] or 0, row["height"] or 0) == (record.width, record.height)
        assert (row["embedding"] is None) == (record.failure is not None)
    stored = gallery.vectors(LITE0)
    ours = vectors(found, list(stored.ids))
    assert np.einsum("ij,ij->i", ours, stored.matrix).min() >= 0.99999
    norms = [found[key]["norm"] for key in stored.ids]
    np.testing.assert_allclose(norms, stored.norms, rtol=1e-5)
    assert {key: row["label"] for key, row in found.items() if row["label"]} == {
        "brick/1.jpg": "wall",
        "empty.jpg": "nothing",
    }

    manifest = read_manifest(tmp_path / "out")
    assert manifest["fingerprint"] == gallery.manifest(LITE0)["fingerprint"]
    assert (manifest["rows"], manifest["failed"]) == (report.rows, report.failed_count)
    assert report.failed_count == len(expected.failed) == 7
    assert manifest["root"] == str(mixed)
    assert manifest["computed_on"] == ["cpu/openvino"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(path.name for path in parts(tmp_path / "out")),
        MANIFEST,
    }
    assert ("embedding", report.rows, report.rows) in seen
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_location_is_read_by_spark(spark, photos, tmp_path):
    source = tmp_path / "100% [a] ü"
    shutil.copytree(photos, source)
    picture = source / "brick" / "1.jpg"
    shutil.copy(picture, source / "b%20c #1.JPG")
    (source / "empty + %41.jpg").touch()
    (source / ".hidden.jpg").touch()
    (source / "notes.txt").touch()
    shutil.copy(picture, source / "c:d.jpg")  # a name that no Hadoop file system takes
    report = spark_index(f"file://{source}", LITE0, str(tmp_path / "out"), spark=spark)
    found = rows(tmp_path / "out")
    names = [p for p in source.rglob("*.*") if p.suffix != ".txt" and p.name[0] != "."]
    assert set(found) == {path.relative_to(source).as_posix() for path in names}
    assert {key: row["failure"] for key, row in found.items() if row["failure"]} == {
        "empty + %41.jpg": "the file is empty",
        "c:d.jpg": "cannot be read by Spark",
    }
    assert (report.rows, report.failed_count) == (15, 2)
    status = (source / "b%20c #1.JPG").stat()
    row = found["b%20c #1.JPG"]
    assert row["size"] == status.st_size
    assert abs(row["mtime_ns"] - status.st_mtime_ns) < 2_000_000  # Hadoop knows milliseconds
    twin = found[picture.relative_to(source).as_posix()]
    assert row["embedding"] == twin["embedding"] and row["sha256"] == twin["sha256"]
    assert read_manifest(tmp_path / "out")["root"] == str(source)


def test_tables_of_bytes_paths_and_addresses_agree(spark, photos, tmp_path):
    files = sorted(photos.rglob("*.*"))[:3]
    content = [file.read_bytes() for file in files]
    ids = ["one", "two", "3; „three“"]
    table = {"id": [*ids, "nothing"], "content": [*content, None], "label": ["a", "b", None, "c"]}
    pq.write_table(pa.table(table), tmp_path / "bytes.parquet")
    spark_index(str(tmp_path / "bytes.parquet"), LITE0, str(tmp_path / "by-bytes"), spark=spark)
    by_bytes = rows(tmp_path / "by-bytes")
    assert {key: row["label"] for key, row in by_bytes.items()} == dict(
        zip(table["id"], table["label"], strict=True)
    )
    assert by_bytes["nothing"]["failure"] == "the table's row has no content"
    assert [by_bytes[key]["size"] for key in ids] == [len(data) for data in content]

    lines = [
        "id;path;other",
        f"one;{files[0]};x",
        f"two;{files[1].relative_to(tmp_path)};",
        f'"3; „three“";"{files[2]}";y',
        "gone;nowhere.jpg;",
        "unnamed;;",
        "far;s3a://bucket/x.jpg;",
    ]
    (tmp_path / "paths.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    spark_index(str(tmp_path / "paths.csv"), LITE0, str(tmp_path / "by-paths"), spark=spark)
    by_paths = rows(tmp_path / "by-paths")
    assert {key: row["failure"] for key, row in by_paths.items() if row["failure"]} == {
        "gone": "the file is missing",
        "unnamed": "the table's row has no path",
        "far": "a path of workers' machines is expected; addresses go in a column url",
    }
    assert by_paths["two"]["mtime_ns"] == files[1].stat().st_mtime_ns

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        name = handler.path.strip("/")
        if name.isdecimal():
            give(handler, content[int(name)])
        else:
            give(handler, b"nothing", 404)

    with serving(answer) as site:
        urls = [*(f"{site}/{number}" for number in range(3)), f"{site}/gone", "file:///etc/passwd"]
        table = {"id": [*ids, "gone", "file"], "url": urls}
        pq.write_table(pa.table(table), tmp_path / "urls.parquet")
        spark_index(str(tmp_path / "urls.parquet"), LITE0, str(tmp_path / "by-urls"), spark=spark)
    by_urls = rows(tmp_path / "by-urls")
    assert by_urls["gone"]["failure"] == "cannot be fetched: the server says 404"
    assert by_urls["file"]["failure"] == "cannot be fetched: only http and https are"
    for other in (by_paths, by_urls):
        assert (vectors(other, ids) == vectors(by_bytes, ids)).all()
        assert [other[key]["sha256"] for key in ids] == [by_bytes[key]["sha256"] for key in ids]


def test_tables_that_are_refused(spark, tmp_path):
    def refused(table: dict, message: str) -> None:
        pq.write_table(pa.table(table), tmp_path / "t.parquet")
        with pytest.raises(InputError, match=message):
            spark_index(str(tmp_path / "t.parquet"), LITE0, str(tmp_path / "out"), spark=spark)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["t.parquet"]

    refused({"id": ["a", "b", "a"], "path": ["x", "y", "z"]}, "1 ids stand .* as 'a'")
    refused({"id": ["a", "b" * 4097], "path": ["x", "y"]}, "has the id 'bbb.*1 to 4,096 signs")
    refused({"id": ["a", "b\0"], "path": ["x", "y"]}, r"has the id 'b\\x00'; .* no zero byte")
    refused({"id": ["a", None, ""], "path": ["x", "y", "z"]}, "2 rows .* have no id")
    refused({"name": ["a"], "path": ["x"]}, "must have the columns id and one of.*name, path")
    refused({"id": ["a"], "path": ["x"], "url": ["y"]}, "one of path, url, content; it has")
    refused({"id": ["a"], "content": ["x"]}, "content of .* must be bytes")


class Slow:
    """A server that keeps the first who asks for "slow" waiting until `go`, and knows its port."""

    def __init__(self, picture: bytes) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.times, self.port = 0, 0
        self._picture = picture

    def __call__(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path == "/slow":
            self.times += 1
            if self.times == 1:
                self.port = handler.client_address[1]
                self.asked.set()
                self.go.wait(120)
        give(handler, self._picture)

    def kill(self) -> None:
        """Kill the process that waits, as the system does when memory is short."""
        assert self.asked.wait(300)
        os.kill(process_behind(self.port), signal.SIGKILL)
        self.go.set()


def url_table(path: Path, site: str, count: int) -> None:
    urls = [f"{site}/{'slow' if number == count // 2 else number}" for number in range(count)]
    ids = [f"{number:03}" for number in range(count)]
    pq.write_table(pa.table({"id": ids, "url": urls}), path)


def test_a_killed_worker_is_replaced(spark, photos, tmp_path):
    slow = Slow((photos / "brick" / "1.jpg").read_bytes())
    with serving(slow) as site:
        url_table(tmp_path / "t.parquet", site, 40)
        killer = threading.Thread(target=slow.kill)
        killer.start()
        report = spark_index(str(tmp_path / "t.parquet"), LITE0, str(tmp_path / "out"), spark=spark)
        killer.join()
    assert slow.times == 2  # once more, by another process
    assert (report.rows, report.failed_count) == (40, 0)
    assert set(rows(tmp_path / "out")) == {f"{number:03}" for number in range(40)}


def test_a_job_that_is_stopped_leaves_nothing(spark, photos, tmp_path):
    slow = Slow((photos / "brick" / "1.jpg").read_bytes())
    with serving(slow) as site:
        url_table(tmp_path / "t.parquet", site, 10)
        with pytest.raises(StoppedError):
            spark_index(
                str(tmp_path / "t.parquet"),
                LITE0,
                str(tmp_path / "out"),
                spark=spark,
                stop=slow.asked.is_set,
            )
        slow.go.set()
    assert [path.name for path in tmp_path.iterdir() if path.name != "photos"] == ["t.parquet"]


def test_without_tries_the_command_says_what_would_help(spark, photos, tmp_path):
    slow = Slow((photos / "brick" / "1.jpg").read_bytes())
    with serving(slow) as site:
        url_table(tmp_path / "t.parquet", site, 4)
        command = [sys.executable, "-m", "aina_core", "spark-index", tmp_path / "t.parquet"]
        with subprocess.Popen(
            [*command, "--out", tmp_path / "out", "--master", "local[2]", *JAVA],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            slow.kill()
            said, errors = process.communicate()
    assert process.returncode == 2 and said == ""
    assert errors.splitlines()[-1] == (
        "aina: A process of a worker died (killed, or out of memory), and with the master "
        "local[2] a failed task is not tried again; give --master local[2,4], which tries it up "
        "to four times."
    )
    assert "Exception" not in errors and "\tat " not in errors
    assert not (tmp_path / "out").exists()


def test_what_a_worker_says_is_what_people_read(spark):
    def refuse(batches):
        raise ModelError("The worker has other weights.")

    counted = spark.range(0, 1, 1, 1).mapInArrow(refuse, "id string").count
    with pytest.raises(ModelError, match=r"^The worker has other weights\.$"):
        run(spark, "x", counted, progress=silent, stop=never)
