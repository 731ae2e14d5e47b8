"""Fragments and trees made in the test from one line of text a path.

    fragment("nginx", {"usr/sbin/nginx": "file 0755 ELF", "var/log/nginx": "dir 0750 33:4"})

A line is ``dir MODE``, ``file MODE CONTENT``, ``link TARGET`` or ``hard TARGET``, with an owner
``UID:GID`` after the mode where it is not root. Folders above a path are in it, 0755, unless named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from builder.digests import Digest
from builder.layers.parts import Fragment
from builder.packages import Control, Identity
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, parents

MTIME = 1_700_000_000


def entry(path: str, line: str, mtime: int = MTIME) -> Entry:
    """Return the entry that LINE says."""
    kind, *words = line.split(" ")
    if kind == "link":
        return Entry(path, SYMLINK, 0o777, mtime=mtime, target=words[0])
    if kind == "hard":
        return Entry(path, HARDLINK, 0o644, mtime=mtime, target=words[0])
    uid = gid = 0
    if len(words) > 1 and ":" in words[1]:
        uid, gid = map(int, words.pop(1).split(":"))
    mode = int(words[0], 8)
    if kind == "dir":
        return Entry(path, DIRECTORY, mode, uid, gid, mtime)
    content = content_of(line)
    return Entry(path, FILE, mode, uid, gid, mtime, len(content), digest=Digest.of(content))


def content_of(line: str) -> bytes:
    """Return the content of the file that LINE says; b"" for any other entry."""
    words = line.split(" ")
    if words[0] != "file":
        return b""
    return " ".join(words[3 if len(words) > 2 and ":" in words[2] else 2 :]).encode()


def fragment(
    name: str,
    lines: Mapping[str, str],
    *,
    replaces: Iterable[str] = (),
    database: Mapping[str, str] | None = None,
    mtime: int = MTIME,
) -> Fragment:
    """Return a fragment without chunks."""
    entries = [entry(path, line, mtime) for path, line in lines.items()]
    folders = {e.path: e for e in entries if e.kind == DIRECTORY}
    for path in lines:
        for parent in parents(path):
            folders.setdefault(parent, entry(parent, "dir 0755", mtime))
    others = sorted(
        (e for e in entries if e.kind != DIRECTORY), key=lambda e: (e.kind == HARDLINK, e.path)
    )
    by_path = {e.path: e for e in others}
    return Fragment(
        identity=Identity(name=name, version="1", architecture="amd64"),
        control=Control((("Package", name), ("Replaces", ", ".join(replaces))), ()),
        directories=tuple(folders[path] for path in sorted(folders)),
        entries=tuple(_like_its_file(e, by_path) for e in others),
        chunk=None,
        database=tuple(entry(path, line, mtime) for path, line in (database or {}).items()),
        database_chunk=None,
        newest=mtime,
    )


def _like_its_file(link: Entry, files: Mapping[str, Entry]) -> Entry:
    """Return LINK with the mode and owner of its file, as archives have them."""
    if link.kind != HARDLINK:
        return link
    file = files[link.target]
    return Entry(link.path, HARDLINK, file.mode, file.uid, file.gid, file.mtime, target=link.target)


def may_replace(winner: Control, loser: Identity) -> bool:
    """Whether WINNER's Replaces names LOSER."""
    return loser.name in winner.field("Replaces").split(", ")


def rebuilt(
    built: Fragment, omit: frozenset[str] = frozenset(), moves: Sequence[tuple[str, str]] = ()
) -> Fragment:
    """Return BUILT as it comes out of its archive without the paths OMIT, and with MOVES.

    Written apart from builder.tree.flatten.without: it is what that is held against.
    """
    directories = {_moved(e.path, moves): e for e in built.directories}
    kept: list[Entry] = []
    heirs: dict[str, str] = {}
    files = {e.path: e for e in built.entries if e.kind == FILE}
    for e in built.entries:
        if e.path in omit:
            continue
        if not (e.kind == HARDLINK and e.target in omit):
            kept.append(e)
        elif e.target in heirs:
            kept.append(_copy(e, e.path, HARDLINK, target=heirs[e.target]))
        else:
            heirs[e.target] = e.path
            kept.append(_copy(files[e.target], e.path, FILE))
    targets = [_moved(e.target, moves) if e.kind == HARDLINK else e.target for e in kept]
    return Fragment(
        identity=built.identity,
        control=built.control,
        directories=tuple(_copy(directories[path], path, DIRECTORY) for path in sorted(directories)),
        entries=tuple(
            _copy(e, _moved(e.path, moves), e.kind, target=target)
            for e, target in zip(kept, targets, strict=True)
        ),
        chunk=built.chunk,
        database=built.database,
        database_chunk=built.database_chunk,
        newest=built.newest,
    )


def _moved(path: str, moves: Sequence[tuple[str, str]]) -> str:
    for old, new in moves:
        if path == old or path.startswith(old + "/"):
            return new + path[len(old) :]
    return path


def _copy(e: Entry, path: str, kind: str, target: str = "") -> Entry:
    size, digest = (e.size, e.digest) if kind == FILE else (0, "")
    return Entry(path, kind, e.mode, e.uid, e.gid, e.mtime, size, target, digest, e.xattrs)


def dump(entries: Mapping[str, Entry], contents: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return path → line, files by the first eight digits of their sha256 or by CONTENTS of it."""
    return {path: _line(e, contents or {}) for path, e in entries.items()}


def _line(e: Entry, contents: Mapping[str, str]) -> str:
    if e.kind == SYMLINK:
        return f"link {e.target}"
    if e.kind == HARDLINK:
        return f"hard {e.target}"
    owner = f" {e.uid}:{e.gid}" if e.uid or e.gid else ""
    if e.kind == DIRECTORY:
        return f"dir {e.mode:04o}{owner}"
    return f"file {e.mode:04o}{owner} {contents.get(e.digest, e.digest[7:15])}"
