"""HTTP, by requests: one GET, its redirects, and each way it can fail in words.

Imported when the first byte is fetched, since requests takes longer to import than a warm build
runs. Rules: bodies as they are on the disk of the server (identity, nothing decoded); credentials go
to the host they were given for and to no other; at most `_REDIRECTS` redirects, to http or https, never
from https back to http; no cookies. Proxies, certificates and ``.netrc`` are taken from the
environment, as requests does.
"""

from __future__ import annotations

import email.utils
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError

from builder.fetch.answers import CHUNK, Answer, Refusal
from builder.fetch.request import Address
from builder.fetch.watch import Cancellation, Transfer, Watch

_REDIRECTS = 5
_CONNECT_TIMEOUT = 10.0
_SHORT = 1 << 14
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_REASONS = {
    401: "401 Unauthorized", 403: "403 Forbidden", 404: "404 Not Found", 410: "410 Gone",
    429: "429 Too Many Requests", 500: "500 Internal Server Error", 502: "502 Bad Gateway",
    503: "503 Service Unavailable", 504: "504 Gateway Timeout",
}  # fmt: skip
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)

# The transfer a thread is busy with, for the connection that serves it.
_present = threading.local()


class _WatchedHTTPConnection(HTTPConnection):
    def getresponse(self) -> Any:
        _present.transfer.attach(self.sock)
        return super().getresponse()


class _WatchedHTTPSConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        _present.transfer.attach(self.sock)
        return super().getresponse()


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """The adapter of requests, over connections that tell the watch of their socket."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class Transport:
    """Opens URLs; a session with its kept connections for each thread."""

    def __init__(self, watch: Watch, *, timeout: float, user_agent: str) -> None:
        self._watch = watch
        self._timeout = timeout
        self._user_agent = user_agent
        self._local = threading.local()

    @contextmanager
    def open(self, address: Address, offset: int, cancellation: Cancellation) -> Iterator[Answer]:
        """Ask for ADDRESS from byte OFFSET on; the answer is read inside the ``with``. `Refusal`."""
        with Transfer(self._watch, cancellation) as transfer:
            _present.transfer = transfer
            with self._translated(transfer):
                response = self._follow(address, offset, cancellation)
                try:
                    yield self._answer(response, offset, transfer)
                finally:
                    response.close()

    @contextmanager
    def _translated(self, transfer: Transfer) -> Iterator[None]:
        """Turn what requests, urllib3 and the socket raise into a `Refusal`."""
        try:
            yield
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            if transfer.slowness:
                raise Refusal(transfer.slowness, is_transient=True) from error
            raise _refusal(error, self._timeout) from error

    def _follow(self, address: Address, offset: int, cancellation: Cancellation) -> requests.Response:
        """GET the address and what it redirects to; return an answer that is a body."""
        url, home = address.url, _origin(address.url)
        for _ in range(_REDIRECTS + 1):
            if cancellation.is_set:
                raise Refusal("cancelled")
            credentials = address.credentials if _origin(url) == home else None
            response = self._get(url, offset, credentials)
            location = response.headers.get("Location")
            if response.status_code not in {301, 302, 303, 307, 308} or location is None:
                return response
            _finish(response)
            url = _redirected(url, location)
        raise Refusal(f"redirected more than {_REDIRECTS} times")

    def _get(self, url: str, offset: int, credentials: tuple[str, str] | None) -> requests.Response:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._session()
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(min(_CONNECT_TIMEOUT, self._timeout), self._timeout),
            auth=credentials,
        )

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        )
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for prefix in ("http://", "https://"):
            session.mount(prefix, _Adapter(pool_connections=8, pool_maxsize=1))
        return session

    def _answer(self, response: requests.Response, offset: int, transfer: Transfer) -> Answer:
        """Check status and headers; return the body unread."""
        status = response.status_code
        encoding = response.headers.get("Content-Encoding", "identity")
        chunks = _chunks(response, transfer)
        if status == 200:
            return Answer(0, _length(response), chunks, encoding)
        if status == 206 and offset:
            start, size = _content_range(response.headers.get("Content-Range", ""))
            return Answer(start, size, chunks, encoding)
        _finish(response)
        if status == 416 and offset:
            raise Refusal("416 Range Not Satisfiable", is_transient=True)
        raise Refusal(
            _REASONS.get(status, f"status {status}"),
            is_transient=status in _TRANSIENT,
            is_absent=status in {404, 410},
            pause=_pause(response.headers.get("Retry-After", "")),
        )


def _chunks(response: requests.Response, transfer: Transfer) -> Iterator[bytes]:
    """Yield the body, as much at a time as has come, so that the watch sees it move."""
    while True:
        try:
            data = response.raw.read1(CHUNK, decode_content=False)
        except ProtocolError as error:
            # Who reads knows the length and says how much came; without one it would go unseen.
            if _length(response) is None or not _is_short(error):
                raise
            data = b""
        if not data:
            if transfer.slowness:
                raise Refusal(transfer.slowness, is_transient=True)
            return
        transfer.received += len(data)
        yield data


def _is_short(error: ProtocolError) -> bool:
    return any(isinstance(cause, IncompleteRead) for cause in _causes(error))


def _finish(response: requests.Response) -> None:
    """Read the rest of a short body, so that the connection can be used again."""
    if (_length(response) or 0) <= _SHORT:
        response.raw.read(_SHORT, decode_content=False)


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _content_range(text: str) -> tuple[int, int | None]:
    """Take apart ``bytes FIRST-LAST/SIZE`` (RFC 9110 14.4); -1 as start if it is something else."""
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        return -1, None
    return int(match[1]), None if match[3] == "*" else int(match[3])


def _redirected(url: str, location: str) -> str:
    """Return where URL leads to by LOCATION, without a user name that may be in it. `Refusal`."""
    target = urlsplit(urljoin(url, location))
    if target.scheme not in {"http", "https"} or not target.hostname:
        raise Refusal(f"redirected to what is not an http URL: {target.scheme}:")
    if url.startswith("https:") and target.scheme == "http":
        raise Refusal("redirected from https to http")
    return target._replace(netloc=target.netloc.rpartition("@")[2], fragment="").geturl()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _pause(text: str) -> float:
    """Return the seconds that a Retry-After asks for (RFC 9110 10.2.3: a number, or a date)."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


# The first that is found among the causes decides: what it is, the words, whether a retry may help.
_FAULTS: tuple[tuple[tuple[type[BaseException], ...], str, bool], ...] = (
    (
        (requests.exceptions.SSLError, urllib3.exceptions.SSLError),
        "the server's certificate or its TLS is not acceptable",
        False,
    ),
    ((urllib3.exceptions.NameResolutionError,), "the host name cannot be resolved", True),
    ((ConnectionRefusedError,), "connection refused", True),
    (
        (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
        "connecting timed out",
        True,
    ),
    (
        (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError),
        "no data came for {timeout:g} s",
        True,
    ),
    ((requests.exceptions.InvalidURL, UnicodeError), "the URL is not valid", False),
    ((requests.exceptions.ProxyError,), "the proxy does not answer as a proxy", True),
)


def _refusal(error: BaseException, timeout: float) -> Refusal:
    """Say in words that name neither our libraries nor a password why a connection failed."""
    causes = list(_causes(error))
    for kinds, words, is_transient in _FAULTS:
        if any(isinstance(cause, kinds) for cause in causes):
            return Refusal(words.format(timeout=timeout), is_transient=is_transient)
    return Refusal("the connection broke", is_transient=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ERROR and all that it wraps, in whichever of the ways our libraries have."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            wrapped = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
            waiting.extend(item for item in wrapped if isinstance(item, BaseException))
