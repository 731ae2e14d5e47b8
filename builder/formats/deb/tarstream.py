"""A tar being read once, front to back: headers as they stand, no judgement on paths.

Reads what dpkg reads and pax: v7, ustar (with prefix), GNU (long names ``L`` and ``K``, base-256
numbers), pax ``x`` and ``g`` (POSIX pax(1), "ustar Interchange Format"; GNU tar manual, "Basic Tar
Format"). Every checksum is verified, and every number is one. What a name means is for who reads it
(`builder.formats.deb.archive`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from typing import BinaryIO, NamedTuple, cast

from builder.formats.deb.ar import Fault
from builder.formats.deb.compressed import Pull

REGULAR, HARD_LINK, SYMBOLIC_LINK, DIRECTORY = b"0", b"1", b"2", b"5"
_ALIASES = {b"\0": REGULAR, b"7": REGULAR}  # v7, and "contiguous", which is a file everywhere
_BLOCK = 512
# Fields of a ustar header, pax(1): name mode uid gid size mtime chksum typeflag linkname magic prefix.
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s82x155s12x")
_END = bytes(_BLOCK)
_MAX_EXTENSION = 1 << 20
_MAX_ENTRIES = 500_000
_XATTR = "SCHILY.xattr."


class TarMember(NamedTuple):
    """One member. ``name`` and ``target`` are raw bytes; ``flag`` is the type, aliases resolved."""

    name: bytes
    flag: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: bytes
    xattrs: tuple[tuple[str, bytes], ...]


class TarStream:
    """Members of one tar, one after the other; ``content`` reads that of the latest."""

    def __init__(self, pull: Pull, what: str, fault: Fault) -> None:
        self._pull = pull
        self._what = what
        self._fault = fault
        self._buffer = b""
        self._at = 0
        self._left = 0  # bytes of the latest member's content that have not been read
        self._padding = 0
        # Most members of a package share owner, mode and time: each text is read once.
        self._number = lru_cache(1024)(number)

    def __iter__(self) -> Iterator[TarMember]:
        """Yield members up to the end mark, then read the rest so that its check sums are checked."""
        defaults: dict[str, bytes] = {}
        extra: dict[str, bytes] = {}
        for _ in range(_MAX_ENTRIES):
            block = self._next_header()
            if block == _END:
                self._drain()
                return
            member, magic_prefix = self._parse(block)
            flag = member.flag
            if flag in (b"L", b"K", b"x", b"g"):
                self._extend(member, extra, defaults)
                continue
            if magic_prefix:
                member = member._replace(name=magic_prefix + b"/" + member.name)
            if extra or defaults:
                member = self._override(member, {**defaults, **extra})
                extra = {}
            self._left = member.size
            self._padding = -member.size % _BLOCK
            yield member
        raise self._fault(f"{self._what} has more than {_MAX_ENTRIES} members")

    def read(self, size: int) -> bytes:
        """Return at most SIZE bytes of the latest member's content, ``b""`` at its end."""
        if not self._left or size == 0:
            return b""
        if self._at == len(self._buffer):
            self._buffer, self._at = self._next_piece(), 0
        end = self._at + (self._left if size < 0 else min(size, self._left))
        data = self._buffer[self._at : end]
        self._at += len(data)
        self._left -= len(data)
        return data

    def content(self) -> BinaryIO:
        """Return the latest member's content as a file: in memory at once if it is there already."""
        if self._left <= len(self._buffer) - self._at:
            return BytesIO(self.read(self._left))
        return cast("BinaryIO", _Content(self))

    def _next_piece(self) -> bytes:
        piece = self._pull()
        if not piece:
            raise self._fault(f"{self._what} is cut off")
        return piece

    def _take(self, size: int) -> bytes:
        end = self._at + size
        while len(self._buffer) < end:
            self._buffer = self._buffer[self._at :] + self._next_piece()
            self._at, end = 0, size
        data = self._buffer[self._at : end]
        self._at = end
        return data

    def _next_header(self) -> bytes:
        """Skip what is left of the latest member and return the block behind it."""
        start = self._at + self._left + self._padding
        if start + _BLOCK > len(self._buffer):
            while self._left:
                self.read(self._left)
            self._take(self._padding)
            start = self._at
        self._left = self._padding = 0
        self._at = start
        return self._take(_BLOCK)

    def _drain(self) -> None:
        while self._pull():
            pass

    def _parse(self, block: bytes) -> tuple[TarMember, bytes]:
        (name, mode, uid, gid, size, mtime, checksum, flag, target, magic, prefix) = _HEADER.unpack(
            block
        )
        name = name.partition(b"\0")[0]
        read = self._number
        try:
            # The sum of all bytes, the field itself taken as eight spaces. adler32's low half is one
            # more than the sum modulo 65521, and twenty times as fast as Python's sum.
            is_sound = zlib.adler32(block) & 0xFFFF == (read(checksum) + sum(checksum) - 255) % 65521
            flag = _ALIASES.get(flag, flag)
            member = TarMember(
                name, flag, read(mode), read(uid), read(gid), read(mtime), read(size),
                target.partition(b"\0")[0], (),
            )  # fmt: skip
        except ValueError as error:
            raise self._fault(f"{self._what} has a forged header for {_show(name)}: {error}") from None
        if not is_sound:
            raise self._fault(f"{self._what} has a forged header for {_show(name)}: bad checksum")
        if member.size < 0:
            raise self._fault(f"{self._what} has a forged header for {_show(name)}: negative size")
        # GNU and v7 headers have other things where ustar has the prefix.
        return member, prefix.partition(b"\0")[0] if magic == b"ustar\0" else b""

    def _extend(self, member: TarMember, extra: dict[str, bytes], defaults: dict[str, bytes]) -> None:
        if member.size > _MAX_EXTENSION:
            raise self._fault(f"{self._what} has a header extension of {member.size} bytes")
        content = self._take(member.size)
        self._padding = -member.size % _BLOCK
        if member.flag == b"L":
            extra["path"] = content.partition(b"\0")[0]
        elif member.flag == b"K":
            extra["linkpath"] = content.partition(b"\0")[0]
        else:
            try:
                (extra if member.flag == b"x" else defaults).update(parse_pax(content))
            except ValueError as error:
                raise self._fault(f"{self._what} has a bad pax header: {error}") from None
        if not defaults.keys().isdisjoint(("path", "linkpath", "size")):
            raise self._fault(f"{self._what} has a global pax header that names a path or size")

    def _override(self, member: TarMember, records: dict[str, bytes]) -> TarMember:
        if "GNU.sparse.major" in records or "GNU.sparse.size" in records:
            raise self._fault(f"{self._what} has a sparse file {_show(member.name)}")
        try:
            return member._replace(
                name=records.get("path", member.name),
                target=records.get("linkpath", member.target),
                uid=_decimal(records, "uid", member.uid),
                gid=_decimal(records, "gid", member.gid),
                mtime=_decimal(records, "mtime", member.mtime),
                size=_decimal(records, "size", member.size),
                xattrs=tuple(
                    sorted(
                        (key.removeprefix(_XATTR), value)
                        for key, value in records.items()
                        if key.startswith(_XATTR)
                    )
                ),
            )
        except ValueError as error:
            raise self._fault(
                f"{self._what} has a bad pax header for {_show(member.name)}: {error}"
            ) from None


class _Content:
    """A large content, read in the pieces that the decoder gives."""

    def __init__(self, stream: TarStream) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """Return at most SIZE bytes (fewer at a piece's end); without SIZE, all that is left."""
        if size >= 0:
            return self._stream.read(size)
        pieces = []
        while piece := self._stream.read(-1):
            pieces.append(piece)
        return b"".join(pieces)


def number(field: bytes) -> int:
    """Return the number in a header FIELD: octal digits, or base-256 (GNU) when its top bit is set."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit():
        raise ValueError(f"not a number: {field!r}")
    return int(digits, 8)


def parse_pax(content: bytes) -> dict[str, bytes]:
    """Return the records of a pax header (``LENGTH KEY=VALUE`` and a newline); else `ValueError`."""
    records: dict[str, bytes] = {}
    at = 0
    while at < len(content):
        digits = content[at : at + 8].partition(b" ")[0]
        if not digits.isdigit() or int(digits) <= len(digits):
            raise ValueError(f"not a record: {content[at : at + 40]!r}")
        end = at + int(digits)
        key, equals, value = content[at + len(digits) + 1 : end].partition(b"=")
        if end > len(content) or not equals or not key or value[-1:] != b"\n":
            raise ValueError(f"not a record: {content[at : at + 40]!r}")
        records[key.decode()] = value[:-1]
        at = end
    return records


def _decimal(records: dict[str, bytes], key: str, default: int) -> int:
    text = records.get(key)
    if text is None:
        return default
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > 20 or (fraction and key != "mtime"):
        raise ValueError(f"{key} is not a number: {text!r}")
    return -int(whole) if text.startswith(b"-") else int(whole)


def _show(name: bytes) -> str:
    return f'"{name[:200].decode(errors="backslashreplace")}"'
