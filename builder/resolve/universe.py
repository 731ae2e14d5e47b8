"""All that could be installed: the package lists of every suite, seen as one.

Rules kept here, for every strategy alike:

- several lists may name a package; each version counts once, from the first list that has it, and
  versions stand newest first;
- packages of another architecture do not exist, nor do blocked versions;
- a package that a base image holds is there at that version only.

A `Package` is one object per universe, so strategies compare with ``is``; what was read of a list
stays until the universe goes. Nothing here is safe to share between threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cmp_to_key
from typing import Protocol

from builder.packages import Dependency, Package, PackageIndex, Relation


class Format(Protocol):
    """What of a `builder.packages.PackageFormat` resolving needs."""

    def compare(self, left: str, right: str) -> int:
        """Order two versions."""

    def satisfies(self, version: str, relation: Relation) -> bool:
        """Whether VERSION answers RELATION's operator and version."""

    def is_all(self, architecture: str) -> bool:
        """Whether packages of ARCHITECTURE are for every machine."""


class Universe:
    """The packages of INDEXES for one architecture.

    blocked    relations whose packages are never installed, by their own name (not what they provide)
    installed  packages a base image holds
    """

    def __init__(
        self,
        format_: Format,
        indexes: Sequence[PackageIndex],
        *,
        architecture: str,
        blocked: Iterable[Relation] = (),
        installed: Iterable[Package] = (),
    ) -> None:
        self.format = format_
        self.indexes = tuple(indexes)
        self.architecture = architecture
        self.installed = {package.name: package for package in installed}
        self._qualifiers = frozenset({"", "native", architecture})
        self._blocked: dict[str, list[Relation]] = {}
        for relation in blocked:
            self._blocked.setdefault(relation.name, []).append(relation)
        self._versions: dict[str, tuple[Package, ...]] = {}
        self._providers: dict[str, tuple[Package, ...]] = {}
        self._solutions: dict[Relation, tuple[Package, ...]] = {}
        self._places: dict[str, tuple[int, ...]] = {}
        self._needs: dict[int, tuple[Dependency, ...]] = {}
        self._wants: dict[int, tuple[Dependency, ...]] = {}
        self._provided_by_base: dict[str, list[Package]] = {}
        for package in self.installed.values():
            for provide in package.provides:
                self._provided_by_base.setdefault(provide.name, []).append(package)

    def versions(self, name: str) -> tuple[Package, ...]:
        """Return the usable versions of package NAME, newest first."""
        known = self._versions.get(name)
        if known is None:
            known = self._versions[name] = self._read_versions(name)
        return known

    def listed(self, name: str) -> tuple[Package, ...]:
        """Return every version of NAME for this architecture, also blocked ones, newest first."""
        found: dict[str, Package] = {}
        for index in self.indexes:
            for package in index.packages(name):
                if self._is_native(package):
                    found.setdefault(package.version, package)
        # A stable sort: of equal versions spelled differently the first list's stands first.
        return tuple(sorted(found.values(), key=cmp_to_key(self._newer_first)))

    def providers(self, name: str) -> tuple[Package, ...]:
        """Return the usable packages that provide NAME, in the order of the lists."""
        known = self._providers.get(name)
        if known is None:
            known = self._providers[name] = self._read_providers(name)
        return known

    def solutions(self, relation: Relation) -> tuple[Package, ...]:
        """Return the packages that answer RELATION: those of its name, newest first, then providers."""
        known = self._solutions.get(relation)
        if known is None:
            named = self.versions(relation.name)
            found = [p for p in named if self.matches(p, relation)]
            found += [
                p
                for p in self.providers(relation.name)
                if p.name != relation.name and self.matches(p, relation)
            ]
            known = self._solutions[relation] = tuple(found)
        return known

    def matches(self, package: Package, relation: Relation) -> bool:
        """Whether PACKAGE answers RELATION, by its own name or by one it provides.

        ``:any`` is answered by Multi-Arch: allowed alone and another architecture by nothing, as
        apt has it (deblistparser.cc `ParseDepends`, `ParseProvides`).
        """
        qualifier = relation.qualifier
        if qualifier == "any":
            if package.multi_arch != "allowed":
                return False
        elif qualifier not in self._qualifiers:
            return False
        name = relation.name
        if not relation.operator:
            return package.name == name or any(p.name == name for p in package.provides)
        satisfies = self.format.satisfies
        if package.name == name and satisfies(package.version, relation):
            return True
        for provide in package.provides:
            if provide.name == name and provide.version and satisfies(provide.version, relation):
                return True
        return False

    def latest_first(self, packages: Sequence[Package]) -> list[Package]:
        """Return PACKAGES, those whose names the lists mention last first."""
        unknown = [p.name for p in packages if p.name not in self._places]
        for number, index in enumerate(self.indexes):
            found = index.first_mentions(unknown) if unknown else {}
            self._places.update({name: (number, *place) for name, place in found.items()})
            unknown = [name for name in unknown if name not in found]
        return sorted(packages, key=lambda p: self._places.get(p.name, ()), reverse=True)

    def needs(self, package: Package) -> tuple[Dependency, ...]:
        """Return what must be installed beside PACKAGE, pre-dependencies first."""
        known = self._needs.get(id(package))
        if known is None:
            known = tuple(
                d for kind in ("pre-depends", "depends") for d in package.dependencies if d.kind == kind
            )
            self._needs[id(package)] = known
        return known

    def wants(self, package: Package) -> tuple[Dependency, ...]:
        """Return what PACKAGE recommends."""
        known = self._wants.get(id(package))
        if known is None:
            known = tuple(d for d in package.dependencies if d.kind == "recommends")
            self._wants[id(package)] = known
        return known

    def _read_versions(self, name: str) -> tuple[Package, ...]:
        if name in self.installed:
            return (self.installed[name],)
        blocked = self._blocked.get(name, ())
        return tuple(p for p in self.listed(name) if not any(self._is_hit(p, r) for r in blocked))

    def _read_providers(self, name: str) -> tuple[Package, ...]:
        found: dict[int, Package] = {id(p): p for p in self._provided_by_base.get(name, ())}
        for index in self.indexes:
            for package in index.providers(name):
                for usable in self.versions(package.name):
                    # The list that has the version first decides what it provides.
                    is_same = usable.version == package.version
                    if is_same and any(p.name == name for p in usable.provides):
                        found.setdefault(id(usable), usable)
        return tuple(found.values())

    def _newer_first(self, left: Package, right: Package) -> int:
        return self.format.compare(right.version, left.version)

    def _is_native(self, package: Package) -> bool:
        return package.architecture == self.architecture or self.format.is_all(package.architecture)

    def _is_hit(self, package: Package, relation: Relation) -> bool:
        return not relation.operator or self.format.satisfies(package.version, relation)
