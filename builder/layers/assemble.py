"""From plan, fragments and tree to layers: which entries each layer holds, and its exact bytes.

A layer is: one chunk with all folders (of its members, and their parents), then the members' chunks
by package name, then the end mark. Its bytes depend on its members alone: a folder has the metadata
that the members give it, an implied parent is 0755 root:root with mtime 0. The top layer has what is
generated, the spec's local files, and each folder whose metadata in the layers below is not the
tree's; its mtimes are the epoch. Layers without members are left out.

Each step is pure, so layers may be written by several threads:

    layers = cut_layers(plan, fragments, units, tree, epoch=epoch)
    for parts in layers:                                  # in parallel
        key = layer_key(parts, compression, clamp=epoch)  # an action of the store
        layer = write_layer(parts, compression, clamp=epoch, put=store.put, open_chunk=store.open)

>>> from builder.tree.merge import Tree
>>> cut_layers((), (), {}, Tree(entries={}, owners={}), epoch=0)
()
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import msgspec

from builder.digests import Digest, cache_key
from builder.layers.compression import MEDIA_TYPES, checked_level, compress, decompress, version
from builder.layers.parts import Chunk, Fragment, Layer
from builder.layers.plan import Plan
from builder.layers.tar import END_MARK, header, padding
from builder.spec.model import Compression
from builder.tree.entries import DIRECTORY, FILE, Entry, NewFile, parents
from builder.tree.flatten import is_plain, is_same_folder
from builder.tree.merge import SPEC, Tree

_VERSION = 1
"""Raised whenever the bytes of a layer with the same parts change."""

_BLOCK = 1 << 18


class LayerParts(msgspec.Struct, frozen=True, kw_only=True):
    """One layer before its bytes are made.

    directories  parents first, each once
    files        what is generated (top layer only)
    members      the fragments it holds, by package name (top layer: the spec's local files)
    """

    directories: tuple[Entry, ...]
    files: tuple[NewFile, ...] = ()
    members: tuple[Fragment, ...] = ()
    has_databases: bool = True
    is_top: bool = False

    @property
    def packages(self) -> tuple[str, ...]:
        """Names of the packages in it, sorted; () for the top layer."""
        return () if self.is_top else tuple(fragment.identity.name for fragment in self.members)

    def member_chunks(self) -> tuple[Chunk, ...]:
        """Return the chunks of the members, in the order they have in the layer."""
        chunks = []
        for fragment in self.members:
            chunks.append(fragment.chunk)
            if self.has_databases:
                chunks.append(fragment.database_chunk)
        return tuple(chunk for chunk in chunks if chunk is not None)

    def entries(self) -> Iterator[Entry]:
        """Yield every entry of the layer, in the order of its tar members."""
        yield from self.directories
        yield from (file.entry for file in self.files)
        for fragment in self.members:
            yield from _others(fragment, self.has_databases)


def cut_layers(
    plan: Plan,
    fragments: Sequence[Fragment],
    units: Mapping[str, str],
    tree: Tree[Any, Any],
    *,
    epoch: int,
    base: Tree[Any, Any] | None = None,
    generated: Sequence[NewFile] = (),
    local: Sequence[Fragment] = (),
    has_databases: bool = True,
) -> tuple[LayerParts, ...]:
    """Return the layers of TREE above BASE, bottom first; the top layer, if there is any, is last.

    FRAGMENTS are built without what `merge` says they must omit. UNITS gives the unit (source
    package) of PLAN that each package belongs to.
    """
    layers = [
        _layer([f for f in fragments if units[f.identity.name] in layer], has_databases)
        for layer in map(frozenset, plan)
    ]
    layers = [layer for layer in layers if layer.members]
    assert sum(len(layer.members) for layer in layers) == len(fragments), "every unit is in the plan"
    base = base or Tree(entries={}, owners={})
    top = _top(layers, tree, base, generated=generated, local=local, epoch=epoch)
    return (*layers, *top)


def layer_key(parts: LayerParts, compression: Compression, *, clamp: int) -> Digest:
    """Return the key of the action `write_layer`: what the layer's bytes are a function of."""
    head = msgspec.json.encode((parts.directories, [file.entry for file in parts.files]), enc_hook=str)
    newest = max((entry.mtime for entry in parts.directories), default=0)
    return cache_key(
        "layer",
        _VERSION,
        {
            "compression": [
                compression.algorithm,
                checked_level(compression),
                version(compression.algorithm),
            ],
            "clamp": clamp if parts.is_top or newest > clamp else None,
            "head": Digest.of(head),
            "chunks": [chunk.digest for chunk in parts.member_chunks()],
            "packages": list(parts.packages),
        },
    )


def write_layer(
    parts: LayerParts,
    compression: Compression,
    *,
    clamp: int,
    put: Callable[[bytes], Digest],
    open_chunk: Callable[[Digest], BinaryIO],
) -> Layer:
    """Return PARTS as a layer: make its own chunks, PUT them into the store, hash the whole.

    OPEN_CHUNK opens a blob of the store. Memory is bounded by the generated files.
    """

    def store(content: bytes) -> Chunk:
        compressed = compress(content, compression)
        return Chunk(put(compressed), len(compressed), len(content))

    head = b"".join(head_blocks(parts, clamp=clamp))
    chunks = (store(head), *parts.member_chunks(), store(END_MARK))
    return measure(chunks, compression.algorithm, open_chunk, packages=parts.packages)


def head_blocks(parts: LayerParts, *, clamp: int) -> Iterator[bytes]:
    """Yield the tar members of the layer's folders and generated files."""
    for entry in parts.directories:
        yield header(entry, clamp=clamp)
    for file in parts.files:
        yield header(file.entry, clamp=clamp)
        if file.entry.kind == FILE:
            yield file.content
            yield padding(len(file.content))


def measure(
    chunks: tuple[Chunk, ...],
    algorithm: str,
    open_chunk: Callable[[Digest], BinaryIO],
    *,
    packages: tuple[str, ...] = (),
) -> Layer:
    """Return the layer that CHUNKS joined are, hashed as they stand and decompressed."""
    blob, tar = _Joined(chunks, open_chunk), hashlib.sha256()
    tar_size = 0
    for block in decompress(cast("BinaryIO", blob), algorithm):  # of a stream it only ever reads
        tar.update(block)
        tar_size += len(block)
    assert tar_size == sum(chunk.tar_size for chunk in chunks), "chunks are what their fragments say"
    return Layer(
        digest=Digest.from_hex(blob.sha256.hexdigest()),
        size=sum(chunk.size for chunk in chunks),
        diff_id=Digest.from_hex(tar.hexdigest()),
        tar_size=tar_size,
        media_type=MEDIA_TYPES[algorithm],
        chunks=chunks,
        packages=packages,
    )


class _Joined:
    """The bytes of chunks, one after the other, hashed as they are read."""

    def __init__(self, chunks: Iterable[Chunk], open_chunk: Callable[[Digest], BinaryIO]) -> None:
        self.sha256 = hashlib.sha256()
        self._blocks = self._read(chunks, open_chunk)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return the next bytes, SIZE at most; b"" at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def _read(
        self, chunks: Iterable[Chunk], open_chunk: Callable[[Digest], BinaryIO]
    ) -> Iterator[bytes]:
        for chunk in chunks:
            with open_chunk(chunk.digest) as stream:
                while block := stream.read(_BLOCK):
                    self.sha256.update(block)
                    yield block


def encode_layer(layer: Layer) -> bytes:
    """Return LAYER as the result document of its action."""
    return msgspec.json.encode(layer, enc_hook=str)  # a Digest is the only other thing in it


def decode_layer(document: bytes) -> Layer:
    """Return the layer that `encode_layer` wrote."""
    return msgspec.json.decode(document, type=Layer, dec_hook=lambda _, text: Digest.parse(text))


# ---- what is in a layer ------------------------------------------------------------------------


def _others(fragment: Fragment, has_databases: bool) -> Iterator[Entry]:
    yield from fragment.entries
    if has_databases:
        yield from fragment.database


def _layer(members: Sequence[Fragment], has_databases: bool) -> LayerParts:
    """Return the layer of some packages."""
    members = tuple(sorted(members, key=lambda fragment: fragment.identity.name))
    folders: dict[str, Entry] = {}
    for fragment in members:
        for entry in fragment.directories:
            folders[entry.path] = _merged(folders.get(entry.path), entry)
    above = {
        entry.path.rpartition("/")[0]
        for fragment in members
        for entry in (*fragment.directories, *_others(fragment, has_databases))
    }
    for path in above:
        _imply(folders, path)
    return LayerParts(
        directories=tuple(folders[path] for path in sorted(folders)),
        members=members,
        has_databases=has_databases,
    )


def _merged(present: Entry | None, entry: Entry) -> Entry:
    """Return one folder of two packages: as `merge` decides, with the newer mtime."""
    if present is None:
        return entry
    chosen = entry if is_plain(present) and not is_plain(entry) else present
    newest = max(present.mtime, entry.mtime)
    return chosen if chosen.mtime == newest else msgspec.structs.replace(chosen, mtime=newest)


def _imply(folders: dict[str, Entry], path: str) -> None:
    """Add PATH and what is above it to FOLDERS."""
    while path and path not in folders:
        folders[path] = Entry(path, DIRECTORY, 0o755)
        path = path.rpartition("/")[0]


def _top(
    layers: Sequence[LayerParts],
    tree: Tree[Any, Any],
    base: Tree[Any, Any],
    *,
    generated: Sequence[NewFile],
    local: Sequence[Fragment],
    epoch: int,
) -> list[LayerParts]:
    """Return the top layer, if there is anything for it."""
    contents = {file.entry.path: file.content for file in generated}
    files = [
        NewFile(msgspec.structs.replace(entry, mtime=epoch), contents.get(path, b""))
        for path, entry in tree.entries.items()
        if entry.kind != DIRECTORY and tree.owners[path] == SPEC and base.entries.get(path) != entry
    ]
    below = {path: entry for path, entry in base.entries.items() if entry.kind == DIRECTORY}
    for layer in layers:
        below.update((entry.path, entry) for entry in layer.directories)
    paths = {
        path
        for path, entry in tree.entries.items()
        if entry.kind == DIRECTORY and not (path in below and is_same_folder(below[path], entry))
    }
    for path in [*paths, *(file.entry.path for file in files)]:
        paths.update(parents(path))
    for fragment in local:
        for entry in fragment.entries:
            paths.update(parents(entry.path))
    if not (paths or files or local):
        return []
    directories = tuple(
        msgspec.structs.replace(tree.entries[path], mtime=epoch) for path in sorted(paths)
    )
    return [
        LayerParts(
            directories=directories,
            files=tuple(files),
            members=tuple(local),
            has_databases=False,
            is_top=True,
        )
    ]
