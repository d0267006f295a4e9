"""Do models see the same? How many nearest neighbours of an image they share, over a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from aina_core.errors import InputError
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search import neighbours
from aina_core.search.searcher import Searcher
from aina_core.similarity.overlap import overlaps, shared_by_all

#: The most models that can be compared.
MOST_MODELS = 4
#: The most neighbours of an image that can be compared.
MOST_NEIGHBOURS = 100


@dataclass(frozen=True, eq=False)
class PairAgreement:
    """How two models agree on all images.

    Attributes:
        models: their full names.
        counts: int64 (k + 1,), how many images share 0 … k neighbours.
        shared: int64 (n,), how many neighbours of each image they share.
        overlap: float64 (n,) in [0, 1], rank-biased overlap; see `overlap.overlaps`.
    """

    models: tuple[str, str]
    counts: np.ndarray
    shared: np.ndarray
    overlap: np.ndarray

    @property
    def mean_overlap(self) -> float:
        """Mean rank-biased overlap over the images, in [0, 1]."""
        return float(self.overlap.mean())

    def most_different(self, count: int) -> np.ndarray:
        """Return the images on which the models differ most, as positions, int64 (≤ count,).

        Those with the fewest shared neighbours first, then by the lowest overlap, then by id.
        """
        return np.lexsort((self.overlap, self.shared))[:count]


@dataclass(frozen=True, eq=False)
class Agreement:
    """How models agree on the images that all of them have.

    Attributes:
        models: their full names.
        k: how many nearest of each image are compared.
        ids: the images, in the order of the gallery.
        counts: int64 (k + 1,), how many images share 0 … k neighbours under all models.
        pairs: every pair of models, in their order.
        index_recall: by model, index recall@10 of the index that found the neighbours; 1.0 where
            the search was exact.
    """

    models: tuple[str, ...]
    k: int
    ids: Sequence[str]
    counts: np.ndarray
    pairs: list[PairAgreement]
    index_recall: dict[str, float]


def agreement(
    searchers: Sequence[Searcher], k: int, *, progress: Progress = silent, stop: Stop = never
) -> Agreement:
    """Count how many of the k nearest neighbours of every image are shared by models.

    An image is left out of its own neighbours by its id. The search is exact up to 50,000 images;
    above, the Annoy index proposes, with the index recall that the result states.

    Args:
        searchers: one gallery, opened under two to four different models.
        k: how many nearest, from 1 to 100 and less than there are images.
        progress: told of a phase for each model.
        stop: asked now and then.

    Raises:
        InputError: not two to four different models, different galleries, or an impossible k.
        GalleryError: the neighbours in a large gallery, which are kept, cannot be written.
        StoppedError: it was stopped.
    """
    ids = _checked(searchers, k)
    found = [neighbours.nearest(s, ids, k, progress=progress, stop=stop) for s in searchers]
    return _compare(searchers, k, ids, found)


def stored_agreement(searchers: Sequence[Searcher], k: int) -> Agreement | None:
    """Return the agreement where that is quick: for few images, or from stored neighbours.

    Raises:
        InputError: as `agreement`.
    """
    ids = _checked(searchers, k)
    if len(ids) <= neighbours.MOST_QUICK:
        return agreement(searchers, k)
    kept = (neighbours.stored(searcher, ids, k) for searcher in searchers)
    found = [one for one in kept if one is not None]
    return _compare(searchers, k, ids, found) if len(found) == len(searchers) else None


def check_models(models: Sequence[str]) -> None:
    """Raise an `InputError` unless models can be compared: two to four different ones."""
    twice = sorted({model for model in models if models.count(model) > 1})
    if twice:
        raise InputError(f"{twice[0]} is named twice; name different models to compare.")
    if not 2 <= len(models) <= MOST_MODELS:
        raise InputError(
            f"{len(models)} models were given; give 2 to {MOST_MODELS} that are to be compared."
        )


def _checked(searchers: Sequence[Searcher], k: int) -> Sequence[str]:
    """Return the ids of the images that all have, when they can be compared."""
    check_models([searcher.model for searcher in searchers])
    if len({searcher.gallery.folder for searcher in searchers}) > 1:
        raise InputError("Models are compared over one gallery; two were given.")
    first, *others = searchers
    ids = _shared(first, others)
    if not 1 <= k <= MOST_NEIGHBOURS:
        raise InputError(f"k is {k}; give a number of neighbours from 1 to {MOST_NEIGHBOURS}.")
    if k >= len(ids):
        raise InputError(
            f"k is {k}, but only {len(ids)} images of the gallery {first.gallery.name} are indexed "
            "by all of these models, the image itself included; give a smaller k, or index it."
        )
    return ids


def _shared(first: Searcher, others: Sequence[Searcher]) -> Sequence[str]:
    """The ids of the images that all have, ascending."""
    if all(first.same_images(other) for other in others):
        shown = np.logical_and.reduce([first.shown, *(other.shown for other in others)])
        if shown.all():
            return first.ids
        return [image_id for image_id, here in zip(first.ids, shown, strict=True) if here]
    ids = list(first.found_ids)
    everywhere = np.ones(len(ids), bool)
    for other in others:
        everywhere &= other.having(ids)
    return [image_id for image_id, here in zip(ids, everywhere, strict=True) if here]


def _compare(
    searchers: Sequence[Searcher], k: int, ids: Sequence[str], found: Sequence[neighbours.Nearest]
) -> Agreement:
    lists = {s.model: one.neighbours for s, one in zip(searchers, found, strict=True)}
    pairs = [_pair(first, second, lists, k) for first, second in combinations(lists, 2)]
    if len(lists) == 2:
        counts = pairs[0].counts
    else:
        counts = np.bincount(shared_by_all(np.stack([*lists.values()])), minlength=k + 1)
    recalls = dict(zip(lists, (one.index_recall for one in found), strict=True))
    return Agreement(tuple(lists), k, ids, counts, pairs, recalls)


def _pair(first: str, second: str, lists: dict[str, np.ndarray], k: int) -> PairAgreement:
    shared, overlap = overlaps(lists[first], lists[second])
    return PairAgreement((first, second), np.bincount(shared, minlength=k + 1), shared, overlap)
