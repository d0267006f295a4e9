"""What people send to the app: pictures to search by, and pictures to make a gallery of.

Nothing that is sent is believed: names, sizes, kinds, and what an archive says of itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import re
import stat
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from aina_core import images
from aina_core.disk import folders, paths
from aina_core.errors import ImageError, InputError
from aina_core.gallery import Gallery, create, galleries, open_gallery, valid_name

#: A picture to search by may have this many bytes.
MAX_QUERY_BYTES = 50 << 20
#: All pictures of an archive, or of one upload, together.
MAX_BYTES = 8 << 30
MAX_FILES = 100_000
#: An archive that unpacks to more than this many times its size is refused, beyond 10 MB.
MAX_RATIO = 100
_RATIO_FREE_BYTES = 10 << 20
_KEPT_QUERIES = 500
_LEFT_NS = 3600 * 10**9  # after which an unfinished file belongs to a killed process
_CHUNK = 1 << 20
# A file system's 255, less what may be put before or behind; a letter has up to 4 bytes.
_MAX_NAME_BYTES = 240
_MAX_NAME_LETTERS = 50
_DRIVE = re.compile("[A-Za-z]:")
# What Python's zipfile raises on damaged, encrypted or unknown data.
_DAMAGED = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    MemoryError,
    zlib.error,
    lzma.LZMAError,
)


# ── queries ──────────────────────────────────────────────────────────────────────────────────────


def keep_query(data: bytes) -> str:
    """Keep a picture that somebody searches by, so that a link to the search works.

    The newest 500 are kept.

    Returns:
        The picture's name: the SHA-256 of its bytes, which nobody can guess who has not got it.

    Raises:
        ImageError: it is no usable picture, over `MAX_QUERY_BYTES`, or cannot be stored.
    """
    if len(data) > MAX_QUERY_BYTES:
        raise ImageError(f"it has over {MAX_QUERY_BYTES >> 20} MB")
    images.decode(data)
    name = hashlib.sha256(data).hexdigest()
    path = _queries() / name
    try:
        os.utime(path)
    except OSError:
        try:
            with paths.replacing(path) as file:
                file.write(data)
        except OSError as error:
            raise ImageError(f"the server cannot store it ({error.strerror})") from None
    kept = sorted(_queries().glob("[0-9a-f]*"), key=_age)
    for old in kept[_KEPT_QUERIES:]:
        old.unlink(missing_ok=True)
    for left in _queries().glob(".*.tmp"):  # another session may be writing a recent one
        if time.time_ns() + _age(left) > _LEFT_NS:
            left.unlink(missing_ok=True)
    return name


def _age(path: Path) -> int:
    try:
        return -path.stat().st_mtime_ns
    except FileNotFoundError:  # another session has just removed it
        return 0


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
            path = folder / _plain_name(file_name, number)
            while path.exists():  # another file of the same name
                path = path.with_stem(f"{path.stem} ({number})")
            path.write_bytes(data)
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
        with zipfile.ZipFile(archive) as opened:
            chosen = _checked(opened, archive.seek(0, os.SEEK_END))
            with _receiving(name) as folder:
                _unpack(opened, chosen, folder)
    except (*_DAMAGED, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"The ZIP cannot be read: {str(reason).rstrip('.')}.") from None
    return create(name, None)


def gallery_of_images(name: str, source: Gallery, ids: Iterable[str]) -> Gallery:
    """Make a gallery of some images of another, or add them to one that was made so.

    The files are copied, with their labels, captions and columns, so the new gallery stands alone.

    Args:
        name: of the new gallery.
        source: where the images are.
        ids: of the images; one whose file is gone meanwhile is passed over.

    Raises:
        InputError: the name cannot be used, none of the images is there, or there are too many
            files or bytes.
    """
    annotations = source.catalogue.annotations()
    kept = {}
    with _receiving(name) as folder:
        total = 0
        for number, image_id in enumerate(ids, start=1):
            try:
                data = source.read(image_id)
            except InputError:
                continue
            total += len(data)
            _check_amount(number, total)
            path = folder / image_id
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            if image_id in annotations:
                kept[image_id] = annotations[image_id]
        if not total:
            raise InputError(f"None of these images can be read from {source.name} any more.")
    gallery = create(name, None)
    with gallery.lock():
        gallery.catalogue.annotate({**gallery.catalogue.annotations(), **kept}.items())
    return gallery


def _unpack(
    archive: zipfile.ZipFile, chosen: list[tuple[zipfile.ZipInfo, PurePosixPath]], folder: Path
) -> None:
    for entry, target in chosen:
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, path.open("wb") as output:
            _copy(source, output, entry)


def _checked(archive: zipfile.ZipFile, length: int) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return the pictures of an archive of `length` bytes with their places, if all is safe."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    size = sum(entry.file_size for entry in entries)
    _check_amount(len(entries), size)
    # The packed sizes that it names are not believed: entries may lie over each other.
    if size > _RATIO_FREE_BYTES and size > MAX_RATIO * length:
        raise InputError(
            f"The ZIP unpacks to {size / length:.0f} times its size; "
            f"at most {MAX_RATIO} times is accepted."
        )
    chosen = []
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or _DRIVE.match(entry.filename):
            raise InputError(f"The ZIP holds an unsafe path: {entry.filename[:80]!r}.")
        if any(len(part.encode()) > _MAX_NAME_BYTES for part in path.parts):
            raise InputError(f"The ZIP holds too long a name: {entry.filename[:80]!r}.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"The ZIP holds a link: {entry.filename[:80]!r}.")
        if entry.flag_bits & 1:
            raise InputError("The ZIP is encrypted; upload one without a password.")
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not hidden and path.suffix.lower() in images.SUFFIXES:
            chosen.append((entry, path))
    if not chosen:
        raise InputError("The ZIP holds no pictures that AINA reads.")
    _check_names([path for _, path in chosen])
    return chosen


def _check_names(places: list[PurePosixPath]) -> None:
    """Refuse what would write one picture over another."""
    files: set[PurePosixPath] = set()
    for path in places:
        if path in files:
            raise InputError(f"The ZIP holds two files of the name {str(path)[:80]!r}.")
        files.add(path)
    both = files & {folder for path in places for folder in path.parents}
    if both:
        name = str(min(both))[:80]
        raise InputError(f"The ZIP holds a file and a folder of the same name: {name!r}.")


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
    base = PurePosixPath(file_name.replace("\\", "/")).name
    plain = re.sub(r"[^\w .()+-]", "_", base)[-_MAX_NAME_LETTERS:]
    # a name that begins with a dot would hide the file
    return f"image {number}{plain}" if plain.startswith(".") or not plain else plain


@contextlib.contextmanager
def _receiving(name: str) -> Iterator[Path]:
    """Yield an empty folder whose files enter the gallery's own when the block succeeds."""
    valid_name(name)
    if name in galleries() and not open_gallery(name).keeps_images:
        raise InputError(
            f"The gallery {name} belongs to a folder on the server, or has no pictures; choose "
            "another name."
        )
    with folders.workspace(paths.home()) as folder:
        yield folder
        gallery = create(name, None)
        with gallery.lock():
            moves = [
                (path, gallery.root / path.relative_to(folder))
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            ]
            for _, target in moves:
                _check_place(target, gallery.root)
            for path, target in moves:
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)


def _check_place(target: Path, root: Path) -> None:
    """Refuse a file where the gallery has a folder, and a folder where it has a file."""
    place = target.relative_to(root)
    if target.is_dir() or any((root / part).is_file() for part in place.parents):
        name = place.as_posix()[:80]
        raise InputError(f"The gallery has a file where {name!r} needs a folder, or the reverse.")
