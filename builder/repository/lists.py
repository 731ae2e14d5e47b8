"""A compressed package list as a stream of its text, decompressed ahead in a thread, and bounded.

What it is packed with is told by its first bytes: a path by hash has no suffix.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, Full, Queue
from typing import BinaryIO, Protocol, cast

from builder.errors import TrustError

_LIMIT = 1 << 30
_INPUT = 256 << 10
_PIECE = 2 << 20
_AHEAD = 4  # pieces
_MEMORY = 128 << 20  # of a decompressor; xz -9 takes 64 MiB


@contextmanager
def decompressed(packed: BinaryIO, *, limit: int = _LIMIT) -> Iterator[BinaryIO]:
    """Yield the text of PACKED (xz, gzip, zstd, bzip2 or plain; seekable) as a readable stream.

    Reading raises `TrustError` for a text of more than LIMIT bytes, and for a file that is damaged or
    cut short. Only ``read`` works.
    """
    stream = _Ahead(_pieces(packed), limit)
    try:
        yield cast("BinaryIO", stream)
    finally:
        stream.close()


class _Decompressor(Protocol):
    """What `lzma` and `bz2` offer for one stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """`zlib_ng` behind the same interface; it takes two thirds of zlib's time."""

    def __init__(self) -> None:
        from zlib_ng import zlib_ng

        self._object = zlib_ng.decompressobj(wbits=31)  # with gzip's header and check

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)


def _pieces(packed: BinaryIO) -> Iterator[bytes]:
    """Yield the text of PACKED in large pieces.

    Not by `lzma.open` and its like: they take 8 KiB at a time, and each time they come back from C
    they wait for the thread that scans to let go of the interpreter: ten times slower.
    """
    magic = packed.read(6)
    packed.seek(0)
    if magic == b"\xfd7zXZ\0":
        import lzma

        return _streams(packed, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY))
    if magic[:2] == b"\x1f\x8b":
        return _streams(packed, _Gzip)
    if magic[:3] == b"BZh":
        import bz2

        return _streams(packed, bz2.BZ2Decompressor)
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
        reader = decompressor.stream_reader(packed, read_size=_INPUT, read_across_frames=True)
        return iter(partial(reader.read, _PIECE), b"")
    return iter(partial(packed.read, _PIECE), b"")


def _streams(packed: BinaryIO, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Yield the text of one compressed stream after the other."""
    decompressor = make()
    data = packed.read(_INPUT)
    while True:
        yield decompressor.decompress(data, _PIECE)
        data = b""
        if decompressor.eof:
            data = decompressor.unused_data.lstrip(b"\0") or packed.read(_INPUT).lstrip(b"\0")
            if not data:
                return
            decompressor = make()
        elif decompressor.needs_input:
            data = packed.read(_INPUT)
            if not data:
                raise EOFError("it is cut short")


class _Ahead:
    """Reads a stream in a thread of its own: the C code that decompresses frees the interpreter."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._queue: Queue[bytes | Exception] = Queue(_AHEAD)
        self._held = b""
        self._start = 0
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
        start, self._start = self._start, self._start + size
        if self._start >= len(self._held):
            piece, self._held, self._start = self._held[start:], b"", 0
            return piece
        return self._held[start : self._start]

    def close(self) -> None:
        """End the thread, wherever it is."""
        self._is_closed.set()
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join()

    def _run(self) -> None:
        import lzma

        import zstandard
        from zlib_ng import zlib_ng

        gzip_error: type[Exception] = zlib_ng.error  # type: ignore[assignment]  # taken for a value
        try:
            self._copy()
        except TrustError as error:
            self._put(error)
        except (lzma.LZMAError, gzip_error, zstandard.ZstdError, EOFError, OSError) as error:
            self._put(TrustError(f"package list is damaged: {error}"))

    def _copy(self) -> None:
        total = 0
        for piece in self._pieces:
            if self._is_closed.is_set():
                return
            total += len(piece)
            if total > self._limit:
                raise TrustError(f"package list is larger than {self._limit >> 20} MiB decompressed")
            if piece:
                self._put(piece)
        self._put(b"")

    def _put(self, item: bytes | Exception) -> None:
        while not self._is_closed.is_set():
            with suppress(Full):
                self._queue.put(item, timeout=0.1)
                return
