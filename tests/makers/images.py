"""Tiny images: layers of `NewFile`s, cut into chunks of a store as real ones are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builder.digests import Digest
from builder.image.config import Platform
from builder.image.image import Image, assemble_image, platform_image
from builder.layers.compression import MEDIA_TYPES, compress
from builder.layers.parts import Chunk, Layer
from builder.layers.tar import END_MARK, header, padding
from builder.spec.model import Compression, Config
from builder.store.store import Store
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, NewFile

EPOCH = 1_700_000_000


def folder(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> NewFile:
    return NewFile(Entry(path, DIRECTORY, mode, uid, gid, mtime=EPOCH))


def text(path: str, content: str | bytes, mode: int = 0o644, uid: int = 0, gid: int = 0) -> NewFile:
    data = content.encode() if isinstance(content, str) else content
    return NewFile.regular(path, data, mode=mode, uid=uid, gid=gid, mtime=EPOCH)


def link(path: str, target: str) -> NewFile:
    return NewFile(Entry(path, SYMLINK, 0o777, mtime=EPOCH, target=target))


def hard(path: str, target: str, mode: int = 0o644) -> NewFile:
    return NewFile(Entry(path, HARDLINK, mode, mtime=EPOCH, target=target))


def tar(files: Sequence[NewFile]) -> bytes:
    """The members of FILES, without the end mark."""
    pieces = []
    for file in files:
        pieces.append(header(file.entry))
        if file.entry.kind == FILE:
            pieces += [file.content, padding(len(file.content))]
    return b"".join(pieces)


def make_layer(store: Store, files: Sequence[NewFile], algorithm: str = "zstd") -> Layer:
    """One layer: a chunk of the first half, one of the rest, one of the end mark."""
    half = len(files) // 2
    tars = [tar(part) for part in (files[:half], files[half:]) if part] + [END_MARK]
    blobs = [compress(each, Compression(algorithm=algorithm)) for each in tars]
    chunks = tuple(
        Chunk(store.put(blob), len(blob), len(each)) for blob, each in zip(blobs, tars, strict=True)
    )
    joined, whole = b"".join(blobs), b"".join(tars)
    return Layer(
        digest=Digest.of(joined),
        size=len(joined),
        diff_id=Digest.of(whole),
        tar_size=len(whole),
        media_type=MEDIA_TYPES[algorithm],
        chunks=chunks,
    )


def make_image(
    store: Store,
    *layers: Sequence[NewFile],
    reference: str = "app",
    algorithm: str = "zstd",
    architectures: Sequence[str] = ("amd64",),
    config: Config | None = None,
) -> Image[Layer]:
    """An image of LAYERS, the same for each architecture."""
    made = [make_layer(store, files, algorithm) for files in layers]
    return assemble_image(
        reference,
        [
            platform_image(
                config or Config(cmd=("/bin/true",)),
                Platform(os="linux", architecture=architecture),
                made,
                created=EPOCH,
            )
            for architecture in architectures
        ],
    )


def dump(folder: Path) -> dict[str, str]:
    """Every path below FOLDER in words: ``file 0644 0:0 TIME text``."""
    return {str(path.relative_to(folder)): _words(path) for path in sorted(folder.rglob("*"))}


def _words(path: Path) -> str:
    stat = path.lstat()
    owner = f"{stat.st_mode & 0o7777:04o} {stat.st_uid}:{stat.st_gid} {int(stat.st_mtime)}"
    if path.is_symlink():
        return f"link -> {path.readlink()}"
    if path.is_dir():
        return f"folder {owner}"
    return f"file {owner} {path.read_bytes()[:40].decode('latin-1')}"


__all__ = ["dump", "folder", "hard", "link", "make_image", "make_layer", "tar", "text"]
