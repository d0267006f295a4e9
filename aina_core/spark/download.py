"""Fetch a picture from an address in a table, which is not trusted."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from types import TracebackType
from typing import Any

from aina_core.errors import ImageError

#: Seconds that a server may say nothing, and that one picture may take in all.
SILENCE, WHOLE = 20.0, 120.0
#: A picture from an address has so many bytes at most: several are in memory at a time.
MOST_BYTES = 64 << 20
_REDIRECTS = 5
_ASTRAY = "cannot be fetched: it leads on too often, or to what is not http or https"
_CHUNK = 1 << 16
_WEB = re.compile(r"https?://", re.IGNORECASE)
_SAFE = "!#$%&'()*+,/:;=?@[]~"


class _Deadline:
    """Cuts the connections of a fetch when its time is over, whatever is being waited for.

    Args:
        seconds: until then.

    Attributes:
        over: whether it is.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._sockets: list[socket.socket] = []
        self._changing = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._changing:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def connect(self, *arguments: Any, **options: Any) -> socket.socket:
        """Connect as `socket.create_connection` does."""
        made = socket.create_connection(*arguments, **options)
        with self._changing:
            # of its own, since TLS takes the one that is handed on
            self._sockets.append(made.dup())
        if self.over:
            self._cut()
        return made

    def check(self) -> None:
        """Raise if the time is over.

        Raises:
            ImageError: it is.
        """
        if self.over:
            raise ImageError("cannot be fetched: it takes too long") from None

    def _cut(self) -> None:
        self.over = True
        with self._changing:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class _Timed(urllib.request.AbstractHTTPHandler):
    """Hands connections to a deadline."""

    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def do_open(self, http_class: Any, req: Any, **http_conn_args: Any) -> Any:
        def made(*arguments: Any, **options: Any) -> Any:
            connection = http_class(*arguments, **options)
            connection._create_connection = self._deadline.connect
            return connection

        return super().do_open(made, req, **http_conn_args)


class _Http(_Timed, urllib.request.HTTPHandler):
    pass


class _Https(_Timed, urllib.request.HTTPSHandler):
    pass


class _FewRedirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _REDIRECTS

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not _WEB.match(newurl):
            raise ImageError(_ASTRAY)
        fp.close()  # else all that it says is read first
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(deadline: _Deadline) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()  # not build_opener, which knows file and ftp too
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(deadline),
        _Https(deadline),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _FewRedirects(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "AINA"), ("Accept", "image/*,*/*;q=0.5")]
    return opener


def fetch(url: str, *, silence: float = SILENCE, whole: float = WHOLE) -> bytes:
    """Fetch an address.

    Args:
        url: http or https; at most five redirects are followed, to such addresses only.
        silence: seconds that the server may say nothing.
        whole: seconds that it may take in all.

    Raises:
        ImageError: it is no such address, cannot be fetched, takes too long, or gives more than
            `MOST_BYTES`.
    """
    if not _WEB.match(url):
        raise ImageError("cannot be fetched: only http and https are")
    with _Deadline(whole) as deadline:
        try:
            found = _fetch(url, silence, deadline)
        except ImageError:
            deadline.check()
            raise
        deadline.check()  # what was cut off may look like an end
        return found


def _fetch(url: str, silence: float, deadline: _Deadline) -> bytes:
    try:
        with _opener(deadline).open(_encoded(url), timeout=silence) as answer:
            return _body(answer)
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


def _body(answer: Any) -> bytes:
    limit, parts, size = MOST_BYTES, [], 0
    if int(answer.headers.get("Content-Length") or 0) > limit:
        raise ImageError(f"the file is over {limit >> 20} MB")
    while chunk := answer.read1(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise ImageError(f"the file is over {limit >> 20} MB")
        parts.append(chunk)
    if answer.length:  # the connection ended before what was announced
        raise ImageError("cannot be fetched: the connection broke off")
    return b"".join(parts)


def _plain(reason: object) -> str:
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return str(text).splitlines()[0][:200]
