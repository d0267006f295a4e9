"""Fetch a picture from an address that somebody wrote into a table."""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from aina_core import images
from aina_core.errors import ImageError

#: Seconds that a server may say nothing, and that one picture may take in all.
SILENCE, WHOLE = 20.0, 120.0
_REDIRECTS = 5
_ASTRAY = "cannot be fetched: it leads on too often, or to what is not http or https"
_CHUNK = 1 << 16
_WEB = re.compile(r"https?://", re.IGNORECASE)
_SAFE = "!#$%&'()*+,/:;=?@[]~"


class _FewRedirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _REDIRECTS

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not _WEB.match(newurl):
            raise ImageError(_ASTRAY)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()  # not build_opener, which knows file and ftp too
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _FewRedirects(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "AINA"), ("Accept", "image/*,*/*;q=0.5")]
    return opener


def fetch(url: str, *, silence: float = SILENCE, whole: float = WHOLE) -> bytes:
    """Fetch what an address gives.

    Args:
        url: http or https; at most five redirects are followed, to such addresses only.
        silence: seconds that the server may say nothing.
        whole: seconds that it may take in all.

    Raises:
        ImageError: it is no such address, cannot be fetched, takes too long, or gives more than
            `images.MAX_BYTES`.
    """
    if not _WEB.match(url):
        raise ImageError("cannot be fetched: only http and https are")
    deadline = time.monotonic() + whole
    try:
        with _opener().open(_encoded(url), timeout=silence) as answer:
            return _body(answer, deadline)
    except ImageError:
        raise
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:
            raise ImageError(_ASTRAY) from None
        raise ImageError(f"cannot be fetched: the server says {error.code}") from None
    except TimeoutError:
        raise ImageError(f"cannot be fetched: no answer within {silence:g} s") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise ImageError(f"cannot be fetched: no answer within {silence:g} s") from None
        raise ImageError(f"cannot be fetched: {_plain(error.reason)}") from None
    except (OSError, http.client.HTTPException, ssl.SSLError, ValueError) as error:
        raise ImageError(f"cannot be fetched: {_plain(error)}") from None


def _encoded(url: str) -> str:
    """An address as it is sent: what is not ASCII, in a host's name or behind it, encoded."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc
    if not host.isascii():
        host = host.encode("idna").decode()
    rest = urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))
    return f"{parts.scheme}://{host}{urllib.parse.quote(rest, safe=_SAFE)}"


def _body(answer: Any, deadline: float) -> bytes:
    limit, parts, size = images.MAX_BYTES, [], 0
    if int(answer.headers.get("Content-Length") or 0) > limit:
        raise ImageError(f"the file is over {limit >> 20} MB")
    while chunk := answer.read1(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise ImageError(f"the file is over {limit >> 20} MB")
        if time.monotonic() > deadline:
            raise ImageError("cannot be fetched: it takes too long")
        parts.append(chunk)
    if answer.length:  # the connection ended before what was announced
        raise ImageError("cannot be fetched: the connection broke off")
    return b"".join(parts)


def _plain(reason: object) -> str:
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return str(text).splitlines()[0][:200]
