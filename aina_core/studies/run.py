"""Run a study: from settings to a stored result."""

from __future__ import annotations

import contextlib
import gc
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from aina_core.changes.made import read_unchanged
from aina_core.changes.originals import Original, find_originals
from aina_core.changes.versions import Bench, Versions
from aina_core.embedding import Embedder, load_embedder
from aina_core.embedding.costs import Meter
from aina_core.errors import AinaError, InputError, StoppedError
from aina_core.gallery import Gallery, open_gallery
from aina_core.metrics import estimates
from aina_core.progress import Progress, Stop, never, silent
from aina_core.search.searcher import Searcher
from aina_core.similarity import MOST_MODELS, agreement
from aina_core.studies import store
from aina_core.studies.kind import Found, OfGallery, OfVersions
from aina_core.studies.kinds import KINDS
from aina_core.studies.published import published
from aina_core.studies.study import Run, Settings

#: A model's name → the loaded model.
Load = Callable[[str], Embedder]

#: How many images are embedded only to measure what that costs, where a study embeds none.
COST_SAMPLE = 64


def run(
    settings: Settings,
    *,
    load: Load = load_embedder,
    progress: Progress = silent,
    stop: Stop = never,
) -> Run:
    """Run a study, store it, and return it opened.

    A study that embeds images can be stopped or killed at any moment: the next call with the same
    images, changes and models resumes there, and finds the same.

    Args:
        settings: of the study, see `settle`.
        load: loads a model.
        progress: told of every phase.
        stop: asked regularly.

    Raises:
        AinaError: the gallery or a model cannot be used, or there is nothing to study.
        StoppedError: it was stopped.
    """
    started = time.monotonic()
    kind, gallery = KINDS[settings.kind], open_gallery(settings.gallery)
    if kind.of_versions is not None:
        return _of_versions(kind.of_versions, settings, gallery, load, progress, stop, started)
    assert kind.of_gallery is not None  # a kind computes by one of the two
    return _of_gallery(kind.of_gallery, settings, gallery, load, progress, stop, started)


def _of_versions(
    compute: OfVersions,
    settings: Settings,
    gallery: Gallery,
    load: Load,
    progress: Progress,
    stop: Stop,
    started: float,
) -> Run:
    """Embed changed versions under every model, and compute the study from them."""
    originals = find_originals(gallery, settings.originals, settings.seed)
    versions: dict[str, Versions] = {}
    libraries: dict[str, str] = {}
    with contextlib.ExitStack() as opened:
        benches = []
        for model in settings.models:
            progress(f"loading {model}", 0, 0)
            embedder = load(model)
            bench = Bench(store.work_folder(), embedder, originals, settings.changes)
            opened.enter_context(bench.locked())
            versions[model] = bench.embed(gallery, progress=progress, stop=stop)
            libraries |= embedder.versions()
            benches.append(bench.folder)
            del embedder, bench  # its memory is not the next model's cost
            gc.collect()
        progress("computing figures and intervals", 0, 0)
        found = compute(settings, versions, benches[0] / "indexes", progress=progress, stop=stop)
        results = found.results
        results["originals"] = len(found.images)
        failed = {one["id"]: one for each in versions.values() for one in each.failures}
        results["failed"] = [failed[image_id] for image_id in sorted(failed)]
        results["costs"] = {model: each.cost.as_dict() for model, each in versions.items()}
        models = {model: each.fingerprint for model, each in versions.items()}
        made = _store(settings, gallery, found, libraries, models, started)
        versions.clear()
        for folder in benches:
            shutil.rmtree(folder, ignore_errors=True)
    return made


def _of_gallery(
    compute: OfGallery,
    settings: Settings,
    gallery: Gallery,
    load: Load,
    progress: Progress,
    stop: Stop,
    started: float,
) -> Run:
    """Compute a study of the gallery as it is indexed, and measure what the models cost here."""
    for model in settings.models:
        gallery.manifest(model)  # says so, before the work, of a model that has no index
    searchers = [Searcher(gallery, model) for model in settings.models]
    found = compute(settings, searchers, progress=progress, stop=stop)
    costs, libraries, models = {}, dict[str, str](), {}
    for searcher in searchers:
        manifest = searcher.manifest
        models[searcher.model] = dict(manifest["fingerprint"])
        libraries |= manifest["versions"]
        costs[searcher.model] = _measure(
            gallery, found.images, searcher.model, load, progress, stop
        )
    found.results["costs"] = costs
    k = max(settings.ks, default=10)
    found.results["agreement"] = _agreement(searchers, k, settings.seed, progress, stop)
    return _store(settings, gallery, found, libraries, models, started)


def _measure(
    gallery: Gallery,
    images: Sequence[Original],
    model: str,
    load: Load,
    progress: Progress,
    stop: Stop,
) -> dict[str, Any]:
    """Embed a few of the images to see what that costs here; else say why that is impossible."""
    progress(f"measuring {model}", 0, 0)
    try:
        embedder = load(model)
    except AinaError as error:
        return {"reason": str(error)}
    step = max(len(images) // COST_SAMPLE, 1)

    def prepare(image: Original) -> tuple[np.ndarray | None, None]:
        try:
            return np.asarray(read_unchanged(gallery.root / image.id, image.sha256)), None
        except AinaError:  # gone since it was indexed
            return None, None

    meter = Meter()
    with meter.running():
        for _, _, row in embedder.run(images[::step][:COST_SAMPLE], prepare, stop=stop):
            meter.images += row is not None
    if stop():
        raise StoppedError("Stopped before the models' costs were measured; nothing is stored.")
    return meter.cost(embedder).as_dict()


def _agreement(
    searchers: Sequence[Searcher], k: int, seed: int, progress: Progress, stop: Stop
) -> dict[str, Any] | None:
    """How many of the k nearest of every image the models share; None for one model, or many."""
    if not 2 <= len(searchers) <= MOST_MODELS:
        return None
    try:
        found = agreement(searchers, k, progress=progress, stop=stop)
    except InputError:  # fewer images than neighbours
        return None
    return {
        "k": k,
        "pairs": [
            {
                "models": list(pair.models),
                "counts": pair.counts.tolist(),
                "shared": estimates.mean(pair.shared, seed),
                "rbo": estimates.mean(pair.overlap, seed),
            }
            for pair in found.pairs
        ],
    }


def _store(
    settings: Settings,
    gallery: Gallery,
    found: Found,
    libraries: Mapping[str, str],
    models: Mapping[str, Any],
    started: float,
) -> Run:
    results = found.results
    results["published"] = published(settings.kind, settings.models, settings.changes)
    generation: dict[str, Any] = {"catalogue": gallery.catalogue.version()}
    for model in settings.models:
        if model in gallery.models():
            generation[model] = gallery.generation(model)[1]
    return store.save(
        settings,
        results,
        found.images,
        found.arrays,
        gallery={
            "folder": str(gallery.root),
            "created": gallery.created,
            "generation": generation,
        },
        verdict=KINDS[settings.kind].verdict(results),
        versions=libraries,
        models=models,
        seconds=time.monotonic() - started,
    )
