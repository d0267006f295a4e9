"""Groups of duplicates by complete linkage: every pair in a group reaches the threshold.

Single linkage, which follows pairs from image to image, would join a chain whose ends are not
alike. Here two groups are joined when all pairs between them have been seen; since pairs are taken
from the nearest to the farthest, that is complete linkage (Sørensen, 1948) cut at the threshold,
and the pair seen last is the weakest of the group.
"""

from __future__ import annotations

from dataclasses import dataclass

from aina_core.duplicates.pairs import Pairs


@dataclass(frozen=True)
class Group:
    """Images that are all similar to each other.

    Attributes:
        rows: of the gallery, ascending; at least two.
        weakest: the least similarity of any two of them.
        place: of that pair, in the pairs given.
    """

    rows: tuple[int, ...]
    weakest: float
    place: int


@dataclass(frozen=True, eq=False)
class Grouped:
    """All groups, and the pairs between them.

    Attributes:
        groups: the largest first, equally large ones by their weakest pair, then by rows.
        between: places of the pairs whose images share no group: they reach the threshold, but not
            with all of the other's group.
    """

    groups: tuple[Group, ...]
    between: tuple[int, ...]


def complete_link(pairs: Pairs) -> Grouped:
    """Group pairs; every pair given counts, so cut them at the threshold first.

    Of equally near pairs the one with the lower rows is taken first, so that the result depends on
    the pairs alone.
    """
    member: dict[int, int] = {}  # the group of each row, named by its first row
    rows: dict[int, list[int]] = {}
    seen: dict[int, dict[int, int]] = {}  # pairs seen between two groups
    weakest: dict[int, int] = {}  # the place of the pair that completed each group
    ends = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    for place, (first, second) in enumerate(ends):
        for row in (first, second):
            if row not in member:
                member[row], rows[row], seen[row] = row, [row], {}
        one, other = member[first], member[second]
        count = seen[one].get(other, 0) + 1
        if count < len(rows[one]) * len(rows[other]):
            seen[one][other] = seen[other][one] = count
            continue
        if len(seen[one]) < len(seen[other]):  # the group with fewer neighbours is moved
            one, other = other, one
        _join(one, other, member, rows, seen)
        weakest[one] = place
    made = [_group(rows[name], place, pairs) for name, place in weakest.items() if name in rows]
    made.sort(key=lambda group: (-len(group.rows), -group.weakest, group.rows))
    between = [at for at, (one, other) in enumerate(ends) if member[one] != member[other]]
    return Grouped(tuple(made), tuple(between))


def _join(
    one: int,
    other: int,
    member: dict[int, int],
    rows: dict[int, list[int]],
    seen: dict[int, dict[int, int]],
) -> None:
    """Join two groups, and add up the pairs that a third has with either."""
    for row in rows[other]:
        member[row] = one
    rows[one] += rows.pop(other)
    seen[one].pop(other, None)
    around = seen.pop(other)
    around.pop(one, None)
    for third, count in around.items():
        del seen[third][other]
        seen[one][third] = seen[third][one] = seen[one].get(third, 0) + count


def _group(rows: list[int], place: int, pairs: Pairs) -> Group:
    return Group(tuple(sorted(rows)), float(pairs.similarity[place]), place)
