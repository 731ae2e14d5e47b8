"""What a build does again when little has changed: what is unpacked, fetched and written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from builder.cli import session
from builder.fragments.fragments import STAGE as UNPACK
from builder.reporting import Event, Reporter, StageAdvanced, StageBegan
from tests.makers.deb import Reg, make_deb
from tests.simulators.world import World

COUNT = 12


@contextmanager
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Event]]:
    """Collect what the stages report within the body, beside what the command line does with it."""
    seen: list[Event] = []
    ports_of = session.ports_of

    def listening(store: object, report: Reporter, **options: object) -> object:
        def both(event: Event) -> None:
            seen.append(event)
            report(event)

        return ports_of(store, both, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(session, "ports_of", listening)
        yield seen


def unpacked(seen: list[Event]) -> list[str]:
    """Return the packages that were unpacked, hashed and compressed."""
    return sorted(e.item for e in seen if isinstance(e, StageAdvanced) and e.stage == UNPACK)


def layers_written(seen: list[Event]) -> int:
    return sum(e.total or 0 for e in seen if isinstance(e, StageBegan) and e.stage == "layers")


def archives_served(world: World) -> list[str]:
    return [r.path.rpartition("/")[2] for r in world.server.requests if r.path.endswith(".deb")]


def chunk_of(world: World, path: str) -> Path:
    """Return the blob of the cache that is a chunk whose first member is PATH."""
    for blob in sorted((world.cache / "blobs-v1/sha256").rglob("*")):
        if blob.is_file() and blob.read_bytes()[:4] == b"\x28\xb5\x2f\xfd":
            tar = zstandard.ZstdDecompressor().decompressobj().decompress(blob.read_bytes())
            if tar.startswith(path.encode() + b"\0"):
                return blob
    raise AssertionError(f"no chunk begins with {path}")


def deb(number: int, version: str) -> bytes:
    content = f"{number} {version} " * 400
    return make_deb(
        f"part{number}", version, "amd64", [Reg(0o644, f"./usr/share/part{number}", content)]
    )


@pytest.fixture
def parts(empty_world: World) -> World:
    """A world of `COUNT` packages that one spec asks for."""
    empty_world.add(*(deb(number, "1.0") for number in range(COUNT)))
    empty_world.publish()
    names = ", ".join(f"part{number}" for number in range(COUNT))
    empty_world.spec(f"packages: [{names}]\n")
    return empty_world


def test_one_package_changed_compresses_that_package_only(
    parts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with events(monkeypatch) as first:
        before = parts.run("app.yaml").digest
    assert unpacked(first) == sorted(f"part{number} 1.0 (amd64)" for number in range(COUNT))
    parts.updates.add(deb(7, "1.1"))
    parts.publish(later=60)
    assert parts.run("update", "app.yaml").status == 0
    parts.server.requests.clear()
    with events(monkeypatch) as seen:
        after = parts.run("app.yaml").digest
    assert unpacked(seen) == ["part7 1.1 (amd64)"]
    assert archives_served(parts) == ["part7_1.1_amd64.deb"]
    assert before != after
    assert "7 1.1" in parts.image().text("usr/share/part7")


def test_one_package_changed_gives_the_bytes_of_an_empty_cache(parts: World) -> None:
    parts.run("app.yaml")
    parts.updates.add(deb(7, "1.1"))
    parts.publish(later=60)
    assert parts.run("update", "app.yaml").status == 0
    with_cache = parts.run("app.yaml").digest
    assert parts.run("app.yaml", "--cache", "other").digest == with_cache


def test_one_package_changed_writes_its_layer_and_no_other(
    parts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.run("app.yaml")
    old = set(parts.image().layer_digests)
    parts.updates.add(deb(7, "1.1"))
    # The same date: the top layer's files have the image's time, and would come anew as well.
    parts.publish()
    assert parts.run("update", "app.yaml").status == 0
    with events(monkeypatch) as seen:
        parts.run("app.yaml")
    new = set(parts.image().layer_digests) - old
    assert len(new) == layers_written(seen)
    assert len(new) <= 2


def test_an_unchanged_rebuild_unpacks_nothing_and_asks_nobody(
    parts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parts.run("app.yaml").digest
    parts.server.requests.clear()
    with events(monkeypatch) as seen:
        assert parts.run("app.yaml").digest == before
    assert unpacked(seen) == []
    assert parts.server.requests == []


def test_another_spec_of_the_same_packages_unpacks_only_what_is_new_to_the_cache(
    parts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.spec("packages: [part0, part1]\n", "small.yaml")
    parts.run("small.yaml")
    with events(monkeypatch) as seen:
        parts.run("app.yaml")
    assert unpacked(seen) == sorted(f"part{number} 1.0 (amd64)" for number in range(2, COUNT))


def test_a_lost_fragment_is_the_only_one_made_again(
    parts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parts.run("app.yaml").digest
    chunk_of(parts, "usr/share/part3").unlink()
    shutil.rmtree(parts.folder / "app.oci")
    with events(monkeypatch) as seen:
        assert parts.run("app.yaml").digest == before
    assert unpacked(seen) == ["part3 1.0 (amd64)"]
