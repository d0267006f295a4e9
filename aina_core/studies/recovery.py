"""The study of recovery: are the changed versions of an image found again among all others?

The gallery that is searched is made of the originals and all their versions; each original queries
it with itself left out, and its own versions are what is relevant. It is searched exactly and by
the Annoy index, so that the loss by the index shows.

Source: the study of visually similar artworks, with its five perturbation profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from aina_core import metrics
from aina_core.changes.originals import Original
from aina_core.changes.versions import Versions, shared_originals
from aina_core.disk import paths
from aina_core.errors import StoppedError
from aina_core.index import Index, open_index
from aina_core.metrics import estimates
from aina_core.progress import Progress, Stop
from aina_core.search.nearest import without_itself
from aina_core.studies.settings import Settings

_BLOCK_ROWS = 512
_FIGURES = ("precision", "recall", "f1")


def study_recovery(
    settings: Settings,
    versions: Mapping[str, Versions],
    folder: Path,
    *,
    progress: Progress,
    stop: Stop,
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[Original]]:
    """Compute the study.

    Args:
        settings: what was asked for.
        versions: by model, the embeddings.
        folder: for indexes, which are of no use afterwards.
        progress: told of every model's search.
        stop: asked between blocks.

    Returns:
        The results as JSON values; the arrays "found", int32 (models, n, K), the images that each
        original's exact search found as n · (1 + c) places, original by original, itself first and
        then its versions; and "recovered", bool (models, n, c), whether a version was among the
        first c; the originals.

    Raises:
        StoppedError: it was stopped.
    """
    originals, chosen = shared_originals(versions)
    changes = len(settings.changes)
    results: dict[str, Any] = {"models": {}, "index": {}, "by_change": {}, "by_count": {}}
    hits: dict[str, np.ndarray] = {}
    founds, recovereds = [], []
    for model, each in versions.items():
        rows = each.rows[chosen[model]]  # (n, 1 + c)
        matrix = _in_order(each.matrix, rows.ravel())  # (n · (1 + c), dim)
        place = folder / quote(model, safe="@")
        found = {}
        for kind in ("exact", "annoy"):
            index = _index(kind, matrix, place)
            found[kind] = _search(index, matrix, rows.shape, settings, model, progress, stop)
        relevant = {kind: _relevant(near, changes) for kind, near in found.items()}
        recovered = _recovered(found["exact"], changes)
        summary = _summary(settings, relevant, recovered, index.recall_at_10)
        for name, part in summary.items():
            results[name][model] = part
        hits[model] = relevant["exact"]
        founds.append(found["exact"])
        recovereds.append(recovered)
    results["ideal"] = _ideal(changes, settings)
    results["chance"] = estimates.number(changes / (len(originals) * (1 + changes) - 1))
    results["differences"] = [
        one
        for k in settings.ks
        for one in estimates.differences(
            {model: metrics.precision(each, k) for model, each in hits.items()},
            "precision",
            settings.seed,
            k=k,
        )
    ]
    arrays = {"found": np.stack(founds).astype(np.int32), "recovered": np.stack(recovereds)}
    return results, arrays, originals


def _summary(
    settings: Settings,
    relevant: Mapping[str, np.ndarray],
    recovered: np.ndarray,
    index_recall: float,
) -> dict[str, Any]:
    """Return what the results say of one model, by their parts.

    Args:
        settings: what was asked for.
        relevant: bool (n, K), by the kind of search.
        recovered: bool (n, c).
        index_recall: index recall@10 of the index.
    """
    changes = len(settings.changes)
    totals = np.full(len(recovered), changes)
    return {
        "models": judge(relevant["exact"], totals, settings),
        "index": {
            "kind": "annoy",
            "index_recall_at_10": estimates.number(index_recall),
            "k": judge(relevant["annoy"], totals, settings),
            "loss": _loss(relevant, settings),
        },
        "by_change": {
            change: estimates.mean(recovered[:, place], settings.seed)
            for place, change in enumerate(settings.changes)
        },
        "by_count": np.bincount(recovered.sum(axis=1), minlength=changes + 1).tolist(),
    }


def judge(relevant: np.ndarray, totals: np.ndarray, settings: Settings) -> dict[str, Any]:
    """Return precision, recall and F1 at every k, as JSON values by k.

    Args:
        relevant: bool (q, K), as `metrics.ranking` has it.
        totals: int (q,).
        settings: with the ks and the seed.
    """
    found = {}
    for k in settings.ks:
        values = (
            metrics.precision(relevant, k),
            metrics.recall(relevant, totals, k),
            metrics.f1(relevant, totals, k),
        )
        found[str(k)] = {
            name: estimates.mean(each, settings.seed)
            for name, each in zip(_FIGURES, values, strict=True)
        }
    return found


def _in_order(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a memory map, copied only where they do not stand in their order already."""
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


def _search(
    index: Index,
    matrix: np.ndarray,
    shape: tuple[int, ...],
    settings: Settings,
    model: str,
    progress: Progress,
    stop: Stop,
) -> np.ndarray:
    """Let each original query the gallery, itself left out: int64 (n, K) rows."""
    count, each = shape
    wanted = min(max(*settings.ks, len(settings.changes)), count * each - 1)
    own = np.arange(count) * each
    found = np.empty((count, wanted), np.int64)
    phase = f"{'exact' if index.kind == 'exact' else 'Annoy'} search by {model}"
    for start in range(0, count, _BLOCK_ROWS):
        if stop():
            raise StoppedError(
                "Stopped before all originals were searched for; what is embedded is kept, and "
                "the same command goes on from there."
            )
        progress(phase, start, count)
        part = own[start : start + _BLOCK_ROWS]
        near, _ = index.search(matrix[part], wanted + 1)
        found[start : start + _BLOCK_ROWS] = without_itself(near, part)
    progress(phase, count, count)
    return found


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


def _loss(relevant: Mapping[str, np.ndarray], settings: Settings) -> dict[str, Any]:
    """How much precision is lost by the index, by k, paired over the queries."""
    found = {}
    for k in settings.ks:
        exact, annoy = (metrics.precision(relevant[kind], k) for kind in ("exact", "annoy"))
        found[str(k)] = estimates.mean(exact - annoy, settings.seed)
    return found


def _ideal(changes: int, settings: Settings) -> dict[str, dict[str, float]]:
    """What precision, recall and F1 would be if every first hit were relevant, by k."""
    found = {}
    for k in settings.ks:
        hits = int(metrics.ideal_hits(np.array(changes), k))
        values = (hits / k, hits / changes, 2 * hits / (k + changes))
        found[str(k)] = dict(zip(_FIGURES, map(estimates.number, values), strict=True))
    return found
