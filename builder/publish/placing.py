"""Files and folders that get their name when they are whole: written beside, then renamed.

What is not whole has one fixed name beside its target, ``.NAME.imgbuild-part``, locked while its
writer lives: a run that was killed leaves that and nothing else, and the next one takes it over.

Not promised: what a power failure leaves; nothing here calls ``fsync``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from builder.errors import PublishError

_HINTS = {
    errno.ENOSPC: "free some space or write to another disk",
    errno.EDQUOT: "free some space or write to another disk",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that you may write to",
    errno.ENOENT: "make the folder first",
}


def failed(error: OSError, place: str) -> PublishError:
    """Return ERROR, met while PLACE was written, as a `PublishError`."""
    reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
    return PublishError(f"cannot be written: {reason}", where=place, hint=_HINTS.get(error.errno or 0))


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn an `OSError` of the body into the `PublishError` about PLACE."""
    try:
        yield
    except OSError as error:
        raise failed(error, place) from error


def part_path(path: str) -> str:
    """Return where PATH grows until it is whole."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.imgbuild-part")


@contextmanager
def new_file(path: str) -> Iterator[BinaryIO]:
    """Give a stream whose bytes become file PATH if the body ends well; else nothing changes.

    A symbolic link is followed, so that its target is replaced; a device or pipe is written to
    directly. `PublishError` for what the system refuses, also from the body's writes.
    """
    with translated(path):
        target = os.path.realpath(path)
        if os.path.isdir(target):
            raise PublishError("is a folder, not a file", where=path)
        if _is_special(target):
            with open(target, "wb") as stream:
                yield stream
            return
        part = part_path(target)
        descriptor = _open_part(part)
        with open(descriptor, "wb") as stream:
            try:
                yield stream
                stream.flush()
                os.replace(part, target)
            except BaseException:
                os.unlink(part)
                raise


def _is_special(path: str) -> bool:
    """Whether PATH is there and neither a regular file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode)


def _open_part(path: str) -> int:
    """Open PATH locked and empty; whoever else writes it is waited for."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(descriptor, path):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(descriptor: int, path: str) -> bool:
    """Whether PATH still names what is open as DESCRIPTOR: its writer may have renamed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


@contextmanager
def new_folder(path: str) -> Iterator[int]:
    """Give the descriptor of a folder that becomes PATH if the body ends well; else nothing changes.

    PATH must be absent or an empty folder.
    """
    with translated(path):
        target = os.path.realpath(path)
        _check_free(target, path)
        part = part_path(target)
        descriptor = _open_part_folder(part, path)
        try:
            yield descriptor
            _check_free(target, path)
            os.rename(part, target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        finally:
            os.close(descriptor)


def _check_free(target: str, path: str) -> None:
    """Refuse a TARGET that holds anything."""
    try:
        is_free = not os.listdir(target)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise PublishError("is a file, not a folder", where=path) from None
    if not is_free:
        raise PublishError("is a folder that is not empty", where=path, hint="remove it first")


def _open_part_folder(part: str, path: str) -> int:
    """Make folder PART anew and open it locked; what a killed run left there goes."""
    try:
        os.mkdir(part, 0o755)
    except FileExistsError:
        with _locked_folder(part, path):
            shutil.rmtree(part)
        os.mkdir(part, 0o755)
    descriptor = open_folder(part)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@contextmanager
def _locked_folder(part: str, path: str) -> Iterator[None]:
    """Hold the lock of folder PART; `PublishError` if its writer lives."""
    descriptor = open_folder(part)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PublishError("is being written by another process", where=path) from None
    finally:
        os.close(descriptor)


def open_folder(name: str, parent: int | None = None) -> int:
    """Open folder NAME (below PARENT) without following a link that stands in its place."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
