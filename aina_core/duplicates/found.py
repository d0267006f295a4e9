"""The duplicates of a gallery for people: groups of image ids, with the one to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aina_core.duplicates.groups import complete_link
from aina_core.duplicates.keep import Kept, check_rule, keep, read_choices
from aina_core.duplicates.pairs import TURNS, Pairs
from aina_core.duplicates.points import Matched, PointMatcher
from aina_core.errors import ImageError
from aina_core.gallery import ImageRecord
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Searcher

#: The columns of the table of groups.
COLUMNS = (
    "group",
    "id",
    "decision",
    "decided by",
    "similarity to the kept",
    "weakest pair of group",
    "relation",
    "width",
    "height",
    "bytes",
    "modified",
    "second signal",
)


@dataclass(frozen=True)
class Pair:
    """Two images.

    Attributes:
        first: image id.
        second: image id.
        similarity: cosine, in [−1, 1].
        turn: what the second is of the first, one of `TURNS`.
    """

    first: str
    second: str
    similarity: float
    turn: str


@dataclass(frozen=True)
class DuplicateGroup:
    """Images of which every two reach the threshold.

    Attributes:
        ids: image ids, in their order.
        weakest: the pair that is least alike.
        kept: the image to keep.
        near: by image id, its similarity to the one to keep, and how it is turned to that one.
    """

    ids: tuple[str, ...]
    weakest: Pair
    kept: Kept
    near: Mapping[str, tuple[float, str]]


@dataclass(frozen=True)
class Duplicates:
    """The duplicates in a gallery.

    Attributes:
        threshold: from which similarity.
        pairs: how many pairs reach it.
        groups: the largest first, equally large ones by their weakest pair, the nearest first.
        between: pairs that reach it but share no group, the nearest first.
    """

    threshold: float
    pairs: int
    groups: tuple[DuplicateGroup, ...]
    between: tuple[Pair, ...]


def gather(searcher: Searcher, pairs: Pairs, rule: str = "largest") -> Duplicates:
    """Group pairs, and name the image of each group to keep.

    Args:
        searcher: the gallery under a model.
        pairs: cut at the threshold, which is their floor.
        rule: one of `keep.RULES`, for groups without a choice of the user.

    Raises:
        UnknownNameError: no such rule.
        DamagedError: the user's choices cannot be read.
    """
    check_rule(rule)
    choices = read_choices(searcher.gallery)
    grouped = complete_link(pairs)
    kept = [
        keep(searcher.gallery, [_record(searcher, row) for row in group.rows], rule, choices)
        for group in grouped.groups
    ]
    near = _to_the_kept(searcher, pairs, [group.rows for group in grouped.groups], kept)
    groups = tuple(
        DuplicateGroup(
            tuple(searcher.ids[row] for row in group.rows),
            _pair(searcher, pairs, group.place),
            one,
            around,
        )
        for group, one, around in zip(grouped.groups, kept, near, strict=True)
    )
    between = tuple(_pair(searcher, pairs, at) for at in grouped.between)
    return Duplicates(pairs.floor, len(pairs), groups, between)


def _ends(pairs: Pairs) -> Iterator[tuple[int, int]]:
    return zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)


def _record(searcher: Searcher, row: int) -> ImageRecord:
    record = searcher.records[row]
    assert record is not None  # only rows that can be found are in pairs
    return record


def _pair(searcher: Searcher, pairs: Pairs, at: int) -> Pair:
    return Pair(
        searcher.ids[int(pairs.first[at])],
        searcher.ids[int(pairs.second[at])],
        float(pairs.similarity[at]),
        TURNS[int(pairs.turn[at])],
    )


def _to_the_kept(
    searcher: Searcher, pairs: Pairs, groups: Sequence[Sequence[int]], kept: Sequence[Kept]
) -> list[dict[str, tuple[float, str]]]:
    """For each group, the similarity of its images to the one to keep."""
    group_of = {row: at for at, rows in enumerate(groups) for row in rows}
    found: list[dict[str, tuple[float, str]]] = [{} for _ in groups]
    for at, (first, second) in enumerate(_ends(pairs)):
        group = group_of.get(first)
        if group is None or group != group_of.get(second):
            continue
        ids = searcher.ids[first], searcher.ids[second]
        if kept[group].id in ids:
            other = ids[ids[0] == kept[group].id]
            found[group][other] = float(pairs.similarity[at]), TURNS[int(pairs.turn[at])]
    return found


#: The second signal of pairs, by their two ids; a sentence for a pair that cannot be read.
Verified = Mapping[tuple[str, str], Matched | str]


def verify(
    searcher: Searcher,
    pairs: Sequence[tuple[str, str]],
    *,
    matcher: PointMatcher | None = None,
    progress: Progress = silent,
    stop: Stop = never,
) -> dict[tuple[str, str], Matched | str]:
    """Check pairs by the second signal, matched points (see `points.py`).

    Args:
        searcher: the gallery.
        pairs: two image ids each.
        matcher: one that has cached features already; None for a new one.
        progress: told of the phase "second signal".
        stop: when it is true, the remaining pairs are not checked.

    Returns:
        By pair; a sentence instead of a match where an image cannot be read any more.
    """
    matcher = matcher or PointMatcher(searcher.gallery)
    found: dict[tuple[str, str], Matched | str] = {}
    for done, pair in enumerate(pairs):
        if stop():
            break
        progress("second signal", done, len(pairs))
        try:
            found[pair] = matcher.compare(*pair)
        except ImageError as error:
            found[pair] = str(error)
    progress("second signal", len(pairs), len(pairs))
    return found


def to_verify(found: Duplicates) -> list[tuple[str, str]]:
    """Return the pairs worth checking: every image of a group with the one to keep."""
    return [
        (group.kept.id, image_id)
        for group in found.groups
        for image_id in group.ids
        if image_id != group.kept.id
    ]


def table(
    searcher: Searcher, found: Duplicates, rule: str, verified: Verified | None = None
) -> Iterator[list[object]]:
    """Yield a row of `COLUMNS` for each image of each group."""
    for number, group in enumerate(found.groups, start=1):
        for image_id in group.ids:
            record, _ = searcher.image(image_id)
            kept = image_id == group.kept.id
            near, turn = group.near.get(image_id, (1.0, ""))
            changed = datetime.fromtimestamp(record.mtime_ns / 1e9, UTC)
            signal = (verified or {}).get((group.kept.id, image_id), "")
            yield [
                number,
                image_id,
                "keep" if kept else "other",
                "you" if group.kept.chosen else rule,
                "" if kept else f"{near:.6f}",
                f"{group.weakest.similarity:.6f}",
                turn,
                record.width,
                record.height,
                record.size,
                changed.isoformat(timespec="seconds"),
                str(signal),
            ]
