"""New files against a gallery: which of them it has already, or has something similar to."""

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
from aina_core.duplicates.pairs import (
    MOST_EXACT,
    TURNS,
    check_threshold,
    identity,
    results_folder,
)
from aina_core.duplicates.turned import turn
from aina_core.embedding import Embedder
from aina_core.errors import DamagedError, GalleryError, ImageError
from aina_core.gallery.scan import Found, scan
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Neighbour, Searcher

#: How many matches of a file are reported.
MOST_MATCHES = 10


@dataclass(frozen=True)
class Match:
    """An image of the gallery that is similar to a file.

    Attributes:
        neighbour: the image, with its similarity to the file as it was turned.
        turn: how the file was turned, one of `TURNS`.
    """

    neighbour: Neighbour
    turn: str


@dataclass(frozen=True)
class Checked:
    """A file that was compared with a gallery.

    Attributes:
        path: where it is.
        matches: images of the gallery at the threshold or nearer, the nearest first, at most ten.
        nearest: the nearest image of the gallery, whatever the threshold; None where the gallery is
            empty, or the file cannot be read.
        failure: why the file cannot be used; None when it can.
    """

    path: Path
    matches: tuple[Match, ...]
    nearest: Match | None
    failure: str | None

    @property
    def flagged(self) -> bool:
        """Whether anything in the gallery reaches the threshold."""
        return bool(self.matches)


class Checker:
    """Compares any number of files with a gallery, whose model is loaded once.

    Args:
        searcher: the gallery under the embedder's model.
        embedder: the model.
        threshold: the similarity from which a file is flagged.
        turned: whether all eight flips and quarter turns of a file are compared.

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
        # missing a duplicate is worse than losing milliseconds
        self._exact = searcher.count <= MOST_EXACT

    def check(self, files: Iterable[Path], *, stop: Stop = never) -> Iterator[Checked]:
        """Compare files with the gallery, in order; a bad file is a result like any other."""
        versions = ((path, number) for path in files for number in self._turns)
        ways: list[tuple[str | None, np.ndarray | None]] = []
        for (path, _), failure, row in self._embedder.run(versions, self._prepare, stop=stop):
            ways.append((failure, row))
            if len(ways) == len(self._turns):
                yield self._judge(path, ways)
                ways = []

    def check_bytes(self, name: str, data: bytes) -> Checked:
        """Compare a picture's bytes with the gallery.

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
        """Compare every picture of a folder with the gallery.

        Raises:
            GalleryError: the folder is missing or cannot be read.
        """
        files, _ = scan(folder)
        for done, checked in enumerate(self.check((f.path for f in files), stop=stop), start=1):
            progress("files", done, len(files))
            yield checked


@dataclass(frozen=True)
class FolderChecked:
    """Which pictures of a folder a gallery has.

    Attributes:
        threshold: the similarity from which a file was flagged.
        when: ISO 8601, UTC.
        files: how many pictures were compared.
        found: the matches of each flagged file, (image id, similarity, turn), by its path relative
            to the folder.
        failed: why files cannot be used, by path.
    """

    threshold: float
    when: str
    files: int
    found: Mapping[str, Sequence[tuple[str, float, str]]]
    failed: Mapping[str, str]


def keep_checked(
    searcher: Searcher, folder: Path, threshold: float, done: Sequence[Checked]
) -> None:
    """Store what `Checker.check_folder` found, for the app to show.

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
    """Return what `keep_checked` has stored of a folder; None if nothing of it is still valid."""
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
    return results_folder(searcher, "against") / f"{name}.json"


def _identity(searcher: Searcher, folder: Path) -> dict[str, Any]:
    name = os.fsencode(folder.resolve()).decode(errors="backslashreplace")
    return {"format": 1, "folder": name, **identity(searcher)}


def arriving(folder: Path, *, every: float = 1.0, stop: Stop) -> Iterator[list[Path]]:
    """Yield the pictures of a folder as they arrive: each once its size and time are stable.

    Pictures that are there already come first. A file that is overwritten comes again; one that is
    still being written waits until two scans, `every` seconds apart, find it the same.

    Args:
        folder: a queue that others put files into.
        every: seconds between two scans.
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
        # forget files that were removed
        before, given = now, {name: state for name, state in given.items() if name in now}
        end = time.monotonic() + every
        while not stop() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def _given(file: Found, given: dict[str, tuple[int, int]]) -> Path:
    given[str(file.path)] = (file.size, file.mtime_ns)
    return file.path
