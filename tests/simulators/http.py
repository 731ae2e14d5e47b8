"""A loopback web server that serves a dict or a folder and misbehaves on request.

    with WebServer({"dists/x/InRelease": b"text"}) as server:
        server.files["pool/a.deb"] = b"..."                         # changed by plain assignment
        server.fail("pool/a.deb", Fault(status=503, times=2))      # twice, then as it should
        server.fail("pool/b.deb", Fault(truncate=100))             # each time
        get(server.url + "/pool/a.deb")
        assert [request.path for request in server.requests] == ["pool/a.deb"]

Bounded: `_CONNECTIONS` connections at once, idle ones are closed, and leaving the ``with`` ends every
answer that stalls. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

_CONNECTIONS = 64
_IDLE = 20.0
_SLICE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How an answer differs from a good one. Several may be combined.

    times          how many requests it spoils, after which the next fault, or none, has its turn
    status         answer this instead of 200, with ``body`` (or a short text)
    headers        added to the answer, or in place of its own (``Retry-After``, ``Content-Encoding``)
    body           these bytes instead of the file's
    redirect       answer 302 to this URL or path
    truncate       close the connection after so many bytes of the body
    stall          send nothing more after so many bytes of the body; -1: not even headers
    speed          bytes a second, headers included, sent one or few at a time
    length         lie about Content-Length; -1: do not tell it (close ends the body)
    ignores_range  answer 200 with the whole file to a request for a range
    content_range  say this in Content-Range
    shift          give a range that starts so many bytes off
    reset          break the connection before any answer
    """

    times: int | None = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    redirect: str = ""
    truncate: int | None = None
    stall: int | None = None
    speed: int = 0
    length: int | None = None
    ignores_range: bool = False
    content_range: str = ""
    shift: int = 0
    reset: bool = False


@dataclass(frozen=True)
class Seen:
    """A request that came: path without its first slash, unquoted, and headers in lower case."""

    path: str
    headers: dict[str, str]
    connection: int


class Folder(dict[str, bytes]):
    """The files of a folder, read when they are asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root.resolve()

    def get(self, path: str, default: Any = None) -> Any:
        if path in self:
            return self[path]
        place = (self._root / path).resolve()
        return place.read_bytes() if place.is_relative_to(self._root) and place.is_file() else default


class WebServer:
    """The server; ``files`` maps paths without a first slash to contents."""

    def __init__(self, files: MutableMapping[str, bytes] | Path | None = None) -> None:
        self.files: MutableMapping[str, bytes] = (
            Folder(files) if isinstance(files, Path) else files if files is not None else {}
        )
        self.requests: list[Seen] = []
        self.on_request: Callable[[Seen], None] = lambda seen: None
        self.is_closing = threading.Event()
        self._faults: dict[str, list[Fault]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.web = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [seen.path for seen in self.requests]

    def fail(self, path: str, *faults: Fault) -> None:
        """Spoil the answers for PATH with FAULTS, one after the other."""
        with self._lock:
            self._faults[path] = list(faults)

    def fault(self, path: str) -> Fault:
        """Take the fault that is next for PATH."""
        with self._lock:
            waiting = self._faults.get(path, [])
            if not waiting:
                return Fault()
            fault = waiting[0]
            if fault.times is not None:
                if fault.times <= 1:
                    waiting.pop(0)
                else:
                    waiting[0] = replace(fault, times=fault.times - 1)
            return fault

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_closing.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    web: WebServer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.places = threading.BoundedSemaphore(_CONNECTIONS)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.places.acquire(timeout=_IDLE):
            self.shutdown_request(request)
            return
        self.connections.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.discard(request)
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to print."""

    def close_connections(self) -> None:
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Tests read `WebServer.requests`."""

    def do_GET(self) -> None:
        web = self.server.web
        path = unquote(urlsplit(self.path).path).lstrip("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(path, headers, self.client_address[1])
        web.requests.append(seen)
        web.on_request(seen)
        self._fault = web.fault(path)
        content = self._fault.body if self._fault.body is not None else web.files.get(path)
        self._answer(content, self._fault)

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

    def _answer(self, content: bytes | None, fault: Fault) -> None:
        if fault.reset or fault.stall == -1:
            if not fault.reset:
                self.server.web.is_closing.wait(_IDLE)
            self.close_connection = True
            return
        headers: dict[str, str] = {}
        status = 200
        if fault.redirect:
            status, content, headers["Location"] = 302, b"", fault.redirect
        elif fault.status:
            status, content = fault.status, fault.body if fault.body is not None else b"fault\n"
        elif content is None:
            status, content = 404, b"not found\n"
        else:
            status, content = self._range(content, fault, headers)
        if fault.length != -1:
            headers["Content-Length"] = str(len(content) if fault.length is None else fault.length)
        self._send(status, headers | fault.headers, content, fault)

    def _range(self, content: bytes, fault: Fault, headers: dict[str, str]) -> tuple[int, bytes]:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None or fault.ignores_range:
            return 200, content
        first = int(match[1])
        if first >= len(content):
            headers["Content-Range"] = f"bytes */{len(content)}"
            return 416, b""
        first += fault.shift
        last = min(int(match[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = fault.content_range or f"bytes {first}-{last}/{len(content)}"
        return 206, content[first : last + 1]

    def _send(self, status: int, headers: dict[str, str], content: bytes, fault: Fault) -> None:
        lines = [f"HTTP/1.1 {status} {self.responses.get(status, ('Odd', ''))[0]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        ends = fault.truncate is not None or fault.stall is not None or fault.length is not None
        if ends:
            self.close_connection = True
            lines.append("Connection: close")
        self._write("\r\n".join([*lines, "", ""]).encode("latin-1"), fault.speed)
        if self.command == "HEAD":
            return
        shown = content if fault.truncate is None else content[: fault.truncate]
        if fault.stall is not None:
            shown = content[: fault.stall]
        self._write(shown, fault.speed)
        if fault.stall is not None:
            self.server.web.is_closing.wait(_IDLE)

    def _write(self, data: bytes, speed: int) -> None:
        """Send DATA; at SPEED bytes a second if it is not 0."""
        if not speed:
            view = memoryview(data)
            for start in range(0, len(view), _SLICE):
                self.wfile.write(view[start : start + _SLICE])
            return
        step = max(1, speed // 50)
        for start in range(0, len(data), step):
            if self.server.web.is_closing.is_set():
                return
            self.wfile.write(data[start : start + step])
            time.sleep(step / speed)
