"""Fetching weights, only when somebody asks for it.

A file is downloaded by the code that its publishers use (torch's for addresses, open_clip's for the
Hugging Face hub) into a folder of its own among the weights, checked there, and moved into place in
one step. A file with a published checksum that torch has downloaded before is copied instead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from aina_core.disk import folders, paths
from aina_core.errors import InputError, StoppedError, WeightsMissingError, WeightsRefusedError
from aina_core.models.spec import ModelSpec, get
from aina_core.models.weights import FirstOf, FolderFile
from aina_core.progress import Progress, Stop, never, silent

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_WITHOUT_ANSWER = 30.0
_MEGABYTE = 1_000_000
_SHA256_DIGITS = 64


def fetch(name: str, *, progress: Progress = silent, stop: Stop = never) -> Path:
    """Fetch a model's weights into the folder of weights, unless they are there.

    Args:
        name: of the model.
        progress: told of megabytes.
        stop: asked while downloading; a download that is stopped is thrown away.

    Returns:
        The path of the weights.

    Raises:
        UnknownNameError: no such model.
        InputError: its weights are not fetched, but installed or put there.
        WeightsMissingError: they could not be fetched; says where to get them and put them.
        WeightsRefusedError: what came is not what was published.
        StoppedError: it was asked to stop.
    """
    spec = get(name)
    with contextlib.suppress(WeightsMissingError, WeightsRefusedError):
        return spec.weights.locate()
    if isinstance(spec.weights, FolderFile):
        files = [spec.weights]
    elif isinstance(spec.weights, FirstOf):
        files = list(spec.weights.files)
    else:
        raise InputError(
            f"The weights of {name} are not fetched: they come from {spec.weights.origin}."
        )
    reasons = []
    for file in files:  # forms of the same weights; any of them will do
        try:
            return _fetch(spec, file, progress, stop)
        except OSError as error:
            reasons.append(f"{file.url} ({_reason(error)})")
    raise WeightsMissingError(
        f"The weights of {name} could not be fetched from {', nor from '.join(reasons)}; get "
        f"{files[0].path.name} from there on another machine and put it at {files[0].path}"
    )


def _reason(error: OSError) -> str:
    found = getattr(error, "reason", None) or error.strerror or error
    return str(found).splitlines()[0][:200] if str(found) else type(error).__name__


def _fetch(spec: ModelSpec, file: FolderFile, progress: Progress, stop: Stop) -> Path:
    """Download, check and put one file into its place."""
    with folders.workspace(paths.weights()) as aside:
        come = _from_torchs_cache(file, aside) or _download(file, aside, progress, stop)
        come = come.rename(aside / file.path.name)  # so that error messages give its name
        file.check(come)
        if not file.sha256:  # only its contents can show that it is the right one
            progress("checking", 0, 0)
            spec.load(spec.network(), come)
        with come.open("rb") as written:
            os.fsync(written.fileno())
        file.path.parent.mkdir(parents=True, exist_ok=True)
        come.replace(file.path)
        paths.sync_folder(file.path.parent)
    return file.path


def _from_torchs_cache(file: FolderFile, folder: Path) -> Path | None:
    """Copy a file that torch has downloaded before; None where it has not, or has another one."""
    import torch

    cached = Path(torch.hub.get_dir()) / "checkpoints" / file.path.name
    if not file.sha256 or not cached.is_file():
        return None
    try:
        copy = Path(shutil.copyfile(cached, folder / file.path.name))
    except OSError:  # it cannot be read: it is downloaded
        return None
    if not paths.file_checksum(copy).startswith(file.sha256):
        copy.unlink()
        return None
    return copy


@dataclass
class _Download:
    """How far the thread that downloads has come."""

    total: int
    path: Path | None = None
    error: Exception | None = None


def _download(file: FolderFile, folder: Path, progress: Progress, stop: Stop) -> Path:
    """Download a file into an empty folder.

    The libraries do not report progress and cannot be stopped, so theirs runs in a thread, and
    progress is the size of what is in the folder.
    """
    state = _Download(file.size)
    get_file = _from_hub if file.repository else _from_address
    thread = threading.Thread(target=_run, args=(get_file, file, folder, state), daemon=True)
    with _patience():
        thread.start()
        while thread.is_alive():
            if stop():
                raise StoppedError(f"Fetching {file.path.name} was stopped; nothing was kept.")
            _report(file, folder, state.total, progress)
            thread.join(_SECONDS_BETWEEN_LOOKS)
    if state.error is not None:
        raise state.error
    assert state.path is not None
    return state.path


def _run(
    get_file: Callable[[FolderFile, Path, _Download], Path],
    file: FolderFile,
    folder: Path,
    state: _Download,
) -> None:
    try:
        state.path = get_file(file, folder, state)
    except Exception as error:  # raised again by the thread that waits
        state.error = error


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Give up on a server that does not answer for half a minute."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS_WITHOUT_ANSWER)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _report(file: FolderFile, folder: Path, total: int, progress: Progress) -> None:
    sizes = [0]
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # renamed meanwhile
            if path.is_file() and not path.is_symlink():
                sizes.append(path.stat().st_size)
    done = min(max(sizes), total) if total else 0  # some published sizes are rounded
    progress(f"fetching {file.path.name} (MB)", done // _MEGABYTE, -(-total // _MEGABYTE))


def _from_address(file: FolderFile, folder: Path, state: _Download) -> Path:
    import torch

    target = folder / file.path.name
    try:
        torch.hub.download_url_to_file(file.url, str(target), file.sha256 or None, progress=False)
    except RuntimeError as error:  # how torch reports a different hash
        raise WeightsRefusedError(
            f"What came from {file.url} is not {file.path.name} as published: {error}"
        ) from None
    except (HTTPException, ValueError) as error:
        raise OSError(str(error) or type(error).__name__) from None
    return target


def _from_hub(file: FolderFile, folder: Path, state: _Download) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
    from open_clip.pretrained import download_pretrained_from_hf

    name = file.file.removeprefix(f"{file.repository}/")
    facts = _met(lambda: get_hf_file_metadata(hf_hub_url(file.repository, name)))
    state.total = facts.size or 0
    if not are_progress_bars_disabled():
        disable_progress_bars()
    come = _met(
        lambda: download_pretrained_from_hf(
            file.repository, filename=name, revision=facts.commit_hash, cache_dir=str(folder)
        )
    )
    target = Path(come).resolve()
    if len(facts.etag or "") == _SHA256_DIGITS:  # the hub names large files by their hash
        replace(file, sha256=facts.etag).check(target)
    return target


def _met(ask: Callable[[], Any]) -> Any:
    """Ask the hub; any of its many errors means that the file cannot be had from there."""
    try:
        return ask()
    except Exception as error:
        text = str(error).strip().splitlines()
        raise OSError(text[0] if text else type(error).__name__) from None
