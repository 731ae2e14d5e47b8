"""Debian packages made in the test from three-word entries.

    make_deb(entries=[Reg(0o755, "./usr/bin/hello", "ELF"), Link(0o777, "./usr/hi", "bin/hello")])

Bytes are a function of the arguments alone. The headers are written here, by hand, and not by the
code under test; what no honest packer would write goes in as `Raw` bytes, by `Header` fields, or by
`make_ar` with members of one's own. Parents of an entry are put before it unless ``parents=False``.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import zstandard

MTIME = 1_700_000_000
"""The mtime of entries that say nothing else: 2023-11-14."""


class Dir(NamedTuple):
    """A folder: ``Dir(0o755, "./usr/")``."""

    mode: int
    path: str
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    xattrs: Mapping[str, bytes] = {}


class Reg(NamedTuple):
    """A regular file: ``Reg(0o644, "./usr/x", "text")``."""

    mode: int
    path: str
    content: str | bytes = b""
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    xattrs: Mapping[str, bytes] = {}


class Link(NamedTuple):
    """A symbolic link: ``Link(0o777, "./usr/lib64", "lib")``."""

    mode: int
    path: str
    target: str
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    xattrs: Mapping[str, bytes] = {}


class Hard(NamedTuple):
    """A hard link: ``Hard(0o644, "./usr/b", "./usr/a")``."""

    mode: int
    path: str
    target: str
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    xattrs: Mapping[str, bytes] = {}


class Device(NamedTuple):
    """A device node or pipe: ``Device("c", "./dev/null", 1, 3)``; kind ``c``, ``b`` or ``p``."""

    kind: str
    path: str
    major: int = 0
    minor: int = 0


class Raw(NamedTuple):
    """Bytes that go into the tar as they are, in place of a member."""

    data: bytes


Made: TypeAlias = Dir | Reg | Link | Hard | Device | Raw
Members: TypeAlias = list[tuple[str | bytes, bytes]]
_FLAGS: dict[type, bytes] = {Dir: b"5", Reg: b"0", Link: b"2", Hard: b"1"}


class Compressor(NamedTuple):
    """How a member of the .deb is compressed: the ending of its name and what does it."""

    suffix: str
    compress: Callable[[bytes], bytes]


COMPRESSIONS: Mapping[str, Compressor] = {
    "none": Compressor("", bytes),
    "gz": Compressor(".gz", lambda data: gzip.compress(data, 6, mtime=0)),
    "xz": Compressor(".xz", lambda data: lzma.compress(data, preset=1)),
    "zst": Compressor(".zst", lambda data: zstandard.ZstdCompressor(3).compress(data)),
    "bz2": Compressor(".bz2", bz2.compress),
    "lzma": Compressor(".lzma", lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=1)),
}


def number(value: int, width: int) -> bytes:
    """Return VALUE as octal digits and a NUL, or base-256 as GNU tar writes what does not fit."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return ((1 << (8 * width - 1)) | (value & ((1 << (8 * width - 1)) - 1))).to_bytes(width, "big")


def header(
    name: bytes, flag: bytes, *, size: int = 0, mode: int = 0o644, uid: int = 0, gid: int = 0,
    mtime: int = MTIME, target: bytes = b"", magic: bytes = b"ustar  \0", prefix: bytes = b"",
    device: tuple[int, int] = (0, 0), uname: bytes = b"root", gname: bytes = b"root",
    size_field: bytes | None = None, checksum: int | None = None,
) -> bytes:  # fmt: skip
    """Return one 512-byte tar header; SIZE_FIELD and CHECKSUM lie where they are given."""
    block = bytearray(512)
    block[0 : len(name[:100])] = name[:100]
    block[100:108] = number(mode, 8)
    block[108:116] = number(uid, 8)
    block[116:124] = number(gid, 8)
    block[124:136] = number(size, 12) if size_field is None else size_field.ljust(12, b"\0")
    block[136:148] = number(mtime, 12)
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[157 : 157 + len(target[:100])] = target[:100]
    if magic:
        block[257:265] = magic
        block[265 : 265 + len(uname)] = uname
        block[297 : 297 + len(gname)] = gname
        block[329:337] = number(device[0], 8)
        block[337:345] = number(device[1], 8)
        block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % (sum(block) if checksum is None else checksum)
    return bytes(block)


def padded(data: bytes) -> bytes:
    """Return DATA, filled with NULs to whole blocks."""
    return data + b"\0" * (-len(data) % 512)


def pax(records: Mapping[str, bytes], *, flag: bytes = b"x") -> bytes:
    """Return the pax header member that says RECORDS."""
    body = b""
    for key, value in records.items():
        tail = b" " + key.encode() + b"=" + value + b"\n"
        length = len(tail) + 1
        while len(b"%d" % length) + len(tail) != length:
            length = len(b"%d" % length) + len(tail)
        body += b"%d" % length + tail
    return header(b"./PaxHeaders/x", flag, size=len(body)) + padded(body)


def long_field(flag: bytes, value: bytes) -> bytes:
    """Return the GNU member that gives the next one a long name (``L``) or link target (``K``)."""
    return header(b"././@LongLink", flag, size=len(value) + 1, mtime=0) + padded(value + b"\0")


def make_tar(entries: Iterable[Made], *, style: str = "gnu", end: bool = True) -> bytes:
    """Return ENTRIES as a tar; STYLE is how long names are said (and which magic): gnu, pax or v7."""
    tar = b"".join(_member(entry, style) for entry in entries)
    return tar + b"\0" * 1024 if end else tar


def _member(entry: Made, style: str) -> bytes:
    magic = {"gnu": b"ustar  \0", "pax": b"ustar\00000", "v7": b""}[style]
    if isinstance(entry, Raw):
        return entry.data
    if isinstance(entry, Device):
        flag = {"c": b"3", "b": b"4", "p": b"6"}[entry.kind]
        return header(entry.path.encode(), flag, device=(entry.major, entry.minor), magic=magic)
    name = entry.path.encode()
    target = entry.target.encode() if isinstance(entry, Link | Hard) else b""
    content = _bytes(entry.content) if isinstance(entry, Reg) else b""
    records = {f"SCHILY.xattr.{key}": value for key, value in entry.xattrs.items()}
    before = b""
    if style == "gnu":
        before += long_field(b"K", target) if len(target) > 100 else b""
        before += long_field(b"L", name) if len(name) > 100 else b""
    elif style == "pax":
        records |= {"path": name} if len(name) > 100 or not name.isascii() else {}
        records |= {"linkpath": target} if len(target) > 100 or not target.isascii() else {}
    before = (pax(records) if records else b"") + before
    return (
        before
        + header(
            name, _FLAGS[type(entry)], size=len(content), mode=entry.mode, uid=entry.uid, gid=entry.gid,
            mtime=entry.mtime, target=target, magic=magic,
        )
        + padded(content)
    )  # fmt: skip


def with_parents(entries: Sequence[Made]) -> list[Made]:
    """Return ENTRIES with ``./`` and each missing parent folder (0755) before what lies in it."""
    seen = {entry.path.rstrip("/") for entry in entries if isinstance(entry, Dir)}
    result: list[Made] = [] if "." in seen else [Dir(0o755, "./")]
    for entry in entries:
        if not isinstance(entry, Raw):
            parts = entry.path.rstrip("/").split("/")
            for end in range(2, len(parts)):
                parent = "/".join(parts[:end])
                if parent not in seen:
                    seen.add(parent)
                    result.append(Dir(0o755, f"{parent}/"))
        result.append(entry)
    return result


def make_ar(members: Iterable[tuple[str | bytes, bytes]]) -> bytes:
    """Return an ar archive of (name, content) MEMBERS, as dpkg-deb writes it."""
    archive = b"!<arch>\n"
    for name, content in members:
        raw = name.encode() if isinstance(name, str) else name
        archive += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (raw, MTIME, 0, 0, b"100644", len(content))
        archive += content + b"\n" * (len(content) % 2)
    return archive


def control_text(name: str, version: str, architecture: str, fields: Mapping[str, str]) -> str:
    """Return the control paragraph; FIELDS add to or replace what every package says."""
    stanza = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "Test <test@example.com>",
        "Installed-Size": "1",
        "Section": "misc",
        "Priority": "optional",
        "Description": "a package made by a test",
    } | dict(fields)
    return "".join(f"{key}: {value}\n" for key, value in stanza.items() if value)


def md5sums(entries: Iterable[Made]) -> str:
    """Return the md5sums file for the regular files of ENTRIES."""
    return "".join(
        f"{hashlib.md5(_bytes(e.content), usedforsecurity=False).hexdigest()}  {e.path[2:]}\n"
        for e in entries
        if isinstance(e, Reg)
    )


def make_deb(
    name: str = "hello",
    version: str = "1.0",
    architecture: str = "all",
    entries: Sequence[Made] = (),
    *,
    fields: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    compression: str = "xz",
    control_compression: str = "xz",
    style: str = "gnu",
    parents: bool = True,
    with_md5sums: bool = True,
    control: str | None = None,
    control_tar: bytes | None = None,
    data_tar: bytes | None = None,
    change_members: Callable[[Members], Members] | None = None,
) -> bytes:
    """Return a .deb.

    fields          control fields beside the usual ones: ``{"Depends": "libc6 (>= 2.36)"}``
    files           the control part's other files: ``conffiles``, ``postinst``, ``triggers`` …
    compression     of data.tar, ``control_compression`` of control.tar: a key of `COMPRESSIONS`
    style           ``gnu``, ``pax`` or ``v7`` headers
    control         the whole text of the control file, in place of the fields
    control_tar, data_tar  the whole (uncompressed) tar, in place of what the entries make
    change_members  gets the ar members, returns what is written: for archives that lie
    """
    data = with_parents(entries) if parents else list(entries)
    text = control if control is not None else control_text(name, version, architecture, fields or {})
    members: list[Made] = [Dir(0o755, "./"), Reg(0o644, "./control", text)]
    extra = dict(files or {})
    if with_md5sums and (sums := md5sums(data)):
        extra.setdefault("md5sums", sums)
    for key, value in sorted(extra.items()):
        is_script = key in ("preinst", "postinst", "prerm", "postrm", "config")
        members.append(Reg(0o755 if is_script else 0o644, f"./{key}", value))
    inner, outer = COMPRESSIONS[control_compression], COMPRESSIONS[compression]
    control_part = make_tar(members) if control_tar is None else control_tar
    data_part = make_tar(data, style=style) if data_tar is None else data_tar
    archive: Members = [
        ("debian-binary", b"2.0\n"),
        (f"control.tar{inner.suffix}", inner.compress(control_part)),
        (f"data.tar{outer.suffix}", outer.compress(data_part)),
    ]
    return make_ar(change_members(archive) if change_members else archive)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
