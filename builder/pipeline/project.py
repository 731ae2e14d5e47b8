"""A project: a spec file, its lock, and the project of its base, read from disk."""

from __future__ import annotations

import os
from typing import NamedTuple

import msgspec

from builder.digests import Digest
from builder.errors import LockError, Position, SpecError, UsageError
from builder.lock.file import read_lock, write_lock
from builder.lock.model import Lock, LockedBase
from builder.pipeline.places import default_lock_path
from builder.spec import load_spec
from builder.spec.model import ImageSpec, SpecDocument

_MAX_DEPTH = 16


class Project(NamedTuple):
    """A spec that has been read, and where things of it lie.

    spec_path  as the user wrote it, for messages; ``content`` its bytes
    lock_path  of the lock, which need not be there
    base       the project that ``base:`` names
    """

    spec_path: str
    content: bytes
    document: SpecDocument
    lock_path: str
    base: Project | None = None

    @property
    def spec(self) -> ImageSpec:
        """The values of the spec."""
        return self.document.spec

    @property
    def folder(self) -> str:
        """The folder that relative paths of the spec start from."""
        return os.path.dirname(os.path.abspath(self.spec_path))

    def chain(self) -> tuple[Project, ...]:
        """Return this project and its bases, lowest first."""
        return (*self.base.chain(), self) if self.base else (self,)


def open_project(spec_path: str, lock_path: str | None = None) -> Project:
    """Read the spec at SPEC_PATH and those it is based on. Raises `SpecError`, `UsageError`."""
    return _open(spec_path, lock_path or default_lock_path(spec_path), ())


def _open(spec_path: str, lock_path: str, above: tuple[str, ...]) -> Project:
    real = os.path.realpath(spec_path)
    content = _read(spec_path)
    document = load_spec(content, spec_path)
    spec = document.spec
    if not spec.base:
        return Project(spec_path, content, document, lock_path)
    where = document.position("base")
    base_path = os.path.normpath(os.path.join(os.path.dirname(spec_path), spec.base))
    if os.path.realpath(base_path) in (*above, real) or len(above) >= _MAX_DEPTH:
        raise SpecError("an image cannot be its own base", where=where)
    if not os.path.isfile(base_path):
        raise SpecError(
            f'there is no spec "{base_path}"',
            where=where,
            hint="base: is a path relative to the spec that names it",
        )
    base = _open(base_path, default_lock_path(base_path), (*above, real))
    _check_base(base.spec, document, where)
    return Project(spec_path, content, document, lock_path, base)


def _check_base(base: ImageSpec, document: SpecDocument, where: Position | None) -> None:
    """Refuse a base that the spec cannot stand on."""
    spec = document.spec
    if (base.distro.name, base.distro.suite) != (spec.distro.name, spec.distro.suite):
        raise SpecError(
            f'the base is made from "{base.distro.name}/{base.distro.suite}", '
            f'this image from "{spec.distro.name}/{spec.distro.suite}"',
            where=document.position("distro") or where,
            hint="packages of two distributions do not fit together",
        )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(_MAX_SPEC_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f'there is no spec "{path}"', hint=f'"imgbuild init {path}" writes one to start from'
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


_MAX_SPEC_BYTES = 1 << 20  # load_spec refuses what is longer, with its own words


# ---- the lock file -------------------------------------------------------------------------------


class LockFile(NamedTuple):
    """A lock as it is on disk, with the digest of its bytes."""

    lock: Lock
    digest: Digest


def read_lock_file(path: str) -> LockFile | None:
    """Read the lock at PATH; None if there is none. Raises `LockError`."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(f"cannot be read: {error.strerror}", where=path) from error
    return LockFile(read_lock(content, path), Digest.of(content))


def write_lock_file(path: str, lock: Lock) -> LockFile:
    """Write LOCK to PATH, whole or not at all; the same lock leaves the file untouched."""
    content = write_lock(lock)
    digest = Digest.of(content)
    try:
        if _same(path, content):
            return LockFile(lock, digest)
        beside = f"{path}.{os.getpid()}.tmp"
        try:
            with open(beside, "wb") as sink:
                sink.write(content)
            os.replace(beside, path)
        except BaseException:
            if os.path.lexists(beside):
                os.unlink(beside)
            raise
    except OSError as error:
        raise LockError(f"cannot be written: {error.strerror}", where=path) from error
    return LockFile(lock, digest)


def base_of(spec: ImageSpec, base: LockFile | None) -> LockedBase | None:
    """Return what a lock says of its base."""
    return LockedBase(spec=spec.base, digest=base.digest) if base else None


def with_plan(lock: Lock, layers: tuple[tuple[str, ...], ...], max_layers: int) -> Lock:
    """Return LOCK with another layer plan."""
    return msgspec.structs.replace(lock, layers=layers, max_layers=max_layers)


def _same(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read() == content
    except FileNotFoundError:
        return False
