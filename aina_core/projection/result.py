"""A projection of a gallery: computed once, stored, opened again."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aina_core.disk import arrays
from aina_core.errors import GalleryError, InputError
from aina_core.gallery import Gallery, Vectors
from aina_core.progress import Progress, Stop, never, silent
from aina_core.projection.fitting import Placing, fit, open_placing
from aina_core.projection.quality import Quality, measure
from aina_core.projection.settings import Settings

_FORMAT = 1
_UNIT = 1e-3  # how far a vector's squared length may be from 1


@dataclass(frozen=True, eq=False)
class Projection:
    """Coordinates of every row of a gallery under one model. Never changes; safe to share.

    Rows whose file has changed since they were embedded have coordinates too; whoever shows the
    points leaves them out by id.

    Attributes:
        settings: what it was computed by.
        ids: image id of each row.
        coordinates: float32 (n, dims), read-only.
        trustworthiness: in [0, 1]; see `quality.Quality`.
        preservation: in [0, 1], the share of the nearest that it keeps.
        sample: how many images these two were measured on.
        k: how many nearest these two look at.
        fitted: how many rows the method saw; the others were placed among them.
        seconds: how long it took to compute.
        checksum: hex, different for different coordinates: its identity in addresses and caches.
    """

    settings: Settings
    ids: Sequence[str]
    coordinates: np.ndarray
    trustworthiness: float
    preservation: float
    sample: int
    k: int
    fitted: int
    seconds: float
    checksum: str
    _parts: Mapping[str, np.ndarray]
    _matrix: np.ndarray

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Return points for vectors that the gallery need not have, as where they would lie.

        PCA places exactly, by its axes. The others place a vector amid the points of its nearest
        fitted neighbours, at their weighted geometric median. No point of the projection moves.

        Args:
            vectors: float32 (q, dim), unit rows, by the projection's own model.

        Returns:
            float32 (q, dims).

        Raises:
            InputError: vectors of another length, not of unit length or not finite.
        """
        vectors = np.asarray(vectors)
        dim = self._matrix.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != dim or vectors.dtype.kind != "f":
            raise InputError(
                f"Vectors of shape {vectors.shape} and type {vectors.dtype} were given; rows of "
                f"{dim} float32 numbers were expected, embedded by the projection's own model."
            )
        vectors = np.ascontiguousarray(vectors, np.float32)
        if not (abs(np.vecdot(vectors, vectors) - 1) < _UNIT).all():  # not so for NaN either
            raise InputError(
                "A vector was given that is not finite and of unit length; normalise it first."
            )
        return self._placing.place(vectors)

    @functools.cached_property
    def _placing(self) -> Placing:
        return open_placing(self.settings, self._parts, self._matrix)


def project(
    gallery: Gallery,
    model: str,
    settings: Settings,
    *,
    progress: Progress = silent,
    stop: Stop = never,
) -> Projection:
    """Open the projection stored for a gallery's vectors and settings; else compute and store it.

    Above 50,000 images the method is fitted on a sample of so many, and the rest are placed.

    Args:
        gallery: the gallery.
        model: the model's full name.
        settings: the method and its parameters.
        progress: told of the phases "neighbours" (unless the graph is stored), "axes", "umap" or
            "t-SNE", "placing" (unless all rows were fitted) and "measuring".
        stop: asked now and then.

    Raises:
        GalleryError: the model has no vectors here, or the result cannot be written.
        InputError: the gallery is empty.
        StoppedError: it was stopped; no projection is stored.
    """
    vectors = gallery.vectors(model)
    if not vectors.ids:
        raise InputError(
            f"The gallery {gallery.name} is empty; add images and index them before a map is made."
        )
    folder = gallery.store(model).folder
    found = _open(vectors, folder, settings)
    if found is not None:
        return found
    started = time.perf_counter()
    parts = fit(vectors, folder, settings, progress, stop)
    quality = measure(vectors.matrix, parts["coordinates"], progress=progress, stop=stop)
    record = {**asdict(quality), "seconds": round(time.perf_counter() - started, 3)}
    place = _place(folder, settings)
    try:
        arrays.save(place, _identity(vectors, settings), parts, record)
    except OSError as error:
        raise GalleryError(f"The projection cannot be written to {place}: {error}") from error
    made = _open(vectors, folder, settings)
    if made is None:
        raise GalleryError(f"The projection in {place} cannot be read back; check the disk.")
    return made


def stored(gallery: Gallery, model: str, settings: Settings) -> Projection | None:
    """Return the projection stored for a gallery's vectors and settings, verified; else None.

    Raises:
        GalleryError: the model has no vectors here.
    """
    return _open(gallery.vectors(model), gallery.store(model).folder, settings)


def _place(folder: Path, settings: Settings) -> Path:
    return folder / "projections" / settings.key()


def _identity(vectors: Vectors, settings: Settings) -> dict[str, Any]:
    return {"format": _FORMAT, "vectors": vectors.checksum, "settings": settings.relevant()}


def _open(vectors: Vectors, folder: Path, settings: Settings) -> Projection | None:
    identity = _identity(vectors, settings)
    found = arrays.load(_place(folder, settings), identity)
    if found is None or found.arrays["coordinates"].shape != (len(vectors.ids), settings.dims):
        return None
    named = json.dumps([identity, found.checksums["coordinates"]], sort_keys=True)
    quality = {name: found.record[name] for name in Quality.__dataclass_fields__}
    return Projection(
        settings=settings,
        ids=vectors.ids,
        coordinates=found.arrays["coordinates"],
        **quality,
        fitted=len(found.arrays["rows"]),
        seconds=found.record["seconds"],
        checksum=hashlib.sha256(named.encode()).hexdigest(),
        _parts=found.arrays,
        _matrix=vectors.matrix,
    )
