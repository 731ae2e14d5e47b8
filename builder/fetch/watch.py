"""Watching transfers: the ones that are too slow, and the ones nobody wants any more.

A read timeout bounds one ``recv``; a server that sends a byte a second never meets it, neither in
the headers nor in the body. So a thread looks at every running transfer and shuts the socket of one
that brought less than the least speed in a whole window; whoever reads from it then wakes at once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import socket

_BOTH_WAYS = 2  # socket.SHUT_RDWR, without an import that costs a warm build 5 ms


class Cancellation:
    """Whether a group of transfers is still wanted; its `wait` ends early when it no longer is."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def is_set(self) -> bool:
        """Whether nobody wants them any more."""
        return self._event.is_set()

    def set(self) -> None:
        """Want them no more."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Sleep for SECONDS, or until it is set."""
        self._event.wait(seconds)


class Transfer:
    """One running request: its socket once there is one, and what it brought, in bytes.

    ``slowness`` says why it was shut, or is empty; ``mark`` is when the window began, and with what.
    """

    def __init__(self, watch: Watch, cancellation: Cancellation) -> None:
        self._watch = watch
        self.cancellation = cancellation
        self.socket: socket.socket | None = None
        self.received = 0
        self.slowness = ""
        self.mark = (time.monotonic(), 0)

    def __enter__(self) -> Self:
        self._watch.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watch.discard(self)

    def attach(self, connected: socket.socket) -> None:
        """Tell the socket; it is shut at once if nobody wants the transfer any more."""
        self.socket = connected
        if self.cancellation.is_set:
            self.shut()

    def shut(self) -> None:
        """Wake whoever reads from it; it finds the end of the stream."""
        if self.socket is not None:
            with contextlib.suppress(OSError):  # closed already
                self.socket.shutdown(_BOTH_WAYS)


class Watch:
    """The transfers of a fetcher; below SPEED bytes a second over WINDOW seconds they are shut."""

    def __init__(self, window: float, speed: float) -> None:
        self.window = window
        self.least = window * speed
        self._transfers: set[Transfer] = set()
        self._lock = threading.Lock()
        self._is_running = False

    def add(self, transfer: Transfer) -> None:
        """Begin to watch TRANSFER."""
        with self._lock:
            self._transfers.add(transfer)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="imgbuild-fetch-watch", daemon=True).start()

    def discard(self, transfer: Transfer) -> None:
        """Watch TRANSFER no longer."""
        with self._lock:
            self._transfers.discard(transfer)

    def cancel(self, cancellation: Cancellation) -> None:
        """Shut every transfer of CANCELLATION, and let none of it begin."""
        cancellation.set()
        for transfer in self._of(cancellation):
            transfer.shut()

    def _of(self, cancellation: Cancellation) -> list[Transfer]:
        with self._lock:
            return [each for each in self._transfers if each.cancellation is cancellation]

    def _describe(self, received: int) -> str:
        if not received:
            return f"no data came for {self.window:g} s"
        return f"slower than {self.least / self.window:g} bytes a second"

    def _run(self) -> None:
        while True:
            time.sleep(min(1.0, self.window / 4))
            with self._lock:
                if not self._transfers:
                    self._is_running = False
                    return
                transfers = list(self._transfers)
            for transfer in transfers:
                self._look(transfer)

    def _look(self, transfer: Transfer) -> None:
        now, (since, before) = time.monotonic(), transfer.mark
        if transfer.cancellation.is_set:
            transfer.shut()
        elif now - since >= self.window:
            if transfer.received - before < self.least:
                transfer.slowness = self._describe(transfer.received - before)
                transfer.shut()
            transfer.mark = (now, transfer.received)
