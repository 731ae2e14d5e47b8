"""The outer shell of a .deb: a common ar archive (deb(5), ar(5)).

Only what dpkg reads is read: 16-byte names with an optional trailing slash, decimal sizes, no long
names. A member never reaches beyond the file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, TypeAlias

from builder.errors import PackageError

Fault: TypeAlias = Callable[[str], PackageError]
"""Makes the error of one package out of a message."""

_MAGIC = b"!<arch>\n"
_MAX_MEMBERS = 64


class Member(NamedTuple):
    """One member: where its content lies in the file, in bytes."""

    name: str
    offset: int
    size: int


def members(archive: BinaryIO, fault: Fault) -> Iterator[Member]:
    """Yield the members of seekable ARCHIVE in order; raises what FAULT makes."""
    end = archive.seek(0, io.SEEK_END)
    archive.seek(0)
    if archive.read(8) != _MAGIC:
        raise fault("not a Debian package: the ar magic is missing")
    at = 8
    for _ in range(_MAX_MEMBERS):
        if at >= end:
            return
        archive.seek(at)
        member = _header(archive.read(60), at + 60, fault)
        if member.offset + member.size > end:
            raise fault(
                f'ar member "{member.name}" is cut off: {member.size} bytes declared, '
                f"{end - member.offset} there"
            )
        yield member
        at = member.offset + member.size + member.size % 2
    raise fault(f"more than {_MAX_MEMBERS} ar members")


def _header(header: bytes, offset: int, fault: Fault) -> Member:
    if len(header) < 60 or header[58:60] != b"`\n":
        raise fault(f"ar header at byte {offset - 60} is cut off or forged")
    raw = header[:16].rstrip(b" ").removesuffix(b"/")
    size = header[48:58].rstrip(b" ")
    if not raw or not raw.isascii() or not raw.decode().isprintable() or b"/" in raw:
        raise fault(f"ar member has an odd name: {header[:16]!r}")
    if not size.isdigit():
        raise fault(f'ar member "{raw.decode()}" has an odd size: {header[48:58]!r}')
    return Member(raw.decode(), offset, int(size))
