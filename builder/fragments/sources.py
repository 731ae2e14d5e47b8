"""Local files of a spec as they stand on this machine: walked, not yet read.

Followed is the source itself where it is a link; links inside are taken as links. A source may lie
anywhere, also above the spec's folder: it is the user's machine. Two fingerprints tell whether one is
what it was: of the contents, and a quick one of what ``stat`` says.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from builder.digests import Digest, Json, canonical_json
from builder.errors import Position, SpecError

_BLOCK = 1 << 18
_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Found(NamedTuple):
    """One thing of a source. ``name`` is below the source, "" the source itself."""

    name: str
    path: str
    stat: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.stat.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.stat.st_mode)


def walk(
    root: str,
    source: str,
    where: Position | str | None = None,
    is_out: Callable[[str], bool] = lambda _: False,
) -> tuple[Found, ...]:
    """Return all that SOURCE (below folder ROOT unless it is absolute) holds, sorted by name.

    IS_OUT is asked with each name below the source, a folder's with a slash behind; what is out is
    not walked. `SpecError` at WHERE for what is missing, unreadable, or no file, folder or link.
    """
    path = os.path.join(root, source)
    try:
        top = Found("", path, os.stat(path))
        found = [top]
        folders = [top] if top.is_folder else []
        while folders:
            for each in _children(folders.pop(), where):
                if is_out(f"{each.name}/" if each.is_folder else each.name):
                    continue
                found.append(each)
                if each.is_folder:
                    folders.append(each)
    except OSError as error:
        raise _failed(error, source, where) from error
    for each in found:
        _check_kind(each, where)
    return tuple(sorted(found, key=lambda each: each.name))


def _children(folder: Found, where: Position | str | None) -> Iterator[Found]:
    with os.scandir(folder.path) as listing:
        for item in listing:
            name = f"{folder.name}/{item.name}" if folder.name else item.name
            try:
                name.encode()
            except UnicodeEncodeError:
                raise SpecError(
                    f"source {item.path!r} has a name that is not UTF-8", where=where
                ) from None
            if item.name.startswith(".wh."):
                raise SpecError(
                    f'source "{item.path}" has a name that begins with ".wh.", which means "removed" in'
                    " a layer",
                    where=where,
                )
            yield Found(name, item.path, item.stat(follow_symlinks=False))


def _check_kind(found: Found, where: Position | str | None) -> None:
    kind = _KINDS.get(stat.S_IFMT(found.stat.st_mode))
    if kind:
        raise SpecError(
            f'source "{found.path}" is {kind}',
            where=where,
            hint="only files, folders and symbolic links can be copied",
        )


def _failed(error: OSError, source: str, where: Position | str | None) -> SpecError:
    path = error.filename or source
    if error.errno == errno.ENOENT:
        return SpecError(
            f'source "{source}" is not there',
            where=where,
            hint="paths of sources are relative to the spec's folder",
        )
    reason = os.strerror(error.errno or 0).lower()
    return SpecError(f'source "{path}" cannot be read: {reason}', where=where)


def open_source(found: Found, where: Position | str | None = None) -> BinaryIO:
    """Open file FOUND; `SpecError` if another thing has taken its place."""
    # The source itself may be a link; what is inside was no link when it was walked.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if found.name else 0)
    try:
        descriptor = os.open(found.path, flags)
        stream = os.fdopen(descriptor, "rb", buffering=0)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise changed(found, where) from error
        raise _failed(error, found.path, where) from error
    if _identity(os.fstat(descriptor)) != _identity(found.stat):
        stream.close()
        raise changed(found, where)
    return stream


class Unchanged:
    """The content of an open FOUND: as many bytes as it had when it was walked, or `SpecError`."""

    def __init__(self, found: Found, stream: BinaryIO, where: Position | str | None) -> None:
        self._found = found
        self._stream = stream
        self._where = where
        self._left = found.stat.st_size

    def read(self, size: int) -> bytes:
        """Return SIZE bytes at most; at the end check that nobody has written meanwhile."""
        try:
            piece = self._stream.read(min(size, self._left) or 1)
        except OSError as error:
            raise _failed(error, self._found.path, self._where) from error
        if len(piece) > self._left or (self._left and not piece):
            raise changed(self._found, self._where)
        self._left -= len(piece)
        if not piece and _identity(os.fstat(self._stream.fileno())) != _identity(self._found.stat):
            raise changed(self._found, self._where)
        return piece


def changed(found: Found, where: Position | str | None) -> SpecError:
    """Return the error that FOUND is not what it was a moment ago."""
    return SpecError(f'source "{found.path}" changed while it was read', where=where, hint="build again")


def read_link(found: Found, where: Position | str | None = None) -> str:
    """Return the text of link FOUND."""
    try:
        target = os.readlink(found.path)
        target.encode()
    except UnicodeEncodeError:
        raise SpecError(
            f'source "{found.path}" leads to a name that is not UTF-8', where=where
        ) from None
    except OSError as error:
        raise changed(found, where) from error
    return target


def hash_source(found: Found, where: Position | str | None = None) -> Digest:
    """Return the digest of file FOUND's content."""
    digest = hashlib.sha256()
    with open_source(found, where) as stream:
        content = Unchanged(found, stream, where)
        while piece := content.read(_BLOCK):
            digest.update(piece)
    return Digest(f"sha256:{digest.hexdigest()}")


def is_executable(found: Found) -> bool:
    """Whether the owner may execute it: the one permission that git keeps."""
    return bool(found.stat.st_mode & stat.S_IXUSR)


# ---- fingerprints --------------------------------------------------------------------------------


def fingerprint(found: Iterable[Found], where: Position | str | None = None) -> Digest:
    """Return the digest of names, kinds, execute bits, link texts and contents, alike on any machine."""
    rows: list[Json] = []
    for each in found:
        if each.is_folder:
            rows.append([each.name, "d"])
        elif each.is_link:
            rows.append([each.name, "l", read_link(each, where)])
        else:
            rows.append([each.name, "x" if is_executable(each) else "f", hash_source(each, where)])
    return Digest.of(canonical_json(rows))


def quick_fingerprint(found: Iterable[Found]) -> Digest:
    """Return the digest of what stat says of each: while it is the same, so is the content.

    A change within the clock's grain of an earlier one can hide: see `settled`.
    """
    return Digest.of(canonical_json([[each.path, *_identity(each.stat)] for each in found]))


def settled(found: Iterable[Found], now_ns: int) -> bool:
    """Whether nothing of FOUND changed in the two seconds before NOW_NS (git's "racy" entries).

    Only then does a `quick_fingerprint` taken now promise anything about later changes.
    """
    return all(each.stat.st_ctime_ns + 2_000_000_000 < now_ns for each in found)


def _identity(stat_result: os.stat_result) -> tuple[int, ...]:
    return (
        stat_result.st_mode,
        stat_result.st_size,
        stat_result.st_mtime_ns,
        stat_result.st_ctime_ns,
        stat_result.st_ino,
    )
