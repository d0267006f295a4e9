"""How similar images of one label are, and images of different ones, beside random pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aina_core.metrics import roc_auc
from aina_core.search.searcher import Searcher

#: Up to so many pairs of a kind are all taken; of more, so many are drawn.
MAX_PAIRS = 50_000
_BLOCK = 4096


@dataclass(frozen=True)
class Distribution:
    """Similarities of pairs of different images of a gallery under a model.

    Attributes:
        model: the model's full name.
        within: float32 (a,), ascending: pairs of one label; images without a label have none.
        between: float32 (b,), ascending: pairs of two different labels.
        baseline: float32 (m,), ascending: random pairs, whatever their labels.
        auc: the chance that a pair of one label is nearer than a pair of two, ties counted half
            (area under the ROC curve); 0.5 says nothing, 1 separates; None without pairs.
        pairs_within: how many pairs of one label there are in all.
        pairs_between: how many of two labels.
    """

    model: str
    within: np.ndarray
    between: np.ndarray
    baseline: np.ndarray
    auc: float | None
    pairs_within: int
    pairs_between: int


def distribution(searcher: Searcher, *, seed: int = 0, most: int = MAX_PAIRS) -> Distribution:
    """Compare pairs within labels and pairs between labels, over the whole gallery.

    Args:
        searcher: the gallery under a model.
        seed: of the pairs drawn where there are more than `most` of a kind.
        most: how many pairs of a kind are taken.
    """
    rows, sizes = _labelled(searcher)
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)
    within = _similarities(searcher, rows, *_pairs_within(starts, sizes, most, rng))
    between = _similarities(searcher, rows, *_pairs_between(starts, sizes, most, rng))
    count, inside = len(rows), int((sizes * (sizes - 1) // 2).sum())
    return Distribution(
        model=searcher.model,
        within=within,
        between=between,
        baseline=searcher.baseline,
        auc=separation(within, between),
        pairs_within=inside,
        pairs_between=count * (count - 1) // 2 - inside,
    )


def _labelled(searcher: Searcher) -> tuple[np.ndarray, np.ndarray]:
    """The rows that have a label and can be found, int64 (m,), label by label, and how many of
    each label."""
    labels = searcher.annotations.labels
    order = np.array(sorted(range(len(labels.names)), key=lambda code: labels.names[code]), int)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    rows = np.flatnonzero(searcher.shown & ~labels.among([""]))
    of_rows = ranks[labels.codes[rows]]
    sizes = np.bincount(of_rows, minlength=len(order))
    return rows[np.argsort(of_rows, kind="stable")], sizes[sizes > 0]


def separation(within: np.ndarray, between: np.ndarray) -> float | None:
    """Return `metrics.roc_auc` of pairs within labels against pairs between them.

    None where there are none of a kind.
    """
    return roc_auc(within, between) if len(within) and len(between) else None


def _pairs_within(
    starts: np.ndarray, sizes: np.ndarray, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of one label; each as likely as any other, where they are drawn."""
    each = sizes * (sizes - 1) // 2
    if each.sum() <= most:
        found = [
            (i + s, j + s)
            for s, n in zip(starts, sizes, strict=True)
            for i, j in [np.triu_indices(n, 1)]
        ]
        return _joined(found)
    label = rng.choice(len(sizes), most, p=each / each.sum())
    first = rng.integers(0, sizes[label])
    second = rng.integers(0, sizes[label] - 1)
    second += second >= first
    return starts[label] + first, starts[label] + second


def _pairs_between(
    starts: np.ndarray, sizes: np.ndarray, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of two labels, likewise. Rows of a label stand together."""
    count = int(sizes.sum())
    rest = sizes * (count - sizes)  # ordered pairs that begin in each label
    if rest.sum() // 2 <= most:
        found = [
            (np.repeat(np.arange(s, s + n), count - s - n), np.tile(np.arange(s + n, count), n))
            for s, n in zip(starts, sizes, strict=True)
        ]
        return _joined(found)
    label = rng.choice(len(sizes), most, p=rest / rest.sum())
    first = starts[label] + rng.integers(0, sizes[label])
    second = rng.integers(0, count - sizes[label])
    second += np.where(second >= starts[label], sizes[label], 0)
    return first, second


def _joined(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    none = np.empty(0, np.int64)
    return (
        np.concatenate([none, *(first for first, _ in pairs)]),
        np.concatenate([none, *(second for _, second in pairs)]),
    )


def _similarities(
    searcher: Searcher, rows: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return the similarities of pairs of places in `rows`, ascending, a block at a time."""
    matrix = np.asarray(searcher.matrix)
    found = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        found[part] = np.vecdot(matrix[rows[first[part]]], matrix[rows[second[part]]])
    return np.sort(np.clip(found, -1, 1))
