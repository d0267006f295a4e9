"""A ladder of example pairs: what a similarity looks like in a gallery, under a model.

Source: the ladder of example pairs at similarity .5 … 1.0 of the botanical illustrations project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aina_core.errors import InputError
from aina_core.search.searcher import Searcher
from aina_core.similarity.matrix import cosines

STEPS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TOLERANCE = 0.02

_SAMPLE = 1500  # images of which every pair is looked at
_PROBES = 300  # of them, those whose nearest neighbours in the whole gallery are looked at too
_NEAREST = 8


@dataclass(frozen=True)
class LadderPair:
    """Two images of a gallery.

    Attributes:
        first: image id.
        second: image id.
        similarity: their cosine, in [−1, 1].
        percentile: share of random pairs of this gallery below that similarity, in [0, 1].
    """

    first: str
    second: str
    similarity: float
    percentile: float


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes:
        step: the similarity aimed at.
        percentile: share of random pairs below it, in [0, 1].
        pairs: the pairs found nearest to it, the nearest first; none when no pair is near enough.
    """

    step: float
    percentile: float
    pairs: tuple[LadderPair, ...]


def ladder(
    searcher: Searcher,
    *,
    steps: Sequence[float] = STEPS,
    pairs: int = 3,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> list[Rung]:
    """Find example pairs at each of some similarities; no image appears twice.

    Every pair of up to 1,500 images is considered; in larger galleries those of a sample, with the
    nearest neighbours of 300 of them, since very similar pairs are rare among random ones.

    Args:
        searcher: the gallery under a model.
        steps: similarities in [−1, 1].
        pairs: how many for each.
        tolerance: how far a pair may be from its step, above 0.
        seed: of the sample.

    Returns:
        A rung for each step, in the order of the steps.

    Raises:
        InputError: a step outside [−1, 1], no pairs, or no tolerance.
    """
    if not all(-1 <= step <= 1 for step in steps) or pairs < 1 or tolerance <= 0:
        raise InputError(
            f"A ladder was asked for with steps {tuple(steps)}, {pairs} pairs each and a tolerance "
            f"of {tolerance}; steps lie between -1 and 1, the others are above 0."
        )
    first, second, values = _candidates(searcher, np.random.default_rng(seed))
    used: set[str] = set()
    found: dict[float, Rung] = {}
    for step in sorted(steps, reverse=True):  # similar pairs are the rarest: they choose first
        near = np.flatnonzero(np.abs(values - step) <= tolerance)
        near = near[np.argsort(np.abs(values[near] - step), kind="stable")]
        taken: list[LadderPair] = []
        for at in near:
            a, b = searcher.ids[first[at]], searcher.ids[second[at]]
            if not used & {a, b}:
                used |= {a, b}
                percentile = float(searcher.percentile(values[at]))
                taken.append(LadderPair(a, b, float(values[at]), percentile))
            if len(taken) == pairs:
                break
        found[step] = Rung(step, float(searcher.percentile(np.array(step))), tuple(taken))
    return [found[step] for step in steps]


def _candidates(
    searcher: Searcher, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (p,), rows (p,), all pairs different, and their similarities float32 (p,)."""
    allowed = searcher.shown
    usable = np.flatnonzero(allowed)
    rows = usable
    if len(usable) > _SAMPLE:
        rows = np.sort(rng.choice(usable, _SAMPLE, replace=False))
    vectors = np.asarray(searcher.matrix)[rows]
    upper = np.triu_indices(len(rows), 1)
    first, second, values = rows[upper[0]], rows[upper[1]], cosines(vectors)[upper]
    if len(usable) == len(rows):
        return first, second, values
    probes = rng.choice(len(rows), _PROBES, replace=False)
    near, similar = searcher.annoy.search(vectors[probes], _NEAREST, allowed=allowed)
    asked = np.repeat(rows[probes], near.shape[1]).reshape(near.shape)
    other = near != asked  # a row is its own nearest
    return (
        np.concatenate([first, asked[other]]),
        np.concatenate([second, near[other]]),
        np.concatenate([values, similar[other]]),
    )
