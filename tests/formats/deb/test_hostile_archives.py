"""Every way a package can lie, with the whole text of what is said about it."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from builder.errors import PackageError
from builder.formats.deb.archive import read
from builder.packages import Identity
from tests.makers.deb import (
    Device,
    Dir,
    Hard,
    Link,
    Made,
    Members,
    Raw,
    Reg,
    header,
    long_field,
    make_ar,
    make_deb,
    make_tar,
    padded,
    pax,
)

HELLO = Identity(name="hello", version="1.0", architecture="all")
MOVES = (("bin", "usr/bin"), ("lib", "usr/lib"))
DATA = "package hello 1.0 (all): data.tar.xz"


def refusal(deb: bytes, *, moves: tuple[tuple[str, str], ...] = ()) -> str:
    with pytest.raises(PackageError) as caught:
        drain(deb, moves)
    return str(caught.value)


def drain(deb: bytes, moves: tuple[tuple[str, str], ...]) -> None:
    for _entry, content in read(io.BytesIO(deb), HELLO, moves=moves):
        while content is not None and content.read(1 << 16):
            pass


X = Reg(0o644, "./x", "x")
ENTRIES: dict[str, tuple[list[Made], str]] = {
    "a path that climbs out": (
        [Reg(0o644, "./usr/../../etc/passwd")],
        '"./usr/../../etc/passwd" has a ".." part',
    ),
    "a bare ..": ([Dir(0o755, "..")], '".." has a ".." part'),
    "an absolute path": ([Reg(0o644, "/etc/passwd")], '"/etc/passwd" has an absolute path'),
    "an absolute path behind a dot": (
        [Reg(0o644, ".//etc/passwd")],
        '".//etc/passwd" has an absolute path',
    ),
    "a file at the root's path": (
        [Reg(0o644, "./.")],
        '"./." is no folder, and its path is the root\'s',
    ),
    "an empty path": ([Link(0o777, "", "x")], '"" is no folder, and its path is the root\'s'),
    "a newline": ([Reg(0o644, "./a\nb")], '"./a\\nb" has a path with a newline'),
    "a NUL": ([Raw(pax({"path": b"a\0b"})), X], '"a\\0b" has a path with a NUL byte'),
    "bytes that are not UTF-8": (
        [Raw(header(b"./\xff", b"0"))],
        '"./\\xff" has a path that is not UTF-8',
    ),
    "a name too long for a file system": (
        [Reg(0o644, "./" + "n" * 256)],
        f'"./{"n" * 198}" has a name of 256 bytes',
    ),
    "a path too long for a system call": (
        [Reg(0o644, "./" + "n/" * 2048 + "x")],
        f'"./{"n/" * 99}" has a path of 4099 bytes',
    ),
    "a whiteout": (
        [Reg(0o644, "./etc/.wh.passwd")],
        '"./etc/.wh.passwd" has a ".wh." name, which would delete files of lower layers',
    ),
    "an opaque whiteout as a folder": (
        [Dir(0o755, "./etc/.wh..wh..opq/")],
        '"./etc/.wh..wh..opq/" has a ".wh." name, which would delete files of lower layers',
    ),
    "a file below a link": (
        [Link(0o777, "./a", "/etc"), Reg(0o644, "./a/passwd")],
        '"a/passwd" lies below "a", which the package makes a symbolic link',
    ),
    "a file far below a link": (
        [Link(0o777, "./a", ".."), Reg(0o644, "./a/b/c/passwd")],
        '"a/b/c/passwd" lies below "a", which the package makes a symbolic link',
    ),
    "a file below what becomes a link later": (
        [Reg(0o644, "./a/passwd"), Link(0o777, "./a", "/etc")],
        '"a" is a symbolic link, and others lie below it',
    ),
    "a folder that becomes a link later": (
        [Dir(0o755, "./a/"), Link(0o777, "./a", "/etc")],
        '"a" is packed twice, as a folder and as a symbolic link',
    ),
    "a file below a file": (
        [Reg(0o644, "./a"), Reg(0o644, "./a/b")],
        '"a/b" lies below "a", which the package makes a file',
    ),
    "a file below a hard link": (
        [X, Hard(0o644, "./a", "./x"), Reg(0o644, "./a/b")],
        '"a/b" lies below "a", which the package makes a hard link',
    ),
    "a file twice": ([X, X], '"x" is packed twice'),
    "a folder twice, with other modes": (
        [Dir(0o755, "./a/"), Dir(0o700, "./a/")],
        '"a" is packed twice',
    ),
    "a hard link out of the package": (
        [Hard(0o644, "./a", "/etc/passwd")],
        '"/etc/passwd" has an absolute path',
    ),
    "a hard link that climbs out": (
        [Hard(0o644, "./a", "../etc/passwd")],
        '"../etc/passwd" has a ".." part',
    ),
    "a hard link to nothing": (
        [Hard(0o644, "./a", "./etc/passwd")],
        '"a" is a hard link to "etc/passwd", which has not been packed before it',
    ),
    "a hard link to what comes later": (
        [Hard(0o644, "./a", "./x"), X],
        '"a" is a hard link to "x", which has not been packed before it',
    ),
    "a hard link to itself": (
        [Hard(0o644, "./a", "./a")],
        '"a" is a hard link to "a", which has not been packed before it',
    ),
    "a hard link to a folder": (
        [Dir(0o755, "./d/"), Hard(0o644, "./a", "./d")],
        '"a" is a hard link to "d", which is a folder',
    ),
    "a hard link to a symbolic link": (
        [Link(0o777, "./l", "/etc/shadow"), Hard(0o644, "./a", "./l")],
        '"a" is a hard link to "l", which is a symbolic link',
    ),
    "a character device": ([Device("c", "./dev/mem", 1, 1)], '"./dev/mem" is a character device'),
    "a block device": ([Device("b", "./sda", 8, 0)], '"./sda" is a block device'),
    "a named pipe": ([Device("p", "./pipe")], '"./pipe" is a named pipe'),
    "an unknown type": ([Raw(header(b"./s", b"S"))], "\"./s\" is of unknown type b'S'"),
    "a database file": (
        [Reg(0o644, "./var/lib/dpkg/status", "Package: x")],
        '"var/lib/dpkg/status" would overwrite the package database',
    ),
    "a database script": (
        [X, Hard(0o755, "./var/lib/dpkg/info/x.postinst", "./x")],
        '"var/lib/dpkg/info/x.postinst" would overwrite the package database',
    ),
    "the database as a link": (
        [Link(0o777, "./var/lib/dpkg", "/tmp")],
        '"var/lib/dpkg" would overwrite the package database',
    ),
    "a link to nothing": ([Link(0o777, "./l", "")], "\"./l\" is a symbolic link to b''"),
    "a link that is not UTF-8": (
        [Raw(header(b"./l", b"2", target=b"\xff"))],
        '"./l" is a symbolic link whose target is not UTF-8',
    ),
    "a folder with content": (
        [Raw(header(b"./d", b"5", size=512) + bytes(512))],
        '"./d" has a size of 512, and is no file',
    ),
    "a link with content": (
        [Raw(header(b"./l", b"2", size=3, target=b"x") + padded(b"abc"))],
        '"./l" has a size of 3, and is no file',
    ),
    "an owner beyond 32 bits": (
        [Raw(header(b"./x", b"0", uid=1 << 33))],
        '"./x" has an absurd owner or time: 8589934592, 0, 1700000000',
    ),
    "a negative owner": (
        [Raw(header(b"./x", b"0", gid=-1))],
        '"./x" has an absurd owner or time: 0, -1, 1700000000',
    ),
    "a time beyond all clocks": (
        [Raw(header(b"./x", b"0", mtime=1 << 60))],
        '"./x" has an absurd owner or time: 0, 0, 1152921504606846976',
    ),
}

HEADERS: dict[str, tuple[list[Made], str]] = {
    "a bad checksum": ([Raw(header(b"./x", b"0", checksum=1))], 'forged header for "./x": bad checksum'),
    "a negative size": (
        [Raw(header(b"./x", b"0", size=-512))],
        'forged header for "./x": negative size',
    ),
    "a size that is no number": (
        [Raw(header(b"./x", b"0", size_field=b"12z"))],
        "forged header for \"./x\": not a number: b'12z\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00'",
    ),
    "a size with a sign": (
        [Raw(header(b"./x", b"0", size_field=b"-1"))],
        'forged header for "./x": not a number: b\'-1' + "\\x00" * 10 + "'",
    ),
    "a size with an eight": (
        [Raw(header(b"./x", b"0", size_field=b"8"))],
        "forged header for \"./x\": invalid literal for int() with base 8: b'8'",
    ),
    "a huge header extension": (
        [Raw(header(b"././@LongLink", b"L", size=1 << 40))],
        "header extension of 1099511627776 bytes",
    ),
    "a pax record that is none": (
        [Raw(header(b"x", b"x", size=8) + padded(b"garbage\n"))],
        "bad pax header: not a record: b'garbage\\n'",
    ),
    "a pax record longer than the header": (
        [Raw(header(b"x", b"x", size=9) + padded(b"99 path=\n"))],
        "bad pax header: not a record: b'99 path=\\n'",
    ),
    "a pax size with a fraction": (
        [Raw(pax({"size": b"1.5"})), X],
        "bad pax header for \"./x\": size is not a number: b'1.5'",
    ),
    "a path for all members": (
        [Raw(pax({"path": b"x"}, flag=b"g")), X],
        "global pax header that names a path or size",
    ),
    "a sparse file": ([Raw(pax({"GNU.sparse.major": b"1"})), X], 'sparse file "./x"'),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_a_hostile_entry_is_refused_by_its_name(case: str) -> None:
    entries, message = ENTRIES[case]
    deb = make_deb(entries=entries, parents=False, with_md5sums=False)
    assert refusal(deb) == f"{DATA}: {message}"


@pytest.mark.parametrize("case", HEADERS)
def test_a_forged_header_is_refused(case: str) -> None:
    entries, message = HEADERS[case]
    deb = make_deb(entries=entries, parents=False, with_md5sums=False)
    assert refusal(deb) == f"{DATA} has a {message}"


def test_moving_does_not_hide_a_clash() -> None:
    entries: list[Made] = [Reg(0o755, "./bin/a", "1"), Reg(0o755, "./usr/bin/a", "2")]
    message = '"usr/bin/a" and "bin/a" are both "usr/bin/a" in the image, and differ'
    assert refusal(make_deb(entries=entries), moves=MOVES) == f"{DATA}: {message}"
    entries = [Reg(0o755, "./usr/bin/a", "1"), Link(0o777, "./bin/a", "b")]
    message = '"bin/a" and "usr/bin/a" are both "usr/bin/a" in the image, and differ'
    assert refusal(make_deb(entries=entries), moves=MOVES) == f"{DATA}: {message}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Package": "evil"}, 'control says Package is "evil", the index says "hello"'),
        ({"Version": "2"}, 'control says Version is "2", the index says "1.0"'),
        ({"Architecture": "amd64"}, 'control says Architecture is "amd64", the index says "all"'),
        ({"Version": ""}, 'control says Version is "", the index says "1.0"'),
    ],
)
def test_control_fields_that_lie_are_refused(fields: dict[str, str], message: str) -> None:
    assert refusal(make_deb(fields=fields)) == f"package hello 1.0 (all): {message}"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Reg(0o644, "./a/b"), '"a/b" is no plain file of a control part'),
        (Reg(0o644, "../x"), '"../x" is no plain file of a control part'),
        (Reg(0o644, "./.hidden"), '".hidden" is no plain file of a control part'),
        (Link(0o777, "./postinst", "/bin/sh"), '"postinst" is no plain file of a control part'),
        (Hard(0o644, "./postinst", "./control"), '"postinst" is no plain file of a control part'),
        (Reg(0o644, "./control", "Package: x"), '"control" is packed twice'),
    ],
)
def test_odd_control_members_are_refused(member: Reg | Link | Hard, message: str) -> None:
    deb = make_deb(control_tar=make_tar([Reg(0o644, "./control", "Package: hello\n"), member]))
    assert refusal(deb) == f"package hello 1.0 (all): control.tar.xz: {message}"


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ("Package hello\n", "\"control\": line 1 is no field: 'Package hello'"),
        ("Package: hello\npackage: evil\n", '"control": line 2 gives field "package" again'),
        ("Package: hello\n\nPackage: evil\n", "\"control\": line 2 is no field: ''"),
    ],
)
def test_a_malformed_control_file_is_refused(control: str, message: str) -> None:
    assert refusal(make_deb(control=control)) == f"package hello 1.0 (all): control.tar.xz: {message}"


def test_a_package_without_control_file_is_refused() -> None:
    deb = make_deb(control_tar=make_tar([Dir(0o755, "./")]))
    assert refusal(deb) == 'package hello 1.0 (all): control.tar.xz: there is no file "control"'
    deb = make_deb(control_tar=make_tar([Reg(0o644, "./control", b"Package: \xff\n")]))
    assert refusal(deb) == 'package hello 1.0 (all): control.tar.xz: "control" is not UTF-8'


def change(name: str, content: bytes, *, rename: str | None = None) -> bytes:
    def replace(members: Members) -> Members:
        return [(rename or n, content) if str(n).startswith(name) else (n, c) for n, c in members]

    return make_deb(entries=[X], change_members=replace)


OUTER = {
    "no archive": (b"MZ", "not a Debian package: the ar magic is missing"),
    "nothing": (b"", "not a Debian package: the ar magic is missing"),
    "no members": (b"!<arch>\n", 'the first ar member is "", not "debian-binary"'),
    "another first member": (make_ar([("x", b"")]), 'the first ar member is "x", not "debian-binary"'),
    "a new major version": (change("debian-binary", b"3.0\n"), "format version is b'3.0', not 2.0"),
    "no data": (make_ar([("debian-binary", b"2.0\n")]), 'there is no ar member "control.tar"'),
    "data first": (
        make_ar([("debian-binary", b"2.0\n"), ("data.tar", b"")]),
        'ar member "data.tar" stands where "control.tar" should',
    ),
    "an unknown compression": (
        change("data", b"", rename="data.tar.Z"),
        'ar member "data.tar.Z" stands where "data.tar" should',
    ),
    "damaged xz": (
        change("data", b"junk" * 10),
        'ar member "data.tar.xz" is damaged: Input format not supported by decoder',
    ),
    "an empty part": (
        change("data", b""),
        'ar member "data.tar.xz" is cut off within its compressed data',
    ),
    "xz cut off": (
        change("data", lzma.compress(make_tar([X]))[:-20]),
        'ar member "data.tar.xz" is cut off within its compressed data',
    ),
    "xz with more behind": (
        change("data", lzma.compress(make_tar([X])) + b"more"),
        'ar member "data.tar.xz" has bytes behind its compressed data',
    ),
    "a dictionary of 1.5 GiB": (
        change(
            "data",
            b"\x5d" + (1536 << 20).to_bytes(4, "little") + b"\xff" * 8 + bytes(20),
            rename="data.tar.lzma",
        ),
        'ar member "data.tar.lzma" is damaged: Memory usage limit exceeded',
    ),
    "a tar cut off": (change("data", lzma.compress(make_tar([X])[:700])), "data.tar.xz is cut off"),
    "a tar without end": (
        change("data", lzma.compress(make_tar([X], end=False))),
        "data.tar.xz is cut off",
    ),
    "a content beyond the part": (
        change("data", lzma.compress(header(b"./x", b"0", size=1 << 62) + bytes(512))),
        "data.tar.xz is cut off",
    ),
}


@pytest.mark.parametrize("case", OUTER)
def test_a_broken_shell_is_refused(case: str) -> None:
    deb, message = OUTER[case]
    assert refusal(deb) == f"package hello 1.0 (all): {message}"


def test_an_archive_cut_off_anywhere_is_refused() -> None:
    deb = make_deb(entries=[Reg(0o644, "./usr/x", "text" * 100)])
    for end in range(len(deb) - 1):
        assert refusal(deb[:end]).startswith("package hello 1.0 (all): ")
    assert refusal(deb[:-7]).endswith(" there")


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["gz", "xz", "zst", "bz2", "lzma"])
def test_a_bomb_ends_soon(compression: str) -> None:
    began = time.monotonic()
    # 512 MiB of NULs in one file.
    size = 512 << 20
    tar = header(b"./bomb", b"0", size=size)
    deb = bomb(tar, size, compression)
    assert re.fullmatch(
        rf'package hello 1.0 \(all\): ar member "data.tar.{compression}" grows beyond \d+ bytes '
        r"\(\d+ bytes compressed\)",
        refusal(deb),
    )
    assert time.monotonic() - began < 20


def bomb(tar: bytes, size: int, compression: str) -> bytes:
    makers: dict[str, Callable[[], Any]] = {
        "gz": lambda: zlib.compressobj(9, zlib.DEFLATED, 31),
        "xz": lambda: lzma.LZMACompressor(preset=0),
        "lzma": lambda: lzma.LZMACompressor(lzma.FORMAT_ALONE, preset=0),
        "bz2": bz2.BZ2Compressor,
        "zst": lambda: zstandard.ZstdCompressor().compressobj(),
    }
    encoder = makers[compression]()
    data = encoder.compress(tar)
    data += b"".join(encoder.compress(bytes(1 << 20)) for _ in range(size >> 20)) + encoder.flush()
    return make_deb(change_members=lambda m: [*m[:2], (f"data.tar.{compression}", data)])


def test_a_control_part_that_grows_is_refused() -> None:
    deb = make_deb(files={"templates": bytes(32 << 20)}, control_compression="zst")
    assert refusal(deb).startswith(
        'package hello 1.0 (all): ar member "control.tar.zst" grows beyond 8388608 bytes ('
    )


def test_a_long_name_before_nothing_is_harmless() -> None:
    tar = make_tar([X, Raw(long_field(b"L", b"./y"))])
    assert [e.path for e, _ in read(io.BytesIO(make_deb(data_tar=tar)), HELLO)] == ["x"]
