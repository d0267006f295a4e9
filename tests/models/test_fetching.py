"""Fetching weights by the publishers' own code from a server of this machine; what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from aina_core import models
from aina_core.errors import (
    InputError,
    StoppedError,
    UnknownNameError,
    WeightsMissingError,
    WeightsRefusedError,
)
from aina_core.models import spec as registry
from aina_core.models.weights import FirstOf, FolderFile, fill, load_tensors
from tests.support import tiny as tiny_model
from tests.support.process import start_tiny


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AINA_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    """A server whose files a test fills in; one that is cut says more than it sends."""
    found = SimpleNamespace(files={}, cut=set(), asked=[], hold=threading.Event())
    found.hold.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            data = found.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            half = len(data) // 2
            self.wfile.write(data[:half])
            found.hold.wait(20)
            if self.path not in found.cut:
                self.wfile.write(data[half:])

        def log_message(self, *words: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{running.server_address[1]}"
    yield found
    found.hold.set()
    running.shutdown()
    running.server_close()


@pytest.fixture
def checkpoint() -> bytes:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    torch.save(tiny_model.network().state_dict(), buffer)
    return buffer.getvalue()


@pytest.fixture
def publish(tiny, server, folder, monkeypatch):
    """Let the tiny model's weights be published by the server; returns the model's name."""

    def register(*files: tuple[str, str]) -> str:
        made = tuple(
            FolderFile(tiny, file, f"{server.url}/{file}", sha256) for file, sha256 in files
        )
        weights = made[0] if len(made) == 1 else FirstOf(made)
        spec = dataclasses.replace(
            models.get(tiny),
            weights=weights,
            load=lambda network, path: fill(network, load_tensors(path), path),
        )
        monkeypatch.setitem(registry._SPECS, tiny, spec)
        return tiny

    return register


def sha(data: bytes, digits: int = 8) -> str:
    return hashlib.sha256(data).hexdigest()[:digits]


def left_behind(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("hashed", [True, False])
def test_what_is_fetched_is_there_and_can_be_used(hashed, publish, server, checkpoint, folder):
    server.files["/sub/w.pth"] = checkpoint
    name = publish(("sub/w.pth", sha(checkpoint) if hashed else ""))
    assert models.state(name).status == "missing" and not server.asked, "never by itself"
    with pytest.raises(WeightsMissingError, match=r"models fetch tiny, or get http://127.*w\.pth"):
        models.load_network(models.get(name))
    told = []
    path = models.fetch(name, progress=lambda *report: told.append(report))
    assert path == folder / "sub" / "w.pth" and path.read_bytes() == checkpoint
    assert left_behind(folder) == ["sub/w.pth"] and told[0][0] == "fetching w.pth (MB)"
    assert models.state(name).status == "ready"
    models.load_network(models.get(name))
    assert models.fetch(name) == path and len(server.asked) == 1, "what is there is not fetched"


@pytest.mark.parametrize("right", [True, False])
def test_what_torch_has_is_copied_if_it_is_the_published_file(
    right, publish, server, checkpoint, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    cached = tmp_path / "torch" / "hub" / "checkpoints" / "w.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(checkpoint if right else checkpoint[:-1] + b"x")
    server.files["/w.pth"] = checkpoint
    path = models.fetch(publish(("w.pth", sha(checkpoint))))
    assert path.read_bytes() == checkpoint and len(server.asked) == (0 if right else 1)
    assert cached.is_file() and left_behind(folder) == ["w.pth"]


def test_progress_is_told_in_megabytes(publish, server, folder):
    data = bytes(3_500_000)
    server.files["/w.pth"] = data
    server.hold.clear()
    name = publish(("w.pth", sha(data)))
    spec = models.get(name)
    registry._SPECS[name] = dataclasses.replace(
        spec, weights=dataclasses.replace(spec.weights, size=len(data))
    )
    told = []

    def progress(phase: str, done: int, total: int) -> None:
        told.append((done, total))
        if done:
            server.hold.set()

    with pytest.raises(WeightsRefusedError, match="neither a file of torch"):
        models.fetch(name, progress=progress)  # the right hash does not make it a checkpoint
    assert told[0] == (0, 4) and (1, 4) in told
    assert left_behind(folder) == []


@pytest.mark.parametrize("case", ["another file", "cut short"])
def test_what_is_not_the_published_file_is_refused(case, publish, server, checkpoint, folder):
    server.files["/w.pth"] = checkpoint
    if case == "cut short":
        server.cut.add("/w.pth")
    name = publish(("w.pth", sha(checkpoint) if case == "cut short" else "00000000"))
    with pytest.raises((WeightsRefusedError, WeightsMissingError), match=r"w\.pth"):
        models.fetch(name)
    assert left_behind(folder) == [] and models.state(name).status == "missing"


def test_without_a_published_hash_the_contents_decide(publish, server, folder):
    buffer = io.BytesIO()
    torch.save({"another.network": torch.zeros(3)}, buffer)
    server.files["/w.pth"] = buffer.getvalue()
    name = publish(("w.pth", ""))
    with pytest.raises(WeightsRefusedError, match=r"do not fit the network: head\.bias is missing"):
        models.fetch(name)
    assert left_behind(folder) == []


def test_a_damaged_file_is_fetched_again(publish, server, checkpoint, folder):
    server.files["/w.pth"] = checkpoint
    name = publish(("w.pth", sha(checkpoint)))
    folder.mkdir()
    (folder / "w.pth").write_bytes(checkpoint[:100])
    state = models.state(name)
    assert state.status == "refused" and "SHA-256 differs" in state.reason
    assert f"delete {folder / 'w.pth'} and get it again" in state.reason
    assert models.fetch(name).read_bytes() == checkpoint
    assert models.state(name).status == "ready"


def test_the_next_form_is_fetched_where_the_first_cannot_be_had(publish, server, checkpoint):
    server.files["/b.pth"] = checkpoint
    name = publish(("a.pth", ""), ("b.pth", ""))
    assert models.fetch(name).name == "b.pth"
    assert server.asked == ["/a.pth", "/b.pth"]
    assert models.state(name).path.name == "b.pth"


def test_without_the_network_one_message_says_what_to_do(publish, server, folder):
    name = publish(("a.pth", ""), ("b.pth", ""))
    with pytest.raises(WeightsMissingError) as caught:
        models.fetch(name)
    text = str(caught.value)
    assert f"{server.url}/a.pth" in text and f"{server.url}/b.pth" in text and "Not Found" in text
    assert text.endswith(f"put it at {folder / 'a.pth'}") and "\n" not in text


def test_stopping_keeps_nothing(publish, server, checkpoint, folder):
    server.files["/w.pth"] = checkpoint
    server.hold.clear()
    name = publish(("w.pth", sha(checkpoint)))
    with pytest.raises(StoppedError, match="nothing was kept"):
        models.fetch(name, stop=lambda: bool(server.asked))
    assert left_behind(folder) == []


def test_what_is_not_fetched(tiny, folder):
    assert models.fetch("efficientnet-lite0").is_file(), "it is there already"
    spec = models.get(tiny)
    lost = dataclasses.replace(spec.weights, package="aina_no_such_package")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._SPECS, tiny, dataclasses.replace(spec, weights=lost))
        with pytest.raises(InputError, match="come from the package aina-tiny-weights"):
            models.fetch(tiny)
    with pytest.raises(UnknownNameError):
        models.fetch("resnet9000")


# ── the command line ─────────────────────────────────────────────────────────────────────────────


def test_the_command_fetches(aina, publish, server, checkpoint, folder):
    server.files["/w.pth"] = checkpoint
    name = publish(("w.pth", sha(checkpoint)))
    run = aina("models", "fetch", name, "--json")
    assert run.status == 0
    assert run.json == [{"name": name, "weights": str(folder / "w.pth")}]
    assert "fetching w.pth" in run.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch"], "models fetch needs the NAME of a model"),
        (["fetch", "resnet9000"], "no model named 'resnet9000'"),
        (["add", "resnet18"], "resnet18 is offered already"),
        (["forget", "resnet18"], "resnet18 was not added"),
        (["tickle", "resnet18"], "invalid choice: 'tickle'"),
    ],
)
def test_wrong_words(words, message, aina, home):
    run = aina("models", *words)
    assert run.status == 2 and message in run.err and run.out == ""
    assert len(run.err.strip().splitlines()) == 1


def test_a_process_of_its_own_that_cannot_fetch(tiny, home, folder, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody is there
    process = start_tiny("models", "fetch", "resnet18")
    out, err = process.communicate(timeout=60)
    last = err.decode().strip().splitlines()[-1]
    assert process.returncode == 2 and out == b""
    assert "resnet18-f37072fd.pth" in last and str(folder) in last and "Traceback" not in last
