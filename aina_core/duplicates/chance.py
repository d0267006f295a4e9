"""How many pairs reach a threshold by chance, and so would be false.

All pairs of a sample of images are compared. Where the gallery has copies, the nearest pairs are
true ones, so some pairs of each rank are checked by the second signal (`points.py`), and those
whose points match are not chance. The signal misses a few copies, so the result errs on the high
side. Where fewer than ten pairs remain above a threshold, their number is read off an exponential
tail fitted to those just below (the mean excess over a high level; the simplest of the generalised
Pareto tails, Pickands 1975), and reported as an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aina_core.duplicates.points import PointMatcher
from aina_core.errors import ImageError
from aina_core.index.matmul import product
from aina_core.index.principal import sample
from aina_core.progress import Progress, Stop
from aina_core.search.searcher import Searcher

#: How many images have all their pairs compared.
SAMPLE = 3_000
#: A count of fewer pairs than this is not reliable.
FEWEST = 10

_TAIL = 16_384
# The second signal checks so many pairs of each doubling of rank, until it has confirmed none in so
# many doublings: pairs farther apart are no copies either.
_CHECKED, _UNCONFIRMED = 8, 3
_LEVEL = 60.0  # chance pairs that the tail is fitted to
_BLOCK = 512


@dataclass(frozen=True)
class Expected:
    """Pairs that are expected by chance at a threshold.

    Attributes:
        per_thousand: false pairs for each 1,000 images of the gallery.
        share: of the pairs that reach the threshold, those that are false; 0 where none do.
        reaching: pairs of the sample that reach the threshold, true copies included.
        sampled: pairs of the sample in all.
        estimated: whether the number is read off a fitted tail, for want of pairs to count.
    """

    per_thousand: float
    share: float
    reaching: int
    sampled: int
    estimated: bool


@dataclass(frozen=True, eq=False)
class Chance:
    """The nearest pairs of a sample of a gallery.

    Attributes:
        tail: float32 (t,), descending: the similarities of the nearest pairs.
        false: float32 (t,), in [0, 1]: the share of the pairs of that rank that the second signal
            does not confirm as one picture.
        sampled: how many pairs were compared.
        images: how many the gallery has.
    """

    tail: np.ndarray
    false: np.ndarray
    sampled: int
    images: int

    def expected(self, threshold: float) -> Expected:
        """Return what is expected at a threshold.

        Below the nearest 16,384 pairs of the sample, the result is a lower bound.
        """
        reaching = int(np.searchsorted(-self.tail, -np.float32(threshold), side="right"))
        cumulated = np.cumsum(self.false, dtype=np.float64)
        count = float(cumulated[reaching - 1]) if reaching else 0.0
        # a sample that is the whole gallery has been counted, not sampled
        whole = self.sampled >= self.images * (self.images - 1) // 2
        estimated = count < FEWEST and not whole
        if estimated:
            count = self._from_tail(threshold, cumulated)
        rate = count / self.sampled if self.sampled else 0.0
        share = min(count / reaching, 1.0) if reaching else 0.0
        false = rate * (self.images - 1) / 2 * 1000
        return Expected(false, share, reaching, self.sampled, estimated)

    def _from_tail(self, threshold: float, cumulated: np.ndarray) -> float:
        """Count by an exponential tail over the level that `_LEVEL` chance pairs reach."""
        if not len(cumulated) or cumulated[-1] <= 0:
            return 0.0
        last = min(int(np.searchsorted(cumulated, _LEVEL)), len(cumulated) - 1)
        level, weights = float(self.tail[last]), self.false[: last + 1]
        excess = float(((self.tail[: last + 1] - level) * weights).sum() / weights.sum())
        if excess <= 0 or threshold <= level:
            return float(cumulated[last])
        return float(cumulated[last] * np.exp(-(threshold - level) / excess))

    def threshold(self, per_thousand: float, share: float) -> float:
        """Return the lowest threshold, in steps of 0.001, with few false pairs.

        Args:
            per_thousand: at most so many for 1,000 images are few.
            share: at most this share of the pairs found is few, too.
        """
        for step in range(1000):
            found = self.expected(step / 1000)
            enough = found.reaching >= FEWEST
            if found.per_thousand <= per_thousand or (enough and found.share <= share):
                return step / 1000
        return 1.0

    def floor(self, most: int) -> float:
        """Return the similarity, in [0, 1], that about `most` pairs of the gallery reach."""
        total = self.images * (self.images - 1) / 2
        rank = int(most * self.sampled / total) if total else 0
        if rank >= self.sampled or not len(self.tail):
            return 0.0
        return float(np.clip(self.tail[min(rank, len(self.tail) - 1)], 0, 1))


def chance(searcher: Searcher, *, seed: int = 0, progress: Progress, stop: Stop) -> Chance:
    """Compare all pairs of a sample of a gallery's images.

    Args:
        searcher: the gallery under a model.
        seed: of the sample, and of the pairs that the second signal checks.
        progress: told of the phases "random pairs" and "looking at the nearest".
        stop: asked regularly; pairs that are not checked by then count as chance.
    """
    shown = np.flatnonzero(searcher.shown)
    rows = shown[sample(len(shown), SAMPLE, seed)]
    first, second, tail = _nearest(np.asarray(searcher.matrix), rows, progress)
    pairs = [
        (searcher.ids[one], searcher.ids[other]) for one, other in zip(first, second, strict=True)
    ]
    false = _unconfirmed(PointMatcher(searcher.gallery), pairs, seed, progress, stop)
    count = len(rows)
    return Chance(tail, false, count * (count - 1) // 2, len(shown))


def _unconfirmed(
    matcher: PointMatcher, pairs: list[tuple[str, str]], seed: int, progress: Progress, stop: Stop
) -> np.ndarray:
    """For each pair, the share of the pairs around its rank that are not confirmed, (p,)."""
    false = np.ones(len(pairs), np.float32)
    rng = np.random.default_rng(seed)
    ranks = [(2**power - 1, 2 ** (power + 1) - 1) for power in range(len(pairs).bit_length())]
    in_vain = 0
    for done, (start, end) in enumerate(ranks):
        progress("looking at the nearest", done, len(ranks))
        if stop() or in_vain >= _UNCONFIRMED:
            break
        there = range(start, min(end, len(pairs)))
        chosen = [there[at] for at in rng.permutation(len(there))[:_CHECKED]]
        same = np.mean([_same(matcher, *pairs[at]) for at in chosen])
        false[start:end] = 1 - same
        in_vain = 0 if same else in_vain + 1
    progress("looking at the nearest", len(ranks), len(ranks))
    return false


def _same(matcher: PointMatcher, first: str, second: str) -> bool:
    try:
        return matcher.compare(first, second).same
    except ImageError:  # its file is gone: no evidence of a copy
        return False


def _nearest(
    vectors: np.ndarray, rows: np.ndarray, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest 16,384 pairs of some rows: two rows each, and similarities, descending."""
    taken = np.asarray(vectors[rows])  # (m, dim)
    count = len(taken)
    near, places = np.empty(0, np.float32), np.empty(0, np.int64)
    for start in range(0, count, _BLOCK):
        progress("random pairs", start, count)
        scores = product(taken[start : start + _BLOCK], taken)  # (b, m)
        one, other = np.nonzero(np.arange(count) > np.arange(start, start + len(scores))[:, None])
        near = np.concatenate([near, scores[one, other]])
        places = np.concatenate([places, (start + one) * count + other])
        if len(near) > _TAIL:
            best = np.argpartition(-near, _TAIL - 1)[:_TAIL]
            near, places = near[best], places[best]
    order = np.lexsort((places, -near))
    first, second = np.divmod(places[order], max(count, 1))
    return rows[first], rows[second], near[order].clip(-1, 1)
