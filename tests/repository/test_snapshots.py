"""Snapshots and indexes from an archive served over loopback, through fetcher and store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from builder.errors import SpecError, TrustError
from builder.fetch.fetcher import Fetcher
from builder.formats.registry import load_format
from builder.packages import Freshness, Source
from builder.reporting import Event, Warned
from builder.repository import apt, distros, mirrors, snapshots
from builder.spec.model import Distro
from builder.store.store import Store
from tests.makers.deb import make_deb
from tests.simulators.archive import Archive, certificate, stanza
from tests.simulators.http import WebServer

DEB = load_format("deb")
SOURCE = Source(
    repository="debian",
    location="main",
    suite="trixie",
    codenames=("trixie",),
    components=("main",),
    architectures=("amd64",),
)


class Case:
    def __init__(self, server: WebServer, store: Store, archive: Archive) -> None:
        self.server, self.store, self.archive = server, store, archive
        self.fetcher = Fetcher(store, {("debian", "main"): (server.url,)}, retries=0)
        self.events: list[Event] = []

    def subject(self, *, accepts_expired: bool = False) -> snapshots.Subject:
        return snapshots.Subject(
            source=SOURCE,
            keyring=certificate("archive"),
            freshness=Freshness(now=int(time.time()), accepts_expired=accepts_expired),
        )

    def open(self) -> dict[str, tuple[object, ...]]:
        [found] = snapshots.take(DEB, [self.subject()], self.fetcher, report=self.events.append)
        opened = snapshots.open_indexes(
            DEB, [(SOURCE, found)], ("amd64",), store=self.store, fetcher=self.fetcher
        )
        return {name: tuple(indexes) for name, indexes in opened.items()}


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    archive = Archive()
    archive.add(make_deb("hello", "1.0", "amd64", fields={"Depends": "base"}))
    archive.add(stanza("base", "2.0", "all"))
    archive.publish()
    with WebServer(archive.files) as server, Store(tmp_path / "store") as store:
        yield Case(server, store, archive)


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2", ".zst", ""])
def test_lists_of_every_packing_become_indexes(case: Case, suffix: str) -> None:
    case.archive.suffixes = (suffix,)
    case.archive.has_by_hash = True
    case.archive.publish()
    [index] = case.open()["amd64"]
    [package] = index.packages("hello")  # type: ignore[attr-defined]
    assert package.filename in case.archive.files
    assert package.repository == "debian/trixie/main/amd64"
    assert [str(p) for p in index.packages("base")] == ["base 2.0"]  # type: ignore[attr-defined]


def test_a_list_is_fetched_and_built_once(case: Case) -> None:
    case.open()
    first = len(case.server.paths)
    case.open()
    assert case.server.paths[first:] == ["dists/trixie/InRelease"]


@pytest.mark.parametrize("content", [b"\xfd7zXZ\0broken", b"\x1f\x8bbroken", b"BZhbroken"])
def test_a_list_that_cannot_be_decompressed_is_refused_and_nothing_is_recorded(
    case: Case, content: bytes
) -> None:
    import hashlib

    path = "main/binary-amd64/Packages.xz"
    case.archive.files[f"dists/trixie/{path}"] = content
    digest = hashlib.sha256(content).hexdigest()
    case.archive.sign(case.archive.release({path: (digest, len(content))}))
    with pytest.raises(TrustError) as caught:
        case.open()
    assert str(caught.value).startswith("debian/trixie/main/amd64: package list is damaged: ")


def test_a_list_of_another_digest_is_refused(case: Case) -> None:
    path = "dists/trixie/main/binary-amd64/Packages.xz"
    content = bytearray(case.archive.files[path])
    content[-1] ^= 1
    case.archive.files[path] = bytes(content)
    with pytest.raises(TrustError):
        case.open()


def test_an_expired_release_that_is_accepted_is_told_of(case: Case) -> None:
    case.archive.valid_until = case.archive.date + 1
    case.archive.publish()
    with pytest.raises(TrustError, match="the release expired on"):
        case.open()
    snapshots.take(DEB, [case.subject(accepts_expired=True)], case.fetcher, report=case.events.append)
    [event] = case.events
    assert isinstance(event, Warned)
    assert event.where == "debian trixie"
    assert event.message.endswith("; accepted, as the mirror's source says not to check that")


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    import gzip
    import io

    from builder.repository.lists import decompressed

    packed = io.BytesIO(gzip.compress(bytes(8 << 20)))
    with decompressed(packed, limit=1 << 20) as stream, pytest.raises(TrustError) as caught:
        b"".join(iter(lambda: stream.read(1 << 16), b""))
    assert str(caught.value) == "package list is larger than 1 MiB decompressed"


# ---- distributions -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", distros.names())
def test_every_suite_of_every_distribution_has_sources_keys_and_links(name: str) -> None:
    distro = distros.load(name)
    for suite in distro.suites:
        for architecture in distro.architectures:
            sources = distro.sources(suite, (), (architecture,))
            assert sources[0].suite == suite
            assert all(source.keys and source.codenames == (source.suite,) for source in sources)
            assert {"bin", "lib", "sbin"} <= {link for link, _ in distro.links(suite, architecture)}
            assert set(distro.links(suite, architecture)) <= set(distro.moves)
            assert distro.platform(architecture).os == "linux"
    assert distro.default_suite in distro.suites


def test_what_a_distribution_does_not_have_is_told_with_a_near_match() -> None:
    texts = []
    for ask in (
        lambda: distros.load("debain"),
        lambda: distros.load("debian").sources("trixy"),
        lambda: distros.load("debian").sources("sid", ("universe",)),
        lambda: distros.load("debian").platform("amd46"),
    ):
        with pytest.raises(SpecError) as caught:
            ask()
        texts.append(caught.value.render().removeprefix("error: ").replace("\n\nhint", ""))
    assert texts == [
        'there is no distribution "debain": did you mean "debian"?',
        'Debian has no suite "trixy": did you mean "trixie"?',
        'Debian has no component "universe": it has main, contrib, non-free, non-free-firmware',
        'Debian has no architecture "amd46": did you mean "amd64"?',
    ]


def test_architectures_of_ubuntu_are_in_two_archives() -> None:
    sources = distros.load("ubuntu").sources("noble", (), ("amd64", "arm64"))
    assert [(s.suite, s.location, s.architectures) for s in sources[:2]] == [
        ("noble", "main", ("amd64",)),
        ("noble", "ports", ("arm64",)),
    ]


@pytest.mark.live
@pytest.mark.parametrize("suite", ["bookworm", "trixie", "forky", "sid"])
def test_the_real_archive_is_verified_with_the_keys_shipped(suite: str, tmp_path: Path) -> None:
    if not apt.sources(Path("/")):
        pytest.skip("LIVE TEST NOT RUN: this host has no apt sources with a Debian mirror")
    debian = distros.load("debian")
    found = mirrors.find(debian, Distro(name="debian"), environment={})
    with Store(tmp_path / "store") as store:
        fetcher = Fetcher(store, {name: entry.urls for name, entry in found.items()})
        sources = debian.sources(suite, (), ("amd64", "arm64"))
        subjects = [
            snapshots.Subject(
                source=source,
                keyring=debian.keyring,
                freshness=Freshness(
                    now=int(time.time()),
                    accepts_expired=found["debian", source.location].accepts_expired,
                ),
            )
            for source in sources
        ]
        taken = snapshots.take(DEB, subjects, fetcher)
    assert [snapshot.codename for snapshot in taken] == [source.suite for source in sources]
    assert all(len(snapshot.signers) >= 1 and len(snapshot.indexes) == 2 for snapshot in taken)


def test_the_keyrings_hold_every_key_the_data_names_that_policy_accepts() -> None:
    import pysequoia

    for name in distros.names():
        distro = distros.load(name)
        held = {cert.fingerprint.upper() for cert in pysequoia.Cert.split_bytes(distro.keyring)}
        assert {key for archive in distro.archives.values() for key in archive.keys} <= held


def test_strict_data_refuses_an_unknown_word() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"title": "x", "color": "red"}, distros._File)
