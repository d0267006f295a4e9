"""How certain a figure is: the bootstrap over queries, and a paired test of a difference.

Queries are what was sampled, so queries are resampled; all numbers of a query (its 18
modifications, say) go with it. The draws depend only on the seed and on the number of queries, so
figures of two models over the same queries are resampled alike, and the difference of their samples
is the paired bootstrap of the difference.

Every `bootstrap_…` returns the figure's value in each resample, float64 (resamples,), of which
`interval` makes an interval. Memory is bounded: the draws come in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: How many resamples are drawn, and the share of their figures within an interval.
RESAMPLES = 1000
LEVEL = 0.95

_BLOCK_CELLS = 1 << 22
_FLIPS = 10_000


def draws(
    count: int, *, seed: int, resamples: int = RESAMPLES, width: int = 1
) -> Iterator[np.ndarray]:
    """Draw `count` queries out of `count`, with replacement, for each resample.

    Args:
        count: how many queries, at least 1.
        seed: of the draws.
        resamples: how many.
        width: numbers that the caller holds for each query of a resample; bounds the block.

    Yields:
        int64 (b, count): how often each query was drawn in each of b resamples. The draws do not
        depend on the size of the blocks.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK_CELLS // (count * max(width, 1)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        chosen = rng.integers(count, size=(size, count))
        chosen += np.arange(size)[:, None] * count
        yield np.bincount(chosen.ravel(), minlength=size * count).reshape(size, count)


def interval(samples: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of a figure's bootstrap samples.

    Args:
        samples: (resamples,); those that are not finite (no pair was left) are ignored.
        level: the share of the samples between the two ends.

    Source: Efron, Tibshirani: An Introduction to the Bootstrap (1993), chapter 13.
    """
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Over:
    """The queries, or pairs of queries, that numbers belong to.

    A pair is in a resample as often as the product of how often its two queries are.

    Attributes:
        queries: how many queries there are, at least 1.
        pairs: int (p, 2), the two different queries of each pair; None where the numbers belong to
            single queries.
    """

    queries: int
    pairs: np.ndarray | None = None

    def weights(self, counts: np.ndarray) -> np.ndarray:
        """Return how often each query, or pair, is in each resample, int64 (b, q or p)."""
        if self.pairs is None:
            return counts
        return counts[:, self.pairs[:, 0]] * counts[:, self.pairs[:, 1]]


def bootstrap_mean(
    values: np.ndarray, over: Over, *, seed: int, resamples: int = RESAMPLES
) -> np.ndarray:
    """Return the means of resamples of queries.

    Args:
        values: (q,) or (q, c): one number, or c numbers, for each query (or pair).
        over: the queries or pairs that they belong to.
        seed: of the draws.
        resamples: how many.
    """
    return _moments(_flat(values).mean(axis=1)[:, None], over, seed, resamples)[:, 0]


def bootstrap_std(
    values: np.ndarray, over: Over, *, seed: int, resamples: int = RESAMPLES
) -> np.ndarray:
    """Return the standard deviations (of the population: divided by n) of resamples of queries.

    Args:
        values: (q,) or (q, c).
        over: the queries or pairs that they belong to.
        seed: of the draws.
        resamples: how many.
    """
    numbers = _flat(values)
    numbers = numbers - numbers.mean()  # squares of large numbers would lose digits
    moments = np.stack([numbers.mean(axis=1), (numbers**2).mean(axis=1)], axis=1)  # (q, 2)
    means = _moments(moments, over, seed, resamples)
    return np.sqrt(np.maximum(means[:, 1] - means[:, 0] ** 2, 0))


def _moments(per_row: np.ndarray, over: Over, seed: int, resamples: int) -> np.ndarray:
    """Weighted means of float64 (rows, c) in each resample, (resamples, c)."""
    found = []
    width = -(-len(per_row) // over.queries)
    for counts in draws(over.queries, seed=seed, resamples=resamples, width=width):
        weights = over.weights(counts).astype(np.float64)
        with np.errstate(invalid="ignore"):
            found.append((weights @ per_row) / weights.sum(axis=1, keepdims=True))
    return np.concatenate(found)


def bootstrap_median(
    values: np.ndarray, over: Over, *, seed: int, resamples: int = RESAMPLES
) -> np.ndarray:
    """Return the medians of resamples of queries; the middle two of an even number are averaged.

    Args:
        values: (q,) or (q, c).
        over: the queries or pairs that they belong to.
        seed: of the draws.
        resamples: how many.
    """
    numbers = _flat(values)
    order = np.argsort(numbers, axis=None, kind="stable")
    ordered, owners = numbers.ravel()[order], order // numbers.shape[1]
    width, found = -(-numbers.size // over.queries), []
    for counts in draws(over.queries, seed=seed, resamples=resamples, width=width):
        reached = over.weights(counts)[:, owners].cumsum(axis=1)  # (b, numbers)
        total = reached[:, -1:]
        low = (reached > (total - 1) // 2).argmax(axis=1)
        high = (reached > total // 2).argmax(axis=1)
        middle = (ordered[low] + ordered[high]) / 2
        found.append(np.where(total[:, 0] > 0, middle, np.nan))
    return np.concatenate(found)


def bootstrap_auc(
    positive: np.ndarray,
    negative: np.ndarray,
    pairs: np.ndarray,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """Return the areas under the ROC curve of resamples of queries.

    A pair is in a resample as often as the product of how often its two queries are; so the
    interval includes the uncertainty of the negatives, which are made of the same queries.

    Args:
        positive: (q,) or (q, c): c similarities of each query to what belongs to it.
        negative: (p,) or (p, d): d similarities of each pair of two queries.
        pairs: int (p, 2): the two different queries of each pair of `negative`.
        seed: of the draws.
        resamples: how many.

    Returns:
        float64 (resamples,); NaN where a resample has no pair of two queries.
    """
    positive, negative = _flat(positive), _flat(negative)
    width = positive.shape[1]
    numbers = np.concatenate([positive.ravel(), negative.ravel()])
    order = np.argsort(numbers, kind="stable")
    is_positive = order < positive.size
    owner = order[is_positive] // width  # the query of each positive, in the order of the numbers
    pair = (order[~is_positive] - positive.size) // negative.shape[1]
    ordered = numbers[order]
    at = ordered[is_positive]
    negatives = ordered[~is_positive]
    below = np.searchsorted(negatives, at, side="left")
    not_above = np.searchsorted(negatives, at, side="right")
    found = []
    wide = -(-(numbers.size + len(pairs)) // len(positive))
    over = Over(len(positive), pairs)
    for counts in draws(len(positive), seed=seed, resamples=resamples, width=wide):
        weights = over.weights(counts)  # (b, p)
        reached = np.zeros((len(counts), len(negatives) + 1), np.int64)
        np.cumsum(weights[:, pair], axis=1, out=reached[:, 1:])
        above = np.einsum(
            "bn,bn->b", counts[:, owner], reached[:, below] + reached[:, not_above], dtype=float
        )
        total = 2.0 * counts.sum(axis=1) * width * reached[:, -1]
        with np.errstate(invalid="ignore"):
            found.append(above / total)
    return np.concatenate(found)


def sign_flip_test(differences: np.ndarray, *, seed: int, flips: int = _FLIPS) -> float:
    """Return the p-value of the paired test that two models do not differ.

    If they do not, each query's difference is as likely with the other sign. The two-sided p-value
    is the share of all assignments of signs whose sum is at least as far from 0 as the sum found;
    where there are more than `flips`, of so many random ones and the given one.

    Args:
        differences: (q,), a figure of one model minus the other's, query by query.
        seed: of the signs.
        flips: how many are drawn.

    Source: Fisher: The Design of Experiments (1935), chapter 3; Smucker, Allan, Carterette: A
    comparison of statistical significance tests for information retrieval evaluation, CIKM 2007.
    """
    given = np.asarray(differences, np.float64)
    given = given[given != 0]  # their sign changes nothing
    if not len(given):
        return 1.0
    limit = abs(given.sum()) * (1 - 1e-12)  # sums in another order differ in their last bits
    if len(given) < 63 and 2 ** len(given) <= flips:
        bits = np.arange(2 ** len(given))[:, None] >> np.arange(len(given)) & 1
        return float((abs((2 * bits - 1) @ given) >= limit).mean())
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK_CELLS // len(given))
    extreme = 1
    for start in range(0, flips, step):
        size = min(step, flips - start)
        signs = rng.integers(0, 2, (size, len(given)), np.int8) * 2 - 1
        extreme += int((abs(signs @ given) >= limit).sum())
    return extreme / (flips + 1)


def _flat(values: np.ndarray) -> np.ndarray:
    """Numbers as float64 (q, c)."""
    return np.asarray(values, np.float64).reshape(len(values), -1)
