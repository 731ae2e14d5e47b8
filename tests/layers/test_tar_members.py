"""Canonical members, as Python's tarfile, GNU tar and (where there is one) bsdtar read them."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digests import Digest
from builder.layers.tar import END_MARK, header, member_size, padding
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=120
)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map(
    "/".join
)
NUMBERS = st.sampled_from([0, 1, 33, 2097151, 2097152, (1 << 32) - 2])
TYPES = {b"5": DIRECTORY, b"0": FILE, b"1": HARDLINK, b"2": SYMLINK}


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(st.sampled_from([DIRECTORY, FILE, SYMLINK, HARDLINK]))
    xattrs = draw(st.sampled_from([(), (("security.capability", b"\1\0\n=\xff"), ("user.x", b""))]))
    return Entry(
        draw(PATHS),
        kind,
        draw(st.integers(0, 0o7777)),
        draw(NUMBERS),
        draw(NUMBERS),
        draw(st.sampled_from([0, 1_700_000_000, 8_589_934_591])),
        draw(st.integers(0, 2000)) if kind == FILE else 0,
        draw(PATHS) if kind in (SYMLINK, HARDLINK) else "",
        xattrs=xattrs,
    )


def tar_of(*members: Entry, clamp: int | None = None) -> bytes:
    parts = [header(e, clamp=clamp) + b"x" * e.size + padding(e.size) for e in members]
    assert [len(part) for part in parts] == [member_size(e) for e in members]
    return b"".join(parts) + END_MARK


def shown(member: tarfile.TarInfo) -> Entry:
    return Entry(
        member.name,
        TYPES[member.type],
        member.mode,
        member.uid,
        member.gid,
        int(member.mtime),
        member.size,
        member.linkname,
        xattrs=tuple(
            (key.removeprefix("SCHILY.xattr."), value.encode("utf-8", "surrogateescape"))
            for key, value in member.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        ),
    )


@given(st.lists(entries(), max_size=5))
@settings(max_examples=300, deadline=None)
def test_tarfile_reads_what_was_written(members: list[Entry]) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(*members))) as tar:
        assert [shown(member) for member in tar] == members


@given(entries(), st.integers(0, 2_000_000_000))
def test_no_time_is_later_than_the_clamp(entry: Entry, clamp: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(entry, clamp=clamp))) as tar:
        assert tar.getmembers()[0].mtime == min(entry.mtime, clamp)


def test_a_member_is_these_bytes() -> None:
    plain = header(Entry("usr/bin/env", FILE, 0o4755, 0, 5, 1_700_000_000, 3))
    assert plain[:157] == (
        b"usr/bin/env".ljust(100, b"\0") + b"0004755\0"
        b"0000000\0"
        b"0000005\0"
        b"00000000003\0"
        b"14524770400\0"
        b"011350\0 0"
    )
    assert plain[157:] == bytes(100) + b"ustar\00000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    long = header(Entry("é" * 100, SYMLINK, 0o777, target="t" * 101))
    assert Digest.of(long) == "sha256:" + GOLDEN, "canonical bytes changed: every layer digest will"


GOLDEN = "8de61b2eabd6afbf12fc02e5807d22c95d80df7a4d8d9655a2b7c82fa0fa4d58"


def test_pax_is_used_only_where_it_is_needed() -> None:
    sizes = {
        Entry("a" * 100, FILE, 0o644): 512,
        Entry("a" * 99, DIRECTORY, 0o755): 512,
        Entry("a" * 100, DIRECTORY, 0o755): 1536,
        Entry("a" * 101, FILE, 0o644): 1536,
        Entry("p" * 155 + "/" + "n" * 100, FILE, 0o644): 512,
        Entry("p" * 156 + "/" + "n" * 100, FILE, 0o644): 1536,
        Entry("p" * 155 + "/" + "n" * 99, DIRECTORY, 0o755): 512,
        Entry("é", FILE, 0o644): 1536,
        Entry("a", SYMLINK, 0o777, target="t" * 100): 512,
        Entry("a", SYMLINK, 0o777, target="t" * 101): 1536,
        Entry("a", FILE, 0o644, 2097151): 512,
        Entry("a", FILE, 0o644, 2097152): 1536,
        Entry("a", FILE, 0o644, size=(8 << 30) - 1): 512,
        Entry("a", FILE, 0o644, size=8 << 30): 1536,
    }
    assert {entry: len(header(entry)) for entry in sizes} == sizes


def test_a_file_of_nine_gigabytes_says_so() -> None:
    with tarfile.open(fileobj=io.BytesIO(header(Entry("a", FILE, 0o644, size=9 << 30)))) as tar:
        member = tar.next()
    assert member is not None
    assert member.size == 9 << 30


@pytest.mark.oracle
@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_other_tools_list_and_unpack_the_same(tool: str, tmp_path: object) -> None:
    if not shutil.which(tool):
        package = {"tar": "tar", "bsdtar": "libarchive-tools"}[tool]
        pytest.skip(f"MISSING TOOL: {tool} (Debian package {package})")
    # libarchive 3.6 loses a pax linkpath that is not ASCII (bsdtar -t shows an empty target).
    target = "é" * 80 if tool == "tar" else "t" * 160
    members = [
        Entry("d", DIRECTORY, 0o1777, mtime=5),
        Entry("d/" + "é" * 60, FILE, 0o640, mtime=6, size=3),
        Entry("d/" + "n" * 200, FILE, 0o755, mtime=7, size=600),
        Entry("d/link", SYMLINK, 0o777, mtime=8, target=target),
        Entry("d/hard", HARDLINK, 0o755, mtime=7, target="d/" + "n" * 200),
    ]
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
    run = subprocess.run(
        [tool, "-xpf", "-", "-C", str(tmp_path)],
        input=tar_of(*members),
        capture_output=True,
        check=False,
        env=environment,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    again = io.BytesIO()
    with tarfile.open(fileobj=again, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in members:
            tar.add(f"{tmp_path}/{entry.path}", entry.path, recursive=False)
    again.seek(0)
    with tarfile.open(fileobj=again) as tar:
        found = [(m.name, TYPES[m.type], m.mode, m.linkname) for m in tar]
    assert found == [(e.path, e.kind, e.mode, e.target) for e in members]
