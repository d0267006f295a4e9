"""What studies that judge lists of neighbours share: every figure at every k, exact and indexed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aina_core import figures
from aina_core.errors import StoppedError
from aina_core.index import Index
from aina_core.metrics import estimates
from aina_core.numbers import decimal_text
from aina_core.progress import Progress, Stop
from aina_core.search.neighbours import without_itself
from aina_core.studies.kind import Row, Run, Table
from aina_core.studies.shown import TITLES, lead_text, mean_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BLOCK_ROWS = 256

#: Figures by k and by name, float64 (q,): one number a query.
Judged = Mapping[int, Mapping[str, np.ndarray]]


def nearest(
    index: Index,
    matrix: np.ndarray,
    queries: np.ndarray,
    wanted: int,
    model: str,
    *,
    allowed: np.ndarray | None = None,
    stopped: str,
    progress: Progress,
    stop: Stop,
) -> np.ndarray:
    """Let images query the matrix that they stand in, each left out of its own neighbours.

    Args:
        index: over the matrix.
        matrix: float32 (n, dim), unit rows.
        queries: int64 (q,), rows.
        wanted: how many neighbours, K; there must be that many.
        model: name of the model, for the progress.
        allowed: bool (n,), which rows may be found; None for all.
        stopped: what to say when it is stopped.
        progress: told of each block of queries.
        stop: asked between blocks.

    Returns:
        int64 (q, K), rows, the nearest first.

    Raises:
        StoppedError: it was stopped.
    """
    found = np.empty((len(queries), wanted), np.int64)
    phase = f"{'exact' if index.kind == 'exact' else 'Annoy'} search by {model}"
    for start in range(0, len(queries), _BLOCK_ROWS):
        if stop():
            raise StoppedError(stopped)
        progress(phase, start, len(queries))
        own = queries[start : start + _BLOCK_ROWS]
        near, _ = index.search(matrix[own], wanted + 1, allowed=allowed)
        found[start : start + _BLOCK_ROWS] = without_itself(near, own)
    progress(phase, len(queries), len(queries))
    return found


def means(judged: Judged, seed: int) -> dict[str, Any]:
    """Return the mean of every figure with its interval, as JSON values by k and by name."""
    return {
        str(k): {name: estimates.mean(values, seed) for name, values in by_name.items()}
        for k, by_name in judged.items()
    }


def index_figures(recall: float, exact: Judged, annoy: Judged, seed: int) -> dict[str, Any]:
    """Return what the index finds, and how much precision it loses, paired over the queries.

    Args:
        recall: index recall@10.
        exact: figures of exact search.
        annoy: figures of search through the index.
        seed: of the bootstrap.
    """
    return {
        "kind": "annoy",
        "index_recall_at_10": estimates.number(recall),
        "k": means(annoy, seed),
        "loss": {
            str(k): estimates.mean(exact[k]["precision"] - annoy[k]["precision"], seed)
            for k in exact
        },
    }


def differences(
    models: Mapping[str, Judged], names: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Compare every two models by the named figures, at every k."""
    ks = next(iter(models.values()))
    return [
        one
        for k in ks
        for name in names
        for one in estimates.differences(
            {model: judged[k][name] for model, judged in models.items()}, name, seed, k=k
        )
    ]


def _names(run: Run) -> list[str]:
    """The figures that the study judged by, in their order."""
    return list(run.results["models"][run.settings.models[0]][str(run.settings.ks[0])])


def curves(run: Run) -> go.Figure:
    """Draw every figure at every k, with intervals."""
    titles = [f"{TITLES.get(name, name)}@k" for name in _names(run)]
    ideal = run.results.get("ideal")
    return figures.hit_curves(run.results["models"], _names(run), titles, ideal=ideal)


def table(run: Run) -> Table:
    """Return the figures of the models."""
    last = max(run.settings.ks)
    header = ["model"]
    header += [f"{TITLES.get(name, name)}@{k}" for k in run.settings.ks for name in _names(run)]
    if "r_precision" in run.results:
        header.append("R-precision")
    lines = []
    for model, found in run.results["models"].items():
        parts = [part for by_name in found.values() for part in by_name.values()]
        if "r_precision" in run.results:
            parts.append(run.results["r_precision"][model])
        parts.append(run.results["index"][model]["loss"][str(last)])
        lines.append([model, *map(with_std, parts)])
    return [*header, f"precision@{last} lost by the index"], lines


def with_std(one: Mapping[str, float]) -> str:
    """A mean over queries, its interval and the standard deviation of the queries."""
    return f"{mean_text(one)} ± {decimal_text(one['std'])}"


def rows(model: str, results: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the figures of a model at every k, and those of its index."""
    index = results["index"][model]
    for what, judged in (("all", results["models"][model]), ("index", index["k"])):
        for k, by_name in judged.items():
            for name, one in by_name.items():
                yield from mean_rows(model, what, int(k), name, one)
    for k, one in index["loss"].items():
        yield from mean_rows(model, "index", int(k), "precision lost", one)
    yield Row(model, "index", 10, "index recall", index["index_recall_at_10"])


def mean_rows(model: str, what: str, k: int, name: str, one: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a mean over queries, and the standard deviation of the queries."""
    yield Row(model, what, k, name, one["mean"], one["low"], one["high"], one["n"])
    low, high = one["std_interval"]
    yield Row(model, what, k, f"std of {name}", one["std"], low, high, one["n"])


def verdict(results: Mapping[str, Any], most: str, alone: str) -> str:
    """Return the verdict by precision at the largest k.

    Args:
        results: of the study.
        most: what the best of several models does.
        alone: what a single model does.
    """
    models = results["models"]
    k = max(next(iter(models.values())), key=int)
    order = sorted(models, key=lambda model: (-models[model][k]["precision"]["mean"], model))
    text = (
        f"{order[0]} {most if len(order) > 1 else alone}: precision@{k} "
        f"{mean_text(models[order[0]][k]['precision'])}, "
        f"by chance it would be {decimal_text(results['chance'])}"
    )
    if len(order) > 1:
        text += f". {lead_text(results, order[0], order[1], 'precision', int(k))}"
    return text if text.endswith(".") else f"{text}."
