"""Members of tar files: the headers of archives that hold blobs, and the members of layers read."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, BinaryIO, cast

from builder.errors import StoreError
from builder.layers.parts import Layer
from builder.layers.tar import header, padding
from builder.publish.streams import Blobs, IteratorStream, read_tar
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry

_KINDS = {
    tarfile.DIRTYPE: DIRECTORY,
    tarfile.REGTYPE: FILE,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.LNKTYPE: HARDLINK,
}
_XATTR = "SCHILY.xattr."


def write_member(stream: BinaryIO, name: str, size: int, blocks: Iterable[bytes]) -> None:
    """Write regular file NAME of SIZE bytes: 0644, root, 1970, nothing of this machine in it."""
    stream.write(header(Entry(name, FILE, 0o644, size=size)))
    stream.writelines(blocks)
    stream.write(padding(size))


def write_folder(stream: BinaryIO, name: str) -> None:
    """Write folder NAME, 0755."""
    stream.write(header(Entry(name, DIRECTORY, 0o755)))


def read_members(store: Blobs, layer: Layer) -> Iterator[tuple[Entry, IO[bytes] | None]]:
    """Yield the entries of LAYER in their order, a FILE with its content.

    `StoreError` where the layer is not what its digests say; the last of it only shows at the end.
    """
    stream = IteratorStream(read_tar(store, layer))
    try:
        with tarfile.open(
            fileobj=cast("IO[bytes]", stream),  # all that it calls is `read`
            mode="r|",
            bufsize=1 << 18,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            for member in archive:
                yield _entry(member), archive.extractfile(member) if member.isreg() else None
                archive.members = []  # type: ignore[attr-defined] # it keeps every header otherwise
    except tarfile.TarError as error:
        raise StoreError(f"layer {layer.digest} is no tar: {error}") from error
    stream.drain()


def _entry(member: tarfile.TarInfo) -> Entry:
    """Return MEMBER as an entry; its digest is not known."""
    xattrs = sorted(
        (key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
        for key, value in member.pax_headers.items()
        if key.startswith(_XATTR)
    )
    kind = _KINDS[member.type]
    return Entry(
        path=member.name.rstrip("/").removeprefix("./"),
        kind=kind,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime=int(member.mtime),
        size=member.size if kind == FILE else 0,
        target=member.linkname.removeprefix("./") if kind == HARDLINK else member.linkname,
        xattrs=tuple(xattrs),
    )
