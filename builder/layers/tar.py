"""Canonical tar members: every header field set here, so that equal entries are equal bytes.

A member is a ustar header (POSIX.1-2017 pax(1)), preceded by a pax extended header only where ustar
cannot say it: paths and targets that are long or not ASCII, numbers too large for their octal digits,
extended attributes (``SCHILY.xattr.NAME``, which GNU tar, bsdtar, Go's archive/tar and so all container
engines read). Owner names are empty, device numbers 0, times whole seconds.

    header(entry) + content + padding(entry.size)    for each entry, then END_MARK once a layer
"""

from __future__ import annotations

import struct
import zlib

from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry

END_MARK = bytes(1024)
"""What ends a tar: two blocks of NULs."""

# name mode uid gid size mtime chksum typeflag linkname magic (names) devmajor devminor prefix
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s12x")
_FLAGS = {DIRECTORY: b"5", FILE: b"0", HARDLINK: b"1", SYMLINK: b"2"}
_MAX_ID = 0o7777777
_MAX_LONG = 0o77777777777  # sizes and times: 8 GiB - 1


def header(entry: Entry, *, clamp: int | None = None) -> bytes:
    """Return ENTRY's header blocks; no mtime in them is later than CLAMP."""
    path, kind, mode, uid, gid, mtime, size, target = (
        entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, entry.target
    )  # fmt: skip
    if clamp is not None and mtime > clamp:
        mtime = clamp
    records: list[tuple[str, bytes]] = []
    name = (path + "/" if kind == DIRECTORY else path).encode()
    link = target.encode()
    prefix = b""
    if len(name) > 100 or not name.isascii():
        prefix, name = _split(name, records)
    if len(link) > 100 or not link.isascii():
        records.append(("linkpath", link))
        link = _ascii(link)
    if uid > _MAX_ID or gid > _MAX_ID or size > _MAX_LONG or mtime > _MAX_LONG:
        uid, gid, size, mtime = _large(uid, gid, size, mtime, records)
    if entry.xattrs:
        records += ((f"SCHILY.xattr.{key}", value) for key, value in entry.xattrs)
    block = _block(
        name, _FLAGS[kind], mode, uid=uid, gid=gid, size=size, mtime=mtime, link=link, prefix=prefix
    )
    return _extension(records) + block if records else block


def padding(size: int) -> bytes:
    """Return the NULs that follow a content of SIZE bytes."""
    return bytes(-size % 512)


def member_size(entry: Entry, *, clamp: int | None = None) -> int:
    """Return the bytes that ENTRY takes in a tar: headers, content and padding."""
    return len(header(entry, clamp=clamp)) + entry.size + -entry.size % 512


def _block(
    name: bytes,
    flag: bytes,
    mode: int,
    *,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    prefix: bytes = b"",
) -> bytes:
    fields = (
        name, b"%07o" % mode, b"%07o" % uid, b"%07o" % gid, b"%011o" % size, b"%011o" % mtime, b" " * 8,
        flag, link, b"ustar\00000", b"0000000", b"0000000", prefix,
    )  # fmt: skip
    block = _HEADER.pack(*fields)
    # The sum of all bytes: adler32's low half is one more, modulo 65521, which 512 ASCII bytes do not
    # reach. Python's own sum takes twenty times as long.
    checksum = (zlib.adler32(block) & 0xFFFF) - 1
    return b"%b%06o\0 %b" % (block[:148], checksum, block[156:])


def _split(name: bytes, records: list[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """Return prefix and name of a ustar header; what they cannot say goes to RECORDS."""
    if name.isascii():
        # The name may end in a slash (a folder), which must not be where it is cut.
        cut = name.rfind(b"/", 0, min(156, len(name) - 1))
        if cut > 0 and len(name) - cut - 1 <= 100:
            return name[:cut], name[cut + 1 :]
    records.append(("path", name))
    return b"", _ascii(name)


def _ascii(text: bytes) -> bytes:
    # For readers that know no pax, and to keep the header ASCII.
    return bytes(byte for byte in text if byte < 0x80)[:100]


def _large(
    uid: int, gid: int, size: int, mtime: int, records: list[tuple[str, bytes]]
) -> tuple[int, int, int, int]:
    """Return the numbers with 0 for each that its octal digits cannot say: those go to RECORDS."""
    numbers = []
    for key, value, limit in (
        ("uid", uid, _MAX_ID),
        ("gid", gid, _MAX_ID),
        ("size", size, _MAX_LONG),
        ("mtime", mtime, _MAX_LONG),
    ):
        if value > limit:
            records.append((key, b"%d" % value))
        numbers.append(0 if value > limit else value)
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _extension(records: list[tuple[str, bytes]]) -> bytes:
    body = b"".join(_record(key.encode(), value) for key, value in records)
    return _block(b"PaxHeaders/x", b"x", 0o644, size=len(body)) + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    """Return ``LENGTH KEY=VALUE`` and a newline; LENGTH counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)
