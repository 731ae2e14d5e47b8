"""The last word on a result: whether it holds, found out without asking who made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from builder.packages import Dependency, Package, Relation
from builder.resolve.universe import Universe


def faults(
    universe: Universe, chosen: Sequence[Package], wanted: Iterable[Dependency]
) -> tuple[str, ...]:
    """Return a phrase for each thing that is wrong with CHOSEN as an answer to WANTED; () if it holds.

    Looks at: one version of a name, every package usable, each request and need met, no conflict,
    base packages in their place.
    """
    check = _Check(universe, chosen)
    found = list(check.places())
    for package in chosen:
        found += check.needs(package)
        found += check.conflicts(package)
    found += [f"nothing answers {want}" for want in wanted if not check.is_met(want)]
    return tuple(found)


class _Check:
    def __init__(self, universe: Universe, chosen: Sequence[Package]) -> None:
        self._universe = universe
        self._chosen = chosen
        self._bearers: dict[str, list[Package]] = {}
        for package in chosen:
            for name in dict.fromkeys([package.name, *[p.name for p in package.provides]]):
                self._bearers.setdefault(name, []).append(package)

    def places(self) -> Iterator[str]:
        seen: set[str] = set()
        for package in self._chosen:
            if package.name in seen:
                yield f"{package.name} is chosen twice"
            seen.add(package.name)
            if not any(package is usable for usable in self._universe.versions(package.name)):
                yield f"{package} is not to be had"
        for name in self._universe.installed:
            if name not in seen:
                yield f"{name} of the base is missing"

    def needs(self, package: Package) -> Iterator[str]:
        for need in package.dependencies:
            if need.kind != "recommends" and not self.is_met(need):
                yield f"{package} lacks {need}"

    def conflicts(self, package: Package) -> Iterator[str]:
        for conflict in package.conflicts:
            for other in self._meeting(conflict.relation):
                if other.name != package.name:
                    yield f"{package} {conflict.kind} {conflict.relation}, which is {other}"

    def is_met(self, dependency: Dependency) -> bool:
        return any(self._meeting(relation) for relation in dependency.alternatives)

    def _meeting(self, relation: Relation) -> list[Package]:
        return [p for p in self._bearers.get(relation.name, ()) if self._universe.matches(p, relation)]
