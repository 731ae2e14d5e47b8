"""A package that is well comes out as it was packed, whoever packed it and however."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import PackageError
from builder.formats.deb.archive import CONFFILE_SUMS, read
from builder.formats.deb.tarstream import number, parse_pax
from builder.packages import Identity
from builder.tree.entries import Entry
from tests.makers import deb as makers
from tests.makers.deb import (
    Dir,
    Hard,
    Link,
    Made,
    Members,
    Raw,
    Reg,
    header,
    make_deb,
    make_tar,
    padded,
    pax,
)

HELLO = Identity(name="hello", version="1.0", architecture="all")
USR_MERGE = (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"))
Moves = tuple[tuple[str, str], ...]


def unpack(deb: bytes, moves: Moves = ()) -> list[tuple[Entry, bytes]]:
    reader = read(io.BytesIO(deb), HELLO, moves=moves)
    return [(entry, content.read() if content else b"") for entry, content in reader]


def tree(entries: Sequence[Made], moves: Moves = ()) -> dict[str, str]:
    """Each path with kind, mode and target or content, of a package of ENTRIES."""
    return {
        entry.path: f"{entry.kind} {entry.mode:o} {entry.target or content.decode()}".strip()
        for entry, content in unpack(make_deb(entries=entries), moves)
    }


names = st.text(
    st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=40
)
paths = (
    st.lists(
        names.filter(lambda n: n not in (".", "..") and not n.startswith(".wh.")), min_size=1, max_size=5
    )
    .map("/".join)
    .filter(lambda path: all(len(part.encode()) < 250 for part in path.split("/")))
)
modes = st.integers(0, 0o7777)


@st.composite
def packages(draw: st.DrawFn) -> list[Made]:
    """Draw entries without a clash: each below a folder of its own."""
    entries: list[Made] = []
    for at in range(draw(st.integers(0, 6))):
        path = f"./{at}/{draw(paths)}"
        kind = draw(st.sampled_from("frsh"))
        if kind == "f":
            entries.append(Dir(draw(modes), path + "/", draw(st.integers(0, 1 << 31))))
        elif kind == "r":
            entries.append(
                Reg(
                    draw(modes),
                    path,
                    draw(st.binary(max_size=1500)),
                    0,
                    8,
                    draw(st.integers(0, 1 << 33 - 1)),
                )
            )
        elif kind == "s":
            entries.append(Link(0o777, path, draw(paths)))
        else:
            files = [entry for entry in entries if isinstance(entry, Reg)]
            if files:
                file = draw(st.sampled_from(files))
                entries.append(Hard(file.mode, path, file.path, 0, 8, file.mtime))
    return entries


def expected(entry: Made) -> tuple[str, ...]:
    assert isinstance(entry, Dir | Reg | Link | Hard)
    kind = {Dir: "d", Reg: "f", Link: "l", Hard: "h"}[type(entry)]
    target = entry.target.removeprefix("./") if isinstance(entry, Link | Hard) else ""
    if isinstance(entry, Link):
        target = entry.target
    content = entry.content if isinstance(entry, Reg) else b""
    path = entry.path.removeprefix("./").rstrip("/")
    return (
        path,
        kind,
        oct(entry.mode),
        str(entry.uid),
        str(entry.gid),
        str(entry.mtime),
        target,
        repr(content),
    )


@given(packages(), st.sampled_from(sorted(makers.COMPRESSIONS)), st.sampled_from(["gnu", "pax"]))
@settings(max_examples=150, deadline=None)
def test_what_is_packed_is_what_is_read(entries: list[Made], compression: str, style: str) -> None:
    deb = make_deb(
        entries=entries, compression=compression, style=style, parents=False, with_md5sums=False
    )
    found = [
        (e.path, e.kind, oct(e.mode), str(e.uid), str(e.gid), str(e.mtime), e.target, repr(content))
        for e, content in unpack(deb)
    ]
    assert found == [expected(entry) for entry in entries]


@given(st.randoms(use_true_random=False), st.sampled_from(["none", "gz", "xz", "zst", "bz2"]))
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_gives_an_error_or_changes_nothing_it_should_not(
    rng: random.Random, how: str
) -> None:
    entries: list[Made] = [
        Reg(0o4755, "./usr/bin/x", "text" * 50),
        Hard(0o4755, "./usr/y", "./usr/bin/x"),
        Link(0o777, "./l", "x"),
    ]
    deb = bytearray(make_deb(entries=entries, compression=how, control_compression=how))
    at = rng.randrange(len(deb))
    deb[at] ^= 1 << rng.randrange(8)
    message = ""
    found: list[tuple[Entry, bytes]] = []
    try:
        found = unpack(bytes(deb))
    except PackageError as error:
        message = str(error)
    assert not message or message.startswith("package hello 1.0 (all): ")
    # Without a checksum around it a content may change, but no path leaves the tree.
    assert all(entry.path and not entry.path.startswith(("/", "..")) for entry, _ in found)


def test_owner_mode_and_capability_survive_exactly() -> None:
    capability = b"\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    entries: list[Made] = [
        Dir(0o1777, "./tmp/"),
        Reg(0o6755, "./usr/bin/x", "x", uid=0, gid=42),
        Reg(0o755, "./usr/bin/ping", "x", xattrs={"security.capability": capability, "user.a": b"=\n"}),
    ]
    found = {e.path: e for e, _ in unpack(make_deb(entries=entries, style="pax"))}
    assert found["tmp"].mode == 0o1777
    assert (found["usr/bin/x"].mode, found["usr/bin/x"].gid) == (0o6755, 42)
    assert found["usr/bin/ping"].xattrs == (("security.capability", capability), ("user.a", b"=\n"))


def test_old_and_odd_headers_are_read() -> None:
    tar = make_tar(
        [
            Raw(header(b"./old/", b"\0", magic=b"")),  # v7 says folder by a slash
            Raw(header(b"./old/file", b"\0", magic=b"", size=1) + padded(b"1")),
            Raw(header(b"contiguous", b"7", size=1) + padded(b"2")),
            Raw(header(b"name", b"0", magic=b"ustar\00000", prefix=b"./pre/fix")),
            Raw(header(b"./spaces", b"0", size_field=b"          1 ") + padded(b"3")),
            Raw(header(b"./big", b"0", uid=3_000_000, size=1, mtime=-5) + padded(b"4")),
            Raw(pax({"mtime": b"1700000000.75", "uid": b"7", "path": "./é".encode(), "size": b"2"})),
            Raw(header(b"short", b"0", size=0) + padded(b"56")),
            Raw(pax({"gid": b"9", "comment": b"x"}, flag=b"g")),
            Dir(0o755, "./all"),
            Dir(0o755, "./all/"),
        ]
    )
    found = [(e.path, e.kind, e.uid, e.gid, e.mtime, c) for e, c in unpack(make_deb(data_tar=tar))]
    now = makers.MTIME
    assert found == [
        ("old", "d", 0, 0, now, b""),
        ("old/file", "f", 0, 0, now, b"1"),
        ("contiguous", "f", 0, 0, now, b"2"),
        ("pre/fix/name", "f", 0, 0, now, b""),
        ("spaces", "f", 0, 0, now, b"3"),
        ("big", "f", 3_000_000, 0, 0, b"4"),
        ("é", "f", 7, 0, 1_700_000_000, b"56"),
        ("all", "d", 0, 9, now, b""),
    ]


def test_underscored_and_later_members_are_passed_over() -> None:
    def add(members: Members) -> Members:
        _first, control, data = members
        return [
            (b"debian-binary/", b"2.7\nmore\n"),
            ("_a", b"x"),
            control,
            ("_b", b""),
            data,
            ("later", b"y"),
        ]

    assert [e.path for e, _ in unpack(make_deb(entries=[Reg(0o644, "./x")], change_members=add))] == [
        "x"
    ]


def test_a_content_that_is_not_read_is_passed_over() -> None:
    entries: list[Made] = [Reg(0o644, "./a", bytes(1 << 20)), Reg(0o644, "./b", "b")]
    reader = read(io.BytesIO(make_deb(entries=entries)), HELLO)
    assert [(entry.path, entry.size) for entry, _ in reader] == [("a", 1 << 20), ("b", 1)]


def test_merged_folders_move_with_all_that_is_in_them() -> None:
    entries: list[Made] = [
        Reg(0o755, "./bin/ls", "ls"),
        Hard(0o755, "./bin/dir", "./bin/ls"),
        Reg(0o644, "./lib/x/y.so", "y"),
        Dir(0o755, "./usr/lib/"),
        Link(0o777, "./lib/y.so", "x/y.so"),
        Link(0o777, "./sbin", "usr/sbin"),
        Reg(0o644, "./library", "not lib"),
    ]
    assert tree(entries, USR_MERGE) == {
        "library": "f 644 not lib",
        "sbin": "l 777 usr/sbin",
        "usr": "d 755",
        "usr/bin": "d 755",
        "usr/bin/dir": "h 755 usr/bin/ls",
        "usr/bin/ls": "f 755 ls",
        "usr/lib": "d 755",
        "usr/lib/x": "d 755",
        "usr/lib/x/y.so": "f 644 y",
        "usr/lib/y.so": "l 777 x/y.so",
    }


@pytest.mark.parametrize("target", ["/bin/a", "../../bin/a", "/usr/bin/a"])
def test_a_compatibility_link_that_would_lead_to_itself_is_dropped(target: str) -> None:
    entries: list[Made] = [Reg(0o755, "./bin/a", "a"), Link(0o777, "./usr/bin/a", target)]
    for order in (entries, entries[::-1]):
        assert tree(order, USR_MERGE)["usr/bin/a"] == "f 755 a"


def test_the_same_file_in_both_folders_is_one() -> None:
    entries: list[Made] = [
        Reg(0o755, "./bin/a", "a" * 300_000),
        Reg(0o755, "./usr/bin/a", "a" * 300_000, mtime=1),
    ]
    found = [entry.path for entry, _ in unpack(make_deb(entries=entries), USR_MERGE)]
    assert found == ["usr/bin", "usr/bin/a", "usr"]


def test_sums_of_conffiles_are_added_to_the_control_part() -> None:
    entries: list[Made] = [Reg(0o644, "./etc/a", "a"), Reg(0o644, "./etc/b", "b")]
    deb = make_deb(entries=entries, files={"conffiles": "/etc/a\n/etc/gone\nremove-on-upgrade /etc/b\n"})
    reader = read(io.BytesIO(deb), HELLO)
    assert [f.name for f in reader.control.files] == ["conffiles", "md5sums"]
    list(reader)
    added = reader.control.files[-1]
    assert (added.name, added.content) == (CONFFILE_SUMS, b"0cc175b9c0f1b6a831c399e269772661  etc/a\n")


@given(st.integers(-(1 << 60), 1 << 60))
def test_numbers_are_read_as_tarfile_writes_them(value: int) -> None:
    field = tarfile.itn(value, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]  # not in its stub
    assert number(field) == value


@given(st.dictionaries(st.text("abc.é", min_size=1, max_size=20), st.binary(max_size=200), min_size=1))
def test_pax_records_are_read_as_they_were_written(records: dict[str, bytes]) -> None:
    written = pax(records)
    assert parse_pax(written[512:].rstrip(b"\0")) == records or any(
        v.endswith(b"\0") for v in records.values()
    )
