"""The first strategy: take packages in the order in which apt takes them on an empty root.

This follows what `pkgDepCache::MarkInstall` of apt 2.6 does (apt-pkg/depcache.cc), because the
answer wanted is apt's own, its habits included:

- first every requested package is taken, then, in the order of the requests, what each needs:
  pre-dependencies and dependencies in the order of the control file, then recommendations;
- of alternatives the first that works is taken, of several packages that answer one alternative the
  one that `_preference` puts first; only the candidate version of a package is looked at;
- a package is *protected* while it is worked on, and for good when a protected one has no other way
  to be satisfied; what a protected package conflicts with is out of the question from then on;
- a package whose needs cannot be met is dropped and never tried again, but what was taken for its
  sake stays until `sweep` finds that nobody wants it.

It is greedy, so it may end in a set that does not hold; `Marker.is_consistent` says so, and another
strategy takes over.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TypeAlias

from builder.packages import Dependency, Package, Relation
from builder.resolve.policy import priority
from builder.resolve.universe import Universe

# A piece of marking asks for another (name, with its needs?) and is sent whether that worked: depth
# costs memory on the heap, not the interpreter's stack.
Marking: TypeAlias = Generator[tuple[str, bool], bool, bool]


class Marker:
    """The state of one marking.

    chosen      what is to be installed, by name
    protected   names that may not be dropped
    """

    def __init__(self, universe: Universe, *, recommends: bool) -> None:
        self.universe = universe
        self.recommends = recommends
        self.chosen: dict[str, Package] = dict(universe.installed)
        self.protected: set[str] = set(universe.installed)
        self._candidates: dict[str, Package | None] = {}
        self._initial: dict[str, Package | None] = {}
        self._bans: dict[str, list[tuple[str, Relation]]] = {}
        self._provided: dict[str, list[Package]] = {}
        for package in universe.installed.values():
            self._note(package)

    # ---- what is asked from outside ----

    def request(self, packages: Iterable[Package]) -> None:
        """Mark PACKAGES, each as its name's candidate, and all they need."""
        wanted = list(packages)
        for package in wanted:
            self._candidates[package.name] = self._initial[package.name] = package
        for package in wanted:
            self._choose(package)
            self.protected.add(package.name)
        for package in wanted:
            self.run(self.mark(package.name, with_needs=True, is_request=True))

    def request_virtual(self, wanted: Iterable[Dependency]) -> bool:
        """Mark what answers each of WANTED, lines of the spec, unless something chosen does."""
        return self.run(self._install(wanted, is_protected=True, is_request=True))

    def run(self, marking: Marking) -> bool:
        """Carry out MARKING and all it asks for."""
        stack = [marking]
        answer: bool | None = None
        while stack:
            try:
                asked = stack[-1].send(answer)  # type: ignore[arg-type]
            except StopIteration as stop:
                stack.pop()
                answer = stop.value
            else:
                stack.append(self.mark(*asked))
                answer = None
        return bool(answer)

    def is_consistent(self) -> bool:
        """Whether every chosen package's needs are met and no two conflict."""
        return not any(self.is_broken(package) for package in self.chosen.values())

    def is_broken(self, package: Package) -> bool:
        """Whether a need of PACKAGE is not met, or something it conflicts with is chosen."""
        if not all(self.is_met(need) for need in self.universe.needs(package)):
            return True
        return any(self.hits(package, c.relation) for c in package.conflicts)

    def is_met(self, dependency: Dependency) -> bool:
        """Whether what is chosen meets DEPENDENCY."""
        return any(self._answers(relation) for relation in dependency.alternatives)

    def hits(self, package: Package, relation: Relation) -> list[Package]:
        """Return the chosen packages other than PACKAGE that answer RELATION, a conflict of its."""
        name = relation.name
        found = []
        other = self.chosen.get(name)
        if other is not None and name != package.name and self.universe.matches(other, relation):
            found.append(other)
        return found + [
            provider
            for provider in self._provided.get(name, ())
            if provider.name not in (package.name, name) and self.universe.matches(provider, relation)
        ]

    def candidate(self, name: str) -> Package | None:
        """Return the version of NAME that may be chosen, or None."""
        if name not in self._candidates:
            self._candidates[name] = self.initial(name)
        package = self._candidates[name]
        if package is not None and name not in self.chosen and self._is_banned(package):
            return None
        return package

    def initial(self, name: str) -> Package | None:
        """Return the candidate of NAME before anything was marked."""
        if name not in self._initial:
            versions = self.universe.versions(name)
            self._initial[name] = versions[0] if versions else None
        return self._initial[name]

    def possible(self, dependency: Dependency) -> list[tuple[Relation, list[Package]]]:
        """Return each alternative of DEPENDENCY with the candidates that meet it, as listed."""
        found = []
        for relation in dependency.alternatives:
            options = [p for p in self.universe.solutions(relation) if self.candidate(p.name) is p]
            kept = [p for p in options if p.name in self.chosen or p.name not in self.protected]
            found.append((relation, kept))
        return found

    def best_first(self, relation: Relation, options: Sequence[Package]) -> Iterator[Package]:
        """Yield OPTIONS, which answer RELATION, in apt's order (`CompareProviders`).

        Its last resort is the order in which apt met the names, which costs most to know.
        """
        ranks: dict[tuple[bool, bool, bool, int], list[Package]] = {}
        for package in options:
            ranks.setdefault(self._preference(package, relation), []).append(package)
        for rank in sorted(ranks):
            equals = ranks[rank]
            yield from self.universe.latest_first(equals) if len(equals) > 1 else equals

    # ---- marking ----

    def mark(self, name: str, with_needs: bool, is_request: bool = False) -> Marking:
        """Choose the candidate of NAME and, WITH_NEEDS, all it needs; return whether that worked."""
        if name in self.universe.installed:
            return True
        is_protected = name in self.protected
        is_new = name not in self.chosen
        package = None if is_protected and is_new and not is_request else self.candidate(name)
        if package is None:
            return False
        if not is_new and not is_protected and self._is_settled(package):
            return True
        if not with_needs:
            self._choose(package)
            return True
        if not self._is_possible(package):
            if not is_protected:
                self._candidates[name] = None
            return False
        return (yield from self._mark_with_needs(package, is_protected, is_request))

    def _mark_with_needs(self, package: Package, is_protected: bool, is_request: bool) -> Marking:
        fails_early = not is_protected and not is_request
        if is_request:
            self._choose(package)
        needed = self._unmet(package, with_met=is_protected)
        conflicts = [c.relation for c in package.conflicts]
        if not is_protected:
            conflicts = [relation for relation in conflicts if self.hits(package, relation)]
        has_failed = not self._drop_conflicting(package, conflicts, is_protected, fails_early)
        if has_failed and fails_early:
            return False
        if not is_request:
            self._choose(package)
        self.protected.add(package.name)
        is_installed = yield from self._install(needed, is_protected=is_protected, is_request=is_request)
        if not is_protected:
            self.protected.discard(package.name)
        if not is_installed and fails_early:
            self._discard(package.name)
            return False
        return is_installed and not has_failed

    def _install(self, needed: Iterable[Dependency], *, is_protected: bool, is_request: bool) -> Marking:
        has_failed = False
        for dependency in needed:
            is_critical = dependency.kind != "recommends"
            if self.is_met(dependency):
                if is_protected and is_critical:
                    is_held = yield from self._protect_only_answer(dependency)
                    has_failed = has_failed or not is_held
                continue
            is_met = yield from self._try_answers(dependency, is_protected and is_critical)
            if not is_met and is_critical:
                has_failed = True
                if not is_protected and not is_request:
                    break
        return not has_failed

    def _protect_only_answer(self, dependency: Dependency) -> Marking:
        """Make the package that meets DEPENDENCY stay, if no other could."""
        only = _only(self.possible(dependency))
        if only is None or only.name in self.protected:
            return True
        self.protected.add(only.name)
        return (yield only.name, True)

    def _try_answers(self, dependency: Dependency, protects: bool) -> Marking:
        """Mark the first package that meets DEPENDENCY and can be."""
        possible = self.possible(dependency)
        protects = protects and _only(possible) is not None
        for relation, options in possible:
            for package in self.best_first(relation, options):
                if self.candidate(package.name) is not package:
                    continue
                if protects:
                    if not (yield package.name, False):
                        continue
                    self.protected.add(package.name)
                if (yield package.name, True):
                    return True
        return False

    def _drop_conflicting(
        self,
        package: Package,
        conflicts: list[Relation],
        is_protected: bool,
        fails_early: bool,
    ) -> bool:
        """Drop what PACKAGE conflicts with, and rule it out when PACKAGE is protected."""
        has_failed = False
        for relation in conflicts:
            for other in self.hits(package, relation):
                if other.name in self.protected:
                    if fails_early:
                        return False
                    has_failed = True
                else:
                    self._drop(other.name)
            if is_protected:
                self._bans.setdefault(relation.name, []).append((package.name, relation))
        return not has_failed

    # ---- state ----

    def _unmet(self, package: Package, *, with_met: bool) -> list[Dependency]:
        needed = self.universe.needs(package)
        if self.recommends:
            needed += self.universe.wants(package)
        return [need for need in needed if with_met or not self.is_met(need)]

    def _is_settled(self, package: Package) -> bool:
        return not self.is_broken(package) and (
            not self.recommends or all(self.is_met(want) for want in self.universe.wants(package))
        )

    def _is_possible(self, package: Package) -> bool:
        """Whether every need has an answer, chosen or among the *first* candidates.

        apt asks a table here that is not brought up to date when a candidate is discarded
        (`IsInstallOkDependenciesSatisfiableByCandidates`).
        """
        initial = self.initial
        for need in self.universe.needs(package):
            if self.is_met(need):
                continue
            if not any(
                initial(p.name) is p for r in need.alternatives for p in self.universe.solutions(r)
            ):
                return False
        return True

    def _answers(self, relation: Relation) -> bool:
        package = self.chosen.get(relation.name)
        if package is not None and self.universe.matches(package, relation):
            return True
        provided = self._provided.get(relation.name)
        return bool(provided) and any(self.universe.matches(p, relation) for p in provided or ())

    def _is_banned(self, package: Package) -> bool:
        if not self._bans:
            return False
        names = (package.name, *[provide.name for provide in package.provides])
        return any(
            owner != package.name and self.universe.matches(package, relation)
            for name in names
            for owner, relation in self._bans.get(name, ())
        )

    def _preference(self, package: Package, relation: Relation) -> tuple[bool, bool, bool, int]:
        """Order packages that answer RELATION as `best_first` does, its last resort aside."""
        return (
            package.name not in self.protected,
            package.name != relation.name or relation.qualifier != "",
            not package.essential,
            priority(package),
        )

    def _note(self, package: Package) -> None:
        for provide in package.provides:
            self._provided.setdefault(provide.name, []).append(package)

    def _choose(self, package: Package) -> None:
        if self.chosen.get(package.name) is not package:
            self._drop(package.name)
            self.chosen[package.name] = package
            self._note(package)

    def _drop(self, name: str) -> None:
        package = self.chosen.pop(name, None)
        if package is not None:
            for provide in package.provides:
                self._provided[provide.name].remove(package)

    def _discard(self, name: str) -> None:
        self._drop(name)
        self._candidates[name] = None


def _only(possible: Sequence[tuple[Relation, Sequence[Package]]]) -> Package | None:
    """Return the one package in POSSIBLE, or None if there are none or several."""
    packages = {id(package): package for _, options in possible for package in options}
    return next(iter(packages.values())) if len(packages) == 1 else None
