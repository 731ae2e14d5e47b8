"""The paths of one package: made clean, moved, and refused where they would leave the tree.

A path is what its tar member says, never resolved: so nothing may lie below a path that the same
package makes a symbolic link or a file, in whatever order they come. Refused as well: absolute paths,
``..``, NUL and newline (dpkg's lists are lines), text that is not UTF-8, ``.wh.`` names (they delete
files of lower layers, OCI image-spec layer.md "Whiteouts"), and the package manager's own database.

MOVES are the folders that are links in the image (usr-merge): what lies below ``bin`` is put below
``usr/bin``; the entry ``bin`` itself becomes ``usr/bin`` if it is a folder and stays if it is a link.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from builder.errors import PackageError
from builder.formats.deb.ar import Fault
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, parents

_DATABASE = "var/lib/dpkg"
_KINDS = {DIRECTORY: "folder", FILE: "file", SYMLINK: "symbolic link", HARDLINK: "hard link"}
# Linux: PATH_MAX with its NUL, NAME_MAX.
_MAX_PATH, _MAX_NAME = 4095, 255


class Paths:
    """What one package has claimed so far."""

    def __init__(self, moves: Sequence[tuple[str, str]], part: str, fault: Fault) -> None:
        self._moves = tuple(moves)
        self._prefixes = tuple(source + "/" for source, _ in moves)
        self._sources = dict(moves)
        self._part = part
        self._fault = fault
        self._entries: dict[str, Entry] = {}
        self._origins: dict[str, str] = {}  # path → as packed, where that differs
        self._folders = {""}  # all that entries lie below, shipped or not

    def clean(self, raw: bytes) -> str:
        """Return RAW as a clean path; "" for the root folder itself."""
        try:
            text = (raw[2:] if raw[:2] == b"./" else raw).decode()
        except UnicodeDecodeError:
            raise self.fault(raw, "has a path that is not UTF-8") from None
        text = text.removesuffix("/")
        # One look for all that is rare; hidden files are looked at twice.
        if "/." in text or "//" in text or text[:1] in "/." or "\n" in text or "\0" in text:
            text = self._clean_odd(raw, text)
        if len(raw) > _MAX_NAME:
            self._check_lengths(raw, text)
        return text

    def moved(self, path: str, *, is_directory: bool = False) -> str:
        """Return where a clean PATH is in the image."""
        if path.startswith(self._prefixes):
            for source, destination in self._moves:
                if path.startswith(source + "/"):
                    return destination + path[len(source) :]
        if is_directory:
            return self._sources.get(path, path)
        return path

    def points_to_itself(self, packed: str, path: str, target: str) -> bool:
        """Whether the symbolic link PACKED, moved to PATH, would lead to its own place."""
        if not self._moves:
            return False
        leads_to = posixpath.normpath(posixpath.join("/", posixpath.dirname(packed), target))
        return self.moved(leads_to.lstrip("/")) == path

    def claim(self, entry: Entry, packed: str) -> Entry | None:
        """Take ENTRY's path, packed as PACKED; return the entry that has it already, if it is the same.

        The same: two folders, of which the first one's entry stands, or what moving brings together and
        is alike in all but mtime and (who asks compares it) content.
        """
        path = entry.path
        earlier = self._entries.get(path)
        if earlier is not None:
            self._compare(earlier, entry, packed)
            return earlier
        if path.rpartition("/")[0] not in self._folders:
            self._open(path, packed)
        if entry.kind == DIRECTORY:
            self._folders.add(path)
        elif path in self._folders:
            raise self.fault(packed, f"is a {_KINDS[entry.kind]}, and others lie below it")
        elif path == _DATABASE or path.startswith(_DATABASE + "/"):
            raise self.fault(packed, "would overwrite the package database")
        self._entries[path] = entry
        if packed != path:
            self._origins[path] = packed
        return None

    def linked_file(self, raw: bytes, packed: str) -> Entry:
        """Return the FILE entry that a hard link PACKED to RAW shares."""
        target = self.moved(self.clean(raw))
        entry = self._entries.get(target)
        if entry is None:
            raise self.fault(
                packed, f'is a hard link to "{target}", which has not been packed before it'
            )
        if entry.kind == HARDLINK:
            entry = self._entries[entry.target]
        if entry.kind != FILE:
            raise self.fault(packed, f'is a hard link to "{target}", which is a {_KINDS[entry.kind]}')
        return entry

    def fault(self, member: str | bytes, message: str) -> PackageError:
        """Return the error about MEMBER of the part."""
        if isinstance(member, bytes):
            member = member[:200].decode(errors="backslashreplace")
        member = member[:200].replace("\n", "\\n").replace("\0", "\\0")
        return self._fault(f'{self._part}: "{member}" {message}')

    def _clean_odd(self, raw: bytes, text: str) -> str:
        if "\0" in text:
            raise self.fault(raw, "has a path with a NUL byte")
        if "\n" in text:
            raise self.fault(raw, "has a path with a newline")
        if text.startswith("/") or raw.startswith(b"/"):
            raise self.fault(raw, "has an absolute path")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.fault(raw, 'has a ".." part')
        if any(part.startswith(".wh.") for part in parts):
            raise self.fault(raw, 'has a ".wh." name, which would delete files of lower layers')
        return "/".join(parts)

    def _check_lengths(self, raw: bytes, text: str) -> None:
        if len(raw) > _MAX_PATH:
            raise self.fault(raw, f"has a path of {len(raw)} bytes")
        longest = max(len(part.encode()) for part in text.split("/"))
        if longest > _MAX_NAME:
            raise self.fault(raw, f"has a name of {longest} bytes")

    def _open(self, path: str, packed: str) -> None:
        for folder in parents(path):
            above = self._entries.get(folder)
            if above is not None and above.kind != DIRECTORY:
                kind = _KINDS[above.kind]
                raise self.fault(packed, f'lies below "{folder}", which the package makes a {kind}')
            self._folders.add(folder)

    def _compare(self, earlier: Entry, entry: Entry, packed: str) -> None:
        origin = self._origins.get(entry.path, entry.path)
        is_folder = earlier.kind == entry.kind == DIRECTORY
        if is_folder and (origin != packed or earlier == entry):
            return
        if origin == packed and earlier.kind == entry.kind:
            raise self.fault(packed, "is packed twice")
        if origin == packed:
            first, second = _KINDS[earlier.kind], _KINDS[entry.kind]
            raise self.fault(packed, f"is packed twice, as a {first} and as a {second}")
        if not is_alike(earlier, entry):
            raise self.differ(entry.path, packed)

    def differ(self, path: str, packed: str) -> PackageError:
        """Return the error about members that are one path after moving, and are not the same."""
        origin = self._origins.get(path, path)
        return self.fault(packed, f'and "{origin}" are both "{path}" in the image, and differ')


def is_alike(left: Entry, right: Entry) -> bool:
    """Whether two entries differ in nothing but mtime, or one is a hard link to the other."""
    if HARDLINK in (left.kind, right.kind) and FILE in (left.kind, right.kind):
        return left.path in (left.target, right.target)
    names = ("kind", "mode", "uid", "gid", "size", "target", "xattrs")
    return all(getattr(left, name) == getattr(right, name) for name in names)
