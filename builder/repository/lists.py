"""A compressed package list as a stream of its text, decompressed ahead in a thread, and bounded.

What it is packed with is told by its first bytes: a path by hash has no suffix.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, Full, Queue
from typing import BinaryIO, cast

from builder.errors import TrustError

_LIMIT = 1 << 30
_PIECE = 256 << 10
_AHEAD = 16  # pieces
_WINDOW = 128 << 20


@contextmanager
def decompressed(packed: BinaryIO, *, limit: int = _LIMIT) -> Iterator[BinaryIO]:
    """Yield the text of PACKED (xz, gzip, zstd, bzip2 or plain; seekable) as a readable stream.

    Reading raises `TrustError` for a text of more than LIMIT bytes, and for a file that is damaged or
    cut short. Only ``read`` works.
    """
    stream = _Ahead(_opened(packed), limit)
    try:
        yield cast("BinaryIO", stream)
    finally:
        stream.close()


def _opened(packed: BinaryIO) -> BinaryIO:
    magic = packed.read(6)
    packed.seek(0)
    if magic == b"\xfd7zXZ\0":
        import lzma

        return cast("BinaryIO", lzma.LZMAFile(packed))
    if magic[:2] == b"\x1f\x8b":
        import gzip

        return cast("BinaryIO", gzip.GzipFile(fileobj=packed, mode="rb"))
    if magic[:3] == b"BZh":
        import bz2

        return cast("BinaryIO", bz2.BZ2File(packed))
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        return cast("BinaryIO", decompressor.stream_reader(packed, read_across_frames=True))
    return packed


class _Ahead:
    """Reads a stream in a thread of its own: the C code that decompresses frees the interpreter."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._queue: Queue[bytes | Exception] = Queue(_AHEAD)
        self._held = b""
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self, size: int) -> bytes:
        """Return at most SIZE bytes, b"" at the end."""
        if not self._held:
            piece = self._queue.get()
            if isinstance(piece, Exception):
                raise piece
            if not piece:
                self._queue.put(b"")
                return b""
            self._held = piece
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    def close(self) -> None:
        """End the thread, wherever it is."""
        self._is_closed.set()
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join()

    def _run(self) -> None:
        import lzma
        import zlib

        import zstandard

        try:
            self._copy()
        except TrustError as error:
            self._put(error)
        except (lzma.LZMAError, zlib.error, zstandard.ZstdError, EOFError, OSError) as error:
            self._put(TrustError(f"package list is damaged: {error}"))

    def _copy(self) -> None:
        total = 0
        while not self._is_closed.is_set():
            piece = self._stream.read(_PIECE)
            total += len(piece)
            if total > self._limit:
                raise TrustError(f"package list is larger than {self._limit >> 20} MiB decompressed")
            self._put(piece)
            if not piece:
                return

    def _put(self, item: bytes | Exception) -> None:
        while not self._is_closed.is_set():
            with suppress(Full):
                self._queue.put(item, timeout=0.1)
                return
