"""Who comes first where several packages would do, and what of a result is wanted at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.packages import Dependency, Package, Relation
from builder.resolve.universe import Universe

REQUEST = "request"

# debian-policy §2.5; a package that says nothing comes first in apt's numbering, as 0.
PRIORITIES = {"": 0, "required": 1, "important": 2, "standard": 3, "optional": 4}
_LOWEST = 5


def priority(package: Package) -> int:
    """Return the place of PACKAGE's priority: the more important, the less."""
    return PRIORITIES.get(package.priority, _LOWEST)


def answers(universe: Universe, relation: Relation) -> tuple[Package, ...]:
    """Return what answers RELATION of a spec: packages of that name, else those that provide it."""
    found = universe.solutions(relation)
    named = tuple(package for package in found if package.name == relation.name)
    return named or found


def roots(universe: Universe, wanted: Sequence[Dependency]) -> tuple[Package, ...]:
    """Return, for each name WANTED asks for that is a package's own, the newest version that fits."""
    relations: dict[str, list[Relation]] = {}
    for want in wanted:
        (relation,) = want.alternatives
        if relation.name not in universe.installed:
            relations.setdefault(relation.name, []).append(relation)
    found = []
    for name, asked in relations.items():
        fits = [p for p in universe.versions(name) if all(universe.matches(p, r) for r in asked)]
        found += fits[:1]
    return tuple(found)


class Preference:
    """Orders what answers a dependency, for the complete search, as the first strategy would.

    candidates  the version of each requested name that the spec asks for
    """

    def __init__(self, universe: Universe, candidates: Iterable[Package] = ()) -> None:
        self._universe = universe
        self._candidates = {package.name: package for package in candidates}

    def __call__(self, dependency: Dependency) -> list[Package]:
        """Return all that answers DEPENDENCY: candidates first, then by alternative."""
        found: dict[int, Package] = {}
        for relation in dependency.alternatives:
            if dependency.kind == REQUEST:
                options = list(answers(self._universe, relation))
            else:
                options = list(self._universe.solutions(relation))
            for package in self._sorted(options, relation):
                found.setdefault(id(package), package)
        # Candidates of a later alternative come before an old version of an earlier one.
        return sorted(found.values(), key=lambda package: not self._is_candidate(package))

    def _sorted(self, options: list[Package], relation: Relation) -> list[Package]:
        options.sort(key=lambda package: package.name, reverse=True)
        options.sort(
            key=lambda package: (package.name != relation.name, not package.essential, priority(package))
        )
        return options

    def _is_candidate(self, package: Package) -> bool:
        candidate = self._candidates.get(package.name)
        return package is (candidate or self._universe.versions(package.name)[0])


def reachable(universe: Universe, chosen: Iterable[Package], roots: Iterable[Package]) -> set[str]:
    """Return the names of CHOSEN that ROOTS need or recommend, however far: the rest is not wanted."""
    by_name = {package.name: package for package in chosen}
    providing: dict[str, list[Package]] = {}
    for package in by_name.values():
        for provide in package.provides:
            providing.setdefault(provide.name, []).append(package)
    seen = {root.name for root in roots}
    pending = [by_name[name] for name in sorted(seen)]
    while pending:
        for dependency in pending.pop().dependencies:
            for relation in dependency.alternatives:
                named = by_name.get(relation.name)
                options = [named] if named else []
                for package in [*options, *providing.get(relation.name, ())]:
                    if package.name not in seen and universe.matches(package, relation):
                        seen.add(package.name)
                        pending.append(package)
    return seen
