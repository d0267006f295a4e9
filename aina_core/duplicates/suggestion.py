"""A threshold to begin with, from the gallery itself, and what to expect of any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from aina_core.changes.modifications import PROFILES
from aina_core.disk import arrays
from aina_core.duplicates.chance import FEWEST, SAMPLE, Chance, Expected, chance
from aina_core.duplicates.copies import ORIGINALS, copy_similarities
from aina_core.duplicates.pairs import identity, results_folder, save_arrays
from aina_core.embedding import Embedder, load_embedder
from aina_core.errors import InputError, ModelError
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Searcher

#: At most so many false pairs for 1,000 images are few, and so is this share of the pairs found.
PER_THOUSAND, SHARE = 1.0, 0.05

#: Moving the threshold shows about so many pairs at most, and none below this similarity.
BROWSED_PAIRS, LEAST_BROWSED = 200_000, 0.3

_FORMAT = 1
_SEED = 0
# A threshold finds at most the one share of copies, and at least the other.
_MOST_FOUND, _LEAST_FOUND = 0.95, 0.5
_WITHOUT_COPIES = 0.9  # the least threshold where no copy could be made


@dataclass(frozen=True, eq=False)
class Suggestion:
    """What was measured of thresholds, in a gallery under a model.

    Attributes:
        threshold: the one to begin with.
        chance: pairs that come together by chance.
        copies: float32 (n, 5), similarities of images to their copies by each of `PROFILES`; n is 0
            where the model or the files are missing.
    """

    threshold: float
    chance: Chance
    copies: np.ndarray

    @property
    def floor(self) -> float:
        """The lowest threshold worth offering to a person who moves it, in [0, 1]."""
        lowest = max(self.chance.floor(BROWSED_PAIRS), LEAST_BROWSED)
        return min(float(np.ceil(lowest * 100) / 100), self.threshold)

    def expected(self, threshold: float) -> Expected:
        """Return the pairs that are expected by chance at a threshold."""
        return self.chance.expected(threshold)

    def found(self, threshold: float) -> float | None:
        """Return the share of true copies that reach a threshold; None where none were made."""
        return float(np.mean(self.copies >= threshold)) if len(self.copies) else None

    def found_by_profile(self, threshold: float) -> dict[str, float]:
        """Return that share for each of the five profiles."""
        if not len(self.copies):
            return {}
        shares = np.mean(self.copies >= threshold, axis=0)
        return dict(zip(PROFILES, map(float, shares), strict=True))

    def describe(self, threshold: float) -> str:
        """Return in words what to expect at a threshold."""
        share = self.found(threshold)
        one = ""
        if share is not None:
            worst = min(self.found_by_profile(threshold).items(), key=lambda item: item[1])
            hardest = f" (of {worst[0]}: {worst[1]:.0%})" if worst[1] < share - 0.005 else ""
            one = (
                f"At {threshold:.3f}, {share:.0%} of true copies are found{hardest}, measured on "
                f"{self.copies.size} copies of {len(self.copies)} images. "
            )
        found = self.expected(threshold)
        how = (
            f"estimated, as fewer than {FEWEST} of {found.sampled:,} pairs compared are that near"
            if found.estimated
            else f"of {found.sampled:,} pairs compared, {found.reaching:,} are that near, about "
            f"{1 - found.share:.0%} of them one picture by matched points"
        )
        return (
            f"{one}Expected by chance: {_amount(found.per_thousand)} false pairs per 1,000 images "
            f"({how})."
        )


def _amount(value: float) -> str:
    if value == 0:
        return "no"
    return "fewer than 0.01" if value < 0.01 else f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def suggest(
    searcher: Searcher,
    *,
    embedder: Callable[[str], Embedder] = load_embedder,
    progress: Progress = silent,
    stop: Stop = never,
) -> Suggestion:
    """Suggest a threshold, and measure what to expect of any: the stored suggestion, or a new one.

    The threshold is the lowest with at most one false pair per 1,000 images, or 5% of the pairs
    found; but it finds at most 95% of the copies, and at least half of them.

    Args:
        searcher: the gallery under a model.
        embedder: loads a model.
        progress: told of several phases.
        stop: when it is true, the answer is what is known so far, and nothing is stored.

    Raises:
        InputError: the gallery has fewer than two images.
        GalleryError: the result cannot be written beside the vectors.
    """
    if searcher.count < 2:
        raise InputError(
            f"The gallery {searcher.gallery.name} has fewer than two images under "
            f"{searcher.model}; a pair needs two."
        )
    known = stored_suggestion(searcher)
    if known is not None:
        return known
    by_chance = chance(searcher, seed=_SEED, progress=progress, stop=stop)
    try:
        copies = copy_similarities(
            searcher, embedder(searcher.model), seed=_SEED, progress=progress, stop=stop
        )
    except ModelError:  # its weights are missing: the gallery can still be searched
        copies = np.empty((0, len(PROFILES)), np.float32)
    made = Suggestion(_threshold(by_chance, copies), by_chance, copies)
    if not stop():
        _keep(searcher, made)
    return made


def _threshold(by_chance: Chance, copies: np.ndarray) -> float:
    lowest = by_chance.threshold(PER_THOUSAND, SHARE)
    if not len(copies):
        return max(lowest, _WITHOUT_COPIES)
    low, high = np.quantile(copies, [1 - _MOST_FOUND, 1 - _LEAST_FOUND])
    # rounded down, so that no fewer copies are found
    return float(np.floor(min(max(lowest, low), high) * 1000) / 1000)


def stored_suggestion(searcher: Searcher) -> Suggestion | None:
    """Return what `suggest` has stored, verified; None if nothing is stored."""
    kept = arrays.load(results_folder(searcher, "suggestion"), _identity(searcher))
    if kept is None:
        return None
    by_chance = Chance(
        kept.arrays["tail"], kept.arrays["false"], kept.record["sampled"], kept.record["images"]
    )
    return Suggestion(kept.record["threshold"], by_chance, kept.arrays["copies"])


def _keep(searcher: Searcher, made: Suggestion) -> None:
    parts = {"tail": made.chance.tail, "false": made.chance.false, "copies": made.copies}
    record = {
        "threshold": made.threshold,
        "sampled": made.chance.sampled,
        "images": made.chance.images,
    }
    place = results_folder(searcher, "suggestion")
    save_arrays("The suggestion", place, _identity(searcher), parts, record)


def _identity(searcher: Searcher) -> dict[str, Any]:
    settings = {"seed": _SEED, "sample": SAMPLE, "originals": ORIGINALS}
    return {"format": _FORMAT, **settings, **identity(searcher)}
