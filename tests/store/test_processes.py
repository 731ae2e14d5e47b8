"""Many processes, dead processes, collections among them, full and read-only disks."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digests import Digest
from builder.errors import StoreError
from builder.store import upkeep
from builder.store.store import Store
from builder.store.upkeep import GcResult
from tests.store.conftest import Start

WRITES_FOR_EVER = """
print("ready", flush=True)
number = 0
while True:
    number += 1
    content = (b"%d " % number) * 40_000
    digest = store.put(content)
    store.record(Digest.of(b"%d" % number), content[:3000], [digest])
    part = Digest.of(content + b"x")
    with store.partial(part) as partial:
        partial.write(content)
        partial.write(b"x")
        if number % 2:
            partial.commit()
"""


def test_a_store_is_clean_after_kill_9_at_random_moments(store: Store, start: Start) -> None:
    rng = random.Random(4)  # noqa: S311 - moments, not secrets
    for _ in range(8):
        process = start(WRITES_FOR_EVER)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.06))
        process.kill()
        process.wait()
    damages = store.verify()
    assert {damage.reason for damage in damages} <= {"left by a process that did not end well"}
    assert store.verify() == ()
    assert store.ls()[0].files > 8
    for number in (1, 2, 3):  # the same work again gives the same
        content = (b"%d " % number) * 40_000
        with store.open(store.put(content)) as stream:
            assert stream.read() == content


def test_a_living_writer_is_not_swept(store: Store, start: Start) -> None:
    process = start(
        "with store.writer() as writer:\n"
        "    writer.write(b'half')\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    writer.write(b' whole')\n"
        "    print(writer.commit()[0], flush=True)\n"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert store.verify() == ()
    printed, _ = process.communicate("\n")
    assert printed == f"{Digest.of(b'half whole')}\n"


def test_ten_processes_put_record_and_collect_at_once(store: Store, start: Start) -> None:
    program = """
import random
from builder.errors import StoreError
rng = random.Random(int(sys.argv[1]))
for _ in range(60):
    number = rng.randrange(12)
    content = b"%d" % number * 5000
    key = Digest.of(b"key %d" % number)
    with Store(store.root) as build:
        with build.lock(key):
            document = build.action(key)
            if document is None:
                digest = build.put(content)
                build.record(key, content[:100], [digest])
                document = content[:100]
        assert document == content[:100]
        with build.open(Digest.of(content)) as stream:   # did not vanish under us
            assert stream.read() == content
    if int(sys.argv[1]) < 2:
        try:
            Store(store.root).gc(rng.randrange(40_000))
        except StoreError as error:
            assert error.message == "the cache is in use by a running build"
print("fine")
"""
    processes = [start(program, str(number)) for number in range(10)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["fine\n"] * 10
    assert store.verify() == ()
    assert os.listdir(Path(store.root) / "locks-v1") == ["in-use"]


def test_a_lock_keeps_out_a_process_until_its_holder_dies(store: Store, start: Start) -> None:
    program = "with store.lock(Digest.of(b'k')):\n    print('in', flush=True)\n    time.sleep(60)\n"
    first = start(program)
    assert first.stdout is not None
    assert first.stdout.readline() == "in\n"
    second = start("with store.lock(Digest.of(b'k')):\n    print(time.time(), flush=True)\n")
    time.sleep(0.3)
    killed = time.time()
    first.kill()
    assert float(second.communicate(timeout=10)[0]) > killed


def test_two_processes_that_want_one_download_take_turns(store: Store, start: Start) -> None:
    digest = Digest.of(b"whole")
    with store.partial(digest) as partial:
        second = start(
            "with store.partial(Digest.of(b'whole')) as partial:\n"
            "    print(partial.size, store.has(Digest.of(b'whole')), flush=True)\n"
        )
        time.sleep(0.3)
        partial.write(b"whole")
        assert partial.commit()
    assert second.communicate(timeout=10)[0] == "0 True\n"
    assert store.ls()[2].files == 0


# ---- collection --------------------------------------------------------------------------------


def _used(store: Store, content: bytes, age: float) -> Digest:
    digest = store.put(content)
    path = store.blob_path(digest)
    os.utime(path, ns=(time.time_ns() - int(age * 1e9), path.stat().st_mtime_ns))
    return digest


def test_collection_removes_what_was_used_longest_ago(store: Store) -> None:
    old, middle, new = (
        _used(store, name * 1000, age) for name, age in ((b"o", 9e5), (b"m", 8e5), (b"n", 7e5))
    )
    assert store.has(old)  # a use: now the newest
    assert store.gc(2000) == GcResult(1, 1000, 0, 0, 2, 2000)
    assert [store.has(digest) for digest in (old, middle, new)] == [True, False, True]


def test_use_is_noted_once_an_hour_at_most(store: Store) -> None:
    digest = _used(store, b"x", 3000)
    before = store.blob_path(digest).stat().st_atime_ns
    assert store.has(digest)
    assert store.blob_path(digest).stat().st_atime_ns == before


def test_verifying_is_no_use(store: Store) -> None:
    digest = _used(store, b"x", 1e6)
    before = store.blob_path(digest).stat().st_atime_ns
    store.verify()
    assert store.blob_path(digest).stat().st_atime_ns == before


def test_collection_drops_records_whose_blobs_have_gone(store: Store) -> None:
    digest = _used(store, b"x" * 1000, 1e6)
    store.record(Digest.of(b"1"), b"one", [digest])
    store.blob_path(digest).unlink()
    store.record(Digest.of(b"2"), b"two")
    assert store.gc(10_000) == GcResult(1, 64 + 1 + 71 + 1 + 3, 1, 0, 1, 69)


def test_collection_of_all_leaves_nothing(store: Store, root: Path) -> None:
    store.record(Digest.of(b"k"), b"d", [store.put(b"x")])
    with store.partial(Digest.of(b"y")) as partial:
        partial.write(b"half")
    (root / "blobs-v1/temporary/1-dead").write_bytes(b"half")
    result = store.gc(0)
    assert (result.removed, result.stale, result.remaining, result.size) == (3, 1, 0, 0)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["in-use"]


def test_collection_removes_buckets_of_older_forms_and_nothing_else(store: Store, root: Path) -> None:
    for name in ("blobs-v0", "blobs-v2", "other-v0", "blobs-vx"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_bytes(b"x")
    store.put(b"x")
    assert store.gc(1000).stale == 1
    assert sorted(path.name for path in root.iterdir()) == [
        "blobs-v1", "blobs-v2", "blobs-vx", "locks-v1", "other-v0",
    ]  # fmt: skip


def test_nothing_is_collected_under_a_running_build(
    store: Store, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.put(b"x")
    build = start(
        f"print(store.has(Digest({str(digest)!r})), flush=True)\n"
        "sys.stdin.readline()\n"
        f"print(store.open(Digest({str(digest)!r})).read(), flush=True)\n"
    )
    assert build.stdout is not None
    assert build.stdout.readline() == "True\n"
    monkeypatch.setattr(upkeep, "_PATIENCE", 0.2)
    with pytest.raises(StoreError) as caught:
        store.gc(0)
    assert caught.value.render() == (
        f"error: {store.root}: the cache is in use by a running build\n\n"
        "hint: wait until it ends, then collect again"
    )
    assert build.communicate("\n")[0] == "b'x'\n"
    assert store.gc(0).removed == 1


def test_a_build_that_was_killed_does_not_hold_up_collection(store: Store, start: Start) -> None:
    build = start("store.put(b'x')\nprint('ready', flush=True)\ntime.sleep(60)\n")
    assert build.stdout is not None
    assert build.stdout.readline() == "ready\n"
    build.kill()
    build.wait()
    assert store.gc(0).removed == 1


def test_a_child_of_fork_gives_up_nothing_of_its_parents(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(b"x")
    child = os.fork()
    if child == 0:
        try:
            store.close()  # gives up nothing of its parent's
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    monkeypatch.setattr(upkeep, "_PATIENCE", 0.1)
    with pytest.raises(StoreError):
        Store(store.root).gc(0)


# ---- disks -------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MB."""
    if os.geteuid():
        pytest.skip("DISK-FULL TEST NOT RUN: mounting a small tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("DISK-FULL TEST NOT RUN: a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_ends_in_one_error_and_a_clean_store(small_disk: Path) -> None:
    with Store(small_disk) as store:
        kept = store.put(b"k" * 300_000)
        for act in (_put_too_much, _part_too_much, _record_too_much):
            with pytest.raises(StoreError) as caught:
                act(store)
            assert caught.value.message == "the cache cannot be used: no space left on device"
            assert caught.value.hint == (
                "free some space, run `imgbuild cache gc --max-size 5G`, or move the cache with --cache"
            )
        assert os.listdir(small_disk / "blobs-v1/temporary") == []
        assert store.has(kept)
        assert store.verify() == ()
        store.gc(0)
        _put(store, 900_000)


def _put(store: Store, size: int) -> None:
    store.put(b"x" * size)


def _put_too_much(store: Store) -> None:
    _put(store, 2_000_000)


def _part_too_much(store: Store) -> None:
    content = b"y" * 2_000_000
    try:
        with store.partial(Digest.of(content)) as partial:
            partial.write(content)
    finally:
        # What fitted is kept, and is right: a next attempt goes on from there.
        with store.partial(Digest.of(content)) as partial:
            assert 0 < partial.size < 1_000_000
            partial.restart()


def _record_too_much(store: Store) -> None:
    store.record(Digest.of(b"k"), b"z" * 2_000_000)


def test_a_read_only_disk_gives_hits_and_refuses_the_rest(small_disk: Path) -> None:
    key = Digest.of(b"k")
    with Store(small_disk) as store:
        digest = store.put(b"x")
        store.record(key, b"document", [digest])
        os.utime(store.blob_path(digest))  # the note is lost, and cannot be made again
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with Store(small_disk) as store:
        assert store.action(key) == b"document"
        with store.open(digest) as stream:
            assert stream.read() == b"x"
        with pytest.raises(StoreError) as caught:
            store.put(b"y")
        assert caught.value.render() == (
            f"error: {small_disk}/blobs-v1/temporary: the cache cannot be used: read-only file system"
            "\n\nhint: choose a folder that you may write to with --cache or IMGBUILD_CACHE"
        )


def test_damage_on_a_read_only_disk_is_no_hit_and_no_traceback(small_disk: Path) -> None:
    with Store(small_disk) as store:
        digest = store.put(b"x")
        store.blob_path(digest).write_bytes(b"y")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with Store(small_disk) as store:
        assert not store.has(digest)
        assert len(store.verify()) == 1
