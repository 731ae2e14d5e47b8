"""Chunks of the store: made from entries as they come, and read again by what their entries say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from builder.layers.compression import compressor, decompress
from builder.layers.parts import Chunk
from builder.layers.tar import header, member_size, padding
from builder.spec.model import Compression
from builder.tree.entries import FILE, Entry, NewFile

if TYPE_CHECKING:
    from builder.store.store import Store

_PIECE = 1 << 18


class ChunkWriter:
    """One chunk on its way into the store; leaves nothing behind unless `commit` is called.

    with ChunkWriter(store, compression, clamp) as writer:
        entry = writer.add(entry, content)
        chunk = writer.commit()
    """

    def __init__(self, store: Store, compression: Compression, clamp: int | None) -> None:
        self._blob = store.writer()
        self._compressor = compressor(compression)
        self._clamp = clamp
        self._tar_size = 0

    def __enter__(self) -> Self:
        self._blob.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._blob.__exit__(kind, error, trace)

    def add(self, entry: Entry, content: BinaryIO | None) -> Entry:
        """Append ENTRY with CONTENT (of a FILE); return it with its digest filled in."""
        self._write(header(entry, clamp=self._clamp))
        if entry.kind != FILE:
            return entry
        assert content is not None
        digest = hashlib.sha256()
        left = entry.size
        while piece := content.read(_PIECE):
            digest.update(piece)
            self._write(piece)
            left -= len(piece)
        assert left == 0, f"{entry.path} has {left} bytes fewer than its header says"
        self._write(padding(entry.size))
        return Entry(
            entry.path, FILE, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size,
            digest=f"sha256:{digest.hexdigest()}", xattrs=entry.xattrs,
        )  # fmt: skip

    def commit(self) -> Chunk | None:
        """Store the chunk; None if nothing was added."""
        if not self._tar_size:
            return None
        self._blob.write(self._compressor.finish())
        digest, size = self._blob.commit()
        return Chunk(digest, size, self._tar_size)

    def _write(self, data: bytes) -> None:
        self._tar_size += len(data)
        if ready := self._compressor.write(data):
            self._blob.write(ready)


def write_new_files(
    store: Store, files: Iterable[NewFile], compression: Compression
) -> tuple[tuple[Entry, ...], Chunk | None]:
    """Store generated FILES as one chunk; return their entries and it."""
    import io

    with ChunkWriter(store, compression, None) as writer:
        entries = tuple(writer.add(file.entry, io.BytesIO(file.content)) for file in files)
        return entries, writer.commit()


def read_contents(
    store: Store, chunk: Chunk, entries: Sequence[Entry], wanted: frozenset[str]
) -> dict[str, bytes]:
    """Return the contents of the WANTED files of CHUNK, whose members are ENTRIES; stops at the last."""
    contents: dict[str, bytes] = {}
    with store.open(chunk.digest) as blob:
        algorithm = "gzip" if blob.read(2) == b"\x1f\x8b" else "zstd"
        blob.seek(0)
        pieces = decompress(blob, algorithm)
        buffer, start = b"", 0  # the bytes of the tar from start on
        at = 0
        for entry in entries:
            end = at + member_size(entry)
            if entry.path in wanted and entry.kind == FILE:
                begin = end - entry.size - -entry.size % 512
                while start + len(buffer) < begin + entry.size:
                    if start + len(buffer) <= begin:
                        start, buffer = start + len(buffer), b""
                    buffer += next(pieces)
                contents[entry.path] = buffer[begin - start : begin - start + entry.size]
                if len(contents) == len(wanted):
                    break
            at = end
    return contents
