"""Files held against a gallery: which of them stand in it already, or are near to what does."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from aina_core import images
from aina_core.disk import paths
from aina_core.duplicates.pairs import MOST_EXACT, TURNS, check_threshold, identity
from aina_core.duplicates.turned import turn
from aina_core.embedding import Embedder
from aina_core.errors import DamagedError, GalleryError, ImageError
from aina_core.gallery.scan import Found, scan
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Neighbour, Searcher

#: So many of a file's matches are named.
MOST_MATCHES = 10


@dataclass(frozen=True)
class Match:
    """An image of the gallery that a file is near to.

    Attributes:
        neighbour: the image, with its similarity to the file as it was turned.
        turn: what the file was turned to, one of `TURNS`.
    """

    neighbour: Neighbour
    turn: str


@dataclass(frozen=True)
class Checked:
    """A file that was held against a gallery.

    Attributes:
        path: where it is.
        matches: images of the gallery at the threshold or nearer, the nearest first, at most ten.
        nearest: the nearest image of the gallery, at the threshold or not; None where the gallery
            has none, or the file cannot be read.
        failure: why the file cannot be used; None when it can.
    """

    path: Path
    matches: tuple[Match, ...]
    nearest: Match | None
    failure: str | None

    @property
    def flagged(self) -> bool:
        """Whether anything in the gallery is that near."""
        return bool(self.matches)


class Checker:
    """A gallery and its model, loaded once, to hold any number of files against.

    Args:
        searcher: the gallery under the embedder's model.
        embedder: the model.
        threshold: from which similarity a file is flagged.
        turned: whether the eight flips and quarter turns of a file are looked for too.

    Raises:
        InputError: the threshold is no cosine.
    """

    def __init__(
        self, searcher: Searcher, embedder: Embedder, threshold: float, *, turned: bool = False
    ) -> None:
        check_threshold(threshold)
        self.threshold = threshold
        self._searcher, self._embedder = searcher, searcher.checked(embedder)
        self._turns = range(len(TURNS)) if turned else range(1)
        # what is near must not be missed for the sake of milliseconds
        self._exact = searcher.count <= MOST_EXACT

    def check(self, files: Iterable[Path], *, stop: Stop = never) -> Iterator[Checked]:
        """Hold files against the gallery, in order; a bad file is an outcome like any other."""
        versions = ((path, number) for path in files for number in self._turns)
        ways: list[tuple[str | None, np.ndarray | None]] = []
        for (path, _), failure, row in self._embedder.run(versions, self._prepare, stop=stop):
            ways.append((failure, row))
            if len(ways) == len(self._turns):
                yield self._judge(path, ways)
                ways = []

    def check_bytes(self, name: str, data: bytes) -> Checked:
        """Hold a picture's bytes against the gallery.

        Raises:
            ImageError: it is no usable picture.
        """
        pixels = images.decode(data, at_least=self._embedder.reduced_side).pixels
        rows = self._embedder.embed(turn(pixels, number) for number in self._turns)
        return self._judge(Path(name), [(None, row) for row in rows])

    def _prepare(self, version: tuple[Path, int]) -> tuple[np.ndarray | None, str | None]:
        path, number = version
        try:
            data = images.read_bytes(path)
            pixels = images.decode(data, at_least=self._embedder.reduced_side).pixels
        except ImageError as error:
            return None, str(error)
        return (turn(pixels, number) if number else pixels), None

    def _judge(self, path: Path, ways: list[tuple[str | None, np.ndarray | None]]) -> Checked:
        failure = next((reason for reason, _ in ways if reason is not None), None)
        if failure is not None:
            return Checked(path, (), None, failure)
        best: dict[str, Match] = {}
        for number, (_, row) in enumerate(ways):
            assert row is not None  # there was no failure
            reduced = self._searcher.reduced(row)
            found = self._searcher.search(reduced, exact=self._exact).nearest(MOST_MATCHES)
            for hit in found:
                known = best.get(hit.id)
                if known is None or hit.similarity > known.neighbour.similarity:
                    best[hit.id] = Match(hit, TURNS[number])
        ranked = sorted(best.values(), key=lambda m: (-m.neighbour.similarity, m.neighbour.id))
        least = float(np.float32(self.threshold))  # as similarities are
        near = [m for m in ranked if m.neighbour.similarity >= least]
        return Checked(path, tuple(near[:MOST_MATCHES]), next(iter(ranked), None), None)

    def check_folder(
        self, folder: Path, *, progress: Progress = silent, stop: Stop = never
    ) -> Iterator[Checked]:
        """Hold every picture of a folder against the gallery.

        Raises:
            GalleryError: the folder is missing or cannot be read.
        """
        files, _ = scan(folder)
        for done, checked in enumerate(self.check((f.path for f in files), stop=stop), start=1):
            progress("files", done, len(files))
            yield checked


@dataclass(frozen=True)
class FolderChecked:
    """What of a folder stands in a gallery.

    Attributes:
        threshold: from which similarity.
        when: the moment, ISO 8601, UTC.
        files: how many pictures were looked at.
        found: for each file that is flagged, its path relative to the folder and its matches as
            (image id, similarity, turn).
        failed: files that cannot be used, with the reason.
    """

    threshold: float
    when: str
    files: int
    found: Mapping[str, Sequence[tuple[str, float, str]]]
    failed: Mapping[str, str]


def keep_checked(
    searcher: Searcher, folder: Path, threshold: float, done: Sequence[Checked]
) -> None:
    """Keep what `Checker.check_folder` gave, for the app to show.

    Raises:
        GalleryError: it cannot be written.
    """
    named = [(one.path.relative_to(folder).as_posix(), one) for one in done]
    document = {
        **_identity(searcher, folder),
        "threshold": threshold,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": len(done),
        "found": {
            name: [(m.neighbour.id, m.neighbour.similarity, m.turn) for m in one.matches]
            for name, one in named
            if one.flagged
        },
        "failed": {name: one.failure for name, one in named if one.failure is not None},
    }
    path = _place(searcher, folder)
    try:
        paths.write_json(path, document)
    except OSError as error:
        raise GalleryError(f"The result cannot be written to {path}: {error.strerror}.") from error


def stored_checked(searcher: Searcher, folder: Path) -> FolderChecked | None:
    """Return what `keep_checked` has kept of a folder; None where nothing of it still holds."""
    try:
        document = paths.read_json(_place(searcher, folder))
        if any(document.get(key) != value for key, value in _identity(searcher, folder).items()):
            return None
        return FolderChecked(
            float(document["threshold"]),
            str(document["when"]),
            int(document["files"]),
            {
                str(name): [(str(key), float(near), str(turn)) for key, near, turn in matches]
                for name, matches in document["found"].items()
            },
            {str(name): str(reason) for name, reason in document["failed"].items()},
        )
    except (DamagedError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _place(searcher: Searcher, folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    kept = searcher.gallery.store(searcher.model).folder / "duplicates" / "against"
    return kept / f"{name}.json"


def _identity(searcher: Searcher, folder: Path) -> dict[str, Any]:
    name = os.fsencode(folder.resolve()).decode(errors="backslashreplace")
    return {"format": 1, "folder": name, **identity(searcher)}


def arriving(folder: Path, *, every: float = 1.0, stop: Stop) -> Iterator[list[Path]]:
    """Yield the pictures of a folder as they come: each once its size and time stay as they are.

    Those that are there already come first. A file that is written anew comes again; one that is
    still being written waits until two looks at it, `every` seconds apart, find it the same.

    Args:
        folder: a queue, that others put files into.
        every: seconds between two looks.
        stop: asked ten times a second.

    Raises:
        GalleryError: the folder is missing, or cannot be read any more.
    """
    given: dict[str, tuple[int, int]] = {}
    before: dict[str, tuple[int, int]] = {}
    while not stop():
        files, _ = scan(folder)
        now = {str(file.path): (file.size, file.mtime_ns) for file in files}
        ready = [
            file
            for file in files
            if before.get(str(file.path)) == now[str(file.path)] != given.get(str(file.path))
        ]
        if ready:
            yield [_given(file, given) for file in ready]
        # of what has been taken away nothing is remembered
        before, given = now, {name: state for name, state in given.items() if name in now}
        end = time.monotonic() + every
        while not stop() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def _given(file: Found, given: dict[str, tuple[int, int]]) -> Path:
    given[str(file.path)] = (file.size, file.mtime_ns)
    return file.path
