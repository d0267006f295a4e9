"""The study of recovery: are the changed versions of an image found again among all others?

The originals and all their versions are searched; each original is a query, left out of its own
neighbours, and its versions are relevant. The search is exact, and by the Annoy index, so that the
loss by the index shows.

Source: the study of visually similar artworks, with its five perturbation profiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from aina_core import figures, metrics
from aina_core.changes.versions import Versions, shared_originals
from aina_core.disk import paths
from aina_core.index import Index, open_index
from aina_core.metrics import estimates
from aina_core.progress import Progress, Stop
from aina_core.studies import hits
from aina_core.studies.kind import Found, Kind, Row, Run, Section, Settings

if TYPE_CHECKING:
    import plotly.graph_objects as go

_FIGURES = ("precision", "recall", "f1")
_STOPPED = (
    "Stopped before all originals were searched for; what is embedded is kept, and the same "
    "command goes on from there."
)


def study_recovery(
    settings: Settings,
    versions: Mapping[str, Versions],
    folder: Path,
    *,
    progress: Progress,
    stop: Stop,
) -> Found:
    """Compute the study.

    Args:
        settings: of the study.
        versions: by model, the embeddings.
        folder: for indexes, which are of no use afterwards.
        progress: told of every model's search.
        stop: asked between blocks.

    Returns:
        The arrays are "found", int32 (models, n, K), the images that each original's exact search
        found as places in n · (1 + c), original by original, itself first and then its versions;
        and "recovered", bool (models, n, c), whether a version was among the first c. The images
        are the originals.

    Raises:
        StoppedError: it was stopped.
    """
    originals, chosen = shared_originals(versions)
    changes = len(settings.changes)
    results: dict[str, Any] = {"models": {}, "index": {}, "by_change": {}, "by_count": {}}
    exact: dict[str, hits.Judged] = {}
    founds, recovereds = [], []
    for model, each in versions.items():
        rows = each.rows[chosen[model]]  # (n, 1 + c)
        matrix = _in_order(each.matrix, rows.ravel())  # (n · (1 + c), dim)
        queries = np.arange(len(rows)) * (1 + changes)
        wanted = min(max(*settings.ks, changes), rows.size - 1)
        found, judged = {}, {}
        for kind in ("exact", "annoy"):
            index = _index(kind, matrix, folder / quote(model, safe="@"))
            found[kind] = hits.nearest(
                index,
                matrix,
                queries,
                wanted,
                model,
                stopped=_STOPPED,
                progress=progress,
                stop=stop,
            )
            judged[kind] = _judge(found[kind], changes, settings.ks)
        recovered = _recovered(found["exact"], changes)
        results["models"][model] = hits.means(judged["exact"], settings.seed)
        results["index"][model] = hits.index_figures(
            index.recall_at_10, judged["exact"], judged["annoy"], settings.seed
        )
        results["by_change"][model] = {
            change: estimates.mean(recovered[:, place], settings.seed)
            for place, change in enumerate(settings.changes)
        }
        counts = np.bincount(recovered.sum(axis=1), minlength=changes + 1)
        results["by_count"][model] = counts.tolist()
        exact[model] = judged["exact"]
        founds.append(found["exact"])
        recovereds.append(recovered)
    results["ideal"] = _ideal(changes, settings)
    results["chance"] = estimates.number(changes / (len(originals) * (1 + changes) - 1))
    results["differences"] = hits.differences(exact, ("precision",), settings.seed)
    arrays = {"found": np.stack(founds).astype(np.int32), "recovered": np.stack(recovereds)}
    return Found(results, arrays, originals)


def _judge(found: np.ndarray, changes: int, ks: tuple[int, ...]) -> hits.Judged:
    relevant, totals = _relevant(found, changes), np.full(len(found), changes)
    return {
        k: {
            "precision": metrics.precision(relevant, k),
            "recall": metrics.recall(relevant, totals, k),
            "f1": metrics.f1(relevant, totals, k),
        }
        for k in ks
    }


def _in_order(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a memory map; copied only where they are not in that order already."""
    if np.array_equal(rows, np.arange(len(rows))):
        return matrix[: len(rows)]
    return np.array(matrix[rows])


def _index(kind: str, matrix: np.ndarray, folder: Path) -> Index:
    folder.mkdir(parents=True, exist_ok=True)
    checksum = ""
    if kind != "exact":
        path = folder / "vectors.npy"
        with paths.replacing(path) as file:
            np.save(file, matrix, allow_pickle=False)
        checksum = paths.file_checksum(path)
    return open_index(kind, matrix, folder / "index", checksum=checksum)


def _relevant(found: np.ndarray, changes: int) -> np.ndarray:
    """Whether each hit is a version of the original that queried, bool (n, K)."""
    return found // (1 + changes) == np.arange(len(found))[:, None]


def _recovered(found: np.ndarray, changes: int) -> np.ndarray:
    """Whether each version is among the first c hits of its original, bool (n, c)."""
    first = found[:, :changes]
    recovered = np.zeros((len(found), changes), bool)
    query, rank = np.nonzero(_relevant(first, changes))
    recovered[query, first[query, rank] % (1 + changes) - 1] = True
    return recovered


def _ideal(changes: int, settings: Settings) -> dict[str, dict[str, float]]:
    """What precision, recall and F1 would be if the first hits were all relevant, by k."""
    found = {}
    for k in settings.ks:
        most = int(metrics.ideal_hits(np.array(changes), k))
        values = (most / k, most / changes, 2 * most / (k + changes))
        found[str(k)] = dict(zip(_FIGURES, map(estimates.number, values), strict=True))
    return found


# ── how it is shown ──────────────────────────────────────────────────────────────────────────────


def recovered_bars(run: Run) -> go.Figure:
    """Draw for every change the share of its versions that were found again."""
    by_change = run.results["by_change"]
    found = {model: [one[c] for c in run.settings.changes] for model, one in by_change.items()}
    count = len(run.settings.changes)
    return figures.share_bars(
        found, run.settings.changes, f"among the {count} nearest" if count > 1 else "nearest"
    )


def _rows(model: str, results: Mapping[str, Any]) -> Iterator[Row]:
    yield from hits.rows(model, results)
    for change, one in results["by_change"][model].items():
        yield from hits.mean_rows(model, change, 0, "recovered", one)


def _sections(run: Run) -> Iterator[Section]:
    yield Section("At every k", hits.curves(run), "curves")
    yield Section("Which versions are found again", recovered_bars(run), "recovered")
    count = len(run.settings.changes)
    header = ["model", *(f"{n} of {count}" for n in range(count, -1, -1))]
    lines = [[m, *(f"{n:,}" for n in ns[::-1])] for m, ns in run.results["by_count"].items()]
    yield Section("Image by image: how many versions were found again", table=(header, lines))


def _verdict(results: Mapping[str, Any]) -> str:
    return hits.verdict(results, "finds most versions again", "finds versions again")


KIND = Kind(
    name="recovery",
    title="Recovery",
    question="Are the changed versions of an image found again among all others?",
    about="Search for the changed versions of every image among all others.",
    table=hits.table,
    rows=_rows,
    sections=_sections,
    verdict=_verdict,
    of_versions=study_recovery,
    changes="profiles",
    ks=(1, 3, 5),
)
