"""The parts a layer is put together from: chunks, fragments, layers.

A *chunk* is one zstd frame or gzip member whose decompressed bytes are whole tar members (headers,
content, padding) without the end mark; frames and members may be joined (RFC 8878 §3.1, RFC 1952
§2.2), so a layer is a concatenation of chunks and the chunk of the end mark. A *fragment* is what
one package adds to an image. A *layer* is the list of its chunks with the digests of the whole.
"""

from __future__ import annotations

import msgspec

from builder.digests import Digest
from builder.packages import Control, Identity
from builder.tree.entries import Entry


class Chunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A blob of the store: ``digest`` and ``size`` of the compressed bytes, ``tar_size`` of the tar."""

    digest: Digest
    size: int
    tar_size: int


class Fragment(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one package (or the spec's local files) adds, trimmed and canonical.

    directories     its folders, sorted; they are cut into the layer's first chunk, once a layer
    entries         all else, in the order of the chunk's tar members; hard links after their file
    chunk           the entries as tar; None when there are none
    database        entries of the package's own database files (`PackageFormat.package_database`)
    database_chunk  those as tar; used when the image does not hold the package manager
    newest          the newest mtime in it: clamping to an epoch not older changes nothing
    """

    identity: Identity
    control: Control
    directories: tuple[Entry, ...]
    entries: tuple[Entry, ...]
    chunk: Chunk | None
    database: tuple[Entry, ...]
    database_chunk: Chunk | None
    newest: int


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer, still in its parts: reading `chunks` in order gives its bytes.

    digest, size  of the compressed blob; diff_id, tar_size of the tar in it
    packages      names of the packages it holds, sorted; () for the top layer
    """

    digest: Digest
    size: int
    diff_id: Digest
    tar_size: int
    media_type: str
    chunks: tuple[Chunk, ...]
    packages: tuple[str, ...] = ()
