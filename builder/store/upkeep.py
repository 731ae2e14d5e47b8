"""Upkeep of the store: totals, collection, verification. Off the path of a build."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from builder.digests import Digest
from builder.errors import StoreError
from builder.store import files
from builder.store.store import Store, read_record

_KINDS = (("blobs", "blobs"), ("actions", "actions"), ("partial", "partial downloads"))

# How long a collection waits for running builds before it gives up, in seconds.
_PATIENCE = 10.0
_PAUSE = 0.1


class Usage(NamedTuple):
    """How much there is of one kind: number of files and their bytes."""

    kind: str
    files: int
    size: int


class GcResult(NamedTuple):
    """What a collection did: files and bytes removed, files and bytes that remain.

    ``actions`` of the removed were records whose blobs have gone; ``stale`` were left by processes
    that did not end well.
    """

    removed: int
    freed: int
    actions: int
    stale: int
    remaining: int
    size: int


class Damage(NamedTuple):
    """A file that `verify` dropped: its path below the root, and what was wrong with it."""

    path: str
    reason: str


class _File(NamedTuple):
    used_ns: int
    path: str
    size: int
    kind: str


def usage(store: Store) -> tuple[Usage, ...]:
    """Return the totals of STORE, a kind each."""
    store.join()
    found = list(_files(store))
    return tuple(
        Usage(label, sum(file.kind == kind for file in found),
              sum(file.size for file in found if file.kind == kind))
        for kind, label in _KINDS
    )  # fmt: skip


def collect(store: Store, max_size: int) -> GcResult:
    """Remove the least recently used until at most MAX_SIZE bytes remain.

    Order: temporary files, locks and older buckets; then blobs, records and partial downloads, the
    longest unused first; then records whose blobs have gone. `StoreError` while builds are running.
    """
    descriptor = _claim(store)
    try:
        stale = sum(1 for _ in _sweep(store)) + _remove_outdated(store)
        found = sorted(_files(store))
        total = sum(file.size for file in found)
        removed = freed = 0
        kept = []
        for file in found:
            if total - freed > max_size and files.remove(file.path):
                removed += 1
                freed += file.size
            else:
                kept.append(file)
        orphans = [file for file in kept if file.kind == "actions" and _is_orphan(store, file.path)]
        dropped = [file for file in orphans if files.remove(file.path)]
        freed += sum(file.size for file in dropped)
        return GcResult(
            removed + len(dropped), freed, len(dropped), stale, len(kept) - len(dropped), total - freed
        )
    finally:
        os.close(descriptor)


def verify(store: Store) -> tuple[Damage, ...]:
    """Hash all of STORE; drop what is not what its name says, and what dead processes left."""
    store.join()
    damages = [Damage(path, "left by a process that did not end well") for path in _sweep(store)]
    for file in sorted(_files(store), key=lambda file: file.path):
        reason = _fault(store, file)
        if reason:
            damages.append(Damage(os.path.relpath(file.path, store.root), reason))
    return tuple(damages)


def _fault(store: Store, file: _File) -> str:
    """Return what is wrong with FILE, which is then dropped, or ""."""
    name = os.path.basename(file.path)
    try:
        digest = Digest.from_hex(name)
    except ValueError:
        files.remove(file.path)
        return "its name is not a digest"
    try:
        if file.kind == "blobs":
            return _blob_fault(store, file, digest)
        if file.kind == "actions":
            return _record_fault(file, digest)
    except FileNotFoundError:  # another process dropped it
        return ""
    except OSError as error:
        raise files.failed(error, file.path) from error
    return ""


def _blob_fault(store: Store, file: _File, digest: Digest) -> str:
    found, stat = files.hash_file(file.path)
    if found != digest:
        store.drop(file.path, digest, stat)
        return f"its content has digest {found}"
    # Reading was no use of it: the order of collection stays.
    files.set_times(file.path, file.used_ns, files.note(digest, stat.st_size))
    return ""


def _record_fault(file: _File, key: Digest) -> str:
    with open(file.path, "rb") as stream:
        content = stream.read()
    record = read_record(content, checks=True)
    if record is None:
        files.remove(file.path)
        return "its content does not have its checksum"
    files.set_times(file.path, file.used_ns, files.note(key, len(content)))
    return ""


def _is_orphan(store: Store, path: str) -> bool:
    with open(path, "rb") as stream:
        record = read_record(stream.read(), checks=True)
    return record is None or not all(store.blob_exists(digest) for digest in record[0])


def _files(store: Store) -> Iterator[_File]:
    """Yield every finished file and partial download of STORE, in no order."""
    for kind, _ in _KINDS:
        folders = [store.folder(kind)]
        while folders:
            for entry in _scan(folders.pop()):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    stat = entry.stat(follow_symlinks=False)
                    yield _File(stat.st_atime_ns, entry.path, stat.st_size, kind)


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.failed(error, folder) from error


def _sweep(store: Store) -> Iterator[str]:
    """Remove temporary files and locks of dead processes, which hold no lock; yield their paths."""
    for name in ("temporary", "locks"):
        for entry in _scan(store.folder(name)):
            if entry.name != "in-use" and _is_dead(entry.path) and name == "temporary":
                yield os.path.relpath(entry.path, store.root)


def _remove_outdated(store: Store) -> int:
    """Remove buckets of forms older than ours, which no program of today reads; how many."""
    import shutil

    present = {bucket.rpartition("-v")[0]: bucket.rpartition("-v")[2] for bucket in store.buckets()}
    removed = 0
    for entry in _scan(store.root):
        name, _, version = entry.name.rpartition("-v")
        if name in present and version.isdecimal() and int(version) < int(present[name]):
            shutil.rmtree(entry.path, ignore_errors=True)
            removed += 1
    return removed


def _is_dead(path: str) -> bool:
    """Remove PATH if nobody holds its lock; whether it went."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return files.is_still(descriptor, path) and files.remove(path)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def _claim(store: Store) -> int:
    """Take the store for ourselves alone; `StoreError` if builds keep it in use for too long."""
    store.leave()
    path = f"{store.folder('locks')}/in-use"
    try:
        files.make_folder(store.folder("locks"))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise files.failed(error, store.root) from error
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StoreError(
                    "the cache is in use by a running build",
                    where=store.root,
                    hint="wait until it ends, then collect again",
                ) from None
            time.sleep(_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor
