"""What changes from one lock to another, as values; the words are the command line's.

>>> ordered = in_order(diff(old, new).packages)      # security first, then by name
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from builder.lock.model import Lock, LockedPackage
from builder.packages import Snapshot


class PackageChange(msgspec.Struct, frozen=True, kw_only=True):
    """One package that is not the same in both locks.

    kind            ``added``, ``removed``, ``upgraded``, ``downgraded``, ``changed`` (another version,
                    nobody was there to compare them) or ``replaced`` (other bytes of the same version)
    old, new        versions; "" where it is not
    is_security     the new version was listed by a suite of security updates
    is_requested    the spec itself asks for it (the new one; the old one for ``removed``)
    architectures   the architectures that this happens in, sorted
    size            archive bytes, new less old, added up over the architectures
    installed_size  bytes unpacked, likewise
    """

    name: str
    source: str
    kind: str
    old: str = ""
    new: str = ""
    is_security: bool = False
    is_requested: bool = False
    architectures: tuple[str, ...] = ()
    size: int = 0
    installed_size: int = 0


class SuiteChange(msgspec.Struct, frozen=True, kw_only=True):
    """One suite whose snapshot is not the same; dates are seconds since 1970, None where it is not."""

    repository: str
    suite: str
    old: int | None
    new: int | None


class LockDiff(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs. ``architectures`` are those that both locks or either have, sorted.

    Sizes are bytes, new less old, over all architectures.
    """

    architectures: tuple[str, ...]
    packages: tuple[PackageChange, ...] = ()
    suites: tuple[SuiteChange, ...] = ()
    added_architectures: tuple[str, ...] = ()
    removed_architectures: tuple[str, ...] = ()
    size: int = 0
    installed_size: int = 0
    old_epoch: int = 0
    new_epoch: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether both locks lead to the same packages of the same snapshots."""
        return not (
            self.packages or self.suites or self.added_architectures or self.removed_architectures
        )


def without_packages(lock: Lock) -> Lock:
    """Return LOCK without any package, for the same architectures: what was there before the first."""
    nothing = tuple(msgspec.structs.replace(item, packages=()) for item in lock.architectures)
    return msgspec.structs.replace(lock, architectures=nothing, snapshots=(), epoch=0)


def diff(old: Lock, new: Lock, compare: Callable[[str, str], int] | None = None) -> LockDiff:
    """Return what changes from OLD to NEW; COMPARE orders versions (`PackageFormat.compare`)."""
    before = {item.architecture: item.packages for item in old.architectures}
    after = {item.architecture: item.packages for item in new.architectures}
    single = [
        change
        for architecture in sorted(before.keys() | after.keys())
        for change in _changes(
            architecture, before.get(architecture, ()), after.get(architecture, ()), new, compare
        )
    ]
    packages = _joined(single)
    return LockDiff(
        architectures=tuple(sorted(before.keys() | after.keys())),
        packages=packages,
        suites=_suites(old.snapshots, new.snapshots),
        added_architectures=tuple(sorted(after.keys() - before.keys())),
        removed_architectures=tuple(sorted(before.keys() - after.keys())),
        size=sum(change.size for change in packages),
        installed_size=sum(change.installed_size for change in packages),
        old_epoch=old.epoch,
        new_epoch=new.epoch,
    )


def in_order(changes: Iterable[PackageChange]) -> tuple[PackageChange, ...]:
    """Return CHANGES as people want to read them: security first, then what was asked for, by name."""
    return tuple(
        sorted(
            changes, key=lambda change: (not change.is_security, not change.is_requested, _key(change))
        )
    )


def _changes(
    architecture: str,
    before: tuple[LockedPackage, ...],
    after: tuple[LockedPackage, ...],
    new: Lock,
    compare: Callable[[str, str], int] | None,
) -> list[PackageChange]:
    security = {(item.repository, item.suite) for item in new.snapshots if item.is_security}
    olds = {(package.name, package.architecture): package for package in before}
    news = {(package.name, package.architecture): package for package in after}
    found = []
    for key in sorted(olds.keys() | news.keys()):
        one, other = olds.get(key), news.get(key)
        kind = _kind(one, other, compare)
        present = other or one
        if kind is None or present is None:
            continue
        found.append(
            PackageChange(
                name=present.name,
                source=present.source,
                kind=kind,
                old=one.version if one else "",
                new=other.version if other else "",
                is_security=other is not None and (other.repository, other.suite) in security,
                is_requested="" in present.requested_by,
                architectures=(architecture,),
                size=(other.size if other else 0) - (one.size if one else 0),
                installed_size=(other.installed_size if other else 0)
                - (one.installed_size if one else 0),
            )
        )
    return found


def _kind(
    old: LockedPackage | None, new: LockedPackage | None, compare: Callable[[str, str], int] | None
) -> str | None:
    if old is None or new is None:
        return "added" if old is None else "removed"
    if old.version == new.version:
        return None if old.digest == new.digest else "replaced"
    if compare is None:
        return "changed"
    order = compare(old.version, new.version)
    return "upgraded" if order < 0 else "downgraded" if order > 0 else "replaced"


def _joined(changes: list[PackageChange]) -> tuple[PackageChange, ...]:
    """Return CHANGES with those that are the same in several architectures made one."""
    groups: dict[tuple[str, ...], list[PackageChange]] = {}
    for change in changes:
        groups.setdefault(_key(change), []).append(change)
    return tuple(
        msgspec.structs.replace(
            group[0],
            is_security=any(change.is_security for change in group),
            is_requested=any(change.is_requested for change in group),
            architectures=tuple(sorted({name for change in group for name in change.architectures})),
            size=sum(change.size for change in group),
            installed_size=sum(change.installed_size for change in group),
        )
        for _, group in sorted(groups.items())
    )


def _key(change: PackageChange) -> tuple[str, ...]:
    return change.name, change.kind, change.old, change.new, change.source


def _suites(old: tuple[Snapshot, ...], new: tuple[Snapshot, ...]) -> tuple[SuiteChange, ...]:
    olds = {(item.repository, item.suite): item for item in old}
    news = {(item.repository, item.suite): item for item in new}
    return tuple(
        SuiteChange(
            repository=key[0],
            suite=key[1],
            old=olds[key].date if key in olds else None,
            new=news[key].date if key in news else None,
        )
        for key in sorted(olds.keys() | news.keys())
        if key not in olds or key not in news or olds[key].digest != news[key].digest
    )
