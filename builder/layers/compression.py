"""Compressed chunks that can be joined: zstd frames (RFC 8878 §3.1) and gzip members (RFC 1952 §2.2).

Equal content gives equal bytes on every machine, because

- the libraries are pinned in pyproject.toml and come as wheels that hold their own C code, so no
  system zlib or zstd takes part; `version` names them for cache keys;
- both compress in one thread, with nothing about the input's length or pieces: input is cut anew into
  blocks of 1 MiB, so how a caller happens to cut it does not show;
- the gzip header is written here: no time, no name, OS 255 (unknown), no flags.

Measured for zstd on 19 packages of bookworm, 156 MB of tar (xz: 31 MB): level 3 as it comes gives
50.6 MB at 123 MB/s; with a window of 8 MiB and long distance matching 39.1 MB in the same time; level 9
36.7 MB at 35 MB/s; level 19 31.9 MB at 2 MB/s. Unpacking xz runs at some 50 MB/s, so at level 3 a cold
build is bound by its input. 8 MiB is what every decoder should take (RFC 8878 §3.1.1.1.2).
gzip's level 1: 77.8 MB at 120 MB/s; 4: 61.0 MB at 50 MB/s; 6, which others use: 60.2 MB at 41 MB/s.
The x86-64 and (emulated) arm64 wheels of zlib-ng and zstandard gave the same bytes at all levels tried.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from builder.spec.model import Compression

DEFAULT_LEVELS = {"gzip": 6, "zstd": 3}
LEVELS = {"gzip": (1, 9), "zstd": (1, 19)}
"""Lowest and highest level; zstd's beyond 19 need windows that engines may refuse to decode."""

MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}

_BLOCK = 1 << 20
_INPUT = 1 << 16
_WINDOW_LOG = 23
# ID1 ID2 CM FLG MTIME XFL OS, RFC 1952 §2.3.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class _Encoder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Compressor:
    """One chunk being made: ``write`` returns what is ready, ``finish`` the rest."""

    def __init__(self, encoder: _Encoder) -> None:
        self._encoder = encoder
        self._pieces: list[bytes] = []
        self._waiting = 0

    def write(self, data: bytes) -> bytes:
        """Compress DATA; return bytes of the chunk, often none yet."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting < _BLOCK:
            return b""
        joined = b"".join(self._pieces)
        end = len(joined) - len(joined) % _BLOCK
        self._pieces, self._waiting = [joined[end:]], len(joined) - end
        blocks = (joined[at : at + _BLOCK] for at in range(0, end, _BLOCK))
        return b"".join(map(self._encoder.compress, blocks))

    def finish(self) -> bytes:
        """Return the last bytes of the chunk."""
        last, self._pieces, self._waiting = b"".join(self._pieces), [], 0
        return self._encoder.compress(last) + self._encoder.flush()


class _GzipMember:
    """A raw deflate stream between a header and a trailer of our own."""

    def __init__(self, level: int) -> None:
        from zlib_ng import zlib_ng

        self._deflate = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15, 8, zlib_ng.Z_DEFAULT_STRATEGY)
        self._crc32 = zlib_ng.crc32
        self._check = 0
        self._size = 0
        self._header = _GZIP_HEADER

    def compress(self, data: bytes, /) -> bytes:
        self._check = self._crc32(data, self._check)
        self._size += len(data)
        header, self._header = self._header, b""
        return header + self._deflate.compress(data)

    def flush(self) -> bytes:
        trailer = struct.pack("<II", self._check, self._size & 0xFFFFFFFF)
        return self._deflate.flush() + trailer


def compressor(compression: Compression) -> Compressor:
    """Return a `Compressor` for one chunk; `ValueError` for an unknown algorithm or level."""
    level = checked_level(compression)
    if compression.algorithm == "gzip":
        return Compressor(_GzipMember(level))
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=_WINDOW_LOG,
        enable_ldm=True,
        write_checksum=True,
        write_content_size=False,
        write_dict_id=False,
        threads=0,
    )
    return Compressor(zstandard.ZstdCompressor(compression_params=parameters).compressobj())


def compress(content: bytes, compression: Compression) -> bytes:
    """Return CONTENT as one chunk."""
    one = compressor(compression)
    return one.write(content) + one.finish()


def checked_level(compression: Compression) -> int:
    """Return the level meant by COMPRESSION; `ValueError` for one that there is not."""
    if compression.algorithm not in LEVELS:
        raise ValueError(f'unknown compression "{compression.algorithm}"')
    lowest, highest = LEVELS[compression.algorithm]
    level = compression.level
    if level is None:
        return DEFAULT_LEVELS[compression.algorithm]
    if not lowest <= level <= highest:
        raise ValueError(
            f"{compression.algorithm} level is {level}, and must be between {lowest} and {highest}"
        )
    return level


def version(algorithm: str) -> str:
    """Return what the bytes of ALGORITHM's chunks depend on beside content and level, for cache keys."""
    if algorithm == "gzip":
        from zlib_ng import zlib_ng

        return f"zlib-ng {zlib_ng.ZLIBNG_RUNTIME_VERSION}"
    import zstandard

    return "zstd " + ".".join(map(str, zstandard.ZSTD_VERSION))


def decompress(source: BinaryIO, algorithm: str) -> Iterator[bytes]:
    """Yield the content of the joined chunks in SOURCE, in pieces; `ValueError` for damaged ones."""
    if algorithm == "gzip":
        yield from _gunzip(source)
        return
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True, closefd=False)
    try:
        while piece := reader.read(_BLOCK):
            yield piece
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged zstd data: {error}") from error


def _gunzip(source: BinaryIO) -> Iterator[bytes]:
    from zlib_ng import zlib_ng

    decoder = zlib_ng.decompressobj(31)
    data = source.read(_INPUT)
    while data:
        try:
            piece = decoder.decompress(data, _BLOCK)
        except zlib_ng.error as error:  # type: ignore[misc]  # its stub takes it for a value
            raise ValueError(f"damaged gzip data: {error}") from error
        yield piece
        if decoder.eof:
            data = decoder.unused_data or source.read(_INPUT)
            decoder = zlib_ng.decompressobj(31) if data else decoder
        else:
            data = decoder.unconsumed_tail or source.read(_INPUT)
    if not decoder.eof:
        raise ValueError("cut off gzip data")
