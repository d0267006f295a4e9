"""What the browser draws a map of, over HTTP: coordinates, categories, similarities, names.

An address says everything that its answer depends on, so a browser can cache the answer for ever,
and a restarted server gives the same one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aina_core.errors import AinaError, InputError
from aina_core.index import similarities
from aina_core.numbers import decimal_text, percentile_text
from aina_core.projection import Settings
from aina_core.search.searcher import Neighbour, Searcher
from pages.map import cache
from pages.map.cache import OpenMap
from ui import cache as shared
from ui import serve
from ui.link import read_query

_MOST_DESCRIBED = 500
_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}
_SIMILARITY_STEPS = 32767


@dataclass(frozen=True)
class MapAddress:
    """Which map: a gallery, a model and settings, and the version that they were seen in.

    A browser caches what it was sent: a point must mean the same image here and there.
    """

    gallery: str
    model: str
    settings: Settings
    version: str

    def url(self, name: str, **more: str | list[str]) -> str:
        """Return the address of one of the map's data."""
        known = {"gallery": self.gallery, "model": self.model, "version": self.version}
        settings = {key: str(value) for key, value in asdict(self.settings).items()}
        return f"/map/{name}?{urlencode({**known, **settings, **more}, doseq=True)}"

    @classmethod
    def of(cls, request: Request) -> MapAddress:
        """Read it from a request.

        Raises:
            InputError: it is not the address of a map.
        """
        given = request.query_params
        try:
            settings = Settings(
                method=given["method"],
                dims=int(given["dims"]),
                seed=int(given["seed"]),
                components=int(given["components"]),
                neighbours=int(given["neighbours"]),
                min_dist=float(given["min_dist"]),
                perplexity=float(given["perplexity"]),
            )
            return cls(given["gallery"], given["model"], settings, given["version"])
        except (KeyError, ValueError):
            raise InputError("This is not the address of a map.") from None

    def open(self) -> tuple[Searcher, OpenMap]:
        """Open the stored map in this version.

        Raises:
            AinaError: it is not stored, or has changed since.
        """
        opened = shared.searcher(self.gallery, self.model)
        found = cache.open_map(opened, self.settings)
        if found is None or found.version != self.version:
            raise InputError("This map is not computed, or has changed.")
        return opened, found


def _points(request: Request) -> Response:
    _, found = MapAddress.of(request).open()
    return _binary(found.points.codes())


def _codes(request: Request) -> Response:
    address = MapAddress.of(request)
    opened, found = address.open()
    by, count = request.query_params.get("by", ""), _number(request, "clusters")
    made = cache.map_categories(opened, found, by, count)
    if made is None:
        raise InputError("There are no such categories.")
    return _binary(made.codes)


def _similarities(request: Request) -> Response:
    opened, found = MapAddress.of(request).open()
    near = opened.similarities(_query(opened, request))[found.points.rows]
    return _binary(np.rint(near * _SIMILARITY_STEPS).astype("<i2"))


def _query(opened: Searcher, request: Request) -> np.ndarray:
    given = request.query_params
    asked = {name: given.getlist(name) for name in ("image", "upload", "crop", "weight", "term")}
    return shared.query_vector(opened, read_query(asked))


def _describe(request: Request) -> Response:
    opened, found = MapAddress.of(request).open()
    places = [int(part) for part in request.query_params.get("points", "").split(",")]
    if len(places) > _MOST_DESCRIBED or not all(0 <= p < len(found.points) for p in places):
        raise InputError("There are no such points.")
    rows = found.points.rows[places]
    near = similarities(opened.matrix, rows, _query(opened, request))
    return Response(
        json.dumps(
            [
                _named(opened.gallery.name, opened.neighbour(*hit))
                for hit in zip(rows, near, strict=True)
            ]
        ),
        media_type="application/json",
        headers={**_HEADERS, "X-Content-Type-Options": "nosniff"},
    )


def _named(gallery: str, hit: Neighbour) -> dict[str, str]:
    return {
        "id": hit.id,
        "label": hit.label,
        "text": hit.annotation.caption,
        "thumbnail": serve.thumbnail_url(gallery, hit.sha256),
        "number": f"similarity {decimal_text(hit.similarity)}, " + percentile_text(hit.percentile),
    }


def _number(request: Request, name: str) -> int:
    return int(request.query_params.get(name, "8"))


def _binary(array: np.ndarray) -> Response:
    return Response(
        np.ascontiguousarray(array).tobytes(),
        media_type="application/octet-stream",
        headers=_HEADERS,
    )


def _answering(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except (AinaError, ValueError, TypeError, OverflowError):
            return Response("There is no such map.", 404, media_type="text/plain")

    return answer


ROUTES = [
    Route("/map/points", _answering(_points)),
    Route("/map/codes", _answering(_codes)),
    Route("/map/similarities", _answering(_similarities)),
    Route("/map/describe", _answering(_describe)),
]
