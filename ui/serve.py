"""What the server does beside the pages: pictures over HTTP, a warm start, collecting garbage.

Only known images of known galleries are served, as JPEGs that AINA encoded itself: no byte of a
user's file reaches the browser unchanged. A drawing of its id replaces an image that is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd  # noqa: F401  here, so that two sessions do not import it at the same moment
import plotly
import simplejpeg
from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from aina_core import images, models
from aina_core.changes.made import version_jpeg
from aina_core.errors import AinaError, ImageError
from aina_core.gallery import ImageRecord, open_gallery, uploads
from ui import cache, navigation
from ui.components._mount import plotly_library
from ui.placeholder import placeholder

_LONGEST_SIDE = 2048
_VERSION_SIDE = 640
#: Seconds between two collections, and without a rerun before one.
_COLLECT_EVERY, _QUIET = 300.0, 10.0
_HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def thumbnail_url(gallery: str, sha256: str) -> str:
    """The address of an image's thumbnail, by the checksum of its file."""
    return f"/thumb/{quote(gallery, safe='')}/{sha256}.jpg"


def image_url(gallery: str, sha256: str) -> str:
    """The address of an image in full size."""
    return f"/image/{quote(gallery, safe='')}/{sha256}.jpg"


def version_url(gallery: str, sha256: str, change: str) -> str:
    """The address of an image under a modification or profile, made when it is asked for."""
    return f"/version/{quote(gallery, safe='')}/{sha256}/{quote(change, safe='')}.jpg"


def upload_url(name: str) -> str:
    """The address of an uploaded picture."""
    return f"/query/{name}.jpg"


def _thumbnail(request: Request) -> Response:
    gallery = open_gallery(request.path_params["gallery"])
    sha256 = request.path_params["sha256"]
    try:
        jpeg = gallery.thumbnail(sha256)
    except ImageError:
        return _stand_in(gallery.catalogue.by_checksum(sha256))
    return _picture(jpeg) if jpeg is not None else _missing()


def _image(request: Request) -> Response:
    gallery = open_gallery(request.path_params["gallery"])
    record = gallery.catalogue.by_checksum(request.path_params["sha256"])
    if record is None:
        return _missing()
    try:
        return _picture(_jpeg(gallery.read(record.id)))
    except ImageError:
        return _stand_in(record)


def _version(request: Request) -> Response:
    given = request.path_params
    gallery = open_gallery(given["gallery"])
    return _picture(version_jpeg(gallery, given["sha256"], given["change"], _VERSION_SIDE))


def _upload(request: Request) -> Response:
    return _picture(_jpeg(uploads.query(request.path_params["sha256"])))


def _jpeg(data: bytes) -> bytes:
    image = Image.fromarray(images.decode(data).pixels)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=92)


def _picture(jpeg: bytes) -> Response:
    return Response(jpeg, media_type="image/jpeg", headers=_HEADERS)


def _stand_in(record: ImageRecord | None) -> Response:
    """What is shown for a known image whose file is missing."""
    if record is None:
        return _missing()
    # cached briefly: the file may come back
    headers = {**_HEADERS, "Cache-Control": "private, max-age=60"}
    return Response(placeholder(record.id), media_type="image/svg+xml", headers=headers)


def _missing() -> Response:
    return Response("There is no such picture.", 404, media_type="text/plain")


def _answering(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    @functools.wraps(handler)
    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except AinaError:
            return _missing()

    return answer


_reruns: deque[float] = deque(maxlen=1)  # when the last one began


def note_rerun() -> None:
    """Remember that a page was run, which leaves garbage."""
    _reruns.append(time.monotonic())


async def collect_garbage() -> None:
    """Collect what reruns left behind, once nobody has used the app for a while, for ever.

    In place of Streamlit's collection after each rerun, which `.streamlit/config.toml` turns off.
    """
    collected = 0.0
    while True:
        await asyncio.sleep(_QUIET)
        now = time.monotonic()
        quiet = bool(_reruns) and collected < _reruns[0] <= now - _QUIET
        if quiet and now - collected >= _COLLECT_EVERY:
            collected = now
            await asyncio.to_thread(gc.collect)


@contextlib.asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """Load the default model while the server starts, so that nobody waits for it."""

    def load() -> None:
        with contextlib.suppress(AinaError):  # the pages say what is wrong with it
            cache.embedder(models.DEFAULT)

    threading.Thread(target=load, name="warm-up", daemon=True).start()
    collecting = asyncio.create_task(collect_garbage())
    yield
    collecting.cancel()


def _plotly(request: Request) -> Response:
    """The drawing library as the plotly package brings it."""
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return FileResponse(script, media_type="text/javascript", headers=_HEADERS)


def _first_page(request: Request) -> Response:
    """Streamlit serves its first page at the root only: its name in an address leads there."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"./{query}")


ROUTES = [
    Route(f"/{next(iter(navigation.PAGES))}", _first_page),
    Route(plotly_library(), _plotly),
    Route("/thumb/{gallery}/{sha256}.jpg", _answering(_thumbnail)),
    Route("/image/{gallery}/{sha256}.jpg", _answering(_image)),
    Route("/version/{gallery}/{sha256}/{change:path}.jpg", _answering(_version)),
    Route("/query/{sha256}.jpg", _answering(_upload)),
]
