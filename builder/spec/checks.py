"""What must hold between the values of one spec; each fault is told at the later of two places."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from builder.spec import values
from builder.spec.model import Group, ImageSpec, PackageRequest, User
from builder.spec.shapes import Reading


def check(spec: ImageSpec, reading: Reading) -> None:
    """Note every fault between the values of SPEC."""
    _check_repeats(spec, reading)
    _check_repositories(spec, reading)
    _check_packages(spec, reading)
    _check_blocked(spec, reading)
    _check_accounts(spec, reading)
    _check_files(spec, reading)


def _fault(reading: Reading, path: str, message: str, hint: str | None = None) -> None:
    reading.faults.add(reading.spans[path], f"{path}: {message}", hint)


def _line(reading: Reading, path: str) -> str:
    return f"line {reading.positions[path].line}"


def _repeated(
    reading: Reading,
    items: Iterable[tuple[str, Hashable]],
    message: Callable[[str], str],
) -> None:
    """Note items (path, key) whose key was there before; MESSAGE gets the place of the first."""
    seen: dict[Hashable, str] = {}
    for path, key in items:
        first = seen.setdefault(key, path)
        if first != path:
            _fault(reading, path, message(_line(reading, first)), "remove one of the two")


def _check_repeats(spec: ImageSpec, reading: Reading) -> None:
    lists: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("architectures", spec.architectures),
        ("block", spec.block),
        ("exclude", spec.exclude),
        ("config.ports", spec.config.ports),
        ("config.volumes", spec.config.volumes),
        ("distro.components", spec.distro.components),
    )
    for name, items in lists:
        places = reading.places.get(name, [])
        for path, item in zip(places, items, strict=False):
            first = places[items.index(item)]
            if first != path:
                message = f'"{item}" is there twice, first in {_line(reading, first)}'
                _fault(reading, path, message, "remove one of the two")


def _check_repositories(spec: ImageSpec, reading: Reading) -> None:
    places = reading.places.get("repositories", [])
    names = [(f"{path}.name", item.name) for path, item in zip(places, spec.repositories, strict=True)]
    _repeated(reading, names, lambda line: f"another repository has this name, in {line}")
    for path, name in names:
        if name == spec.distro.name:
            _fault(
                reading, path, f'"{name}" is the name of the distribution itself', "choose another name"
            )


def _check_packages(spec: ImageSpec, reading: Reading) -> None:
    places = reading.places.get("packages", [])
    asked: dict[str, list[tuple[str, PackageRequest]]] = {}
    for path, request in zip(places, spec.packages, strict=True):
        _check_request_architectures(spec, reading, path, request)
        others = asked.setdefault(values.request_name(request.text), [])
        first = next((place for place, other in others if _is_repeat(request, other)), None)
        if first:
            message = f'"{request.text}" repeats the entry in {_line(reading, first)}'
            _fault(reading, path, message, "keep the entry that says more")
        others.append((path, request))


def _check_request_architectures(
    spec: ImageSpec, reading: Reading, path: str, request: PackageRequest
) -> None:
    if not spec.architectures:
        return
    inner = f"{path}.architectures"
    for place, architecture in zip(reading.places.get(inner, []), request.architectures, strict=False):
        if architecture not in spec.architectures:
            message = f'"{architecture}" is not among the architectures of the image'
            hint = f"add it in {_line(reading, 'architectures')}, or remove it here"
            _fault(reading, place, message, hint)


def _is_repeat(one: PackageRequest, other: PackageRequest) -> bool:
    """Whether two requests of one name say the same; two versions make a range (``>=1``, ``<2``)."""
    shared = not one.architectures or not other.architectures
    if not shared and not set(one.architectures) & set(other.architectures):
        return False
    texts = ["".join(request.text.split()) for request in (one, other)]
    name = values.request_name(one.text)
    return texts[0] == texts[1] or name in texts


def _check_blocked(spec: ImageSpec, reading: Reading) -> None:
    blocked = dict(zip(spec.block, reading.places.get("block", []), strict=False))
    for path, request in zip(reading.places.get("packages", []), spec.packages, strict=True):
        place = blocked.get(values.request_name(request.text))
        if place:
            first, second = sorted((path, place), key=lambda p: reading.positions[p].line)
            message = f'"{values.request_name(request.text)}" is both requested and blocked'
            _fault(reading, second, f"{message}; see {_line(reading, first)}", "remove one of the two")


def _check_accounts(spec: ImageSpec, reading: Reading) -> None:
    users = list(zip(reading.places.get("accounts.users", []), spec.users, strict=True))
    groups = list(zip(reading.places.get("accounts.groups", []), spec.groups, strict=True))
    _repeated(
        reading,
        [(f"{path}.name", user.name) for path, user in users],
        lambda line: f"another user has this name, in {line}",
    )
    _repeated(
        reading,
        [(f"{path}.uid", user.uid) for path, user in users],
        lambda line: f"another user has this number, in {line}",
    )
    _repeated(
        reading,
        [(f"{path}.name", group.name) for path, group in groups],
        lambda line: f"another group has this name, in {line}",
    )
    _check_group_numbers(reading, users, groups)


def _check_group_numbers(
    reading: Reading, users: list[tuple[str, User]], groups: list[tuple[str, Group]]
) -> None:
    numbers: list[tuple[str, Hashable]] = [(f"{path}.gid", group.gid) for path, group in groups]
    _repeated(reading, numbers, lambda line: f"another group has this number, in {line}")
    named = {group.name for _, group in groups}
    taken = {number: path for path, number in numbers}
    for path, user in users:
        # A user without gid and group brings a group of the same name and number, unless it is there.
        brings_group = user.gid is None and not user.group and user.name not in named
        if brings_group and user.uid in taken:
            where = _line(reading, taken[user.uid])
            message = f"the user's own group would have the number of the group in {where}"
            _fault(reading, f"{path}.uid", message, "give the user a group, or choose another number")


def _check_files(spec: ImageSpec, reading: Reading) -> None:
    places = reading.places.get("files", [])
    entries = list(zip(places, spec.files, strict=True))
    _repeated(
        reading,
        [(f"{path}.path", entry.path) for path, entry in entries],
        lambda line: f"another entry is for this path, in {line}",
    )
    plain = {entry.path: path for path, entry in entries if entry.text is not None}
    for path, entry in entries:
        parts = entry.path.split("/")
        parents = ("/".join(parts[:count]) for count in range(2, len(parts)))
        for parent in parents:
            if parent in plain:
                where = _line(reading, plain[parent])
                message = f'"{entry.path}" lies below "{parent}", which {where} makes a file'
                _fault(reading, f"{path}.path", message)
