"""Folders that are symbolic links: where they lead, and how paths below them are spelled.

>>> resolve_folder("bin", {"bin": "usr/bin"}, {"usr", "usr/bin"})
'usr/bin'
>>> move_path("bin/sh", [("bin", "usr/bin")])
'usr/bin/sh'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from builder.tree.entries import DIRECTORY, HARDLINK, Entry, NewFile

_MOST_LINKS = 40  # as the kernel follows (path_resolution(7))


def resolve_folder(path: str, links: Mapping[str, str], folders: AbstractSet[str]) -> str | None:
    """Return the folder that PATH leads to, following LINKS (path → target's text) inside the root.

    None when it leads to no folder of FOLDERS, or round in a circle. ``..`` of the root is the root.
    """
    pending = path.split("/")[::-1]
    place: list[str] = []
    followed = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del place[-1:]
            continue
        target = links.get("/".join((*place, part)))
        if target is None:
            place.append(part)
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return None
        if target.startswith("/"):
            place.clear()
        pending += target.split("/")[::-1]
    found = "/".join(place)
    return found if not found or found in folders else None


def move_path(path: str, moves: Iterable[tuple[str, str]]) -> str:
    """Return PATH as it is spelled without going through a link: the longest matching move holds."""
    for old, new in sorted(moves, reverse=True):
        if path == old or path.startswith(f"{old}/"):
            return f"{new}{path[len(old) :]}".strip("/")
    return path


def relocate(files: Sequence[NewFile], moves: Sequence[tuple[str, str]]) -> tuple[NewFile, ...]:
    """Return generated FILES with every path moved; a folder that is the link itself is left out."""
    links = {old for old, _ in moves}
    moved = []
    for file in files:
        entry = file.entry
        if entry.kind == DIRECTORY and entry.path in links:
            continue
        if entry.kind in (DIRECTORY, HARDLINK) or move_path(entry.path, moves) != entry.path:
            file = NewFile(_moved(entry, moves), file.content)  # noqa: PLW2901
        moved.append(file)
    return tuple(moved)


def _moved(entry: Entry, moves: Sequence[tuple[str, str]]) -> Entry:
    target = move_path(entry.target, moves) if entry.kind == HARDLINK else entry.target
    return Entry(
        move_path(entry.path, moves), entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime,
        entry.size, target, entry.digest, entry.xattrs,
    )  # fmt: skip
