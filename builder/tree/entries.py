"""Entries: what one path of an image is, whoever put it there.

A path is clean text: relative to the root, no leading, trailing or doubled slash, no ``.`` or
``..`` part, UTF-8, e.g. ``usr/bin/env``; `clean_path` makes it so once, at the border. The root
folder itself is ``""`` and never an entry.
"""

from __future__ import annotations

import msgspec

from builder.digests import Digest

DIRECTORY = "d"
FILE = "f"
SYMLINK = "l"
HARDLINK = "h"


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One path with all that its tar header will say (array-like: thousands are stored a package).

    kind      `DIRECTORY`, `FILE`, `SYMLINK` or `HARDLINK`; nothing else can be in an image
    mode      permission bits with setuid, setgid and sticky: ``0o7777`` at most
    mtime     seconds since 1970, as packed; clamped to the epoch when the layer is cut
    size      bytes of content; 0 unless FILE
    target    SYMLINK: its text as it stands; HARDLINK: the clean path of the file it shares
    digest    sha256 of the content; empty unless FILE
    xattrs    extended attributes, sorted by name, e.g. ``("security.capability", b"…")``
    """

    path: str
    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    target: str = ""
    digest: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_directory(self) -> bool:
        """Whether this is a folder."""
        return self.kind == DIRECTORY


class NewFile(msgspec.Struct, frozen=True):
    """An entry that imgbuild makes, with its content (empty unless a FILE)."""

    entry: Entry
    content: bytes = b""

    @classmethod
    def regular(
        cls, path: str, content: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0, mtime: int = 0
    ) -> NewFile:
        """Return a regular file at PATH, its size and digest filled in."""
        entry = Entry(path, FILE, mode, uid, gid, mtime, len(content), digest=Digest.of(content))
        return cls(entry, content)


def clean_path(text: str) -> str:
    """Return TEXT as a clean path, taking ``./`` and one or more leading slashes off.

    Raises `ValueError` for ``..`` parts, NUL bytes and text that UTF-8 cannot say; never resolves
    symbolic links, which is for who holds the tree.
    """
    if "\0" in text:
        raise ValueError("path holds a NUL byte")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("path is not UTF-8") from None
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError('path has a ".." part')
    return "/".join(parts)


def parents(path: str) -> tuple[str, ...]:
    """Return the folders above a clean PATH, outermost first: ``a/b/c`` → ``("a", "a/b")``."""
    parts = path.split("/")[:-1]
    return tuple("/".join(parts[: end + 1]) for end in range(len(parts)))
