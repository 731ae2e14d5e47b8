"""Decompression of a .deb's parts, in bounded memory: a part in, pieces of at most 256 KiB out.

A `Pull` returns the next piece, and ``b""`` at the end. What a part may grow to is bounded in bytes
and by ratio, so that a bomb ends after a moment; dictionaries are bounded too. The decoders are C code
that frees the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol, TypeAlias, cast

import msgspec

from builder.formats.deb.ar import Fault, Member

Pull: TypeAlias = Callable[[], bytes]

PIECE = 1 << 18
_INPUT = 1 << 16
# xz -9 needs 65 MiB for its 64 MiB dictionary; nothing that dpkg-deb makes needs more.
_XZ_MEMORY = 96 << 20
# zstd --ultra -22, the most that dpkg-deb makes, has windows of 128 MiB.
_ZSTD_WINDOW = 128 << 20


class Limits(msgspec.Struct, frozen=True):
    """How far a part may grow.

    total  bytes at most, unpacked
    free   bytes that need no justification; beyond, at most ``ratio`` times the compressed size
    """

    total: int
    free: int
    ratio: int

    def bound(self, compressed: int) -> int:
        """Return what a part of COMPRESSED bytes may grow to."""
        return min(self.total, max(self.free, compressed * self.ratio))


class _Decoder(Protocol):
    """The manners of `lzma.LZMADecompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        from zlib_ng import zlib_ng

        self._zlib = zlib_ng.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        piece = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # A full piece may leave more in the decoder, even when all input went in.
        self.needs_input = len(piece) < max_length and not self._zlib.unconsumed_tail
        return piece


def open_part(archive: BinaryIO, member: Member, limits: Limits, fault: Fault) -> Pull:
    """Return the `Pull` of MEMBER's unpacked bytes; its name's ending says how it is compressed.

    What FAULT makes is raised for damaged and cut-off data, dictionaries too large, and growth beyond
    LIMITS.
    """
    suffix = member.name.rpartition(".tar")[2]
    pieces = _PIECES[suffix](_input(archive, member), member, fault)
    return _bounded(pieces, member, limits, fault)


def _input(archive: BinaryIO, member: Member) -> Pull:
    at, end = member.offset, member.offset + member.size

    def pull() -> bytes:
        nonlocal at
        archive.seek(at)
        data = archive.read(min(_INPUT, end - at))
        at += len(data)
        return data

    return pull


def _bounded(pieces: Iterator[bytes], member: Member, limits: Limits, fault: Fault) -> Pull:
    bound, total = limits.bound(member.size), 0

    def pull() -> bytes:
        nonlocal total
        piece = next(pieces, b"")
        total += len(piece)
        if total > bound:
            raise fault(
                f'ar member "{member.name}" grows beyond {bound} bytes ({member.size} bytes compressed)'
            )
        return piece

    return pull


class _Codec(NamedTuple):
    """A decoder, the error of its library, and how a stream joined to another begins (b"": none may)."""

    make: Callable[[], _Decoder]
    error: type[Exception]
    magic: bytes


def _plain(source: Pull, _member: Member, _fault: Fault) -> Iterator[bytes]:
    while data := source():
        yield data


def _gzip(source: Pull, member: Member, fault: Fault) -> Iterator[bytes]:
    from zlib_ng import zlib_ng

    error: type[Exception] = zlib_ng.error  # type: ignore[assignment]  # its stub takes it for a value
    return _decoded(source, member, fault, _Codec(_Gzip, error, b"\x1f\x8b"))


def _xz(source: Pull, member: Member, fault: Fault) -> Iterator[bytes]:
    import lzma

    def make() -> _Decoder:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    return _decoded(source, member, fault, _Codec(make, lzma.LZMAError, b"\xfd7zXZ\0"))


def _lzma(source: Pull, member: Member, fault: Fault) -> Iterator[bytes]:
    import lzma

    def make() -> _Decoder:
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_XZ_MEMORY)

    return _decoded(source, member, fault, _Codec(make, lzma.LZMAError, b""))


def _bzip2(source: Pull, member: Member, fault: Fault) -> Iterator[bytes]:
    import bz2

    return _decoded(source, member, fault, _Codec(bz2.BZ2Decompressor, OSError, b"BZh"))


def _decoded(source: Pull, member: Member, fault: Fault, codec: _Codec) -> Iterator[bytes]:
    """Yield pieces of one stream, or of several joined ones."""
    decoder = codec.make()
    data = source()
    while True:
        try:
            piece = decoder.decompress(data, PIECE)
        except (codec.error, EOFError, ValueError) as damage:
            raise fault(f'ar member "{member.name}" is damaged: {damage}') from damage
        data = b""
        if piece:
            yield piece
        if decoder.eof:
            data = decoder.unused_data or source()
            if not data:
                return
            if not codec.magic or not data.startswith(codec.magic):
                raise fault(f'ar member "{member.name}" has bytes behind its compressed data')
            decoder = codec.make()
        elif decoder.needs_input:
            data = source()
            if not data:
                raise fault(f'ar member "{member.name}" is cut off within its compressed data')


class _File:
    """A `Pull` as the file that zstandard's reader asks for: C code does the copying."""

    def __init__(self, source: Pull) -> None:
        self._source = source

    def read(self, _size: int = -1) -> bytes:
        return self._source()


def _zstd(source: Pull, member: Member, fault: Fault) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    file = cast("BinaryIO", _File(source))
    reader = decompressor.stream_reader(file, read_size=_INPUT, read_across_frames=True)
    while True:
        try:
            piece = reader.read(PIECE)
        except zstandard.ZstdError as damage:
            raise fault(f'ar member "{member.name}" is damaged: {damage}') from damage
        if not piece:
            return
        yield piece


_Pieces: TypeAlias = Callable[[Pull, Member, Fault], Iterator[bytes]]
_PIECES: dict[str, _Pieces] = {
    "": _plain,
    ".bz2": _bzip2,
    ".gz": _gzip,
    ".lzma": _lzma,
    ".xz": _xz,
    ".zst": _zstd,
}
