"""From fragments to layers in the test, as the pipeline does it; blobs live in a dict."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import msgspec

from builder.digests import Digest
from builder.layers.assemble import LayerParts, cut_layers, write_layer
from builder.layers.compression import compress
from builder.layers.parts import Chunk, Fragment, Layer
from builder.layers.plan import Plan
from builder.layers.tar import header, padding
from builder.spec.model import Compression
from builder.tree.entries import Entry, NewFile
from builder.tree.links import relocate
from builder.tree.merge import SPEC, Tree, merge
from tests.makers.trees import may_replace, rebuilt

EPOCH = 1_800_000_000


class Built(NamedTuple):
    """An image: its tree, its layers in parts, and the packages as they were built."""

    tree: Tree[Any, Any]
    layers: tuple[LayerParts, ...]
    fragments: tuple[Fragment, ...]


def build(
    packages: Sequence[Fragment],
    plan: Plan | None = None,
    *,
    base: Built | None = None,
    links: Sequence[tuple[str, str]] = (),
    generated: Sequence[NewFile] = (),
    local: Sequence[Fragment] = (),
    has_databases: bool = True,
) -> Built:
    """Build PACKAGES, each its own unit and, without PLAN, its own layer, over BASE."""
    base_tree = base.tree if base else None
    parts = {fragment.identity.name: fragment for fragment in packages}
    own = {fragment.identity.name: fragment for fragment in local}
    for _ in range(5):
        merged = merge(
            may_replace, tuple(parts.values()), base=base_tree, links=links, local=tuple(own.values()),
            generated=[file.entry for file in generated], has_databases=has_databases,
        )  # fmt: skip
        if not merged.moves:
            break
        generated = relocate(generated, merged.moves.get(SPEC, ()))
        for some in (parts, own):
            some.update(
                {
                    name: rebuilt(f, moves=merged.moves[name])
                    for name, f in some.items()
                    if name in merged.moves
                }
            )
    assert not merged.moves
    built = tuple(rebuilt(f, merged.omissions.get(name, frozenset())) for name, f in parts.items())
    layers = cut_layers(
        tuple((name,) for name in parts) if plan is None else plan,
        built,
        {name: name for name in parts},
        merged.tree,
        epoch=EPOCH,
        base=base_tree,
        generated=generated,
        local=tuple(own.values()),
        has_databases=has_databases,
    )
    return Built(merged.tree, (*(base.layers if base else ()), *layers), built)


class Blobs:
    """A store in a dict, which makes the chunks of fragments too."""

    def __init__(self, compression: Compression) -> None:
        self.compression = compression
        self.blobs: dict[Digest, bytes] = {}

    def put(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.blobs[digest] = content
        return digest

    def open(self, digest: Digest) -> BinaryIO:
        return io.BytesIO(self.blobs[digest])

    def chunk(self, entries: Sequence[Entry], contents: Mapping[str, bytes]) -> Chunk | None:
        tar = b"".join(
            header(e, clamp=EPOCH) + contents.get(e.digest, b"") + padding(e.size) for e in entries
        )
        if not tar:
            return None
        compressed = compress(tar, self.compression)
        return Chunk(self.put(compressed), len(compressed), len(tar))

    def with_chunks(self, parts: LayerParts, contents: Mapping[str, bytes]) -> LayerParts:
        """Return PARTS with the chunks of its members made."""
        members = tuple(
            msgspec.structs.replace(
                f,
                chunk=self.chunk(f.entries, contents),
                database_chunk=self.chunk(f.database, contents),
            )
            for f in parts.members
        )
        return msgspec.structs.replace(parts, members=members)

    def write(self, parts: LayerParts, contents: Mapping[str, bytes]) -> Layer:
        return self.write_ready(self.with_chunks(parts, contents))

    def write_ready(self, parts: LayerParts) -> Layer:
        return write_layer(
            parts,
            self.compression,
            clamp=EPOCH,
            put=self.put,
            open_chunk=self.open,
        )

    def bytes_of(self, layer: Layer) -> bytes:
        return b"".join(self.blobs[chunk.digest] for chunk in layer.chunks)


def contents_of(*texts: str) -> dict[str, bytes]:
    """Return digest → content of TEXTS."""
    return {Digest.of(text.encode()): text.encode() for text in texts}


def names(count: int) -> list[str]:
    """Return COUNT package names."""
    return [f"p{number}" for number in itertools.islice(itertools.count(), count)]
