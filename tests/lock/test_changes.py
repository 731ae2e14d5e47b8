"""What changes between two locks."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings

from builder.lock import Lock, LockedArchitecture, LockedPackage
from builder.lock.changes import LockDiff, PackageChange, SuiteChange, diff, in_order
from tests.lock.test_file import SNAPSHOT, D, lock, locks, package


def _compare(left: str, right: str) -> int:
    return (left > right) - (left < right)


def test_a_lock_does_not_differ_from_itself() -> None:
    same = diff(lock(package("a")), lock(package("a")))
    assert same.is_empty
    assert (same.size, same.installed_size) == (0, 0)


def test_added_removed_upgraded_downgraded_and_replaced_are_told_apart() -> None:
    rebuilt = msgspec.structs.replace(package("same"), digest=D)
    old = lock(package("down", "2"), package("gone"), package("same"), package("up", "1"))
    new = lock(package("down", "1"), package("new", by=("up",)), rebuilt, package("up", "2", size=9))
    changes = {change.name: change for change in diff(old, new, _compare).packages}
    assert {name: change.kind for name, change in changes.items()} == {
        "down": "downgraded",
        "gone": "removed",
        "new": "added",
        "same": "replaced",
        "up": "upgraded",
    }
    assert changes["up"] == PackageChange(
        name="up",
        source="up",
        kind="upgraded",
        old="1",
        new="2",
        is_requested=True,
        architectures=("amd64",),
        size=5,
        installed_size=50,
    )
    assert not changes["new"].is_requested


def test_without_someone_to_compare_versions_they_have_changed() -> None:
    changes = diff(lock(package("a", "1")), lock(package("a", "2"))).packages
    assert [change.kind for change in changes] == ["changed"]


def _secure(base: Lock) -> Lock:
    security = msgspec.structs.replace(SNAPSHOT, suite="trixie-security", is_security=True)
    return msgspec.structs.replace(base, snapshots=(SNAPSHOT, security))


def test_security_is_what_a_suite_of_security_updates_listed() -> None:
    fixed = msgspec.structs.replace(package("b", "2"), suite="trixie-security")
    new = _secure(lock(package("a", "2", by=()), fixed))
    found = diff(lock(package("a", "1"), package("b", "1")), new, _compare)
    assert [(change.name, change.is_security) for change in found.packages] == [
        ("a", False),
        ("b", True),
    ]
    assert [change.name for change in in_order(found.packages)] == ["b", "a"]
    assert found.suites == (
        SuiteChange(repository="debian", suite="trixie-security", old=None, new=SNAPSHOT.date),
    )


def _two(amd64: LockedPackage, arm64: LockedPackage) -> Lock:
    return msgspec.structs.replace(
        lock(),
        architectures=(
            LockedArchitecture(architecture="amd64", packages=(amd64,)),
            LockedArchitecture(architecture="arm64", packages=(arm64,)),
        ),
    )


def test_the_same_change_in_two_architectures_is_one() -> None:
    found = diff(_two(package("a"), package("a")), _two(package("a", "2"), package("a", "2", size=5)))
    (change,) = found.packages
    assert (change.architectures, change.size) == (("amd64", "arm64"), 1)


def test_another_change_in_another_architecture_is_told_apart() -> None:
    found = diff(_two(package("a"), package("a")), _two(package("a", "2"), package("a", "3")))
    assert [(change.new, change.architectures) for change in found.packages] == [
        ("2", ("amd64",)),
        ("3", ("arm64",)),
    ]


def test_an_architecture_that_is_new_or_gone_is_named() -> None:
    found = diff(lock(package("a")), lock(package("a"), architecture="arm64"))
    assert (found.added_architectures, found.removed_architectures) == (("arm64",), ("amd64",))
    assert found.architectures == ("amd64", "arm64")


_OPPOSITE = {"added": "removed", "removed": "added", "upgraded": "downgraded", "downgraded": "upgraded"}


def _facts(found: LockDiff) -> set[tuple[object, ...]]:
    return {
        (change.name, change.kind, change.old, change.new, change.architectures, change.size)
        for change in found.packages
    }


@settings(max_examples=40)
@given(locks(), locks())
def test_the_way_back_is_the_opposite(one: Lock, other: Lock) -> None:
    there, back = diff(one, other, _compare), diff(other, one, _compare)
    assert _facts(back) == {
        (name, _OPPOSITE.get(str(kind), kind), new, old, architectures, -int(str(size)))
        for name, kind, old, new, architectures, size in _facts(there)
    }
    assert (back.size, back.installed_size) == (-there.size, -there.installed_size)
    assert there.is_empty == back.is_empty


@settings(max_examples=40)
@given(locks(), locks())
def test_sizes_add_up(one: Lock, other: Lock) -> None:
    def total(some: Lock) -> int:
        return sum(package.size for item in some.architectures for package in item.packages)

    assert total(one) + diff(one, other).size == total(other)
