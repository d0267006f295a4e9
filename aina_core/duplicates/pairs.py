"""Pairs of images that are near enough to be duplicates, found exactly or by the index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.disk import arrays
from aina_core.duplicates import blocked, indexed
from aina_core.errors import GalleryError, InputError, UnknownNameError
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Searcher

#: More pairs than this mean that the threshold is too low.
MOST_PAIRS = 5_000_000
#: Up to so many images all pairs are compared; beyond, those that the index proposes.
MOST_EXACT = 200_000
#: How pairs are found: by comparing all, or by comparing the neighbours from the index.
WAYS = ("exact", "annoy")
#: The second image of a pair in relation to the first: the eight flips and quarter turns.
TURNS = (
    "as it is",
    "mirrored",
    "mirrored top to bottom",
    "turned by 180°",
    "turned by 90°",
    "turned by 270°",
    "mirrored and turned by 90°",
    "mirrored and turned by 270°",
)

_FORMAT = 2
_PARTS = ("first", "second", "similarity", "turn")
_PAIRS_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows of a gallery, the nearest first; equally near ones by their rows.

    Attributes:
        first: int64 (p,), rows.
        second: int64 (p,), rows, each above its `first`.
        similarity: float32 (p,), descending, in [−1, 1]: the cosine.
        turn: int8 (p,), places in `TURNS`: the turn of this similarity; 0 for none.
        floor: the least similarity that was searched for.
        way: one of `WAYS`.
        found: the share of a sample's pairs that was found; 1 where all pairs were compared.
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray
    turn: np.ndarray
    floor: float
    way: str
    found: float = 1.0

    def __len__(self) -> int:
        return len(self.first)

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The four arrays, in the order of the attributes."""
        return self.first, self.second, self.similarity, self.turn

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the four arrays by the names of the attributes, for `of_arrays`."""
        return dict(zip(_PARTS, self.parts, strict=True))

    def above(self, threshold: float) -> Pairs:
        """Return the pairs that reach a threshold, which must not lie below the floor.

        Raises:
            InputError: it lies below.
        """
        if threshold < self.floor - 1e-9:
            raise InputError(
                f"Pairs at {threshold:.3f} or nearer were asked for, but only those from "
                f"{self.floor:.3f} on were computed; compute them again."
            )
        count = int(np.searchsorted(-self.similarity, -np.float32(threshold), side="right"))
        first, second, near, turn = (part[:count] for part in self.parts)
        return Pairs(first, second, near, turn, threshold, self.way, self.found)


def ordered(
    first: np.ndarray,
    second: np.ndarray,
    similarity: np.ndarray,
    turn: np.ndarray,
    floor: float,
    way: str,
    share: float = 1.0,
) -> Pairs:
    """Return pairs in their order, each once, by the turn of its highest similarity."""
    order = np.lexsort((turn, -similarity, second, first))
    first, second = first[order], second[order]
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    kept = order[new]
    first, second, similarity, turn = first[new], second[new], similarity[kept], turn[kept]
    order = np.lexsort((second, first, -similarity))
    first, second, similarity, turn = (p[order] for p in (first, second, similarity, turn))
    return Pairs(first, second, similarity, turn, floor, way, share)


def find_pairs(
    searcher: Searcher,
    floor: float,
    *,
    way: str | None = None,
    progress: Progress = silent,
    stop: Stop = never,
) -> Pairs:
    """Return the pairs of images down to a similarity: stored ones, or computed and stored.

    Args:
        searcher: the gallery under a model; images whose file has changed since are left out.
        floor: the least similarity.
        way: one of `WAYS`; by default "exact" up to 200,000 images, "annoy" above.
        progress: told of the phase "pairs".
        stop: asked between blocks.

    Raises:
        InputError: the floor is no cosine, or there are more than `MOST_PAIRS` pairs.
        UnknownNameError: no such way.
        GalleryError: the pairs cannot be written beside the vectors.
        StoppedError: it was stopped; nothing is stored.
    """
    way = _chosen(searcher, way)
    found = stored_pairs(searcher, floor, way=way)
    if found is not None:
        return found
    found = compute_pairs(searcher, floor, way, progress, stop)
    keep_pairs(results_folder(searcher, way), _identity(searcher, way), found)
    return found


def stored_pairs(searcher: Searcher, floor: float, *, way: str | None = None) -> Pairs | None:
    """Return what `find_pairs` has stored, verified; None if nothing down to that floor is."""
    check_threshold(floor)
    way = _chosen(searcher, way)
    return kept_pairs(results_folder(searcher, way), _identity(searcher, way), floor)


def kept_pairs(folder: Path, identity: dict[str, Any], floor: float) -> Pairs | None:
    """Return the pairs stored in a folder, down to a floor; None if they are not there."""
    kept = arrays.load(folder, identity)
    if kept is None or kept.record["floor"] > floor:
        return None
    floor_then, way, share = (kept.record[name] for name in ("floor", "way", "found"))
    return of_arrays(kept.arrays, floor_then, way, share).above(floor)


def of_arrays(parts: Mapping[str, np.ndarray], floor: float, way: str, share: float = 1.0) -> Pairs:
    """Return the pairs of arrays named as the attributes."""
    first, second, near, turn = (parts[name] for name in _PARTS)
    return Pairs(first, second, near, turn, floor, way, share)


def keep_pairs(folder: Path, identity: dict[str, Any], pairs: Pairs) -> None:
    """Store pairs in a folder, replacing earlier ones.

    Raises:
        GalleryError: they cannot be written.
    """
    record = {name: getattr(pairs, name) for name in ("floor", "way", "found")}
    save_arrays("The pairs", folder, identity, pairs.arrays(), record)


def save_arrays(
    what: str,
    folder: Path,
    identity: dict[str, Any],
    parts: Mapping[str, np.ndarray],
    record: dict[str, Any],
) -> None:
    """Store arrays beside a gallery's vectors; a failure names them by `what`.

    Raises:
        GalleryError: they cannot be written.
    """
    try:
        arrays.save(folder, identity, parts, record)
    except OSError as error:
        raise GalleryError(
            f"{what} cannot be written to {folder}: {error.strerror}; mend that first."
        ) from error


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is no cosine.

    Raises:
        InputError: it is below −1, above 1, or no number.
    """
    if not -1 <= threshold <= 1:
        raise InputError(
            f"The threshold {threshold} is no similarity; give a number between −1 and 1."
        )


def _chosen(searcher: Searcher, way: str | None) -> str:
    if way is None:
        return WAYS[searcher.count > MOST_EXACT]
    if way not in WAYS:
        raise UnknownNameError("way to find pairs", way, WAYS)
    return way


def compute_pairs(
    searcher: Searcher, floor: float, way: str, progress: Progress, stop: Stop
) -> Pairs:
    """Find pairs as `find_pairs` does, without looking for stored ones or storing them."""
    check_threshold(floor)
    vectors, rows = np.asarray(searcher.matrix), np.flatnonzero(searcher.shown)
    if way == "exact":
        proposed = blocked.candidates(vectors, rows, floor, progress, stop)
        return _decided(vectors, proposed, floor, way, 1.0)
    allowed = None if len(rows) == len(vectors) else searcher.shown
    through = indexed.IndexedPairs(
        searcher.annoy, vectors, rows, allowed, floor, MOST_PAIRS, progress, stop
    )
    effort, share = through.chosen_effort()
    return _decided(vectors, through.proposals(effort), floor, way, share)


def _decided(
    vectors: np.ndarray,
    proposed: Iterable[tuple[np.ndarray, np.ndarray]],
    floor: float,
    way: str,
    share: float,
) -> Pairs:
    """Compare proposed pairs in full, and keep those that reach the floor."""
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    count = 0
    for first, second in proposed:
        near = pair_similarities(vectors, first, second)
        there = near >= np.float32(floor)
        if there.any():
            kept.append((first[there], second[there], near[there]))
            count += int(there.sum())
        # through the index a pair is found from both of its images
        if count > MOST_PAIRS * (1 if way == "exact" else 2):
            raise too_many(floor)
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    first, second, near = (np.concatenate(parts) for parts in zip(none, *kept, strict=True))
    return ordered(first, second, near, np.zeros(len(first), np.int8), floor, way, share)


def too_many(floor: float) -> InputError:
    """The error of a threshold that far too many pairs reach."""
    return indexed.too_many(floor, MOST_PAIRS)


def pair_similarities(
    vectors: np.ndarray, first: np.ndarray, second: np.ndarray, others: np.ndarray | None = None
) -> np.ndarray:
    """Return the cosine of each pair of rows, float32 (p,), as the index computes it.

    Args:
        vectors: float32 (n, dim), unit rows.
        first: int64 (p,), rows.
        second: int64 (p,), rows of the same vectors, or of the others.
        others: float32 (m, dim), unit rows.
    """
    others = vectors if others is None else others
    found = np.empty(len(first), np.float32)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        np.vecdot(vectors[first[part]], others[second[part]], out=found[part])
    return found.clip(-1, 1, out=found)


def results_folder(searcher: Searcher, name: str) -> Path:
    """Return where results of a kind are stored beside a gallery's vectors."""
    return searcher.gallery.store(searcher.model).folder / "duplicates" / name


def _identity(searcher: Searcher, way: str) -> dict[str, Any]:
    return {"format": _FORMAT, "way": way, **identity(searcher)}


def identity(searcher: Searcher) -> dict[str, Any]:
    """Return what stored pairs are valid for: these vectors, and these rows of them."""
    shown = hashlib.sha256(np.packbits(searcher.shown).tobytes()).hexdigest()
    return {"vectors": searcher.checksum, "shown": shown}
