"""Whether a gallery is intact, and the repair of what can be recomputed."""

from __future__ import annotations

import contextlib

from aina_core.embedding import load_embedder
from aina_core.errors import AinaError, DamagedError
from aina_core.gallery import Gallery, open_reduction, reduce, update
from aina_core.gallery.catalogue import Catalogue
from aina_core.index import KINDS, check_index, open_index
from aina_core.models import ModelName
from aina_core.progress import Progress, Stop, never, silent


def verify(gallery: Gallery) -> list[str]:
    """Compare every stored file with its recorded checksum.

    Returns:
        One sentence for each problem; empty when the gallery is intact.
    """
    found = [problem for problem in [gallery.catalogue.problem()] if problem]
    for model in gallery.models():
        problems = _vector_problems(gallery, model) or _index_problems(gallery, model)
        found += [f"{model}: {problem}" for problem in problems]
    return found


def _vector_problems(gallery: Gallery, model: str) -> list[str]:
    store = gallery.store(model)
    try:
        problems, manifest = store.problems(), store.manifest()
        if manifest is not None and not problems:
            open_reduction(store, manifest)
        return problems
    except DamagedError as error:
        return [str(error)]


def _index_problems(gallery: Gallery, model: str) -> list[str]:
    try:
        vectors = gallery.store(model).open()
    except DamagedError as error:
        return [str(error)]
    folder = gallery.store(model).index_folder
    checked = (
        check_index(kind, vectors.matrix.shape, folder, checksum=vectors.checksum) for kind in KINDS
    )
    return [problem for problem in checked if problem]


def _make_catalogue_again(gallery: Gallery) -> None:
    """Replace a damaged catalogue by an empty one, with the labels that can still be read."""
    with gallery.lock():
        labels = {}
        with contextlib.suppress(DamagedError):
            labels = gallery.catalogue.annotations()
        for path in gallery.folder.glob("catalogue.sqlite*"):
            path.unlink()
        catalogue = Catalogue(gallery.folder / "catalogue.sqlite")
        catalogue.create()
        catalogue.annotate(labels.items())


def repair(gallery: Gallery, *, progress: Progress = silent, stop: Stop = never) -> list[str]:
    """Make again what is damaged: indexes from vectors, vectors and catalogue from the files.

    Labels of a damaged catalogue are kept where they can still be read; else the labels file has to
    be given again.

    Returns:
        The problems that remain, a sentence each.

    Raises:
        GalleryBusyError: another process is writing to the gallery.
    """
    if gallery.catalogue.problem():
        _make_catalogue_again(gallery)
    remaining = []
    for model in gallery.models():
        try:
            store = gallery.store(model)
            if _vector_problems(gallery, model) or gallery.catalogue.counts()[0] == 0:
                name = ModelName.parse(model)
                embedder = load_embedder(str(name.source))
                report = update(gallery, embedder, progress=progress, stop=stop)
                if name.components:
                    reduce(gallery, name, report, progress=progress)
            vectors = store.open()
            for kind in KINDS:
                if check_index(
                    kind, vectors.matrix.shape, store.index_folder, checksum=vectors.checksum
                ):
                    open_index(kind, vectors.matrix, store.index_folder, checksum=vectors.checksum)
        except AinaError as error:
            remaining.append(f"{model}: {error}")
    return remaining or verify(gallery)
