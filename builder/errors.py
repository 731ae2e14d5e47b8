"""The tree of errors: one base class, one exit status a branch.

    ImgbuildError
    ├── UsageError        2   the command line
    ├── SpecError         3   the spec file; carries every fault of one run
    ├── ResolveError      4   no set of packages answers the spec
    ├── LockError         5   the lock is stale, unreadable or missing
    ├── TrustError        6   a signature, digest, date or name that does not hold
    ├── FetchError        7   a mirror that does not give what it should
    │   └── OfflineError  7   the store lacks it and the network may not be asked
    ├── PackageError      8   an archive that is malformed, hostile, or lies about itself
    ├── ConflictError     9   two packages, or a package and the spec, claim one path
    ├── StoreError       10   the cache folder: full, unwritable, damaged
    └── PublishError     11   a destination that cannot take the image

Classes are cut by what the caller does next. A message says what, where and which value, is one
sentence and has no full stop; the remedy is apart, in ``hint``. Exit status 1 is left to defects
(a traceback), 130 to Ctrl-C. "Cannot happen" is ``assert`` or ``RuntimeError``, never one of these.
"""

from __future__ import annotations

from collections.abc import Sequence


class Position:
    """A place in a text file: lines and columns count from 1, as editors do."""

    __slots__ = ("column", "file", "line")

    def __init__(self, file: str, line: int, column: int) -> None:
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Position({self.file!r}, {self.line}, {self.column})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Position) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class ImgbuildError(Exception):
    """What a user did or met; never a defect of ours.

    ``where`` is a `Position` or a word for the place (a URL, ``package foo``); ``excerpt`` is the
    faulty text with its span marked, printed between message and hint.
    """

    exit_status = 1

    def __init__(
        self,
        message: str,
        *,
        where: Position | str | None = None,
        hint: str | None = None,
        excerpt: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.excerpt = excerpt

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def render(self) -> str:
        """Return the whole text: ``error: WHERE: MESSAGE``, the excerpt, a blank line, ``hint: …``."""
        text = f"error: {self}"
        if self.excerpt:
            text += f"\n{self.excerpt}"
        if self.hint:
            text += f"\n\nhint: {self.hint}"
        return text


class UsageError(ImgbuildError):
    """The command line asks for something that cannot be done."""

    exit_status = 2


class SpecError(ImgbuildError):
    """A spec that cannot be used; ``faults`` holds each fault of the file, in its order."""

    exit_status = 3

    def __init__(
        self,
        message: str,
        *,
        where: Position | str | None = None,
        hint: str | None = None,
        excerpt: str | None = None,
        faults: Sequence[SpecError] = (),
    ) -> None:
        super().__init__(message, where=where, hint=hint, excerpt=excerpt)
        self.faults = tuple(faults)

    def render(self) -> str:
        """Return the texts of all faults, a blank line between, or the own text without faults."""
        if not self.faults:
            return super().render()
        return "\n\n".join(fault.render() for fault in self.faults)


class ResolveError(ImgbuildError):
    """No set of packages answers the spec; the message is a short chain of reasons."""

    exit_status = 4


class LockError(ImgbuildError):
    """The lock is stale, unreadable or missing where one is required."""

    exit_status = 5


class TrustError(ImgbuildError):
    """A signature, digest, date or name does not hold; nothing was used."""

    exit_status = 6


class FetchError(ImgbuildError):
    """No mirror gave what was asked for."""

    exit_status = 7


class OfflineError(FetchError):
    """The store lacks it and the network may not be asked."""


class PackageError(ImgbuildError):
    """A package archive is malformed, hostile, or says another thing than its index."""

    exit_status = 8


class ConflictError(ImgbuildError):
    """Two packages, or a package and the spec, claim one path."""

    exit_status = 9


class StoreError(ImgbuildError):
    """The cache folder is full, unwritable or damaged."""

    exit_status = 10


class PublishError(ImgbuildError):
    """A destination cannot take the image."""

    exit_status = 11
