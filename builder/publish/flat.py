"""The image's tree as one tar: each path once, as the topmost layer has it.

Two passes over the layers, so that memory holds the headers alone. First the folders, sorted; then
all else in the layers' order (GNU tar sets folders' times right with
``--delay-directory-restore``). A hard link whose file a higher layer replaced becomes the file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, BinaryIO, Protocol

import msgspec

from builder.image.image import PlatformImage
from builder.layers.compression import Compressor, compressor
from builder.layers.parts import Layer
from builder.layers.tar import END_MARK, header, padding
from builder.publish.members import read_members
from builder.publish.streams import Blobs
from builder.spec.model import Compression
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, Entry

_SUFFIXES = ((".gz", "gzip"), (".tgz", "gzip"), (".zst", "zstd"))


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Take DATA, all of it."""


def write_tar(image: PlatformImage[Layer], name: str, stream: BinaryIO, store: Blobs) -> None:
    """Write the tree of IMAGE; compressed if NAME ends in ``.gz``, ``.tgz`` or ``.zst``."""
    layers = [[entry for entry, _ in read_members(store, layer)] for layer in image.layers]
    tree = flatten(layers)
    with _compressed(name, stream) as out:
        for path in sorted(path for path, (_, entry) in tree.items() if entry.kind == DIRECTORY):
            out.write(header(tree[path][1]))
        for index, layer in enumerate(image.layers):
            _write_files(out, index, read_members(store, layer), tree)
        out.write(END_MARK)


def flatten(layers: Iterable[Iterable[Entry]]) -> dict[str, tuple[int, Entry]]:
    """Return each path's topmost entry and the number of the layer it comes from.

    What is no folder hides all that layers below have under its path.
    """
    tree: dict[str, tuple[int, Entry]] = {}
    for index, entries in enumerate(layers):
        for entry in entries:
            below = tree.get(entry.path)
            if below and below[1].kind == DIRECTORY and entry.kind != DIRECTORY:
                for path in [path for path in tree if path.startswith(f"{entry.path}/")]:
                    del tree[path]
            tree[entry.path] = (index, entry)
    return tree


def _write_files(
    out: Sink,
    index: int,
    members: Iterator[tuple[Entry, IO[bytes] | None]],
    tree: Mapping[str, tuple[int, Entry]],
) -> None:
    """Write what is no folder and topmost in layer INDEX."""
    links = _links(index, tree)
    heirs: dict[str, str] = {}
    for entry, content in members:
        is_topmost = tree.get(entry.path, (-1,))[0] == index
        if entry.kind == HARDLINK and entry.target in heirs:
            if is_topmost and entry.path != heirs[entry.target]:
                out.write(header(msgspec.structs.replace(entry, target=heirs[entry.target])))
        elif entry.kind == FILE and not is_topmost and entry.path in links:
            heirs[entry.path] = links[entry.path]
            heir = msgspec.structs.replace(entry, path=links[entry.path])
            _write_file(out, heir, content)
        elif is_topmost and entry.kind == FILE:
            _write_file(out, entry, content)
        elif is_topmost and entry.kind != DIRECTORY:
            out.write(header(entry))


def _links(index: int, tree: Mapping[str, tuple[int, Entry]]) -> dict[str, str]:
    """Return for each target of layer INDEX the first hard link to it that is topmost."""
    links: dict[str, str] = {}
    for path, (layer, entry) in tree.items():
        if layer == index and entry.kind == HARDLINK:
            links.setdefault(entry.target, path)
    return links


def _write_file(out: Sink, entry: Entry, content: IO[bytes] | None) -> None:
    assert content is not None
    out.write(header(entry))
    shutil.copyfileobj(content, out, 1 << 18)
    out.write(padding(entry.size))


@contextmanager
def _compressed(name: str, stream: BinaryIO) -> Iterator[Sink]:
    """Give what writes to STREAM, compressed as the suffix of NAME says."""
    algorithm = next((each for suffix, each in _SUFFIXES if name.endswith(suffix)), None)
    if algorithm is None:
        yield stream
        return
    sink = _CompressedSink(stream, compressor(Compression(algorithm=algorithm)))
    yield sink
    sink.finish()


class _CompressedSink:
    """Compresses what is written to it into a stream."""

    def __init__(self, stream: BinaryIO, encoder: Compressor) -> None:
        self._stream = stream
        self._encoder = encoder

    def write(self, data: bytes, /) -> object:
        return self._stream.write(self._encoder.write(data))

    def finish(self) -> None:
        self._stream.write(self._encoder.finish())
