"""The second strategy: a complete search, for what the first one cannot answer.

Conflict-driven clause learning over (package, version) literals, where clauses are made only when a
package is chosen: what it depends on, what it conflicts with, that a name has one version. So only
the part of the universe that the search walks through is read. It finds a set if there is one; if
there is none, `Solver.core` are the facts that together rule every set out.

Decisions follow the preferences of the first strategy: the first need not met, its first alternative
that is not ruled out, candidate versions before others. Recommendations are decided last, once all
needs are met, and given up one by one. All orders are those of the input, so a result is repeatable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from builder.packages import Conflict, Dependency, Package, Relation
from builder.resolve.universe import Universe


class Wanted(NamedTuple):
    """Fact: line NUMBER of the spec asks for DEPENDENCY."""

    number: int
    dependency: Dependency


class Held(NamedTuple):
    """Fact: the base image holds PACKAGE."""

    package: Package


class Needs(NamedTuple):
    """Fact: PACKAGE cannot be without DEPENDENCY."""

    package: Package
    dependency: Dependency


class Clashes(NamedTuple):
    """Fact: PACKAGE does not go with OTHER, by CONFLICT."""

    package: Package
    conflict: Conflict
    other: Package


class OneVersion(NamedTuple):
    """Fact: two versions of one name cannot both be installed."""

    package: Package
    other: Package


Fact: TypeAlias = Wanted | Held | Needs | Clashes | OneVersion


class Clause:
    """Literals of which one must hold; two watched ones stand first.

    facts  numbers of the facts it follows from
    """

    __slots__ = ("facts", "literals")

    def __init__(self, literals: list[int], facts: frozenset[int]) -> None:
        self.literals = literals
        self.facts = facts


class Solver:
    """One search. A literal is ``+n`` or ``-n``: package number n is, or is not, installed.

    prefer  orders the packages that meet a need, best first
    facts   what the search came upon, in that order; `core` holds numbers of these
    """

    def __init__(
        self,
        universe: Universe,
        *,
        prefer: Callable[[Dependency], Sequence[Package]],
        recommends: bool,
    ) -> None:
        self.universe = universe
        self.recommends = recommends
        self.facts: list[Fact] = []
        self.core: frozenset[int] = frozenset()
        self._prefer = prefer
        self._packages: list[Package] = []
        self._numbers: dict[int, int] = {}
        self._by_name: dict[str, list[int]] = {}
        self._providing: dict[str, list[int]] = {}
        self._conflicts: dict[str, list[tuple[int, Conflict]]] = {}
        self._is_expanded: list[bool] = [False]
        self._values: list[int] = [0]
        self._levels: list[int] = [0]
        self._reasons: list[Clause | None] = [None]
        self._watches: dict[int, list[Clause]] = {}
        self._trail: list[int] = []
        self._limits: list[int] = []
        self._head = 0
        self._needs: list[list[int]] = []
        self._needs_of: dict[int, list[list[int]]] = {}
        self._wants_of: dict[int, list[list[int]]] = {}
        self._clash: Clause | None = None

    def solve(self, wanted: Sequence[Dependency]) -> tuple[Package, ...] | None:
        """Return packages that meet all of WANTED and each other's needs, or None: see `core`."""
        for package in self.universe.installed.values():
            self._add([self._number(package)], self._fact(Held(package)))
        for number, dependency in enumerate(wanted):
            literals = self._literals(dependency)
            self._needs.append(literals)
            self._add(literals, self._fact(Wanted(number, dependency)))
        while self._settle():
            literal = self._decide()
            if literal == 0:
                return tuple(self._packages[n - 1] for n in self._trail if n > 0)
            self._limits.append(len(self._trail))
            self._assign(literal, None)
        return None

    def options(self, fact: Wanted | Needs) -> Sequence[Package]:
        """Return the packages of which FACT wants one."""
        return self._prefer(fact.dependency)

    # ---- search ----

    def _settle(self) -> bool:
        """Propagate and learn until nothing follows; False when nothing can hold."""
        while True:
            clash = self._propagate()
            if clash is None:
                return True
            if not self._limits:
                self.core = self._explain(clash)
                return False
            self._learn(clash)

    def _decide(self) -> int:
        """Return the next literal to try, or 0 when every need is met."""
        literal = self._open(self._needs)
        if literal:
            return literal
        for number in self._trail:
            if number > 0 and (literal := self._open(self._needs_of[number])):
                return literal
        if self.recommends:
            for number in self._trail:
                if number > 0 and (literal := self._open(self._wanted_by(number))):
                    return literal
        return 0

    def _open(self, needs: list[list[int]]) -> int:
        values = self._values
        for literals in needs:
            if not any(values[n] > 0 for n in literals):
                found = next((n for n in literals if values[n] == 0), 0)
                if found:
                    return found
        return 0

    def _propagate(self) -> Clause | None:
        clash = self._take_clash()
        while clash is None and self._head < len(self._trail):
            literal = self._trail[self._head]
            self._head += 1
            if literal > 0 and not self._is_expanded[literal]:
                self._expand(literal)
            clash = self._take_clash() or self._visit(literal)
        return clash

    def _take_clash(self) -> Clause | None:
        clash, self._clash = self._clash, None
        return clash

    def _visit(self, literal: int) -> Clause | None:
        """Look at the clauses that watch the negation of LITERAL, which has become false."""
        false = -literal
        watching = self._watches.get(false)
        if not watching:
            return None
        kept: list[Clause] = []
        self._watches[false] = kept
        for position, clause in enumerate(watching):
            literals = clause.literals
            if literals[0] == false:
                literals[0], literals[1] = literals[1], literals[0]
            first = literals[0]
            if self._value(first) > 0 or not self._move_watch(clause):
                kept.append(clause)
                if self._value(first) < 0:
                    kept += watching[position + 1 :]
                    return clause
                if self._value(first) == 0:
                    self._assign(first, clause)
        return None

    def _move_watch(self, clause: Clause) -> bool:
        literals = clause.literals
        for i in range(2, len(literals)):
            if self._value(literals[i]) >= 0:
                literals[1], literals[i] = literals[i], literals[1]
                self._watches.setdefault(literals[1], []).append(clause)
                return True
        return False

    def _value(self, literal: int) -> int:
        return self._values[literal] if literal > 0 else -self._values[-literal]

    def _assign(self, literal: int, reason: Clause | None) -> None:
        number = abs(literal)
        self._values[number] = 1 if literal > 0 else -1
        self._levels[number] = len(self._limits)
        self._reasons[number] = reason
        self._trail.append(literal)

    def _learn(self, clash: Clause) -> None:
        """Add the clause that CLASH teaches (first unique implication point), and go back."""
        top = max(self._levels[abs(n)] for n in clash.literals)
        self._retreat(top)
        if top == 0:
            self._clash = clash
            return
        literals, facts = self._resolve(clash, top)
        levels = sorted({self._levels[abs(n)] for n in literals[1:]})
        self._retreat(levels[-1] if levels else 0)
        self._add(literals, facts)

    def _resolve(self, clash: Clause, top: int) -> tuple[list[int], frozenset[int]]:
        """Return the learned clause, its literal of level TOP first, and the facts behind it."""
        seen: set[int] = set()
        lower: dict[int, None] = {}
        facts = set(clash.facts)
        literals = clash.literals
        position = len(self._trail) - 1
        pending = 0
        while True:
            for literal in literals:
                number = abs(literal)
                if number in seen or self._value(literal) > 0:
                    continue
                seen.add(number)
                if self._levels[number] == top:
                    pending += 1
                else:
                    lower[literal] = None
            while (
                abs(self._trail[position]) not in seen or self._levels[abs(self._trail[position])] != top
            ):
                position -= 1
            pivot = self._trail[position]
            pending -= 1
            position -= 1
            reason = self._reasons[abs(pivot)]
            if pending == 0 or reason is None:
                return [-pivot, *lower], frozenset(facts)
            facts |= reason.facts
            literals = reason.literals

    def _explain(self, clash: Clause) -> frozenset[int]:
        """Return the facts behind CLASH, in which every literal is false for good."""
        facts = set(clash.facts)
        pending = list(clash.literals)
        seen: set[int] = set()
        while pending:
            number = abs(pending.pop())
            reason = self._reasons[number]
            if number not in seen and reason is not None:
                facts |= reason.facts
                pending += reason.literals
            seen.add(number)
        return frozenset(facts)

    def _retreat(self, level: int) -> None:
        if len(self._limits) <= level:
            return
        kept = self._limits[level]
        for literal in self._trail[kept:]:
            self._values[abs(literal)] = 0
            self._reasons[abs(literal)] = None
        del self._trail[kept:]
        del self._limits[level:]
        self._head = min(self._head, kept)

    # ---- clauses, made as the search comes to them ----

    def _expand(self, number: int) -> None:
        """Add what PACKAGE number NUMBER, now chosen, brings with it."""
        self._is_expanded[number] = True
        package = self._packages[number - 1]
        for need in self.universe.needs(package):
            literals = self._literals(need)
            self._needs_of[number].append(literals)
            self._add([-number, *literals], self._fact(Needs(package, need)))
        for conflict in package.conflicts:
            self._conflicts.setdefault(conflict.relation.name, []).append((number, conflict))
            for other in self._known(conflict.relation):
                self._add_clash(number, conflict, other)

    def _wanted_by(self, number: int) -> list[list[int]]:
        if number not in self._wants_of:
            wants = self.universe.wants(self._packages[number - 1])
            self._wants_of[number] = [self._literals(want) for want in wants]
        return self._wants_of[number]

    def _known(self, relation: Relation) -> list[int]:
        named = self._by_name.get(relation.name, ())
        providing = self._providing.get(relation.name, ())
        return [*named, *[n for n in providing if n not in named]]

    def _add_clash(self, number: int, conflict: Conflict, other: int) -> None:
        package, rival = self._packages[number - 1], self._packages[other - 1]
        # A package does not conflict with itself, nor its versions with each other by their provides.
        if package.name != rival.name and self.universe.matches(rival, conflict.relation):
            self._add([-number, -other], self._fact(Clashes(package, conflict, rival)))

    def _literals(self, dependency: Dependency) -> list[int]:
        return [self._number(package) for package in self._prefer(dependency)]

    def _number(self, package: Package) -> int:
        """Return PACKAGE's number; a new one brings its clashes with what is known."""
        known = self._numbers.get(id(package))
        if known is not None:
            return known
        self._packages.append(package)
        number = self._numbers[id(package)] = len(self._packages)
        self._is_expanded.append(False)
        self._values.append(0)
        self._levels.append(0)
        self._reasons.append(None)
        self._needs_of[number] = []
        for other in self._by_name.get(package.name, ()):
            self._add([-number, -other], self._fact(OneVersion(self._packages[other - 1], package)))
        self._by_name.setdefault(package.name, []).append(number)
        names = list(dict.fromkeys([package.name, *[p.name for p in package.provides]]))
        for name in names:
            if name != package.name:
                self._providing.setdefault(name, []).append(number)
            for owner, conflict in self._conflicts.get(name, ()):
                self._add_clash(owner, conflict, number)
        return number

    def _fact(self, fact: Fact) -> frozenset[int]:
        self.facts.append(fact)
        return frozenset((len(self.facts) - 1,))

    def _add(self, literals: list[int], facts: frozenset[int]) -> None:
        """Add a clause at any point of the search; what it implies or breaks is noted at once."""
        # Not false first, then the latest to become false: the watched two are right after a retreat.
        ordered = sorted(
            dict.fromkeys(literals), key=lambda n: (self._value(n) < 0, -self._levels[abs(n)])
        )
        clause = Clause(ordered, facts)
        for literal in ordered[:2]:
            if len(ordered) > 1:
                self._watches.setdefault(literal, []).append(clause)
        if not ordered or self._value(ordered[0]) < 0:
            if self._clash is None:
                self._clash = clause
        elif self._value(ordered[0]) == 0 and (len(ordered) == 1 or self._value(ordered[1]) < 0):
            self._assign(ordered[0], clause)
