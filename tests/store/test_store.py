"""One process and one store: what goes in comes out, and damage is seen."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.digests import Digest
from builder.errors import StoreError, TrustError
from builder.store import files
from builder.store.place import place
from builder.store.store import Store
from builder.store.upkeep import Damage, Usage

CONTENT = b"content of a blob" * 100
DIGEST = Digest.of(CONTENT)
KEY = Digest.of(b"a key")
CLEAN = (Usage("blobs", 0, 0), Usage("actions", 0, 0), Usage("partial downloads", 0, 0))


def temporary(root: Path) -> list[str]:
    return os.listdir(root / "blobs-v1/temporary")


def test_a_blob_comes_out_as_it_went_in(store: Store) -> None:
    assert not store.has(DIGEST)
    assert store.put(CONTENT) == DIGEST
    assert store.has(DIGEST)
    assert store.has(DIGEST, len(CONTENT))
    assert not store.has(DIGEST, len(CONTENT) - 1)
    with store.open(DIGEST) as stream:
        assert stream.read() == CONTENT
        assert stream.seek(3) == 3


def test_a_writer_hashes_what_it_is_given(store: Store, root: Path) -> None:
    with store.writer() as writer:
        for part in (CONTENT[:7], memoryview(CONTENT)[7:50], bytearray(CONTENT[50:])):
            assert writer.write(part) == len(part)
        assert writer.commit(DIGEST) == (DIGEST, len(CONTENT))
    assert store.blob_path(DIGEST).read_bytes() == CONTENT
    assert store.blob_path(DIGEST) == root / "blobs-v1/sha256" / DIGEST.hex[:2] / DIGEST.hex
    assert temporary(root) == []


def test_a_writer_that_is_not_committed_leaves_nothing(store: Store, root: Path) -> None:
    with pytest.raises(KeyError), store.writer() as writer:  # noqa: PT012 - the body is the test
        writer.write(CONTENT)
        raise KeyError
    assert temporary(root) == []
    assert store.ls() == CLEAN


def test_a_writer_with_another_digest_than_expected_leaves_nothing(store: Store, root: Path) -> None:
    with pytest.raises(TrustError) as caught, store.writer() as writer:  # noqa: PT012 - as above
        writer.write(CONTENT)
        writer.commit(KEY)
    assert caught.value.render() == f"error: content has digest {DIGEST}, not {KEY}"
    assert temporary(root) == []
    assert store.ls() == CLEAN


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_finished_files_are_read_only_whatever_the_umask(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    old = os.umask(0o022)
    root.mkdir()
    os.umask(old)
    if old == 0o777 and os.geteuid():
        pytest.skip("only root can use folders that nobody may enter")
    with Store(root) as store:
        store.record(KEY, b"document", [store.put(CONTENT)])
        with store.partial(Digest.of(b"whole")) as partial:
            partial.write(b"whole")
            assert partial.commit()
    finished = [path for path in root.rglob("*") if path.is_file() and "locks" not in str(path)]
    assert len(finished) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in finished} == {0o444}


def _truncate(path: Path) -> None:
    os.truncate(path, 10)


def _flip(path: Path) -> None:
    with path.open("rb+") as stream:
        stream.seek(5)
        stream.write(b"X")


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"X")


def _swap(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"y" * len(CONTENT))


def _cut_by_power_failure(path: Path) -> None:
    """The times and the name were on the disk, the content was not (delayed allocation)."""
    noted = path.stat().st_mtime_ns
    os.truncate(path, 0)
    os.utime(path, ns=(0, noted))


DAMAGES = [_truncate, _flip, _grow, _swap, _cut_by_power_failure, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_blob_is_no_hit_and_can_be_put_again(store: Store, damage: object) -> None:
    store.put(CONTENT)
    store.record(KEY, b"document", [DIGEST])
    assert store.action(KEY) == b"document"
    path = store.blob_path(DIGEST)
    damage(path)  # type: ignore[operator]  # each takes a path
    assert store.action(KEY) is None
    assert not store.has(DIGEST)
    assert not path.exists()
    with pytest.raises(StoreError) as caught:
        store.open(DIGEST)
    assert caught.value.render() == (
        f"error: {store.root}: the cache does not hold {DIGEST}, or it is damaged\n\n"
        "hint: run `imgbuild cache verify`, then build again"
    )
    store.put(CONTENT)
    assert store.action(KEY) == b"document"
    assert store.verify() == ()


def test_a_damaged_blob_can_be_put_again_under_the_lock_of_its_own_digest(store: Store) -> None:
    store.put(CONTENT)
    _flip(store.blob_path(DIGEST))
    with store.lock(DIGEST):
        store.put(CONTENT)
    assert store.verify() == ()


def test_a_blob_that_was_only_touched_is_a_hit_and_noted_anew(store: Store) -> None:
    store.put(CONTENT)
    path = store.blob_path(DIGEST)
    os.utime(path)
    assert store.has(DIGEST)
    assert path.stat().st_mtime_ns == files.note(DIGEST, len(CONTENT))


def test_a_hit_reads_nothing_of_the_blob(store: Store) -> None:
    """A change that leaves the time as it was is seen by `verify` alone: the limit of notes."""
    store.put(CONTENT)
    path = store.blob_path(DIGEST)
    times = path.stat()
    _flip(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.has(DIGEST)
    (damage,) = store.verify()
    assert damage.path == f"blobs-v1/sha256/{DIGEST.hex[:2]}/{DIGEST.hex}"
    assert damage.reason.startswith("its content has digest sha256:")
    assert not store.has(DIGEST)


def test_an_action_is_none_until_recorded_and_the_last_record_counts(store: Store) -> None:
    assert store.action(KEY) is None
    store.record(KEY, b"one")
    store.record(KEY, b"two\n\nlines \x00")
    assert store.action(KEY) == b"two\n\nlines \x00"


def test_a_record_may_not_refer_to_what_is_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match="the cache does not hold sha256:"):
        store.record(KEY, b"document", [DIGEST])
    assert store.action(KEY) is None


@pytest.mark.parametrize("damage", [_truncate, _flip, _grow, Path.unlink])
def test_a_damaged_record_is_none(store: Store, damage: object) -> None:
    store.record(KEY, b"document")
    damage(next((Path(store.root) / "actions-v1").rglob(KEY.hex)))  # type: ignore[operator]
    assert store.action(KEY) is None
    assert store.verify() == ()


def test_a_copied_store_holds(store: Store, tmp_path: Path) -> None:
    """As CI caches do it: without the times, the first hit hashes again."""
    import shutil

    store.record(KEY, b"document", [store.put(CONTENT)])
    shutil.copytree(store.root, tmp_path / "copy", copy_function=shutil.copyfile)
    with Store(tmp_path / "copy") as copy:
        assert copy.action(KEY) == b"document"
        assert copy.verify() == ()


def test_verify_reports_and_drops_each_kind_of_damage(store: Store, root: Path) -> None:
    store.record(KEY, b"document", [store.put(CONTENT)])
    record = next((root / "actions-v1").rglob(KEY.hex))
    _flip(record)
    blob = store.blob_path(DIGEST)
    _truncate(blob)
    (root / "blobs-v1/temporary/1-dead").write_bytes(b"half")
    (root / "blobs-v1/sha256/notes.txt").write_bytes(b"mine")
    found = Digest.of(CONTENT[:10])
    assert store.verify() == (
        Damage("blobs-v1/temporary/1-dead", "left by a process that did not end well"),
        Damage(f"actions-v1/{KEY.hex[:2]}/{KEY.hex}", "its content does not have its checksum"),
        Damage(f"blobs-v1/sha256/{DIGEST.hex[:2]}/{DIGEST.hex}", f"its content has digest {found}"),
        Damage("blobs-v1/sha256/notes.txt", "its name is not a digest"),
    )
    assert store.verify() == ()
    assert store.ls() == CLEAN


def test_ls_gives_totals_a_kind(store: Store) -> None:
    store.put(b"12345")
    store.put(b"123")
    store.record(KEY, b"document")
    with store.partial(DIGEST) as partial:
        partial.write(b"1234")
    record = 64 + 1 + 1 + len(b"document")
    assert store.ls() == (
        Usage("blobs", 2, 8),
        Usage("actions", 1, record),
        Usage("partial downloads", 1, 4),
    )


def test_a_partial_blob_goes_on_where_it_ended(store: Store) -> None:
    with store.partial(DIGEST) as partial:
        assert partial.size == 0
        partial.write(CONTENT[:100])
    with pytest.raises(KeyError), store.partial(DIGEST) as partial:  # noqa: PT012 - as above
        assert partial.size == 100
        partial.write(CONTENT[100:])
        raise KeyError
    with store.partial(DIGEST) as partial:
        assert partial.size == len(CONTENT)
        assert partial.commit()
    assert store.has(DIGEST, len(CONTENT))
    assert store.ls()[2].files == 0


def test_a_partial_blob_with_another_digest_starts_over(store: Store) -> None:
    with store.partial(DIGEST) as partial:
        partial.write(b"something else")
        assert not partial.commit()
        assert partial.size == 0
        partial.write(CONTENT)
        assert partial.commit()
    assert store.verify() == ()


def test_a_store_that_is_a_file_is_told(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("x")
    acts: tuple[Callable[[Store], object], ...] = (
        lambda store: store.put(b""), lambda store: store.has(DIGEST),
        lambda store: store.gc(0), lambda store: store.ls(),
    )  # fmt: skip
    for act in acts:
        with pytest.raises(StoreError) as caught:
            act(Store(root))
        assert caught.value.render() == (
            f"error: {root}: the cache cannot be used: is not a folder\n\n"
            "hint: choose a folder that you may write to with --cache or IMGBUILD_CACHE"
        )


def test_a_digest_that_is_a_path_is_a_defect(store: Store) -> None:
    for text in ("sha256:../../x", "sha256:" + "../" * 21 + "x", "sha512:" + "a" * 64):
        with pytest.raises(AssertionError):
            store.has(Digest(text))


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        ("/a", {"IMGBUILD_CACHE": "/b", "XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/a"),
        (None, {"IMGBUILD_CACHE": "/b", "XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/b"),
        (None, {"IMGBUILD_CACHE": "", "XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/imgbuild"),
        (None, {"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/imgbuild"),
        (None, {"HOME": "/h"}, "/h/.cache/imgbuild"),
    ],
)
def test_the_place_is_the_first_that_is_given(
    option: str | None, environment: dict[str, str], expected: str
) -> None:
    assert place(option, environment) == expected


def test_a_relative_place_is_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place("x", {}) == str(tmp_path / "x")
