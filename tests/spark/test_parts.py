"""The parts of spark-index that need no Spark: refusals, places, addresses, devices."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import json
import os
import re
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aina_core.embedding.runtimes import cores
from aina_core.errors import ImageError, InputError, ModelError
from aina_core.exchange import MANIFEST, SCHEMA, read_manifest, write_manifest
from aina_core.spark import download, outputs, session, worker
from aina_core.spark.download import fetch
from aina_core.spark.sources import COLUMNS
from tests.support.server import give, serving


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{photos}", "--model", "efficientnet-lite0@pca8"], "reduced by axes of a gallery's own"),
        (["{photos}", "--model", "resnext"], "There is no model named 'resnext'"),
        (["{photos}", "--model", "resnet50"], "not on this machine"),
        (["{photos}", "--master", "spork://x"], "There is no Spark master 'spork://x'"),
        (["{photos}", "--master", "local[0]"], "There is no Spark master"),
        (["{photos}", "--master", "spark://127.0.0.1:1"], "No Spark master answers"),
        (["{photos}/nowhere"], "is missing"),
        (["{photos}/brick/1.jpg"], "is a file"),
        (["{empty}"], "holds no images"),
        (["{photos}", "--conf", "x"], "is no setting"),
    ],
)
def test_refusals_in_one_sentence(aina, home, photos, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    words = [word.format(photos=photos, empty=tmp_path / "empty") for word in arguments]
    ended = aina("spark-index", *words, "--out", tmp_path / "out")
    assert ended.status == 2 and ended.out == ""
    last = ended.err.splitlines()[-1]
    assert last.startswith("aina: ") and message in last
    assert not (tmp_path / "out").exists()


def test_without_java_the_command_says_how_to_get_it(aina, home, photos, tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = aina("spark-index", photos, "--out", tmp_path / "out")
    assert ended.status == 2
    assert "Spark needs Java, and none was found; install Java 17" in ended.err.splitlines()[-1]


def test_only_what_a_job_has_written_is_replaced(tmp_path):
    out = tmp_path / "out"

    def check(overwrite: bool = False) -> None:
        outputs.check_output(str(out), SCHEMA.names, overwrite=overwrite)

    check()
    out.mkdir()
    check()
    pq.write_table(SCHEMA.empty_table(), out / "part-0.parquet")
    check()  # it was never finished
    manifest = {"format": 1, "model": "m", "dim": 1, "fingerprint": {}, "computed_on": []}
    write_manifest(
        out, {**manifest, "versions": {}, "source": "", "root": None, "rows": 0, "failed": 0}
    )
    with pytest.raises(InputError, match=r"holds finished results; .*--overwrite"):
        check()
    check(overwrite=True)
    pq.write_table(pa.table({"mine": [1]}), out / "theirs.parquet")
    with pytest.raises(InputError, match="holds other things"):
        check(overwrite=True)
    (out / "theirs.parquet").unlink()
    (out / "letter.txt").touch()
    with pytest.raises(InputError, match="holds other things"):
        check(overwrite=True)


def test_a_worker_with_other_weights_is_refused(embedder):
    ours = embedder.fingerprint()
    batches = worker.embed([], worker.Work(embedder.model, ours), lambda _: None, {})
    assert list(batches) == []
    other = worker.Work(embedder.model, {**ours, "weights": "0" * 64})
    with pytest.raises(ModelError, match=r"tiny differs on the worker .* \(weights\)"):
        list(worker.embed([], other, lambda _: None, {}))


def test_the_device_is_what_spark_has_given():
    assert worker.device_of({}) == ("cpu", "")
    assert worker.device_of({"gpu": ["1"]}) == ("cuda", "1")
    assert worker.device_of({"gpu": ["0", "3"], "fpga": ["7"]}) == ("cuda", "0,3")


def test_a_process_may_be_given_fewer_cores(monkeypatch):
    all_of_them = len(os.sched_getaffinity(0))
    for given, expected in (("1", 1), ("9999", all_of_them), ("0", all_of_them), ("", all_of_them)):
        monkeypatch.setenv("AINA_CORES", given)
        assert cores() == expected


def test_fetching_keeps_to_its_limits(monkeypatch):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path.startswith("/round"):
            handler.send_response(302)
            handler.send_header("Location", handler.path + "x")
            handler.end_headers()
        elif handler.path in ("/file", "/ftp"):
            handler.send_response(302)
            handler.send_header("Location", f"{handler.path[1:]}://localhost/etc/passwd")
            handler.end_headers()
        elif handler.path == "/short":
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"x")
        elif handler.path == "/silent":
            threading.Event().wait(1)
        else:
            give(handler, handler.path.encode())

    def refused(address: str) -> str:
        with pytest.raises(ImageError) as error:
            fetch(address, silence=0.3)
        return str(error.value)

    with serving(answer) as site:
        assert fetch(f"{site}/a b/ü?c=d%20e") == b"/a%20b/%C3%BC?c=d%20e"
        assert "leads on too often" in refused(f"{site}/round")
        assert "not http or https" in refused(f"{site}/file")
        assert "not http or https" in refused(f"{site}/ftp")
        assert "broke off" in refused(f"{site}/short")
        assert "no answer within" in refused(f"{site}/silent")
        monkeypatch.setattr(download, "MOST_BYTES", 3)
        assert "the file is over" in refused(f"{site}/long")
    assert refused(site).startswith("cannot be fetched: ")
    assert "only http and https" in refused("ftp://localhost/x")
    assert refused("http://[broken/").startswith("cannot be fetched: ")


@pytest.mark.parametrize("where", ["status", "headers", "redirect", "body"])
def test_a_server_that_never_ends_is_left_in_time(where):
    stopped = threading.Event()

    def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
        if where == "headers":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
        elif where == "redirect":
            handler.wfile.write(b"HTTP/1.0 302 Found\r\nLocation: /again\r\n\r\n")
        elif where == "body":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while not stopped.wait(0.02):
                handler.wfile.write(b"x: y\r\n" if where == "headers" else b"x")

    with serving(drip) as site:
        begun = time.monotonic()
        with pytest.raises(ImageError, match=r"takes too long|leads on too often"):
            fetch(f"{site}/", silence=5, whole=0.4)
        assert time.monotonic() - begun < 3
        stopped.set()


def test_what_was_fetched_is_let_go():
    content = pa.RecordBatch.from_pylist([dict.fromkeys(COLUMNS) | {"id": "a", "url": "http://x"}])
    item = worker._Item(content, 0)
    item.fetched = concurrent.futures.Future()
    item.fetched.set_result(b"no picture")
    record, pixels = item.look(None)
    assert pixels is None and record.size == 10 and item.fetched is None


def test_a_manifest_of_another_kind_is_not_read_as_ours(tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps({"format": 2}))
    with pytest.raises(Exception, match="unknown format"):
        read_manifest(tmp_path)


def test_a_master_is_told_by_its_form():
    for master in ("local", "local[*]", "local[2, 4]", "yarn", "k8s://https://host:443"):
        session.check_master(master)
    assert re.fullmatch(r"local\[\*,\d\]", session.DEFAULT_MASTER)
