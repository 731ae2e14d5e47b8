"""A .deb being read once: its control part at once, its entries as they stream by (deb(5)).

What dpkg would refuse is refused, and what an image must not hold as well: see
`builder.formats.deb.paths` for paths. Owners are the header's numbers: Debian packs root and the
static ids of base-passwd, whose numbers are the same everywhere (Policy §9.2.2), so names in the
header, which dpkg looks up in the target's passwd, can only say the same or lie.

After the entries have been read, `DebReader.control` holds one file more, `CONFFILE_SUMS`: the md5 of
each conffile, which dpkg's status says and no other part of a .deb does.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from builder.errors import PackageError
from builder.formats.deb import ar
from builder.formats.deb.compressed import Limits, Pull, open_part
from builder.formats.deb.deb822 import parse_paragraph
from builder.formats.deb.paths import Paths
from builder.formats.deb.tarstream import (
    DIRECTORY as TAR_DIRECTORY,
)
from builder.formats.deb.tarstream import (
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
    TarMember,
    TarStream,
)
from builder.packages import Control, ControlFile, Identity
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry

CONFFILE_SUMS = ".conffile-md5sums"

# The largest control parts of Debian (md5sums of 100,000 files) unpack to some 10 MB.
CONTROL_LIMITS = Limits(total=64 << 20, free=8 << 20, ratio=200)
# Debian's largest packages unpack to some 3 GB; images of empty disks compress by a few hundred.
DATA_LIMITS = Limits(total=64 << 30, free=256 << 20, ratio=1000)
_MAX_CONFFILE = 16 << 20
_MAX_ID = (1 << 32) - 2  # the last one means "unchanged" to chown(2)
_MAX_TIME = 1 << 33  # the year 2242, and what eleven octal digits say
_KINDS = {REGULAR: FILE, HARD_LINK: HARDLINK, SYMBOLIC_LINK: SYMLINK, TAR_DIRECTORY: DIRECTORY}
_REFUSED = {b"3": "character device", b"4": "block device", b"6": "named pipe"}
_CONTROL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,99}")
_COMPRESSED = r"\.tar(\.gz|\.xz|\.zst%s)?"
_CONTROL_PART = re.compile("control" + _COMPRESSED % "")
_DATA_PART = re.compile("data" + _COMPRESSED % r"|\.bz2|\.lzma")


def read(archive: BinaryIO, identity: Identity, *, moves: Sequence[tuple[str, str]] = ()) -> DebReader:
    """Open seekable ARCHIVE and check that it is IDENTITY; see `builder.packages.PackageFormat.read`."""

    def fault(message: str) -> PackageError:
        return PackageError(message, where=f"package {identity}")

    control_part, data_part = _parts(archive, fault)
    pull = open_part(archive, control_part, CONTROL_LIMITS, fault)
    control = _read_control(TarStream(pull, control_part.name, fault), control_part.name, fault)
    _check_identity(control, identity, fault)
    return DebReader(archive, data_part, control, moves, fault)


class DebReader:
    """Answers `builder.packages.ArchiveReader`; to be iterated once."""

    def __init__(
        self,
        archive: BinaryIO,
        part: ar.Member,
        control: Control,
        moves: Sequence[tuple[str, str]],
        fault: ar.Fault,
    ) -> None:
        self.control = control
        self._archive = archive
        self._part = part
        self._paths = Paths(moves, part.name, fault)
        self._fault = fault

    def __iter__(self) -> Iterator[tuple[Entry, BinaryIO | None]]:
        """Yield entries and contents in the archive's order; `PackageError` as the protocol says."""
        paths = self._paths
        conffiles = {paths.moved(path): path for path in conffile_paths(self.control)}
        sums: list[str] = []
        stream = TarStream(self._open(), self._part.name, self._fault)
        for member in stream:
            packed = paths.clean(member.name)
            entry = self._entry(member, packed)
            if entry is None:
                continue
            if paths.claim(entry, packed) is not None:
                self._compare(entry, packed, stream)
                continue
            if entry.kind != FILE:
                yield entry, None
            elif entry.path in conffiles:
                content = self._read_conffile(entry, packed, stream)
                digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
                sums.append(f"{digest}  {conffiles[entry.path]}\n")
                yield entry, io.BytesIO(content)
            else:
                yield entry, stream.content()
        if sums:
            added = ControlFile(CONFFILE_SUMS, 0o644, "".join(sums).encode())
            self.control = Control(self.control.fields, (*self.control.files, added))

    def _open(self) -> Pull:
        return open_part(self._archive, self._part, DATA_LIMITS, self._fault)

    def _entry(self, member: TarMember, packed: str) -> Entry | None:
        """Return MEMBER as an entry; None for the root folder and a link that leads to itself."""
        name, flag, mode, uid, gid, mtime, size, raw_target, xattrs = member
        kind = _KINDS.get(flag)
        if kind is None:
            self._refuse_kind(member)
        if kind == FILE and name.endswith(b"/"):  # v7 had no type for folders
            kind = DIRECTORY
        if not packed:
            if kind != DIRECTORY:
                raise self._paths.fault(name, "is no folder, and its path is the root's")
            return None
        if not (0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID and -_MAX_TIME < mtime < _MAX_TIME):
            raise self._paths.fault(name, f"has an absurd owner or time: {uid}, {gid}, {mtime}")
        path = self._paths.moved(packed, is_directory=kind == DIRECTORY)
        mtime, mode = max(mtime, 0), mode & 0o7777
        if kind == FILE:
            return Entry(path, FILE, mode, uid, gid, mtime, size, xattrs=xattrs)
        if size:
            raise self._paths.fault(name, f"has a size of {size}, and is no file")
        if kind == DIRECTORY:
            return Entry(path, DIRECTORY, mode, uid, gid, mtime, xattrs=xattrs)
        if kind == SYMLINK:
            target = self._symlink_target(member)
            if self._paths.points_to_itself(packed, path, target):
                return None
            return Entry(path, SYMLINK, 0o777, uid, gid, mtime, target=target, xattrs=xattrs)
        file = self._paths.linked_file(raw_target, packed)
        # One inode has one owner, mode and time, whatever the link's own header says.
        return Entry(path, HARDLINK, file.mode, file.uid, file.gid, file.mtime, target=file.path)

    def _refuse_kind(self, member: TarMember) -> None:
        what = _REFUSED.get(member.flag)
        if what:
            raise self._paths.fault(member.name, f"is a {what}")
        raise self._paths.fault(member.name, f"is of unknown type {member.flag!r}")

    def _symlink_target(self, member: TarMember) -> str:
        target = member.target
        if not target or len(target) > 4095 or b"\0" in target:
            raise self._paths.fault(member.name, f"is a symbolic link to {target[:100]!r}")
        try:
            return target.decode()
        except UnicodeDecodeError:
            raise self._paths.fault(
                member.name, "is a symbolic link whose target is not UTF-8"
            ) from None

    def _read_conffile(self, entry: Entry, packed: str, stream: TarStream) -> bytes:
        if entry.size > _MAX_CONFFILE:
            raise self._paths.fault(packed, f"is a conffile of {entry.size} bytes")
        return stream.content().read()

    def _compare(self, entry: Entry, packed: str, stream: TarStream) -> None:
        """Check that a file that moving puts where there is one already has the same content."""
        if entry.kind != FILE or not entry.size:
            return
        digest = _hash(stream)
        # Rare enough that the first of the two is found by reading from the start again.
        again = TarStream(self._open(), self._part.name, self._fault)
        for member in again:
            path = self._paths.moved(self._paths.clean(member.name))
            if path == entry.path and member.flag == REGULAR:
                if _hash(again) != digest:
                    raise self._paths.differ(path, packed)
                return


def conffile_paths(control: Control) -> tuple[str, ...]:
    """Return the clean paths of CONTROL's conffiles (deb-conffiles(5)), without those to be removed."""
    for file in control.files:
        if file.name == "conffiles":
            lines = file.content.decode(errors="replace").splitlines()
            return tuple(line.strip().lstrip("/") for line in lines if line.startswith("/"))
    return ()


def _hash(stream: TarStream) -> bytes:
    digest = hashlib.sha256()
    while piece := stream.read(-1):
        digest.update(piece)
    return digest.digest()


def _parts(archive: BinaryIO, fault: ar.Fault) -> tuple[ar.Member, ar.Member]:
    """Return the control and data members; what comes behind them is ignored, as deb(5) asks."""
    members = iter(ar.members(archive, fault))
    first = next(members, None)
    if first is None or first.name != "debian-binary" or first.size > 4096:
        name = first.name if first else ""
        raise fault(f'the first ar member is "{name}", not "debian-binary"')
    archive.seek(first.offset)
    version = archive.read(first.size).partition(b"\n")[0]
    if not re.fullmatch(rb"2\.[0-9]{1,9}", version):
        raise fault(f"format version is {version[:40]!r}, not 2.0")
    control_part = _find(members, _CONTROL_PART, "control.tar", fault)
    return control_part, _find(members, _DATA_PART, "data.tar", fault)


def _find(
    members: Iterator[ar.Member], pattern: re.Pattern[str], what: str, fault: ar.Fault
) -> ar.Member:
    for member in members:
        if pattern.fullmatch(member.name):
            return member
        if not member.name.startswith("_"):
            raise fault(f'ar member "{member.name}" stands where "{what}" should')
    raise fault(f'there is no ar member "{what}"')


def _read_control(stream: TarStream, part: str, fault: ar.Fault) -> Control:
    files: dict[str, ControlFile] = {}
    for member in stream:
        name = member.name.decode(errors="backslashreplace").removeprefix("./")
        if member.flag == TAR_DIRECTORY and name in ("", "."):
            continue
        if member.flag != REGULAR or not _CONTROL_NAME.fullmatch(name):
            raise fault(f'{part}: "{name[:200]}" is no plain file of a control part')
        if name in files:
            raise fault(f'{part}: "{name}" is packed twice')
        files[name] = ControlFile(name, member.mode & 0o777, stream.content().read())
    chief = files.pop("control", None)
    if chief is None:
        raise fault(f'{part}: there is no file "control"')
    try:
        fields = parse_paragraph(chief.content.decode())
    except UnicodeDecodeError:
        raise fault(f'{part}: "control" is not UTF-8') from None
    except ValueError as error:
        raise fault(f'{part}: "control": {error}') from None
    return Control(fields, tuple(files[name] for name in sorted(files)))


def _check_identity(control: Control, identity: Identity, fault: ar.Fault) -> None:
    for field, expected in (
        ("Package", identity.name),
        ("Version", identity.version),
        ("Architecture", identity.architecture),
    ):
        found = control.field(field)
        if found != expected:
            raise fault(f'control says {field} is "{found[:200]}", the index says "{expected}"')
