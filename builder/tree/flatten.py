"""Layers laid over one another: what a client that unpacks them ends up with.

A layer adds paths and replaces those of the layers below; none of ours removes any. A hard link is
another name of a file, so the link stays what it was when an upper layer replaces the file.

>>> from builder.tree.entries import SYMLINK, Entry
>>> below, above = Entry("bin", SYMLINK, 0o777, target="a"), Entry("bin", SYMLINK, 0o777, target="b")
>>> flatten([[below], [above]])["bin"].target
'b'
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

import msgspec

from builder.tree.entries import DIRECTORY, FILE, HARDLINK, Entry


def flatten(layers: Iterable[Iterable[Entry]]) -> dict[str, Entry]:
    """Return path → entry of LAYERS, bottom first, sorted by path; folders' mtime is 0."""
    entries: dict[str, Entry] = {}
    for layer in layers:
        for entry in layer:
            replace(entries, without_mtime(entry) if entry.kind == DIRECTORY else entry)
    return {path: entries[path] for path in sorted(entries)}


def replace(entries: dict[str, Entry], entry: Entry) -> None:
    """Put ENTRY at its path; what was a hard link to the file that was there keeps that file."""
    present = entries.get(entry.path)
    if present is not None and present.kind == FILE:
        links = [e for e in entries.values() if e.kind == HARDLINK and e.target == entry.path]
        # Which link becomes the file must not hang on the order the entries came in.
        for link in _promoted(present, sorted(links, key=lambda link: link.path)):
            entries[link.path] = link
    entries[entry.path] = entry


def without(entries: Iterable[Entry], omitted: Container[str]) -> Iterator[Entry]:
    """Yield ENTRIES but the OMITTED paths; the first link that is left of an omitted file is the file.

    This is how a package that is built again without these paths comes out.
    """
    files: dict[str, Entry] = {}
    heirs: dict[str, str] = {}
    for entry in entries:
        if entry.path in omitted:
            if entry.kind == FILE:
                files[entry.path] = entry
        elif entry.kind == HARDLINK and entry.target in files:
            heir = heirs.setdefault(entry.target, entry.path)
            yield from _promoted(files[entry.target], [entry], heir)
        else:
            yield entry


def _promoted(file: Entry, links: Iterable[Entry], heir: str = "") -> Iterator[Entry]:
    """Yield LINKS of FILE: the first (or HEIR) as the file itself, the others as links to it."""
    for link in links:
        heir = heir or link.path
        if link.path == heir:
            yield msgspec.structs.replace(file, path=heir)
        else:
            yield msgspec.structs.replace(link, target=heir)


def without_mtime(folder: Entry) -> Entry:
    """Return FOLDER with mtime 0: its time is no part of a tree."""
    if not folder.mtime:
        return folder
    return Entry(folder.path, folder.kind, folder.mode, folder.uid, folder.gid, xattrs=folder.xattrs)


def is_plain(folder: Entry) -> bool:
    """Whether FOLDER is what anybody makes: 0755, root's, without attributes."""
    return folder.mode == 0o755 and not (folder.uid or folder.gid or folder.xattrs)


def is_same_folder(left: Entry, right: Entry) -> bool:
    """Whether two entries are folders with the same metadata, mtime aside."""
    return without_mtime(left) == without_mtime(right)


def is_identical(left: Entry, right: Entry) -> bool:
    """Whether two entries that are no hard links are the same but for path and mtime."""
    return _likeness(left) == _likeness(right)


def _likeness(entry: Entry) -> tuple[object, ...]:
    return (
        entry.kind, entry.mode, entry.uid, entry.gid,
        entry.size, entry.target, entry.digest, entry.xattrs,
    )  # fmt: skip


def difference(left: Entry, right: Entry) -> str:
    """Return a phrase for what differs between two entries of one path."""
    if left.kind != right.kind:
        return "of different kinds"
    if left.target != right.target:
        return f"links to {left.target} and {right.target}"
    if left.digest != right.digest:
        return "with different contents"
    if left.mode != right.mode:
        return f"with modes {left.mode:04o} and {right.mode:04o}"
    if (left.uid, left.gid) != (right.uid, right.gid):
        return f"owned by {left.uid}:{left.gid} and {right.uid}:{right.gid}"
    return "with different extended attributes"
