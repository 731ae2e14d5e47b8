"""Files of the store: notes, locks, and operating-system errors put into our words.

A *note* is the modification time that a file of the store is given once its content has been
checked: a second between 1980 and 2014 that follows from its digest and its size. Whatever writes
to the file later moves its time to the present, and a file cut short by a power failure has another
size, so one ``stat`` tells whether the check still holds, with no second file that could disagree.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from builder.digests import Digest
from builder.errors import StoreError

# Even seconds from 1980 (where FAT begins) to 2014: file systems that keep times to 2 s hold notes
# too, and no clock that is nearly right can give a note by accident. The modulus is prime.
_FIRST_NOTE = 315532800
_NOTES = 536870909
_SPREAD = 0x9E3779B1

MODE = 0o444
"""Of every finished file, whatever the umask: others read it, nobody writes it by mistake."""

_MAKE_ROOM = "free some space, run `imgbuild cache gc --max-size 5G`, or move the cache with --cache"
_NO_LOCKS = "the file system has no locks; put the cache on a local disk with --cache"
_HINTS = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.EIO: "the disk or the network share reports damage; put the cache elsewhere with --cache",
}
_OTHER_PLACE = "choose a folder that you may write to with --cache or IMGBUILD_CACHE"


def note(digest: Digest, size: int) -> int:
    """Return the modification time, in nanoseconds, of a checked file of DIGEST with SIZE bytes."""
    mixed = (int(digest[-12:], 16) + size * _SPREAD) % _NOTES
    return (_FIRST_NOTE + 2 * mixed) * 1_000_000_000


def failed(error: OSError, path: str) -> StoreError:
    """Return ERROR, met at PATH, as a `StoreError` with a hint."""
    reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        reason = "is not a folder"
    return StoreError(
        f"the cache cannot be used: {reason}",
        where=path,
        hint=_HINTS.get(error.errno or 0, _OTHER_PLACE),
    )


def make_folder(path: str) -> None:
    """Make folder PATH and its parents; those that are there already stay as they are."""
    os.makedirs(path, exist_ok=True)


def open_locked(path: str, *, waits: bool = True) -> int | None:
    """Open (or make) file PATH for reading and writing with an exclusive lock; return its descriptor.

    The kernel drops the lock with the process, however it ends. A holder may remove or rename the
    file, so the lock counts only while PATH still names what was locked. None if it is held by
    another and WAITS is false.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            if is_still(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def is_still(descriptor: int, path: str) -> bool:
    """Whether PATH names the file that is open as DESCRIPTOR."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the lock file PATH for as long as the body runs; nothing of it stays behind."""
    try:
        make_folder(os.path.dirname(path))
        descriptor = open_locked(path)
    except OSError as error:
        raise failed(error, path) from error
    assert descriptor is not None
    try:
        yield
    finally:
        # Removed while still locked: those who wait see that the name has gone and begin again.
        remove(path)
        os.close(descriptor)


def remove(path: str) -> bool:
    """Remove PATH; whether it went. One that has gone or cannot go (read-only store) is left so."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def set_times(place: str | int, used_ns: int, noted_ns: int) -> None:
    """Set last use and note of a file, by path or descriptor.

    A store of another user or on a read-only disk keeps its old ones: hits then cost a hash, or the
    order of collection is less exact; neither is wrong.
    """
    try:
        os.utime(place, ns=(used_ns, noted_ns))
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOENT}:
            raise


def read_whole(path: str) -> tuple[os.stat_result, bytes]:
    """Return the stat and the content of small file PATH; half the time that ``open`` takes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        stat = os.fstat(descriptor)
        content = os.read(descriptor, stat.st_size + 1)
        if len(content) != stat.st_size:  # cut short by a signal or a file system, or it grew
            while more := os.read(descriptor, 1 << 16):
                content += more
        return stat, content
    finally:
        os.close(descriptor)


def hash_file(path: str) -> tuple[Digest, os.stat_result]:
    """Return the digest of file PATH and its stat, taken before the first byte was read."""
    with open(path, "rb", buffering=0) as stream:
        stat = os.fstat(stream.fileno())
        return Digest(f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"), stat
