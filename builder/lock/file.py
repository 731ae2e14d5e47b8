"""The lock as a file: JSON, one package, one index and one layer a line, so that a diff reads well.

``write_lock(read_lock(x)) == x`` for whatever `write_lock` wrote. What people or merges have done to a
lock is read as long as it means something: order and white space do not matter, unknown keys do.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from builder.digests import Digest
from builder.errors import LockError, Position
from builder.lock.model import Lock, LockedArchitecture, LockedPackage

VERSION = 1
MAX_BYTES = 64 << 20

_AGAIN = 'delete it and make it again with "imgbuild lock"'


def read_lock(data: bytes, file: str) -> Lock:
    """Return the lock that DATA is; FILE names it in messages. Raises `LockError`."""
    if len(data) > MAX_BYTES:
        raise LockError(f"larger than {MAX_BYTES} bytes, too large for a lock", where=file, hint=_AGAIN)
    try:
        version = msgspec.json.decode(data, type=_Head).version
        if version != VERSION:
            raise _other_version(version, file)
        lock = msgspec.json.decode(data, type=Lock, dec_hook=_decode)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(data, file, str(error)) from error
    if fault := _fault(lock):
        raise LockError(fault, where=file, hint=_AGAIN)
    return _in_order(lock)


def write_lock(lock: Lock) -> bytes:
    """Return LOCK as the bytes of a lock file: the same bytes for the same lock."""
    ordered = _in_order(lock)
    lines = [
        "{",
        f' "version": {ordered.version},',
        f' "answers": {_line(ordered.answers)},',
        f' "distro": {_line(ordered.distro)},',
        f' "snapshot": {_line(ordered.snapshot)},',
        f' "epoch": {ordered.epoch},',
        f' "base": {_line(ordered.base)},',
        f' "max_layers": {ordered.max_layers},',
        ' "snapshots": [',
        *_joined([_snapshot(snapshot) for snapshot in ordered.snapshots]),
        " ],",
        ' "architectures": [',
        *_joined([_architecture(architecture) for architecture in ordered.architectures]),
        " ],",
        ' "layers": [',
        *_joined([f"  {_line(layer)}" for layer in ordered.layers]),
        " ]",
        "}",
        "",
    ]
    return "\n".join(lines).encode()


# ---- writing -------------------------------------------------------------------------------------


def _line(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=_encode).decode()


def _encode(value: Any) -> str:
    assert isinstance(value, Digest)
    return str(value)


def _joined(items: list[str]) -> list[str]:
    return [f"{item}," for item in items[:-1]] + items[-1:]


def _snapshot(snapshot: msgspec.Struct) -> str:
    """Return a snapshot: its own fields in one line, its indexes one a line."""
    fields = msgspec.structs.asdict(snapshot)
    indexes = fields.pop("indexes")
    head = _line(fields)[:-1]
    lines = _joined([f"   {_line(index)}" for index in indexes])
    return "\n".join([f'  {head},"indexes":[', *lines, "  ]}"])


def _architecture(architecture: LockedArchitecture) -> str:
    lines = _joined([f"   {_line(package)}" for package in architecture.packages])
    head = f'  {{"architecture":{_line(architecture.architecture)},"packages":['
    return "\n".join([head, *lines, "  ]}"])


def _in_order(lock: Lock) -> Lock:
    architectures = tuple(
        LockedArchitecture(
            architecture=item.architecture, packages=tuple(sorted(item.packages, key=_package_key))
        )
        for item in sorted(lock.architectures, key=lambda item: item.architecture)
    )
    return msgspec.structs.replace(lock, architectures=architectures)


def _package_key(package: LockedPackage) -> tuple[str, str, str]:
    return package.name, package.architecture, package.version


# ---- reading -------------------------------------------------------------------------------------


def _decode(kind: type, value: Any) -> Any:
    if kind is Digest:
        return Digest.parse(value)
    raise TypeError(kind)


class _Head(msgspec.Struct):
    """The only key that every version of the format has."""

    version: int


def _other_version(version: int, file: str) -> LockError:
    if version > VERSION:
        message = f"lock version {version}, made by a newer imgbuild; this one reads {VERSION}"
        return LockError(message, where=file, hint=f"update imgbuild, or {_AGAIN}")
    return LockError(f"lock version {version} is not known", where=file, hint=_AGAIN)


def _unreadable(data: bytes, file: str, problem: str) -> LockError:
    """Return what is wrong with DATA, best explanation first."""
    conflict = re.search(rb"^(?:<<<<<<<|=======|>>>>>>>)", data, re.MULTILINE)
    if conflict:
        where = _position(data, file, conflict.start())
        hint = 'take one side as it stands, then run "imgbuild lock"'
        return LockError("holds the marks of a merge conflict", where=where, hint=hint)
    if not data.strip():
        return LockError("the file is empty", where=file, hint=_AGAIN)
    place: Position | str = file
    if found := re.search(r" \(byte (\d+)\)$", problem):
        place = _position(data, file, int(found[1]))
        problem = problem[: found.start()]
    problem = problem.removeprefix("JSON is malformed: ").replace("`", '"')
    inner = re.search(r" - at \"\$\.?(.*)\"$", problem)
    if inner:  # msgspec's path of the value: $.architectures[0].packages[0].size
        problem = f"{inner[1]}: {problem[: inner.start()]}" if inner[1] else problem[: inner.start()]
    problem = re.sub(r"^Input data was truncated", "the file ends too early", problem)
    problem = re.sub(r"(^|: )([A-Z])", lambda found: found[1] + found[2].lower(), problem, count=1)
    return LockError(problem, where=place, hint=_AGAIN)


def _position(data: bytes, file: str, offset: int) -> Position:
    before = data[:offset]
    line_start = before.rfind(b"\n") + 1
    column = len(before[line_start:].decode(errors="replace"))
    return Position(file, before.count(b"\n") + 1, column + 1)


def _fault(lock: Lock) -> str | None:
    """Return what in LOCK cannot be, or None."""
    architectures = [item.architecture for item in lock.architectures]
    if len(set(architectures)) < len(architectures):
        return "an architecture is there twice"
    if lock.epoch < 0:
        return f"epoch {lock.epoch} is before 1970"
    places = {(snapshot.repository, snapshot.suite) for snapshot in lock.snapshots}
    for item in lock.architectures:
        names = {package.name for package in item.packages} | {""}
        seen: set[tuple[str, str]] = set()
        for package in item.packages:
            identity = (package.name, package.architecture)
            if fault := _package_fault(package, places, names, identity in seen):
                return f"{item.architecture}: package {package.name}: {fault}"
            seen.add(identity)
    return None


def _package_fault(
    package: LockedPackage, places: set[tuple[str, str]], names: set[str], is_repeated: bool
) -> str | None:
    if is_repeated:
        return "is there twice"
    parts = package.filename.removeprefix("./").split("/")
    if not package.filename or package.filename.startswith("/") or ".." in parts:
        return f'"{package.filename}" is not a path below an archive root'
    if package.size <= 0 or package.installed_size < 0:
        return "a size is not positive"
    if (package.repository, package.suite) not in places:
        return f'no snapshot of suite "{package.suite}" of "{package.repository}"'
    if not names.issuperset(package.requested_by):
        unknown = next(name for name in package.requested_by if name not in names)
        return f'requested by "{unknown}", which is not in the lock'
    return None
