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
from aina_core.studies.kind import Found, Run, Settings
from aina_core.studies.kinds import KINDS
from aina_core.studies.published import published

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
    work = _Work(settings, open_gallery(settings.gallery), load, progress, stop)
    return work.of_versions() if work.kind.of_versions is not None else work.of_gallery()


class _Work:
    """A study while it runs."""

    def __init__(
        self, settings: Settings, gallery: Gallery, load: Load, progress: Progress, stop: Stop
    ) -> None:
        self.settings, self.gallery, self.load = settings, gallery, load
        self.progress, self.stop = progress, stop
        self.kind = KINDS[settings.kind]
        self.started = time.monotonic()

    def of_versions(self) -> Run:
        """Embed changed versions under every model, and compute the study from them."""
        settings, progress, stop = self.settings, self.progress, self.stop
        originals = find_originals(self.gallery, settings.originals, settings.seed)
        versions: dict[str, Versions] = {}
        libraries: dict[str, str] = {}
        with contextlib.ExitStack() as opened:
            benches = []
            for model in settings.models:
                progress(f"loading {model}", 0, 0)
                embedder = self.load(model)
                bench = Bench(store.work_folder(), embedder, originals, settings.changes)
                opened.enter_context(bench.locked())
                versions[model] = bench.embed(self.gallery, progress=progress, stop=stop)
                libraries |= embedder.versions()
                benches.append(bench.folder)
                del embedder, bench  # its memory is not the next model's cost
                gc.collect()
            progress("computing figures and intervals", 0, 0)
            assert self.kind.of_versions is not None
            place = benches[0] / "indexes"
            found = self.kind.of_versions(settings, versions, place, progress=progress, stop=stop)
            found.results["originals"] = len(found.images)
            failed = {one["id"]: one for each in versions.values() for one in each.failures}
            found.results["failed"] = [failed[image_id] for image_id in sorted(failed)]
            found.results["costs"] = {m: each.cost.as_dict() for m, each in versions.items()}
            models = {model: each.fingerprint for model, each in versions.items()}
            made = self._store(found, libraries, models)
            versions.clear()
            for folder in benches:
                shutil.rmtree(folder, ignore_errors=True)
        return made

    def of_gallery(self) -> Run:
        """Compute a study of the gallery as it is indexed, and measure what the models cost."""
        for model in self.settings.models:
            self.gallery.manifest(model)  # refuses, before the work, a model that has no index
        searchers = [Searcher(self.gallery, model) for model in self.settings.models]
        assert self.kind.of_gallery is not None  # a kind computes by one of the two
        found = self.kind.of_gallery(
            self.settings, searchers, progress=self.progress, stop=self.stop
        )
        costs, libraries, models = {}, dict[str, str](), {}
        for searcher in searchers:
            manifest = searcher.manifest
            models[searcher.model] = dict(manifest["fingerprint"])
            libraries |= manifest["versions"]
            costs[searcher.model] = self._measure(found.images, searcher.model)
        found.results["costs"] = costs
        found.results["agreement"] = self._agreement(searchers)
        return self._store(found, libraries, models)

    def _measure(self, images: Sequence[Original], model: str) -> dict[str, Any]:
        """Embed a few of the images to see what that costs; else say why that is impossible."""
        self.progress(f"measuring {model}", 0, 0)
        try:
            embedder = self.load(model)
        except AinaError as error:
            return {"reason": str(error)}
        step = max(len(images) // COST_SAMPLE, 1)

        def prepare(image: Original) -> tuple[np.ndarray | None, None]:
            try:
                path = self.gallery.root / image.id
                return np.asarray(read_unchanged(path, image.sha256)), None
            except AinaError:  # gone since it was indexed
                return None, None

        meter = Meter()
        with meter.running():
            for _, _, row in embedder.run(images[::step][:COST_SAMPLE], prepare, stop=self.stop):
                meter.images += row is not None
        if self.stop():
            raise StoppedError("Stopped before the models' costs were measured; nothing is stored.")
        return meter.cost(embedder).as_dict()

    def _agreement(self, searchers: Sequence[Searcher]) -> dict[str, Any] | None:
        """How many of the nearest of every image the models share; None for one model, or many."""
        if not 2 <= len(searchers) <= MOST_MODELS:
            return None
        k, seed = max(self.settings.ks, default=10), self.settings.seed
        try:
            found = agreement(searchers, k, progress=self.progress, stop=self.stop)
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

    def _store(self, found: Found, libraries: Mapping[str, str], models: Mapping[str, Any]) -> Run:
        settings, gallery, results = self.settings, self.gallery, found.results
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
            verdict=self.kind.verdict(results),
            versions=libraries,
            models=models,
            seconds=time.monotonic() - self.started,
        )
