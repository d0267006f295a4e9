"""Similarities by pairs of groups, where there are too many images to show each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.search.searcher import Searcher
from aina_core.similarity.arrangement import arrange
from aina_core.similarity.matrix import cosines
from aina_core.similarity.sets import Chosen

QUANTILES = (0.1, 0.5, 0.9)
#: Images with more groups than this, or with one, are grouped by clusters.
MAX_GROUPS = 200
CLUSTERS = 24

_SAMPLE = 4000  # rows in all of which quantiles are taken: 64 MB of similarities
_LEAST = 4
_BLOCK = 4096


@dataclass(frozen=True)
class GroupMatrix:
    """Every pair of groups, in the order in which they are to be drawn.

    Attributes:
        names: of the groups.
        sizes: how many images each has.
        examples: the image of each that is nearest to the mean of its group.
        mean: float32 (g, g), of the similarities of all pairs of different images; NaN where a
            group of one image meets itself.
        quantiles: float32 (3, g, g), at `QUANTILES`, likewise.
        tree: see `Arrangement.tree`.
        clustered: whether the groups were found by clustering, not by labels.
        sampled: whether the quantiles are those of a sample of each group's images.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    examples: tuple[str, ...]
    mean: np.ndarray
    quantiles: np.ndarray
    tree: np.ndarray | None
    clustered: bool
    sampled: bool


def group_matrix(
    searcher: Searcher, chosen: Chosen, *, order: str = "label", seed: int = 0
) -> GroupMatrix:
    """Compare every group of images with every other.

    The mean is that of all pairs; quantiles above 4,000 images are those of a sample. The images
    are read a block at a time, so the memory taken does not grow with their number.

    Args:
        searcher: the gallery under a model.
        chosen: images with their groups; without groups, or with more than `MAX_GROUPS`, they are
            grouped into `CLUSTERS` clusters by k-means.
        order: one of `arrangement.ORDERS`.
        seed: of the sample and of the clusters.

    Raises:
        InputError: fewer than two images.
        UnknownNameError: no such order.
    """
    if len(chosen.ids) < 2:
        raise InputError(f"Groups of {len(chosen.ids)} images were asked for; choose at least 2.")
    names = sorted(set(chosen.groups))
    clustered = not 2 <= len(names) <= MAX_GROUPS
    if clustered:
        names, members = _clusters(searcher, chosen, seed)
    else:
        places = {name: number for number, name in enumerate(dict.fromkeys(chosen.groups))}
        names, members = list(places), np.array([places[name] for name in chosen.groups])
    sizes = np.bincount(members, minlength=len(names))
    sums = _sums(searcher, chosen.ids, members, len(sizes))
    mean = _means(sums, sizes)
    examples = _central(searcher, chosen.ids, members, sums)
    quantiles, sampled = _quantiles(searcher, chosen.ids, members, sizes, seed)
    arranged = arrange(np.nan_to_num(mean, nan=1), names, order)
    rows = arranged.rows
    return GroupMatrix(
        names=tuple(names[row] for row in rows),
        sizes=tuple(int(sizes[row]) for row in rows),
        examples=tuple(examples[row] for row in rows),
        mean=mean[rows[:, None], rows],
        quantiles=quantiles[:, rows[:, None], rows],
        tree=arranged.tree,
        clustered=clustered,
        sampled=sampled,
    )


def _sums(searcher: Searcher, ids: tuple[str, ...], members: np.ndarray, count: int) -> np.ndarray:
    """Return the sum of each group's vectors, float64 (g, dim)."""
    sums = np.zeros((count, searcher.vectors(ids[:1]).shape[1]))
    for start in range(0, len(ids), _BLOCK):
        block = searcher.vectors(ids[start : start + _BLOCK])
        belongs = members[start : start + _BLOCK] == np.arange(count)[:, None]  # (g, block)
        sums += belongs.astype(np.float64) @ block.astype(np.float64)
    return sums


def _means(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the mean similarity of each pair of groups: the product of their summed vectors.

    Within a group every image meets itself once with similarity 1, which is taken off.
    """
    totals = sums @ sums.T - np.diag(sizes)  # (g, g)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    with np.errstate(invalid="ignore", divide="ignore"):  # a single image has no pair
        return np.where(pairs > 0, np.clip(totals / pairs, -1, 1), np.nan).astype(np.float32)


def _central(
    searcher: Searcher, ids: tuple[str, ...], members: np.ndarray, sums: np.ndarray
) -> list[str]:
    """Return the image of each group that is nearest to the group's mean."""
    best = np.full(len(sums), -np.inf)
    found = [""] * len(sums)
    for start in range(0, len(ids), _BLOCK):
        own = members[start : start + _BLOCK]
        near = np.vecdot(searcher.vectors(ids[start : start + _BLOCK]), sums[own])
        for at in np.argsort(-near, kind="stable"):
            if near[at] > best[own[at]]:
                best[own[at]], found[own[at]] = near[at], ids[start + at]
    return found


def _quantiles(
    searcher: Searcher, ids: tuple[str, ...], members: np.ndarray, sizes: np.ndarray, seed: int
) -> tuple[np.ndarray, bool]:
    """Return float32 (3, g, g), and whether they are of a sample, as large for each group."""
    rng = np.random.default_rng(seed)
    most = len(ids) if len(ids) <= _SAMPLE else max(_SAMPLE // len(sizes), _LEAST)
    rows, ends = [], [0]
    for group, size in enumerate(sizes):
        own = np.flatnonzero(members == group)
        rows.append(own if size <= most else np.sort(rng.choice(own, most, replace=False)))
        ends.append(ends[-1] + len(rows[-1]))
    values = cosines(searcher.vectors([ids[row] for row in np.concatenate(rows)]))
    found = np.full((len(QUANTILES), len(sizes), len(sizes)), np.nan, np.float32)
    for a in range(len(sizes)):
        for b in range(a, len(sizes)):
            block = values[ends[a] : ends[a + 1], ends[b] : ends[b + 1]]
            block = block[np.triu_indices(len(block), 1)] if a == b else block
            if block.size:
                found[:, a, b] = found[:, b, a] = np.quantile(block, QUANTILES)
    return found, bool((sizes > most).any())


def _clusters(searcher: Searcher, chosen: Chosen, seed: int) -> tuple[list[str], np.ndarray]:
    """Group images by k-means over their vectors; each cluster is named by its number."""
    from sklearn.cluster import MiniBatchKMeans

    count = math.ceil(min(CLUSTERS, len(chosen.ids) / 2))
    model = MiniBatchKMeans(count, random_state=seed, batch_size=_BLOCK, n_init=1)
    blocks = range(0, len(chosen.ids), _BLOCK)
    for start in blocks:
        block = searcher.vectors(chosen.ids[start : start + _BLOCK])
        if len(block) >= count:  # a last block may be shorter than there are clusters
            model.partial_fit(block)
    found = [model.predict(searcher.vectors(chosen.ids[at : at + _BLOCK])) for at in blocks]
    used, members = np.unique(np.concatenate(found), return_inverse=True)
    return [f"cluster {number + 1:02d}" for number in range(len(used))], members
