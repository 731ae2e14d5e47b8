"""The spec's ``files`` that have no source: texts, links, empty folders, and permissions.

A permission-only entry says the packaged file anew with another owner or mode; its content goes into
the top layer too, for that is what replacing a file in a layer means (image-spec, layer.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from builder.effects.accounts import Accounts, Locate, Read, resolve_owner
from builder.errors import Position, SpecError
from builder.spec.model import FileEntry
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, NewFile, clean_path


def is_permissions(file: FileEntry) -> bool:
    """Whether FILE only changes what a package has put there."""
    return not (file.source or file.link or file.is_directory) and file.text is None


def permission_reads(files: Sequence[FileEntry], entries: Mapping[str, Entry]) -> tuple[str, ...]:
    """Return the paths of ENTRIES whose content `spec_files` reads, sorted."""
    found = (_file(entries, clean_path(file.path)) for file in files if is_permissions(file))
    return tuple(sorted({entry.path for entry in found if entry and entry.kind == FILE}))


def spec_files(
    files: Sequence[FileEntry],
    accounts: Accounts,
    entries: Mapping[str, Entry],
    read: Read,
    *,
    locate: Locate = str,
) -> tuple[NewFile, ...]:
    """Return what FILES without a source make in a tree of ENTRIES, in their order.

    READ gives the content of each of `permission_reads`. `SpecError`, its ``where`` what LOCATE
    gives for ``files[3]``, for an owner the image has not and permissions of what is not there.
    """
    made = []
    for index, file in enumerate(files):
        if not file.source:
            where = locate(f"files[{index}]")
            owner = resolve_owner(accounts, file.owner, file.group, where)
            made.append(_made(file, owner) or _changed(file, owner, entries, read, where))
    return tuple(made)


def _made(file: FileEntry, owner: tuple[int, int]) -> NewFile | None:
    """Return what FILE makes out of nothing; None if it is about permissions."""
    path = clean_path(file.path)
    uid, gid = owner
    if file.text is not None:
        mode = 0o644 if file.mode is None else file.mode
        return NewFile.regular(path, file.text.encode(), mode=mode, uid=uid, gid=gid)
    if file.link:
        return NewFile(Entry(path, SYMLINK, 0o777, uid, gid, target=file.link))
    if file.is_directory:
        return NewFile(Entry(path, DIRECTORY, 0o755 if file.mode is None else file.mode, uid, gid))
    return None


def _changed(
    file: FileEntry,
    owner: tuple[int, int],
    entries: Mapping[str, Entry],
    read: Read,
    where: Position | str | None,
) -> NewFile:
    """Return the packaged entry that FILE is about with its owner, group and mode."""
    present = _file(entries, clean_path(file.path))
    if present is None:
        raise SpecError(
            f'"{file.path}" is not in the image, so its permissions cannot be changed',
            where=where,
            hint="give it text, source, link or directory to make it, or the package that brings it",
        )
    if present.kind == SYMLINK and file.mode is not None:
        raise SpecError(f'"{file.path}" is a symbolic link, which has no mode of its own', where=where)
    uid = owner[0] if file.owner else present.uid
    gid = owner[1] if file.owner or file.group else present.gid
    mode = present.mode if file.mode is None else file.mode
    changed = msgspec.structs.replace(present, path=clean_path(file.path), mode=mode, uid=uid, gid=gid)
    if changed.kind != FILE:
        return NewFile(changed)
    content = read(present.path)
    assert content is not None, "its path is one of permission_reads"
    return NewFile(changed, content)


def _file(entries: Mapping[str, Entry], path: str) -> Entry | None:
    """Return the entry at PATH, of a hard link the file it shares."""
    entry = entries.get(path)
    return entries.get(entry.target) if entry and entry.kind == HARDLINK else entry
