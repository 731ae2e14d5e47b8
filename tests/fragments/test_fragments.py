"""From .deb bytes to chunks in a store, and what is said when that fails."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.digests import Digest
from builder.errors import FetchError, PackageError
from builder.formats.deb import archive, database
from builder.fragments.fragments import Fragments, Job, Rules
from builder.layers.compression import decompress
from builder.layers.parts import Chunk, Fragment
from builder.packages import Identity, PackageFormat
from builder.spec.model import Compression
from builder.store.store import Store
from tests.makers.deb import MTIME, Dir, Hard, Link, Made, Reg, make_deb


class Deb:
    """As much of the format as fragments ask for."""

    name = "deb"
    version = 1
    read = staticmethod(archive.read)
    package_database = staticmethod(database.package_database)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def fragments(store: Store) -> Fragments:
    form: PackageFormat = Deb()  # type: ignore[assignment]  # a part of the protocol
    return Fragments(store, form)


Build = Callable[..., Fragment]


@pytest.fixture
def build(store: Store, fragments: Fragments) -> Build:
    def build(*entries: Made, omit: tuple[str, ...] = (), **rules: object) -> Fragment:
        blob = store.put(make_deb(entries=entries))
        return fragments.build(identity(), blob, Rules(**rules), omit=frozenset(omit))  # type: ignore[arg-type]

    return build


def identity(name: str = "hello") -> Identity:
    return Identity(name=name, version="1.0", architecture="all")


def members(store: Store, chunk: Chunk | None, algorithm: str = "zstd") -> list[str]:
    assert chunk is not None
    with store.open(chunk.digest) as blob:
        data = b"".join(decompress(blob, algorithm))
    assert len(data) == chunk.tar_size
    shown = []
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            text = content.read().decode() if content else member.linkname
            shown.append(f"{member.name} {member.type.decode()} {text}".strip())
    return shown


def test_entries_keep_their_order_and_folders_are_apart(build: Build, store: Store) -> None:
    fragment = build(Reg(0o644, "./z", "z"), Reg(0o644, "./usr/a", "a"), Hard(0o644, "./b", "./z"))
    assert [entry.path for entry in fragment.directories] == ["usr"]
    assert members(store, fragment.chunk) == ["z 0 z", "usr/a 0 a", "b 1 z"]
    assert [entry.digest for entry in fragment.entries] == [Digest.of(b"z"), Digest.of(b"a"), ""]
    assert members(store, fragment.database_chunk)[0].startswith(
        "var/lib/dpkg/status.d/hello 0 Package: hello\n"
    )


def test_patterns_leave_out_and_keep(build: Build, store: Store) -> None:
    fragment = build(
        Reg(0o644, "./usr/share/doc/hello/copyright", "c"),
        Reg(0o644, "./usr/share/doc/hello/NEWS", "n"),
        Reg(0o644, "./usr/share/doc/other/NEWS", "n"),
        Link(0o777, "./usr/share/doc/third", "hello"),
        Reg(0o644, "./usr/share/man/man1/hello.1", "m"),
        Dir(0o755, "./var/empty/"),
        patterns=database.TRIM_RULES,
    )
    assert [entry.path for entry in fragment.directories] == [
        "usr", "usr/share", "usr/share/doc", "usr/share/doc/hello", "usr/share/man", "var", "var/empty",
    ]  # fmt: skip
    assert members(store, fragment.chunk) == [
        "usr/share/doc/hello/copyright 0 c",
        "usr/share/doc/third 2 hello",
    ]


def test_the_first_kept_link_becomes_the_file_that_is_left_out(build: Build, store: Store) -> None:
    entries = (
        Reg(0o755, "./a", "content", uid=5),
        Reg(0o755, "./m", "m"),
        Hard(0o755, "./b", "./a"),
        Hard(0o755, "./c", "./a"),
        Hard(0o755, "./d", "./a"),
    )
    fragment = build(*entries, patterns=("-/a",), omit=("b",))
    assert members(store, fragment.chunk) == ["c 0 content", "m 0 m", "d 1 c"]
    assert (fragment.entries[0].uid, fragment.entries[0].digest) == (5, Digest.of(b"content"))
    assert build(*entries, omit=("a", "b", "c", "d")).entries[0].path == "m"


def test_a_package_of_which_nothing_stays_has_no_chunk(build: Build) -> None:
    fragment = build(Reg(0o644, "./a", "a"), patterns=("**",))
    assert (fragment.entries, fragment.chunk, fragment.newest) == ((), None, 0)


def test_times_are_clamped_in_the_chunk_alone(build: Build, store: Store) -> None:
    new = Reg(0o644, "./a", "a", mtime=MTIME)
    plain, clamped = build(new), build(new, clamp=MTIME - 1)
    assert (plain.newest, clamped.newest) == (MTIME, MTIME)
    assert plain.entries == clamped.entries
    assert plain.chunk != clamped.chunk
    assert build(new, clamp=MTIME) == plain == build(new, clamp=MTIME + 1)
    assert clamped.chunk is not None
    with store.open(clamped.chunk.digest) as blob:
        head = next(decompress(blob, "zstd"))
    assert tarfile.TarInfo.frombuf(head[:512], "utf-8", "strict").mtime == MTIME - 1


@pytest.mark.parametrize("algorithm", ["zstd", "gzip"])
def test_a_fragment_is_kept_and_found_again(
    algorithm: str, build: Build, store: Store, fragments: Fragments, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {"compression": Compression(algorithm=algorithm), "clamp": MTIME}
    first = build(Reg(0o644, "./a", "a"), **rules)
    assert members(store, first.chunk, algorithm) == ["a 0 a"]
    monkeypatch.setattr(Deb, "read", None)
    second = build(Reg(0o644, "./a", "a"), **rules)
    assert second == first
    assert type(second.chunk) is Chunk
    assert second.chunk is not None
    assert type(second.chunk.digest) is Digest


def test_every_input_is_part_of_the_key(build: Build) -> None:
    entry = Reg(0o644, "./bin/a", "a" * 1000)
    all_of_them = [
        build(entry),
        build(entry, patterns=("-bin/a",)),
        build(entry, omit=("bin/a",)),
        build(entry, moves=(("bin", "usr/bin"),)),
        build(entry, clamp=5),
        build(entry, compression=Compression(algorithm="zstd", level=19)),
        build(entry, compression=Compression(algorithm="gzip")),
        build(Reg(0o644, "./bin/a", "b")),
    ]
    chunks = [(f.chunk and f.chunk.digest, [e.path for e in f.entries]) for f in all_of_them]
    assert len({str(chunk) for chunk in chunks}) == len(chunks) - 1  # two of them leave the file out


def test_contents_are_read_back(build: Build, fragments: Fragments) -> None:
    big = bytes(range(256)) * 9000
    for algorithm in ("zstd", "gzip"):
        fragment = build(
            Reg(0o644, "./big", big),
            Reg(0o644, "./" + "é" * 100, "long"),
            Reg(0o644, "./empty", ""),
            Hard(0o644, "./link", "./big"),
            Link(0o777, "./soft", "big"),
            compression=Compression(algorithm=algorithm),
        )
        wanted = ["link", "é" * 100, "empty", "soft", "none", "big"]
        found = fragments.content(fragment, wanted)
        assert found == {"link": big, "é" * 100: b"long", "empty": b"", "big": big}


def test_contents_too_large_to_be_read_back_are_refused(
    build: Build, fragments: Fragments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.fragments.fragments._MAX_CONTENT", 10)
    fragment = build(Reg(0o644, "./a", bytes(6)), Reg(0o644, "./b", bytes(5)))
    assert fragments.content(fragment, ["a"]) == {"a": bytes(6)}
    with pytest.raises(PackageError) as caught:
        fragments.content(fragment, ["a", "b"])
    assert str(caught.value) == "package hello 1.0 (all): files to be read have more than 10 bytes: a, b"


def test_many_are_built_at_once_and_come_out_in_order(store: Store, fragments: Fragments) -> None:
    def jobs() -> Iterator[Job]:
        for at in (7, 3, 9, 1, 0, 4):
            blob = store.put(make_deb(f"p{at}", entries=[Reg(0o644, f"./{at}", "x" * at)]))
            yield Job(identity=identity(f"p{at}"), blob=blob, rules=Rules())

    found = fragments.build_all(jobs(), workers=3)
    assert [fragment.identity.name for fragment in found] == ["p0", "p1", "p3", "p4", "p7", "p9"]
    assert fragments.build_all(jobs(), workers=1) == found
    assert fragments.build_all(()) == ()


def test_a_bad_package_stops_the_others(store: Store, fragments: Fragments) -> None:
    bad = store.put(make_deb("bad", entries=[Reg(0o644, "./../x")], parents=False))
    good = store.put(make_deb(entries=[Reg(0o644, "./x")]))

    def jobs() -> Iterator[Job]:
        yield Job(identity=identity(), blob=good, rules=Rules())
        yield Job(identity=identity("bad"), blob=bad, rules=Rules())
        for level in range(1, 20):
            yield Job(identity=identity(), blob=good, rules=Rules(compression=Compression(level=level)))

    with pytest.raises(PackageError) as caught:
        fragments.build_all(jobs(), workers=2)
    assert str(caught.value) == 'package bad 1.0 (all): data.tar.xz: "./../x" has a ".." part'
    assert not list((Path(store.root) / "blobs-v1" / "temporary").iterdir())


def test_a_failing_download_stops_the_building(store: Store, fragments: Fragments) -> None:
    good = store.put(make_deb(entries=[Reg(0o644, "./x")]))

    def jobs() -> Iterator[Job]:
        yield Job(identity=identity(), blob=good, rules=Rules())
        raise FetchError("no mirror has it")

    with pytest.raises(FetchError) as caught:
        fragments.build_all(jobs())
    assert str(caught.value) == "no mirror has it"


@pytest.mark.slow
def test_a_package_of_600_megabytes_is_not_held_in_memory(tmp_path: Path) -> None:
    code = """
import hashlib, io, os, resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import zstandard
from builder.fragments.fragments import Fragments, Rules
from builder.store.store import Store
from tests.fragments.test_fragments import Deb, identity
from tests.makers.deb import COMPRESSIONS, header, make_deb
store = Store(sys.argv[1])
size = 600 << 20
head = make_deb(change_members=lambda members: members[:2])
with store.writer() as writer:
    writer.write(head)
    writer.write(b"%-16s%-12d%-6d%-6d%-8s%-10d`\\n" % (b"data.tar", 0, 0, 0, b"0", size + 1536))
    writer.write(header(b"./big", b"0", size=size))
    for at in range(600):
        writer.write(hashlib.sha256(b"%d" % at).digest() * (1 << 15))
    writer.write(bytes(1024))
    blob, _ = writer.commit()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fragment = Fragments(store, Deb()).build(identity(), blob, Rules())
assert fragment.entries[0].size == size
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store"), root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80  # MiB
