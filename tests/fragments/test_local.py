"""Local files of a spec: what of them goes into an image, and what does not."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.errors import SpecError
from builder.fragments import chunks, local, sources
from builder.fragments.chunks import read_contents
from builder.fragments.local import LocalRules, local_fragment, over, quick_state
from builder.layers.parts import Fragment
from builder.reporting import Event, Warned
from builder.spec.model import Compression, FileEntry
from builder.store.store import Store
from builder.tree.entries import DIRECTORY, Entry

RULES = LocalRules(mtime=1000)
APP = FileEntry(path="/app", source="app")


@pytest.fixture(name="store")
def make_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture(name="root")
def make_root(tmp_path: Path) -> Path:
    root = tmp_path / "spec"
    (root / "app/lib").mkdir(parents=True)
    (root / "app/run.sh").write_text("#!/bin/sh\n")
    (root / "app/run.sh").chmod(0o700)
    (root / "app/lib/a.py").write_text("a = 1\n")
    (root / "app/lib/b").symlink_to("../../../etc/passwd")
    (root / "app/abs").symlink_to("/nowhere")
    return root


def build(store: Store, root: Path, file: FileEntry = APP, rules: LocalRules = RULES) -> Fragment:
    return local_fragment(store, str(root), file, (7, 8), rules)


def rows(fragment: Fragment) -> list[str]:
    return [
        f"{e.kind} {e.mode:04o} {e.uid}:{e.gid} {e.mtime} {e.path}"
        + (f" -> {e.target}" if e.target else "")
        for e in (*fragment.directories, *fragment.entries)
    ]


def test_a_folder_is_copied_sorted_with_links_as_they_stand(store: Store, root: Path) -> None:
    fragment = build(store, root)
    assert rows(fragment) == [
        "d 0755 7:8 1000 app",
        "d 0755 7:8 1000 app/lib",
        "l 0777 7:8 1000 app/abs -> /nowhere",
        "f 0644 7:8 1000 app/lib/a.py",
        "l 0777 7:8 1000 app/lib/b -> ../../../etc/passwd",
        "f 0755 7:8 1000 app/run.sh",
    ]
    assert fragment.chunk is not None
    wanted = frozenset({"app/lib/a.py"})
    assert read_contents(store, fragment.chunk, fragment.entries, wanted) == {"app/lib/a.py": b"a = 1\n"}


def test_a_file_takes_the_path_itself(store: Store, root: Path) -> None:
    assert rows(build(store, root, FileEntry(path="/bin/run", source="app/run.sh"))) == [
        "f 0755 7:8 1000 bin/run"
    ]


def test_a_mode_is_the_files_and_folders_may_be_entered(store: Store, root: Path) -> None:
    file = FileEntry(path="/app", source="app", mode=0o640)
    assert [row[:6] for row in rows(build(store, root, file))] == [
        "d 0750", "d 0750", "l 0777", "f 0640", "l 0777", "f 0640",
    ]  # fmt: skip


def test_times_umask_and_place_of_the_copy_change_nothing(
    store: Store, root: Path, tmp_path: Path
) -> None:
    first = build(store, root)
    copy = tmp_path / "other"
    shutil.copytree(root, copy, symlinks=True)
    for path in copy.rglob("*"):
        os.utime(path, (5, 5), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    assert build(Store(tmp_path / "fresh"), copy) == first


@pytest.mark.parametrize("change", ["content", "name", "x", "link"])
def test_a_change_changes_the_fragment(store: Store, root: Path, change: str) -> None:
    first = build(store, root)
    changes: dict[str, Callable[[], Any]] = {
        "content": lambda: (root / "app/lib/a.py").write_text("a = 2\n"),
        "name": lambda: (root / "app/lib/a.py").rename(root / "app/lib/c.py"),
        "x": lambda: (root / "app/run.sh").chmod(0o600),
        "link": lambda: (root / "app/abs").rename(root / "app/lib/b"),
    }
    changes[change]()
    assert build(store, root) != first


def test_an_edit_that_keeps_size_and_time_is_seen(store: Store, root: Path) -> None:
    first = build(store, root)
    stat = (root / "app/lib/a.py").stat()
    (root / "app/lib/a.py").write_text("a = 2\n")
    os.utime(root / "app/lib/a.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert build(store, root) != first


def test_an_unchanged_folder_is_not_read_again(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns() + 3_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    first, state = build(store, root), quick_state(str(root), [APP], ())

    monkeypatch.setattr(sources, "open_source", None)
    monkeypatch.setattr(local, "open_source", None)
    assert build(store, root) == first
    assert quick_state(str(root), [APP], ()) == state


def test_what_changed_just_now_is_not_taken_for_settled(store: Store, root: Path) -> None:
    build(store, root)
    assert not local.is_settled(str(root), [APP], (), time.time_ns())
    assert local.is_settled(str(root), [APP], (), time.time_ns() + 10_000_000_000)


def test_an_equal_copy_is_found_by_content_and_not_compressed_again(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(store, root)
    os.utime(root / "app/run.sh", (9, 9))
    monkeypatch.setattr(chunks, "compressor", None)
    assert build(store, root) == first


def test_exclude_applies_below_the_path_in_the_image(store: Store, root: Path) -> None:
    (root / "app/.git").mkdir()
    (root / "app/.git/HEAD").write_text("x")
    rules = LocalRules(mtime=1000, patterns=("/app/.git/", "/app/lib/**"))
    assert [row.split()[4] for row in rows(build(store, root, rules=rules))] == [
        "app", "app/lib", "app/abs", "app/run.sh",
    ]  # fmt: skip


def test_git_and_pycache_are_copied_and_warned_of_each_time(store: Store, root: Path) -> None:
    (root / "app/.git").mkdir()
    (root / "app/.git/HEAD").write_text("x")
    for _ in range(2):
        events: list[Event] = []
        fragment = local_fragment(store, str(root), APP, (0, 0), RULES, report=events.append)
        assert "app/.git/HEAD" in [entry.path for entry in fragment.entries]
        assert events == [
            Warned(
                'source "app" brings 1 files of .git into the image',
                hint="leave them out with `exclude: [/**/.git]`",
            )
        ]


def test_moves_lead_where_the_image_has_links(store: Store, root: Path) -> None:
    rules = LocalRules(mtime=1000, moves=(("bin", "usr/bin"),))
    file = FileEntry(path="/bin/run", source="app/run.sh")
    assert [e.path for e in build(store, root, file, rules).entries] == ["usr/bin/run"]


def test_folders_that_the_image_has_keep_their_owner_and_mode(store: Store, root: Path) -> None:
    fragment = build(store, root, FileEntry(path="/", source="app"))
    assert [e.path for e in fragment.directories] == ["lib"]
    assert over(fragment, {"lib": Entry("lib", DIRECTORY, 0o1777)}).directories == ()


def test_an_empty_folder_has_no_chunk(store: Store, root: Path) -> None:
    (root / "empty").mkdir()
    fragment = build(store, root, FileEntry(path="/e", source="empty"))
    assert (fragment.chunk, fragment.entries, len(fragment.directories)) == (None, (), 1)


def test_a_source_may_be_a_link_and_lie_above_the_spec(store: Store, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    (root / "current").symlink_to("app")
    assert len(build(store, root, FileEntry(path="/o", source="../outside")).entries) == 1
    assert rows(build(store, root, FileEntry(path="/app", source="current"))) == rows(build(store, root))


@pytest.mark.parametrize("algorithm", ["zstd", "gzip"])
def test_a_large_file_is_copied_in_bounded_memory(store: Store, root: Path, algorithm: str) -> None:
    import tracemalloc

    (root / "app/big").write_bytes(b"")
    os.truncate(root / "app/big", 64 << 20)
    rules = LocalRules(mtime=0, compression=Compression(algorithm=algorithm, level=1))
    tracemalloc.start()
    build(store, root, rules=rules)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


# ---- what is refused -----------------------------------------------------------------------------


def refusal(store: Store, root: Path, file: FileEntry = APP) -> str:
    with pytest.raises(SpecError) as caught:
        local_fragment(store, str(root), file, (0, 0), RULES, where="spec.yaml:3:5")
    assert not list(Path(store.root).glob("blobs-v1/temporary/*"))
    return caught.value.render()


def test_a_missing_source_is_told(store: Store, root: Path) -> None:
    assert refusal(store, root, FileEntry(path="/a", source="gone")) == (
        'error: spec.yaml:3:5: source "gone" is not there\n\n'
        "hint: paths of sources are relative to the spec's folder"
    )


def test_sockets_and_pipes_are_told(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("app/sock")
    assert refusal(store, root) == (
        f'error: spec.yaml:3:5: source "{root}/app/sock" is a socket\n\n'
        "hint: only files, folders and symbolic links can be copied"
    )
    (root / "app/sock").unlink()
    os.mkfifo(root / "pipe")
    assert refusal(store, root, FileEntry(path="/p", source="pipe")) == (
        f'error: spec.yaml:3:5: source "{root}/pipe" is a pipe\n\n'
        "hint: only files, folders and symbolic links can be copied"
    )


def test_names_that_an_image_cannot_have_are_told(store: Store, root: Path) -> None:
    (root / "app/.wh.a").write_text("")
    assert refusal(store, root) == (
        f'error: spec.yaml:3:5: source "{root}/app/.wh.a" has a name that begins with ".wh.", which'
        ' means "removed" in a layer'
    )
    (root / "app/.wh.a").unlink()
    Path(os.fsdecode(os.fsencode(root) + b"/app/\xff")).write_text("")
    assert refusal(store, root) == (
        f"error: spec.yaml:3:5: source '{root}/app/\\udcff' has a name that is not UTF-8"
    )


def test_a_file_cannot_be_the_root(store: Store, root: Path) -> None:
    assert refusal(store, root, FileEntry(path="/", source="app/run.sh")) == (
        'error: spec.yaml:3:5: source "app/run.sh" is no folder, but "/" is'
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_source_is_told(store: Store, root: Path) -> None:
    (root / "app/run.sh").chmod(0)
    assert refusal(store, root) == (
        f'error: spec.yaml:3:5: source "{root}/app/run.sh" cannot be read: permission denied'
    )


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "link", "gone"])
def test_a_change_while_reading_is_told_and_leaves_nothing(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = root / "app/lib/a.py"
    path.write_bytes(b"x" * 600_000)

    def alter() -> None:
        if change in ("link", "gone"):
            path.unlink()
        if change == "link":
            path.symlink_to("/etc/passwd")
        elif change == "longer":
            path.write_bytes(b"x" * 600_001)
        elif change == "shorter":
            os.truncate(path, 300_000)
        elif change == "other":
            path.write_bytes(b"y" * 600_000)

    class Slow(chunks.ChunkWriter):
        def add(self, entry: Entry, content: Any) -> Entry:
            if entry.path == "app/lib/a.py":
                first = content.read(1000)
                alter()
                rest = content.read

                class Joined:
                    def read(self, size: int) -> Any:
                        nonlocal first
                        piece, first = first, b""
                        return piece or rest(size)

                return super().add(entry, Joined())  # type: ignore[arg-type]
            return super().add(entry, content)

    monkeypatch.setattr(local, "ChunkWriter", Slow)
    assert refusal(store, root) == (
        f'error: spec.yaml:3:5: source "{path}" changed while it was read\n\nhint: build again'
    )


def test_a_file_that_became_a_link_before_it_was_opened_is_told(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(*args: Any, **named: Any) -> Any:
        found = sources.walk(*args, **named)
        (root / "app/run.sh").unlink()
        (root / "app/run.sh").symlink_to("/etc/passwd")
        return found

    monkeypatch.setattr(local, "walk", swapped)
    assert refusal(store, root) == (
        f'error: spec.yaml:3:5: source "{root}/app/run.sh" changed while it was read\n\n'
        "hint: build again"
    )
