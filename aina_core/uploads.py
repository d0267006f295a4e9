"""What people send to the app: pictures to search by, and pictures to make a gallery of.

Nothing that is sent is believed: names, sizes, kinds, and what an archive says of itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from aina_core import images, paths
from aina_core.errors import ImageError, InputError
from aina_core.gallery import Gallery, create, galleries

#: A picture to search by may have this many bytes.
MAX_QUERY_BYTES = 50 << 20
#: All pictures of an archive, or of one upload, together.
MAX_BYTES = 8 << 30
MAX_FILES = 100_000
#: An archive that unpacks to more than this many times its size is refused, beyond 10 MB.
MAX_RATIO = 100
_RATIO_FREE_BYTES = 10 << 20
_KEPT_QUERIES = 500
_CHUNK = 1 << 20


# ── queries ──────────────────────────────────────────────────────────────────────────────────────


def keep_query(data: bytes) -> str:
    """Keep a picture that somebody searches by, so that a link to the search works.

    The newest 500 are kept.

    Returns:
        The picture's name: the SHA-256 of its bytes, which nobody can guess who has not got it.

    Raises:
        ImageError: it is no usable picture, or over `MAX_QUERY_BYTES`.
    """
    if len(data) > MAX_QUERY_BYTES:
        raise ImageError(f"it has over {MAX_QUERY_BYTES >> 20} MB")
    images.decode(data)
    name = hashlib.sha256(data).hexdigest()
    path = _queries() / name
    if path.exists():
        path.touch()
    else:
        with paths.replacing(path) as file:
            file.write(data)
    kept = sorted(_queries().glob("[0-9a-f]*"), key=lambda old: old.stat().st_mtime, reverse=True)
    for old in kept[_KEPT_QUERIES:]:
        old.unlink(missing_ok=True)
    return name


def query(name: str) -> bytes:
    """Return the bytes of a picture that was kept.

    Raises:
        InputError: it is not kept, or not any more.
    """
    if not re.fullmatch("[0-9a-f]{64}", name):
        raise InputError("The link names no uploaded picture.")
    try:
        return (_queries() / name).read_bytes()
    except OSError:
        raise InputError("The uploaded picture is not kept any more; upload it again.") from None


def _queries() -> Path:
    return paths.home() / ".queries"


# ── galleries ────────────────────────────────────────────────────────────────────────────────────


def gallery_from_files(name: str, files: Iterable[tuple[str, bytes]]) -> Gallery:
    """Make a gallery of uploaded files, or add them to one that was made so.

    Args:
        name: of the gallery.
        files: file name and bytes of each; a file that is no picture is recorded when the gallery
            is indexed.

    Raises:
        InputError: the name cannot be used, or there are too many files or bytes.
    """
    with _receiving(name) as folder:
        total = 0
        for number, (file_name, data) in enumerate(files, start=1):
            total += len(data)
            _check_amount(number, total)
            (folder / _plain_name(file_name, number)).write_bytes(data)
    return create(name, None)


def gallery_from_zip(name: str, archive: IO[bytes]) -> Gallery:
    """Make a gallery of a ZIP's pictures, or add them to one that was made so.

    Everything that the archive says is checked before anything is written, and what it unpacks to
    is held against what it said.

    Args:
        name: of the gallery.
        archive: the opened ZIP file. Folders become labels; what is not a picture is passed over.

    Raises:
        InputError: not a ZIP, damaged, encrypted, without pictures, or unsafe in size, count,
            compression ratio or paths.
    """
    try:
        with zipfile.ZipFile(archive) as opened, _receiving(name) as folder:
            for entry, target in _checked(opened):
                path = folder / target
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(entry) as source, path.open("wb") as output:
                    _copy(source, output, entry)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise InputError(f"The ZIP cannot be read: {error}.") from None
    except zipfile.zlib.error as error:  # type: ignore[attr-defined]
        raise InputError(f"The ZIP is damaged: {error}.") from None
    return create(name, None)


def _checked(archive: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return the pictures of an archive with their places, if all of it is safe."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    size = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    _check_amount(len(entries), size)
    if size > _RATIO_FREE_BYTES and size > MAX_RATIO * max(packed, 1):
        raise InputError(
            f"The ZIP unpacks to {size / max(packed, 1):.0f} times its size; "
            f"at most {MAX_RATIO} times is accepted."
        )
    chosen = []
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in entry.filename:
            raise InputError(f"The ZIP holds an unsafe path: {entry.filename[:80]!r}.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"The ZIP holds a link: {entry.filename[:80]!r}.")
        if entry.flag_bits & 1:
            raise InputError("The ZIP is encrypted; upload one without a password.")
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not hidden and path.suffix.lower() in images.SUFFIXES:
            chosen.append((entry, path))
    if not chosen:
        raise InputError("The ZIP holds no pictures that AINA reads.")
    return chosen


def _copy(source: IO[bytes], output: IO[bytes], entry: zipfile.ZipInfo) -> None:
    left = entry.file_size
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise InputError(f"The ZIP says less than it holds: {entry.filename[:80]!r}.")
        output.write(chunk)


def _check_amount(count: int, size: int) -> None:
    if count > MAX_FILES:
        raise InputError(f"There are {count:,} files; at most {MAX_FILES:,} are accepted at once.")
    if size > MAX_BYTES:
        raise InputError(
            f"The files have {size >> 20:,} MB together; at most {MAX_BYTES >> 20:,} MB are "
            "accepted at once: put them on the server's disk, and give their folder."
        )


def _plain_name(file_name: str, number: int) -> str:
    plain = re.sub(r"[^\w .()+-]", "_", PurePosixPath(file_name.replace("\\", "/")).name)
    return plain.lstrip(".")[-120:] or f"image {number}"


@contextlib.contextmanager
def _receiving(name: str) -> Iterator[Path]:
    """Yield an empty folder whose files enter the gallery's own when the block succeeds."""
    if name in galleries() and not (paths.home() / name / "images").is_dir():
        raise InputError(
            f"The gallery {name} belongs to a folder on the server; choose another name."
        )
    paths.home().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=paths.home(), prefix=".upload-"))
    try:
        yield folder
        gallery = create(name, None)
        with gallery.lock():
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    target = gallery.root / path.relative_to(folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
