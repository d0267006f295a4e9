"""From a folder to a searchable gallery, in one call."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from aina_core import images
from aina_core.embedding import Embedder, load_embedder
from aina_core.errors import GalleryBusyError, ImageError
from aina_core.gallery import Gallery, LabelsFile, UpdateReport, Vectors, create, reduce, update
from aina_core.index import open_index
from aina_core.models import FAST, ModelName
from aina_core.progress import Progress, Stop, never, silent

_AGREEMENT_SAMPLE = 64


def index(
    name: str,
    folder: Path | None,
    model: str,
    *,
    labels: Path | None = None,
    mode: str | None = None,
    device: str | None = None,
    runtime: str | None = None,
    progress: Progress = silent,
    stop: Stop = never,
) -> UpdateReport:
    """Bring a gallery's vectors under a model up to date, and build their index.

    For a reduced variant, the vectors that it is reduced from are brought up to date as well.

    Args:
        name: of the gallery; made when there is none.
        folder: of its images; None for a gallery that stores its images itself.
        model: a registered name, with or without variants.
        labels: a labels file (see `gallery.LabelsFile`).
        mode: "exact" or "fast"; by default what the model's name says.
        device: see `load_embedder`.
        runtime: see `load_embedder`.
        progress: told of every phase.
        stop: once it returns True, what is done so far is committed.

    Raises:
        AinaError: see `gallery.create`, `load_embedder`, `gallery.update`, `gallery.reduce`.
    """
    chosen = ModelName.parse(model, mode)
    annotations = None if labels is None else LabelsFile(labels)
    gallery = create(name, folder)
    progress("loading the model", 0, 0)
    embedder = load_embedder(str(chosen), device=device, runtime=runtime)
    report = update(gallery, embedder, labels=annotations, progress=progress, stop=stop)
    vectors = _build_index(gallery, embedder.model, progress)
    if embedder.mode == FAST and not stop() and "agreement" not in vectors.manifest:
        progress("comparing with exact mode", 0, 0)
        exact = load_embedder(str(chosen.exact), device=device, runtime=runtime)
        measured = agreement(gallery, embedder.model, exact)
        store = gallery.store(embedder.model)
        with contextlib.suppress(GalleryBusyError), gallery.lock():
            if store.open().checksum == vectors.checksum:  # unchanged in the meantime
                store.add_record(agreement=measured)
    if chosen.components:
        report = reduce(gallery, chosen, report, progress=progress)
        _build_index(gallery, str(chosen), progress)
    return report


def _build_index(gallery: Gallery, model: str, progress: Progress) -> Vectors:
    """Build the index of a model's vectors unless it exists; return the vectors."""
    store = gallery.store(model)
    vectors = store.open()
    progress("building the index", 0, 0)
    open_index("annoy", vectors.matrix, store.index_folder, checksum=vectors.checksum)
    return vectors


def agreement(
    gallery: Gallery, model: str, exact: Embedder, *, sample: int = _AGREEMENT_SAMPLE, seed: int = 0
) -> dict[str, Any]:
    """Measure what fast mode costs in accuracy, on the same images in both modes.

    Args:
        gallery: with vectors of `model`.
        model: the fast variant.
        exact: the same model in exact mode.
        sample: how many images to compare.
        seed: of their choice.

    Returns:
        {"sample": n, "lowest_cosine", "mean_cosine": of the two embeddings of one image,
        "top10_overlap": share of the 10 nearest within the sample that both modes have}.
    """
    vectors = gallery.vectors(model)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(vectors.ids), min(sample, len(vectors.ids)), replace=False))
    kept, pictures = [], []
    for row in rows:
        with contextlib.suppress(ImageError):  # gone since it was indexed
            pictures.append(images.read_image(gallery.root / vectors.ids[row]))
            kept.append(row)
    if not kept:
        return {"sample": 0, "lowest_cosine": None, "mean_cosine": None, "top10_overlap": None}
    ours, theirs = np.asarray(vectors.matrix[kept]), exact.embed(pictures)
    cosines = np.einsum("ij,ij->i", ours, theirs)
    return {
        "sample": len(kept),
        "lowest_cosine": round(float(cosines.min()), 5),
        "mean_cosine": round(float(cosines.mean()), 5),
        "top10_overlap": round(_overlap(ours, theirs, 10), 3),
    }


def _overlap(first: np.ndarray, second: np.ndarray, k: int) -> float:
    """Mean share of the k nearest other rows that two embeddings of the same images have in common.

    Args:
        first: float32 (n, dim), unit rows.
        second: the same images, float32 (n, dim).
        k: at most n − 1 are compared.
    """
    k = min(k, len(first) - 1)
    if k < 1:
        return 1.0
    nearest = []
    for rows in (first, second):
        similarities = rows @ rows.T  # (n, n)
        np.fill_diagonal(similarities, -np.inf)
        nearest.append(np.argsort(-similarities, axis=1, kind="stable")[:, :k])
    shared = [len(set(a) & set(b)) for a, b in zip(*nearest, strict=True)]
    return float(np.mean(shared)) / k
