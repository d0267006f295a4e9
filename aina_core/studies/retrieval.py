"""The study of labelled retrieval: do the nearest images have the same label?

Every image that shares its label with another is a query, or some of them drawn at random. It is
left out of its own neighbours, which are searched for among all images with a label, exactly and by
the Annoy index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core import figures, metrics
from aina_core.changes.originals import Original
from aina_core.errors import InputError, StoppedError
from aina_core.index import Index
from aina_core.index.matmul import product
from aina_core.metrics import estimates
from aina_core.progress import Progress, Stop
from aina_core.search.searcher import Searcher
from aina_core.studies import hits
from aina_core.studies.kind import Found, Kind, Row, Run, Section, Settings, Table
from aina_core.studies.shown import agreement_table

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BLOCK_ROWS = 256
_STOPPED = "Stopped before all queries were searched for; nothing is stored."
_MOST_LABELS = 100  # in a report; the CSV has all
_LARGEST = 50  # pairs of labels that are taken for each other


class Labelled:
    """The images that are searched, and the queries.

    Attributes:
        images: those with a label that are indexed by all models, in the order of their ids.
        labels: their labels, ascending.
        codes: int64 (n,), the place of each image's label in `labels`.
        totals: int64 (n,), how many other images share the label.
        queries: int64 (q,), their places in `images`.
        alone: how many share their label with no other image, and are no queries.
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
) -> Found:
    """Compute the study.

    Args:
        settings: of the study.
        searchers: the gallery under each model.
        progress: told of every model's search.
        stop: asked between blocks.

    Returns:
        The arrays are "queries", int32 (q,), and "found", int32 (models, q, K), places in the list
        of images, and for each model "confusion_0" and so on, int32 (t, 3), rows (label, label of a
        neighbour, how often). The images are those with a label.

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
    judged: dict[str, hits.Judged] = {}
    r_precision: dict[str, np.ndarray] = {}
    founds = []
    for number, searcher in enumerate(searchers):
        model = searcher.model
        rows = searcher.rows([image.id for image in given.images])
        seen = _Seen(searcher, rows, given, max(settings.ks))
        exact = seen.search(searcher.exact, progress, stop)
        annoy = seen.search(searcher.annoy, progress, stop)
        judged[model] = _judge(seen.relevant(exact), totals, settings.ks)
        r_precision[model] = seen.r_precision(progress, stop)
        by_index = _judge(seen.relevant(annoy), totals, settings.ks)
        confusion = _confusion(given, exact)
        results["models"][model] = hits.means(judged[model], settings.seed)
        results["r_precision"][model] = estimates.mean(r_precision[model], settings.seed)
        results["index"][model] = hits.index_figures(
            searcher.annoy.recall_at_10, judged[model], by_index, settings.seed
        )
        figures_of_queries = {**judged[model][max(settings.ks)], "r_precision": r_precision[model]}
        results["labels"][model] = _by_label(given, figures_of_queries, settings)
        results["confusion"][model] = _largest(given, confusion)
        arrays[f"confusion_{number}"] = confusion
        founds.append(exact)
    results["differences"] = [
        *hits.differences(judged, ("precision", "recall", "map"), settings.seed),
        *estimates.differences(r_precision, "r_precision", settings.seed),
    ]
    arrays["found"] = np.stack(founds).astype(np.int32)
    return Found(results, arrays, given.images)


class _Seen:
    """The labelled images in one model's vectors."""

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
        near = hits.nearest(
            index,
            self.matrix,
            self.rows[self.given.queries],
            self.wanted,
            self.model,
            allowed=self.allowed,
            stopped=_STOPPED,
            progress=progress,
            stop=stop,
        )
        return self.places[near]

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
            if stop():
                raise StoppedError(_STOPPED)
            progress(phase, start, len(queries))
            block = queries[start : start + _BLOCK_ROWS]
            scores = product(vectors[block], vectors)  # (b, n)
            scores[np.arange(len(block)), block] = -np.inf
            for at, (query, row) in enumerate(zip(block, scores, strict=True), start):
                hits[at] = _hits_among_first(row, codes == codes[query], int(totals[query]))
        progress(phase, len(queries), len(queries))
        return metrics.r_precision(hits, totals[queries])


def _hits_among_first(scores: np.ndarray, relevant: np.ndarray, count: int) -> int:
    """How many of the `count` highest scores are relevant; ties in the order of the ids."""
    cut = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = scores > cut
    level = np.flatnonzero(scores == cut)[: count - int(above.sum())]
    return int(relevant[above].sum() + relevant[level].sum())


def _judge(relevant: np.ndarray, totals: np.ndarray, ks: tuple[int, ...]) -> hits.Judged:
    return {
        k: {
            "precision": metrics.precision(relevant, k),
            "recall": metrics.recall(relevant, totals, k),
            "map": metrics.average_precision(relevant, k),
        }
        for k in ks
    }


def _by_label(
    given: Labelled, judged: Mapping[str, np.ndarray], settings: Settings
) -> list[dict[str, Any]]:
    """The figures of each label's queries, at the largest k."""
    codes = given.codes[given.queries]
    found = []
    for place, label in enumerate(given.labels):
        mine = codes == place
        if mine.any():
            means = {n: estimates.mean(v[mine], settings.seed) for n, v in judged.items()}
            count = int(mine.sum())
            found.append({"label": label, "k": max(settings.ks), "queries": count, **means})
    return found


def _confusion(given: Labelled, found: np.ndarray) -> np.ndarray:
    """How often queries of a label have neighbours of a label: int32 (t, 3), by labels."""
    from_, to = given.codes[given.queries], given.codes[found]  # (q,), (q, K)
    codes = from_[:, None] * len(given.labels) + to
    pairs, counts = np.unique(codes, return_counts=True)
    return np.stack([pairs // len(given.labels), pairs % len(given.labels), counts], 1).astype(
        np.int32
    )


def _largest(given: Labelled, confusion: np.ndarray) -> list[dict[str, Any]]:
    """The most frequent confusions of two labels, as shares of all neighbours of the first."""
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


# ── how it is shown ──────────────────────────────────────────────────────────────────────────────


def label_table(run: Run, model: str) -> Table:
    """Return the figures of each label under a model, the worst first."""
    found = sorted(run.results["labels"][model], key=lambda one: one["precision"]["mean"])
    k = max(run.settings.ks)
    header = ["label", "queries", f"precision@{k}", f"recall@{k}", f"MAP@{k}", "R-precision"]
    return header, [
        [
            one["label"] or "no label",
            f"{one['queries']:,}",
            *(hits.with_std(one[name]) for name in ("precision", "recall", "map", "r_precision")),
        ]
        for one in found
    ]


def confusion(run: Run, model: str, most: int = 30) -> tuple[np.ndarray, list[int]]:
    """Return which labels the neighbours of each label's queries have, as shares.

    Args:
        run: a study of retrieval.
        model: one of its models.
        most: of more labels, those that are most often taken for others.

    Returns:
        float64 (l, l), rows sum to at most 1; the places of the l labels in "label_names".
    """
    count = len(run.results["label_names"])
    triples = run.arrays[f"confusion_{run.settings.models.index(model)}"]
    sums = np.bincount(triples[:, 0], triples[:, 2], minlength=count)
    others = triples[triples[:, 0] != triples[:, 1]]
    missed = np.bincount(others[:, 0], others[:, 2], minlength=count)
    missed += np.bincount(others[:, 1], others[:, 2], minlength=count)
    order = np.lexsort((np.arange(count), -missed))[:most]
    kept = sorted(order.tolist())
    place = {label: at for at, label in enumerate(kept)}
    shares = np.zeros((len(kept), len(kept)))
    for label, neighbour, times in triples.tolist():
        if label in place and neighbour in place:
            shares[place[label], place[neighbour]] = times / sums[label]
    return shares, kept


def confusion_figure(run: Run, model: str) -> tuple[go.Figure, Sequence[int]]:
    """Draw `confusion` as heat, and return with it the places of its labels."""
    shares, kept = confusion(run, model)
    names = [run.results["label_names"][at] or "no label" for at in kept]
    return (
        figures.heat_table(shares, names, names, low=0.0, high=1.0),
        kept,
    )


def _rows(model: str, results: Mapping[str, Any]) -> Iterator[Row]:
    yield from hits.rows(model, results)
    yield from hits.mean_rows(model, "all", 0, "r_precision", results["r_precision"][model])
    for label in results["labels"][model]:
        for name in ("precision", "recall", "map"):
            yield from hits.mean_rows(model, label["label"], label["k"], name, label[name])
        yield from hits.mean_rows(model, label["label"], 0, "r_precision", label["r_precision"])


def _sections(run: Run) -> Iterator[Section]:
    if len(run.settings.ks) > 1:
        yield Section("At every k", hits.curves(run), "curves")
    for number, model in enumerate(run.settings.models):
        header, lines = label_table(run, model)
        more = len(lines) - _MOST_LABELS
        yield Section(
            f"Labels under {model}, the worst first",
            table=(header, lines[:_MOST_LABELS]),
            note=f"{more:,} more labels stand in the CSV." if more > 0 else "",
        )
        figure, _ = confusion_figure(run, model)
        yield Section("Which label the neighbours have", figure, f"confusion-{number}")
    header, lines = agreement_table(run)
    if lines:
        yield Section("Do the models see the same?", table=(header, lines))


def _verdict(results: Mapping[str, Any]) -> str:
    return hits.verdict(results, "finds most of the same label", "finds the same label")


KIND = Kind(
    name="retrieval",
    title="Labelled retrieval",
    question="Do the nearest images have the same label?",
    about="Look whether the nearest images have the same label.",
    table=hits.table,
    rows=_rows,
    sections=_sections,
    verdict=_verdict,
    of_gallery=study_retrieval,
    ks=(5,),
)
