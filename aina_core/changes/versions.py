"""Originals and their changed versions, embedded into a journal.

Embeddings are appended in chunks, as a gallery's update does: a run that was stopped or killed
resumes where it was, and its embeddings come out the same to the byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.changes.made import make_version, tasks
from aina_core.changes.originals import ORIGINAL, Original
from aina_core.disk import paths
from aina_core.disk.locks import alone
from aina_core.embedding import Embedder
from aina_core.embedding.costs import Cost, Meter
from aina_core.errors import DamagedError, InputError, StoppedError
from aina_core.gallery import Gallery
from aina_core.gallery.vectors.journal import Journal
from aina_core.progress import Progress, Stop

#: Embeddings between two commits to the disk: what a kill costs, with those in flight, at most 256.
CHUNK = 128


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that changed images depend on, by name."""
    return {name: version(name) for name in ("numpy", "pilgram", "pillow", "torch")}


def embed(
    journal: Journal,
    embedder: Embedder,
    gallery: Gallery,
    originals: Sequence[Original],
    missing: Sequence[tuple[int, str]],
    key: Callable[[Original, str], tuple[str, str]],
    *,
    done: int = 0,
    committed: Callable[[int], None] = lambda count: None,
    progress: Progress,
    stop: Stop,
) -> dict[int, str]:
    """Make versions, embed them, and append them to a journal.

    Args:
        journal: gets the rows.
        embedder: the model.
        gallery: where the originals are.
        originals: what the places mean.
        missing: (place of an original, change); those of one original follow each other.
        key: names a version's row in the journal.
        done: how many versions were embedded before, for the progress.
        committed: told after each chunk how many rows it had.
        progress: told of images.
        stop: asked between images.

    Returns:
        Why originals could not be read, by place.

    Raises:
        StoppedError: it was stopped; what is embedded is kept.
    """
    phase, total, failures = f"embedding by {embedder.model}", done + len(missing), dict[int, str]()
    keys: list[tuple[str, str]] = []
    rows: list[np.ndarray] = []

    def flush() -> None:
        if keys:
            journal.append(keys, np.stack(rows), np.ones(len(rows), np.float32))
            committed(len(keys))
            keys.clear()
            rows.clear()

    if missing:
        progress(phase, done, total)
    for task, problem, row in embedder.run(
        tasks(gallery, originals, missing), make_version, stop=stop
    ):
        if row is None:
            failures[task.place] = problem
        else:
            keys.append(key(originals[task.place], task.change))
            rows.append(row)
        done += 1
        if len(keys) >= CHUNK:
            flush()
        progress(phase, done, total)
    flush()
    if done < total:
        raise StoppedError(
            f"Stopped: {done:,} of {total:,} images are embedded by {embedder.model}; the same "
            "command goes on from there."
        )
    return failures


def journal_rows(journal: Journal) -> tuple[dict[tuple[str, str], int], np.ndarray]:
    """Return the row of each key of a journal, and its embeddings, float32 (m, dim), mapped."""
    places = {key: row for row, key in enumerate(journal.keys())}
    if not journal.count:  # an empty file cannot be mapped
        return places, np.zeros((0, journal.dim), np.float32)
    shape = (journal.count, journal.dim + 1)  # the last column is for norms
    return places, np.memmap(journal.data, "<f4", mode="r", shape=shape)[:, :-1]


@dataclass(frozen=True, eq=False)
class Versions:
    """Embeddings of originals and of their changed versions, under one model.

    Attributes:
        originals: those whose every version could be embedded, in the order of their ids.
        changes: names of the changes.
        rows: int64 (n, 1 + c): the row in `matrix` of each original and of each version of it.
        matrix: float32 (m, dim), unit rows; a memory map.
        failures: {"id", "reason"} of originals that could not be read.
        cost: of embedding them.
        fingerprint: of the model, see `Embedder.fingerprint`.
    """

    originals: tuple[Original, ...]
    changes: tuple[str, ...]
    rows: np.ndarray
    matrix: np.ndarray
    failures: list[dict[str, str]]
    cost: Cost
    fingerprint: dict[str, Any]

    def of(self, place: int, chosen: np.ndarray) -> np.ndarray:
        """Return embeddings of chosen originals: float32 (len(chosen), dim).

        Args:
            place: 0 for the originals as they are, 1 … c for that change.
            chosen: int, which originals.
        """
        return self.matrix[self.rows[chosen, place]]


class Bench:
    """The folder in which one model's embeddings for one study grow, until the study is stored.

    ::

        FOLDER/KEY/
          journal.f32, .jsonl  embeddings by image id and change (`gallery/vectors/journal.py`)
          cost.json            what they have cost so far

    Args:
        parent: the folder.
        embedder: the model.
        originals: of the study.
        changes: names of its changes.
    """

    def __init__(
        self,
        parent: Path,
        embedder: Embedder,
        originals: Sequence[Original],
        changes: Sequence[str],
    ) -> None:
        names = [[o.id, o.sha256] for o in originals]
        what = {**embedder.fingerprint(), "changes": list(changes), "libraries": libraries()}
        listed = json.dumps([what, names], sort_keys=True).encode()
        key = hashlib.sha256(listed).hexdigest()
        self.folder = parent / key[:24]
        self.embedder, self.originals, self.changes = embedder, originals, tuple(changes)
        self._fingerprint = {**what, "study": key}

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder's lock.

        Raises:
            GalleryBusyError: another process holds it.
        """
        what = f"doing a study of the same images under {self.embedder.model}"
        return alone(self.folder, what)

    def embed(self, gallery: Gallery, *, progress: Progress, stop: Stop) -> Versions:
        """Embed what is not embedded yet, and return all of it.

        Raises:
            StoppedError: it was stopped; what is embedded is kept for the next call.
            InputError: fewer than two originals could be read.
        """
        journal = Journal(self.folder, self._fingerprint)
        names = (ORIGINAL, *self.changes)
        there = set(journal.keys())
        missing = [
            (place, name)
            for place, original in enumerate(self.originals)
            for name in names
            if (original.id, name) not in there
        ]
        meter = self._meter()

        def committed(count: int) -> None:
            meter.images += count
            meter.look()
            paths.write_json(self.folder / "cost.json", meter.record())

        with meter.running():
            problems = embed(
                journal,
                self.embedder,
                gallery,
                self.originals,
                missing,
                lambda original, change: (original.id, change),
                done=journal.count,
                committed=committed,
                progress=progress,
                stop=stop,
            )
        failures = [
            {"id": self.originals[place].id, "reason": why} for place, why in problems.items()
        ]
        places, matrix = journal_rows(journal)
        whole = tuple(o for o in self.originals if all((o.id, n) in places for n in names))
        if len(whole) < 2:
            first = f"; {failures[0]['id']}: {failures[0]['reason']}" if failures else ""
            raise InputError(
                f"Of {len(self.originals)} originals {len(whole)} can be read, and a study needs "
                f"at least 2{first}."
            )
        return Versions(
            originals=whole,
            changes=self.changes,
            rows=np.array([[places[o.id, n] for n in names] for o in whole], np.int64),
            matrix=matrix,
            failures=failures,
            cost=meter.cost(self.embedder),
            fingerprint=self.embedder.fingerprint(),
        )

    def _meter(self) -> Meter:
        try:
            kept = paths.read_json(self.folder / "cost.json")
            return Meter(int(kept["images"]), float(kept["seconds"]), int(kept["peak"]))
        except (DamagedError, KeyError, TypeError, ValueError):
            return Meter()


def shared_originals(
    versions: Mapping[str, Versions],
) -> tuple[list[Original], dict[str, np.ndarray]]:
    """Return the originals that all models have, and by model their places in its list, int64."""
    lists = {model: [o.id for o in each.originals] for model, each in versions.items()}
    common = set.intersection(*(set(ids) for ids in lists.values()))
    places = {
        model: np.array([place for place, i in enumerate(ids) if i in common], np.int64)
        for model, ids in lists.items()
    }
    first, each = next(iter(versions.items()))
    return [each.originals[place] for place in places[first]], places
