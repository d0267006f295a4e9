"""Files of weights that an evil or clumsy hand has made: each is refused with its reason."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from aina_core import models
from aina_core.errors import WeightsRefusedError
from aina_core.models.checkpoints import check_container, fill, load_tensors
from tests.support import tiny as tiny_model


def tensors() -> dict[str, Any]:
    torch.manual_seed(0)
    return tiny_model.network().state_dict()


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


def packed(path: Path) -> None:
    """A torch file whose entries are compressed: a megabyte of file that fills a gigabyte."""
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as to:
        for entry in source.infolist():
            to.writestr(entry.filename, source.read(entry))


def many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
        for number in range(20_001):
            archive.writestr(f"archive/data/{number}", b"")


def script(path: Path) -> None:
    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.save(torch.jit.script(Module()), path)


def truncated(path: Path) -> None:
    whole = io.BytesIO()
    torch.save(tensors(), whole)
    path.write_bytes(whole.getvalue()[:-200])


def safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


BAD = {
    "nothing": (lambda path: path.write_bytes(b""), "neither a file of torch's"),
    "a page": (lambda path: path.write_bytes(b"<html>404</html>"), "neither a file of torch's"),
    "cut off": (truncated, "damaged or incomplete"),
    "no torch": (lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "a"), "not one of"),
    "packed": (packed, "not a file as torch writes it"),
    "many": (many, "not a file as torch writes it"),
    "script": (script, "a TorchScript archive, not a checkpoint of plain tensors"),
    "safetensors without end": (
        lambda path: path.write_bytes(safetensors(b"{}", 2**60)),
        "damaged or incomplete",
    ),
    "safetensors without tensors": (
        lambda path: path.write_bytes(
            safetensors(json.dumps({"a": {"data_offsets": [0, 400], "dtype": "F32"}}).encode())
        ),
        "damaged or incomplete",
    ),
    "safetensors of nonsense": (
        lambda path: path.write_bytes(safetensors(b'{"a": [1, 2')),
        "damaged",
    ),
    "safetensors too deep": (
        lambda path: path.write_bytes(safetensors(b'{"a":' + b"[" * 200_000)),
        "damaged",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_container_is_refused_by_its_headers(case, tmp_path):
    write, reason = BAD[case]
    path = tmp_path / "w.pth"
    write(path)
    for attempt in (check_container, load_tensors):
        with pytest.raises(WeightsRefusedError) as caught:
            attempt(path)
        text = str(caught.value)
        assert "w.pth cannot be read" in text and reason in text and "\n" not in text


@pytest.mark.parametrize("container", ["pickle", "torch", "legacy", "beside options"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(container, tmp_path):
    trace, path = tmp_path / "ran", tmp_path / "w.pth"
    evil: dict[str, Any] = {"a": Evil(trace)}
    if container == "beside options":
        evil = {"state_dict": tensors(), "args": argparse.Namespace(seed=Evil(trace))}
    if container == "pickle":
        path.write_bytes(pickle.dumps(evil, protocol=2))
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=container != "legacy")
    with pytest.raises(WeightsRefusedError, match=r"w\.pth cannot be read") as caught:
        load_tensors(path, inside="state_dict", namespace=container == "beside options")
    assert not trace.exists() and "posix.mkdir" in str(caught.value), "it says what it was"


def test_options_beside_the_weights_are_read_only_where_they_are_expected(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"state_dict": tensors(), "args": argparse.Namespace(size=512)}, path)
    assert load_tensors(path, inside="state_dict", namespace=True).keys() == tensors().keys()
    with pytest.raises(WeightsRefusedError, match=r"it holds argparse\.Namespace, not only"):
        load_tensors(path, inside="state_dict")
    with pytest.raises(WeightsRefusedError, match="more than named tensors"):
        load_tensors(path, namespace=True)


def test_a_tensor_that_claims_more_than_the_file_holds(tmp_path):
    """One number, said to be repeated a million million times, is not laid out in memory."""
    path = tmp_path / "w.pth"
    huge = torch.zeros(1).expand(10**6, 10**6)
    torch.save({**tensors(), "trunk.0.weight": huge}, path)
    assert path.stat().st_size < 200_000
    with pytest.raises(WeightsRefusedError, match=r"weight is 1000000 × 1000000, not 16 × 3 × 5"):
        fill(tiny_model.network(), load_tensors(path), path)


@pytest.mark.parametrize("kind", ["torch", "legacy", "safetensors"])
def test_every_container_gives_the_same_tensors(kind, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "w"
    if kind == "safetensors":
        save_file(tensors(), path)
    else:
        torch.save(tensors(), path, _use_new_zipfile_serialization=kind == "torch")
    check_container(path)
    read = load_tensors(path)
    assert all(torch.equal(read[key], tensor) for key, tensor in tensors().items())
    network = tiny_model.network()
    fill(network, read, path)
    assert torch.equal(network.head.weight, tensors()["head.weight"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"head.bias": None}, "head.bias is missing"),
        ({"extra": torch.zeros(1)}, "extra is not part of it"),
        ({"head.bias": torch.zeros(37)}, "head.bias is 37, not 1000"),
        ({"head.bias": torch.full((1000,), torch.nan)}, "head.bias holds what is not a number"),
    ],
)
def test_tensors_that_do_not_fit_change_nothing(change, reason, tmp_path):
    given = {key: t for key, t in {**tensors(), **change}.items() if t is not None}
    network = tiny_model.network()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(WeightsRefusedError, match=f"do not fit the network: {reason}"):
        fill(network, given, tmp_path / "w.pth")
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in before.items())


def test_a_script_is_opened_only_by_its_whole_hash(tmp_path):
    path = tmp_path / "w.pt"
    module = torch.nn.Linear(2, 3)
    torch.jit.save(torch.jit.script(module), path)
    whole = models.checksum(path)
    read = load_tensors(path, script_sha256=whole)
    assert torch.equal(read["weight"], module.weight)
    for other in (whole[:63], whole[:8], whole[::-1], ""):
        with pytest.raises(WeightsRefusedError, match="TorchScript"):
            load_tensors(path, script_sha256=other)


def test_each_model_refuses_another_ones_file(tmp_path):
    """resnet18's tensors in the place of those of other families."""
    import torchvision

    path = tmp_path / "w.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    for name in ("sscd", "efficientnet-lite0", "timm:mobilenetv3_small_050"):
        spec = models.get(name)
        with pytest.raises(WeightsRefusedError, match="do not fit"):
            spec.load(spec.network(), path)


def test_a_checkpoint_is_looked_at_once(tmp_path, monkeypatch):
    """Asked for the state again, nobody reads the file again; when it changes, somebody does."""
    from aina_core.disk import paths

    path, read = tmp_path / "w.pth", []
    torch.save(tensors(), path)
    whole = paths.file_checksum

    def counted(file: Path) -> str:
        read.append(file)
        return whole(file)

    monkeypatch.setattr(paths, "file_checksum", counted)
    first = models.checksum(path)
    assert models.checksum(path) == first and read == [path]
    path.write_bytes(path.read_bytes() + b"\0")
    assert models.checksum(path) != first and read == [path, path]
