"""Where AINA keeps its files, and how it writes one: all or nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import platformdirs

from aina_core.errors import DamagedError, InputError


def home() -> Path:
    """The folder of all galleries: `AINA_HOME`, or `precomputed/` beside the package."""
    given = os.environ.get("AINA_HOME")
    return (Path(given) if given else Path(__file__).parents[2] / "precomputed").resolve()


def cache() -> Path:
    """The folder of what can be made again at any time: `AINA_CACHE`, or the user's cache folder.

    The latter is where the system has it: on Linux `aina` in `XDG_CACHE_HOME`, or in `~/.cache`.
    """
    given = os.environ.get("AINA_CACHE")
    return Path(given).resolve() if given else platformdirs.user_cache_path("aina", False)


def weights() -> Path:
    """The folder of models' weights: `AINA_WEIGHTS`, or `weights` in the user's cache folder."""
    given = os.environ.get("AINA_WEIGHTS")
    return (
        Path(given).resolve() if given else platformdirs.user_cache_path("aina", False) / "weights"
    )


def roots() -> list[Path]:
    """The folders below which the app may read: `AINA_ROOTS`, separated by colons, or the home."""
    given = os.environ.get("AINA_ROOTS")
    folders = given.split(os.pathsep) if given else [str(Path.home())]
    return [Path(folder).expanduser().resolve() for folder in folders if folder]


def allowed_folder(text: str) -> Path:
    """Return the folder that a person at the app's screen named, links resolved.

    Raises:
        InputError: it does not exist, or is not below one of the allowed roots.
    """
    try:
        folder = Path(text.strip()).expanduser().resolve()
        exists = folder.is_dir()
    except (OSError, RuntimeError, ValueError):
        raise InputError(f"{text!r} is not a folder's path.") from None
    # one message for both cases, so that it does not reveal what else is on the disk
    if not any(folder.is_relative_to(root) for root in roots()) or not exists:
        below = ", ".join(map(str, roots()))
        raise InputError(
            f"There is no folder {text.strip()!r} below {below}; AINA_ROOTS says below which "
            "folders the app may read."
        )
    return folder


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file that takes the place of `path` in one step when the block succeeds.

    A reader sees the old file or the new one; when the block fails, the old one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.chmod(name, 0o644)  # noqa: PTH101  mkstemp made it private
        os.replace(name, path)  # noqa: PTH105
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document, all or nothing."""
    with replacing(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DamagedError: it is missing or not a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path.name} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise DamagedError(f"{path.name} is not a JSON object.")
    return value


def file_checksum(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
