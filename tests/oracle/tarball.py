"""A tar as a map from path to what it says there, read by Python's tarfile and not by our own reader."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import NamedTuple

_KINDS = {
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CHRTYPE: "device",
}


class Member(NamedTuple):
    """One path.

    content  of a file its sha256, of a link its target
    mtime    seconds; 0 of a folder, whose time says when it was filled
    names    of a file with hard links all its names, sorted
    """

    kind: str
    mode: str
    uid: int
    gid: int
    content: str
    xattrs: tuple[tuple[str, str], ...]
    mtime: int
    names: tuple[str, ...] = ()


def read_tar(path: Path) -> dict[str, Member]:
    """Return what the tar PATH holds; each path may be in it only once."""
    members: dict[str, Member] = {}
    groups: dict[str, set[str]] = {}
    with tarfile.open(path) as tar:
        for info in tar:
            name = _clean(info.name)
            assert name not in members, f"{name} is twice in {path}"
            if info.islnk():
                target = _clean(info.linkname)
                groups.setdefault(target, {target}).add(name)
                members[name] = members[target]
            else:
                members[name] = _member(tar, info)
    for names in groups.values():
        for name in names:
            members[name] = members[name]._replace(names=tuple(sorted(names)))
    return members


def _clean(name: str) -> str:
    return name.removeprefix("./").strip("/") if name != "." else ""


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kind = _KINDS[info.type]
    content = info.linkname if kind == "link" else ""
    stream = tar.extractfile(info) if kind == "file" else None
    if stream is not None:
        content = hashlib.sha256(stream.read()).hexdigest()
    xattrs = {key: value for key, value in info.pax_headers.items() if "xattr" in key}
    return Member(
        kind=kind,
        mode=f"{info.mode:04o}",
        uid=info.uid,
        gid=info.gid,
        content=content,
        xattrs=tuple(sorted(xattrs.items())),
        mtime=0 if kind == "folder" else int(info.mtime),
    )
