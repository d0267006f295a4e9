"""The study of labelled retrieval: do the nearest images have the same label?

Every image with a label that another image has too is a query, or some of them drawn at random;
it is left out of its own neighbours, which are sought among all images with a label, exactly and by
the Annoy index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aina_core import metrics
from aina_core.changes.originals import Original
from aina_core.errors import InputError, StoppedError
from aina_core.index import Index
from aina_core.index.matmul import product
from aina_core.metrics import estimates
from aina_core.progress import Progress, Stop
from aina_core.search.neighbours import without_itself
from aina_core.search.searcher import Searcher
from aina_core.studies.settings import Settings

_BLOCK_ROWS = 256


class Labelled:
    """The images that are searched, and those that query.

    Attributes:
        images: those with a label that all models have, in the order of their ids.
        labels: their labels, ascending.
        codes: int64 (n,), each image's place in `labels`.
        totals: int64 (n,), how many other images have its label.
        queries: int64 (q,), places of those that query.
        alone: how many have a label that no other has, and cannot query.
    """

    def __init__(self, searchers: Sequence[Searcher], settings: Settings) -> None:
        first, *others = searchers
        self.images = []
        everywhere = np.logical_and.reduce(
            [first.shown, *(other.having(first.ids) for other in others)]
        )
        labels = first.annotations.labels.texts(np.arange(len(first.ids)))
        rows = zip(first.ids, first.checksums, labels, everywhere, strict=True)
        for image_id, sha256, label, here in rows:
            if here and label:
                self.images.append(Original(image_id, sha256, label))
        names = [image.label for image in self.images]
        self.labels = sorted(set(names))
        places = {label: place for place, label in enumerate(self.labels)}
        self.codes = np.array([places[name] for name in names], np.int64)
        sizes = np.bincount(self.codes, minlength=len(self.labels))
        self.totals = sizes[self.codes] - 1 if len(names) else np.empty(0, np.int64)
        able = np.flatnonzero(self.totals)
        self.alone = len(names) - len(able)
        if len(able) < 2:
            raise InputError(
                f"The gallery {first.gallery.name} has no two images of one label; give labels by "
                "folders or by a labels file, and index it again."
            )
        if settings.originals is not None and settings.originals < len(able):
            rng = np.random.default_rng(settings.seed)
            able = np.sort(rng.choice(able, settings.originals, replace=False))
        self.queries = able


def study_retrieval(
    settings: Settings, searchers: Sequence[Searcher], *, progress: Progress, stop: Stop
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[Original]]:
    """Compute the study.

    Args:
        settings: what was asked for.
        searchers: the gallery under each model.
        progress: told of every model's search.
        stop: asked between blocks.

    Returns:
        The results as JSON values; the arrays "queries", int32 (q,), "found", int32 (models, q, K),
        places in the list of images, and for each model "confusion_0" and so on, int32 (t, 3), rows
        (label, label of a neighbour, how often); the images.

    Raises:
        InputError: there are no labels.
        StoppedError: it was stopped.
    """
    given = Labelled(searchers, settings)
    totals = given.totals[given.queries]
    results: dict[str, Any] = {
        **{n: {} for n in ("models", "r_precision", "index", "labels", "confusion")},
        "images": len(given.images),
        "queries": len(given.queries),
        "left_out": given.alone,
        "label_names": given.labels,
        "chance": estimates.number(float(np.mean(totals / (len(given.images) - 1)))),
    }
    arrays: dict[str, np.ndarray] = {"queries": given.queries.astype(np.int32)}
    figures: dict[str, dict[str, np.ndarray]] = {}
    founds = []
    for number, searcher in enumerate(searchers):
        rows = searcher.rows([image.id for image in given.images])
        seen = _Seen(searcher, rows, given, max(settings.ks))
        exact = seen.search(searcher.exact, progress, stop)
        annoy = seen.search(searcher.annoy, progress, stop)
        mine = _figures(seen.relevant(exact), totals, settings)
        mine["r_precision"] = seen.r_precision(progress, stop)
        by_index = _figures(seen.relevant(annoy), totals, settings)
        confusion = _confusion(given, exact)
        model = searcher.model
        results["models"][model] = _judged(mine, settings)
        results["r_precision"][model] = estimates.mean(mine["r_precision"], settings.seed)
        results["index"][model] = _index_figures(searcher, mine, by_index, settings)
        results["labels"][model] = _by_label(given, mine, settings)
        results["confusion"][model] = _largest(given, confusion)
        arrays[f"confusion_{number}"] = confusion
        figures[model] = mine
        founds.append(exact)
    results["differences"] = _differences(figures, settings)
    arrays["found"] = np.stack(founds).astype(np.int32)
    return results, arrays, given.images


def _index_figures(
    searcher: Searcher,
    exact: Mapping[str, np.ndarray],
    annoy: Mapping[str, np.ndarray],
    settings: Settings,
) -> dict[str, Any]:
    """Return what the index finds, and what it loses, paired over the queries."""
    loss = {
        str(k): estimates.mean(exact[f"precision@{k}"] - annoy[f"precision@{k}"], settings.seed)
        for k in settings.ks
    }
    return {
        "kind": "annoy",
        "index_recall_at_10": estimates.number(searcher.annoy.recall_at_10),
        "k": _judged(annoy, settings),
        "loss": loss,
    }


class _Seen:
    """The labelled images as one model sees them."""

    def __init__(self, searcher: Searcher, rows: np.ndarray, given: Labelled, most: int) -> None:
        self.given, self.rows, self.model = given, rows, searcher.model
        self.matrix = np.asarray(searcher.matrix)
        self.allowed = np.zeros(len(self.matrix), bool)
        self.allowed[rows] = True
        self.places = np.full(len(self.matrix), -1, np.int64)
        self.places[rows] = np.arange(len(rows))
        self.wanted = min(most, len(rows) - 1)

    def search(self, index: Index, progress: Progress, stop: Stop) -> np.ndarray:
        """Return the nearest images of each query, places int64 (q, K)."""
        queries = self.rows[self.given.queries]
        found = np.empty((len(queries), self.wanted), np.int64)
        phase = f"{'exact' if index.kind == 'exact' else 'Annoy'} search by {self.model}"
        for start in range(0, len(queries), _BLOCK_ROWS):
            _go_on(phase, start, len(queries), progress, stop)
            own = queries[start : start + _BLOCK_ROWS]
            near, _ = index.search(self.matrix[own], self.wanted + 1, allowed=self.allowed)
            found[start : start + _BLOCK_ROWS] = self.places[without_itself(near, own)]
        progress(phase, len(queries), len(queries))
        return found

    def relevant(self, found: np.ndarray) -> np.ndarray:
        """Return whether each hit has the query's label, bool (q, K)."""
        codes = self.given.codes
        return codes[found] == codes[self.given.queries][:, None]

    def r_precision(self, progress: Progress, stop: Stop) -> np.ndarray:
        """Return the share of each query's first R that have its label, float64 (q,)."""
        queries, codes, totals = self.given.queries, self.given.codes, self.given.totals
        vectors = self.matrix[self.rows]
        hits = np.empty(len(queries), np.int64)
        phase = f"R-precision of {self.model}"
        for start in range(0, len(queries), _BLOCK_ROWS):
            _go_on(phase, start, len(queries), progress, stop)
            block = queries[start : start + _BLOCK_ROWS]
            scores = product(vectors[block], vectors)  # (b, n)
            scores[np.arange(len(block)), block] = -np.inf
            for at, (query, row) in enumerate(zip(block, scores, strict=True), start):
                hits[at] = _hits_among_first(row, codes == codes[query], int(totals[query]))
        progress(phase, len(queries), len(queries))
        return metrics.r_precision(hits, totals[queries])


def _hits_among_first(scores: np.ndarray, relevant: np.ndarray, count: int) -> int:
    """How many of the `count` highest scores are relevant; equal ones in the order of the ids."""
    cut = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = scores > cut
    level = np.flatnonzero(scores == cut)[: count - int(above.sum())]
    return int(relevant[above].sum() + relevant[level].sum())


def _go_on(phase: str, done: int, total: int, progress: Progress, stop: Stop) -> None:
    if stop():
        raise StoppedError("Stopped before all queries were searched for; nothing is stored.")
    progress(phase, done, total)


def _figures(relevant: np.ndarray, totals: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    """What is judged, query by query: "precision@5", … → (q,)."""
    found = {}
    for k in settings.ks:
        found[f"precision@{k}"] = metrics.precision(relevant, k)
        found[f"recall@{k}"] = metrics.recall(relevant, totals, k)
        found[f"map@{k}"] = metrics.average_precision(relevant, k)
    return found


def _judged(figures: Mapping[str, np.ndarray], settings: Settings) -> dict[str, Any]:
    return {
        str(k): {
            name: estimates.mean(figures[f"{name}@{k}"], settings.seed)
            for name in ("precision", "recall", "map")
        }
        for k in settings.ks
    }


def _by_label(
    given: Labelled, figures: Mapping[str, np.ndarray], settings: Settings
) -> list[dict[str, Any]]:
    """The figures of each label's queries, at the largest k."""
    k = max(settings.ks)
    codes = given.codes[given.queries]
    found = []
    for place, label in enumerate(given.labels):
        mine = codes == place
        if mine.any():
            named = {
                "precision": figures[f"precision@{k}"],
                "recall": figures[f"recall@{k}"],
                "map": figures[f"map@{k}"],
                "r_precision": figures["r_precision"],
            }
            judged = {n: estimates.mean(v[mine], settings.seed) for n, v in named.items()}
            found.append({"label": label, "k": k, "queries": int(mine.sum()), **judged})
    return found


def _confusion(given: Labelled, found: np.ndarray) -> np.ndarray:
    """How often queries of a label have neighbours of another, int32 (t, 3), by labels."""
    from_, to = given.codes[given.queries], given.codes[found]  # (q,), (q, K)
    codes = from_[:, None] * len(given.labels) + to
    pairs, counts = np.unique(codes, return_counts=True)
    return np.stack([pairs // len(given.labels), pairs % len(given.labels), counts], 1).astype(
        np.int32
    )


_LARGEST = 50


def _largest(given: Labelled, confusion: np.ndarray) -> list[dict[str, Any]]:
    """The labels that are most often taken for others: shares of all a label's neighbours."""
    sums = np.bincount(confusion[:, 0], confusion[:, 2], minlength=len(given.labels))
    others = confusion[confusion[:, 0] != confusion[:, 1]]
    shares = others[:, 2] / sums[others[:, 0]]
    order = np.lexsort((others[:, 1], others[:, 0], -shares))[:_LARGEST]
    return [
        {
            "label": given.labels[others[at, 0]],
            "neighbour": given.labels[others[at, 1]],
            "count": int(others[at, 2]),
            "share": estimates.number(shares[at]),
        }
        for at in order
    ]


def _differences(
    figures: Mapping[str, Mapping[str, np.ndarray]], settings: Settings
) -> list[dict[str, Any]]:
    found = []
    names = [(name, k) for k in settings.ks for name in ("precision", "recall", "map")]
    for name, k in names:
        values = {model: mine[f"{name}@{k}"] for model, mine in figures.items()}
        found += estimates.differences(values, name, settings.seed, k=k)
    values = {model: mine["r_precision"] for model, mine in figures.items()}
    return found + estimates.differences(values, "r_precision", settings.seed)
