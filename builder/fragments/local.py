"""Local files of a spec as a fragment, like a package's.

What the machine adds to a file is left behind: owner and mode are the spec's (else root, 0644, or
0755 where the owner may execute; folders 0755), the time is the epoch, hard links are files apart.
All is copied, also ``.git`` and ``__pycache__``, unless the spec's ``exclude`` says otherwise; a
warning names those two. Symbolic links are kept as they stand, wherever they lead.

The fragment is kept in the store under a key of the contents, and under one of what ``stat`` says, so
that an unchanged folder is not read again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import msgspec

from builder.digests import Digest, Json, cache_key
from builder.errors import Position, SpecError
from builder.fragments.chunks import ChunkWriter
from builder.fragments.patterns import compile_patterns
from builder.fragments.sources import (
    Found,
    Unchanged,
    fingerprint,
    is_executable,
    open_source,
    quick_fingerprint,
    read_link,
    settled,
    walk,
)
from builder.layers import compression as compressions
from builder.layers.parts import Fragment
from builder.packages import Control, Identity
from builder.reporting import Reporter, Warned, silent
from builder.spec.model import Compression, FileEntry
from builder.tree.entries import DIRECTORY, FILE, SYMLINK, Entry, clean_path
from builder.tree.links import move_path

if TYPE_CHECKING:
    from builder.store.store import Store

# Raised whenever the fragment of the same source comes out otherwise.
_VERSION = 1
_SUSPECTS = (".git", "__pycache__")


class LocalRules(msgspec.Struct, frozen=True, kw_only=True):
    """How local files become fragments.

    mtime        of every entry: the epoch
    patterns     the spec's ``exclude`` as `builder.fragments.patterns` takes them
    moves        folders that are links in the image, ``("bin", "usr/bin")``
    compression  of the chunk
    """

    mtime: int
    patterns: tuple[str, ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    compression: Compression = Compression()


def local_fragment(
    store: Store,
    root: str,
    file: FileEntry,
    owner: tuple[int, int],
    rules: LocalRules,
    *,
    where: Position | str | None = None,
    report: Reporter = silent,
) -> Fragment:
    """Return what FILE, which has a ``source`` below folder ROOT, adds to an image.

    OWNER is uid and gid (`builder.effects.accounts.resolve_owner`). `SpecError` at WHERE for a source
    that is missing, unreadable, holds what no image can, or changes while it is read.
    """
    began = time.time_ns()
    found = walk_source(root, file, rules.patterns, where=where)
    quick_key = _key("local-stat", file, owner, rules, quick_fingerprint(found))
    fragment = _find(store, quick_key)
    if fragment is None:
        key = _key("local", file, owner, rules, fingerprint(found, where))
        fragment = _find(store, key) or _make(store, found, _Copying(file, owner, rules, where))
        _record(store, key, fragment)
        if settled(found, began):
            _record(store, quick_key, fragment)
    _warn_of_suspects(file, fragment, report)
    return fragment


def walk_source(
    root: str, file: FileEntry, patterns: Sequence[str], *, where: Position | str | None = None
) -> tuple[Found, ...]:
    """Return what FILE's source holds and PATTERNS leave in."""
    is_out = compile_patterns(tuple(patterns))
    base = clean_path(file.path)
    return walk(root, file.source, where, lambda name: is_out(f"{base}/{name}" if base else name))


def quick_state(root: str, files: Iterable[FileEntry], patterns: Sequence[str]) -> Digest:
    """Return one digest of what ``stat`` says of all sources of FILES, for an unchanged rebuild.

    Reads no content. The caller keeps it only if `is_settled`.
    """
    inputs: list[Json] = [
        [file.path, quick_fingerprint(walk_source(root, file, patterns))]
        for file in files
        if file.source
    ]
    return cache_key("local-state", _VERSION, inputs)


def is_settled(root: str, files: Iterable[FileEntry], patterns: Sequence[str], began_ns: int) -> bool:
    """Whether no source of FILES changed just before BEGAN_NS, so that `quick_state` can be kept."""
    return all(settled(walk_source(root, file, patterns), began_ns) for file in files if file.source)


def _key(
    stage: str, file: FileEntry, owner: tuple[int, int], rules: LocalRules, state: Digest
) -> Digest:
    inputs: Json = {
        "state": state,
        "path": file.path,
        "source": file.source,
        "owner": list(owner),
        "mode": file.mode,
        "mtime": rules.mtime,
        "patterns": list(rules.patterns),
        "moves": [list(move) for move in rules.moves],
        "compression": [
            rules.compression.algorithm,
            compressions.checked_level(rules.compression),
            compressions.version(rules.compression.algorithm),
        ],
    }
    return cache_key(stage, _VERSION, inputs)


def _find(store: Store, key: Digest) -> Fragment | None:
    document = store.action(key)
    return (
        None if document is None else msgspec.msgpack.decode(document, type=Fragment, dec_hook=_digest)
    )


def _record(store: Store, key: Digest, fragment: Fragment) -> None:
    blobs = [fragment.chunk.digest] if fragment.chunk else []
    store.record(key, msgspec.msgpack.encode(fragment, enc_hook=str), blobs)


def _digest(kind: type, value: Any) -> Any:
    # Documents of the store are checked by it; digests in them are our own.
    assert kind is Digest
    return Digest(value)


class _Copying(NamedTuple):
    """How what is found becomes entries."""

    file: FileEntry
    owner: tuple[int, int]
    rules: LocalRules
    where: Position | str | None


def _make(store: Store, found: Sequence[Found], copying: _Copying) -> Fragment:
    """Read FOUND into a chunk of the store, one file at a time."""
    directories: list[Entry] = []
    entries: list[Entry] = []
    with ChunkWriter(store, copying.rules.compression, None) as writer:
        for each in found:
            entry = _entry(each, copying)
            if entry.kind == DIRECTORY:
                directories.append(entry)
            elif entry.kind == SYMLINK:
                entries.append(writer.add(entry, None))
            else:
                entries.append(_add_file(writer, each, entry, copying.where))
        chunk = writer.commit()
    return Fragment(
        identity=Identity(name=copying.file.source, version="", architecture=""),
        control=Control((), ()),
        directories=tuple(sorted((e for e in directories if e.path), key=lambda e: e.path)),
        entries=tuple(entries),
        chunk=chunk,
        database=(),
        database_chunk=None,
        newest=copying.rules.mtime,
    )


def _entry(found: Found, copying: _Copying) -> Entry:
    """Return what FOUND becomes in the image."""
    file, (uid, gid), rules, where = copying
    path = move_path("/".join(filter(None, (clean_path(file.path), found.name))), rules.moves)
    if found.is_folder:
        return Entry(path, DIRECTORY, _folder_mode(file.mode), uid, gid, rules.mtime)
    if not path:
        raise SpecError(f'source "{file.source}" is no folder, but "/" is', where=where)
    if found.is_link:
        target = read_link(found, where)
        return Entry(path, SYMLINK, 0o777, uid, gid, rules.mtime, target=target)
    mode = file.mode if file.mode is not None else 0o755 if is_executable(found) else 0o644
    return Entry(path, FILE, mode, uid, gid, rules.mtime, found.stat.st_size)


def _folder_mode(mode: int | None) -> int:
    """Return a folder's mode where files have MODE: who may read may also enter (chmod's ``X``)."""
    return 0o755 if mode is None else (mode | (mode & 0o444) >> 2) & 0o777


def _add_file(writer: ChunkWriter, found: Found, entry: Entry, where: Position | str | None) -> Entry:
    with open_source(found, where) as stream:
        return writer.add(entry, cast("BinaryIO", Unchanged(found, stream, where)))


def over(fragment: Fragment, entries: Mapping[str, Entry]) -> Fragment:
    """Return FRAGMENT without the folders that the tree's ENTRIES have already.

    Copying into /tmp or /etc leaves its owner and mode as they are.
    """
    new = tuple(
        folder
        for folder in fragment.directories
        if folder.path not in entries or entries[folder.path].kind != DIRECTORY
    )
    return msgspec.structs.replace(fragment, directories=new)


def _warn_of_suspects(file: FileEntry, fragment: Fragment, report: Reporter) -> None:
    for name in _SUSPECTS:
        paths = [entry.path for entry in fragment.entries if f"/{name}/" in f"/{entry.path}"]
        if paths:
            report(
                Warned(
                    f'source "{file.source}" brings {len(paths)} files of {name} into the image',
                    hint=f"leave them out with `exclude: [/**/{name}]`",
                )
            )
