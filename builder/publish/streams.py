"""Bytes of a layer out of the store, checked against its digests on the way.

Whoever copies a layer must read it to its end: the last step raises `StoreError` when the bytes
are not the layer's, so nothing may get its final name before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from builder.digests import Digest
from builder.errors import StoreError
from builder.image.image import Blob
from builder.layers.compression import MEDIA_TYPES, decompress
from builder.layers.parts import Chunk, Layer

_BLOCK = 1 << 18
_ALGORITHMS = {media_type: algorithm for algorithm, media_type in MEDIA_TYPES.items()}
_REPAIR = "run `imgbuild cache verify` and build again"


class Blobs(Protocol):
    """What is asked of the store."""

    def open(self, digest: Digest, /) -> BinaryIO:
        """Open a blob; `StoreError` if it is not there."""


def read_blob(store: Blobs, layer: Layer) -> Iterator[bytes]:
    """Yield the compressed bytes of LAYER."""
    return _checked(_chunks(store, layer), layer.digest, layer.size, layer)


def blob_blocks(store: Blobs, blob: Blob[Layer]) -> Iterator[bytes]:
    """Yield the bytes of a blob of an image: a document as it is, a layer from its chunks."""
    if isinstance(blob.content, bytes):
        return iter([blob.content])
    return read_blob(store, blob.content)


def read_tar(store: Blobs, layer: Layer) -> Iterator[bytes]:
    """Yield the tar that LAYER is, decompressed."""
    algorithm = _ALGORITHMS[layer.media_type]
    blocks = (
        block
        for chunk in layer.chunks
        for block in _opened(store, chunk, lambda stream: decompress(stream, algorithm))
    )
    return _checked(blocks, layer.diff_id, layer.tar_size, layer)


def _chunks(store: Blobs, layer: Layer) -> Iterator[bytes]:
    for chunk in layer.chunks:
        yield from _opened(store, chunk, _plain)


def _opened(
    store: Blobs, chunk: Chunk, reader: Callable[[BinaryIO], Iterator[bytes]]
) -> Iterator[bytes]:
    """Yield what READER makes of CHUNK; a chunk that cannot be read or decompressed is `StoreError`."""
    with store.open(chunk.digest) as stream:
        blocks = reader(stream)
        while True:
            try:
                block = next(blocks)
            except StopIteration:
                return
            except (OSError, ValueError) as error:
                raise StoreError(
                    f"chunk {chunk.digest} cannot be read: {error}", hint=_REPAIR
                ) from error
            yield block


def _checked(blocks: Iterator[bytes], digest: Digest, size: int, layer: Layer) -> Iterator[bytes]:
    """Yield BLOCKS; at the end `StoreError` unless they were SIZE bytes of DIGEST."""
    sha256 = hashlib.sha256()
    count = 0
    for block in blocks:
        sha256.update(block)
        count += len(block)
        if count > size:
            break
        yield block
    if count != size or sha256.hexdigest() != digest.hex:
        raise StoreError(f"layer {layer.digest} does not come out of the cache whole", hint=_REPAIR)


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


class IteratorStream:
    """Blocks of bytes as the ``read`` that `tarfile` asks of a stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return SIZE bytes; fewer only at the end."""
        pieces = [self._rest]
        have = len(self._rest)
        while have < size and (block := next(self._blocks, None)) is not None:
            pieces.append(block)
            have += len(block)
        joined = b"".join(pieces)
        self._rest = joined[size:]
        return joined[:size]

    def drain(self) -> None:
        """Read what is left, so that the check at the end is made."""
        self._rest = b""
        for _ in self._blocks:
            pass
