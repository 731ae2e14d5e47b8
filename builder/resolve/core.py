"""A minimal unsatisfiable core: the fewest facts that still rule every set out, and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from builder.packages import Package
from builder.resolve.solver import Clashes, Fact, Held, Needs, OneVersion, Wanted


def minimal(
    facts: Sequence[Fact], options: Callable[[Wanted | Needs], Sequence[Package]]
) -> tuple[Fact, ...]:
    """Return FACTS without those that are not needed for the contradiction.

    The latest are tried first, so that what remains is what the search met early, near the spec;
    many at once, then fewer, in the end each alone.
    """
    kept = [(fact, _clause(fact, options)) for fact in facts]
    assert not _is_satisfiable([clause for _, clause in kept]), "the core does not rule every set out"
    size = len(kept)
    while size > 1:
        size = (size + 1) // 2
        end = len(kept)
        while end > 0:
            start = max(end - size, 0)
            fewer = kept[:start] + kept[end:]
            if not _is_satisfiable([clause for _, clause in fewer]):
                kept = fewer
            end = start
    return tuple(fact for fact, _ in kept)


def told(
    facts: Sequence[Fact], options: Callable[[Wanted | Needs], Sequence[Package]]
) -> tuple[Fact, ...]:
    """Return FACTS in the order to tell them: each line of the spec, then what follows from it."""
    waiting = list(facts)
    known: set[int] = set()
    order: list[Fact] = []

    def take(fact: Fact) -> None:
        waiting.remove(fact)
        order.append(fact)
        if isinstance(fact, Wanted | Needs):
            known.update(id(package) for package in options(fact))
        elif isinstance(fact, Held):
            known.add(id(fact.package))

    def rank(fact: Fact) -> int:
        if isinstance(fact, Needs):
            return 0 if id(fact.package) in known else 2
        return 1 if isinstance(fact, Wanted) else 3 if isinstance(fact, Held) else 4

    while waiting:
        take(min(waiting, key=rank))
    return tuple(order)


def _clause(fact: Fact, options: Callable[[Wanted | Needs], Sequence[Package]]) -> frozenset[int]:
    """Return FACT as literals: the id of a package, negative where it must not be installed."""
    if isinstance(fact, Wanted):
        return frozenset(id(package) for package in options(fact))
    if isinstance(fact, Held):
        return frozenset((id(fact.package),))
    if isinstance(fact, Needs):
        return frozenset([-id(fact.package), *[id(package) for package in options(fact)]])
    assert isinstance(fact, Clashes | OneVersion)
    return frozenset((-id(fact.package), -id(fact.other)))


def _is_satisfiable(clauses: Iterable[frozenset[int]]) -> bool:
    """Whether CLAUSES can hold together: plain DPLL, its stack on the heap; cores are small."""
    pending = [list(clauses)]
    while pending:
        left = _propagated(pending.pop())
        if left is None:
            continue
        if not left:
            return True
        size = min(map(len, left))
        literal = max(next(clause for clause in left if len(clause) == size))
        pending += [[*left, frozenset((-literal,))], [*left, frozenset((literal,))]]
    return False


def _propagated(clauses: list[frozenset[int]]) -> list[frozenset[int]] | None:
    """Return what is left of CLAUSES once all single literals are taken as true; None if they clash."""
    true: set[int] = set()
    while True:
        units = {literal for clause in clauses if len(clause) == 1 for literal in clause}
        if not units:
            return clauses
        true |= units
        if any(-literal in true for literal in units):
            return None
        left = []
        for clause in clauses:
            if true.isdisjoint(clause):
                rest = frozenset(literal for literal in clause if -literal not in true)
                if not rest:
                    return None
                left.append(rest)
        clauses = left
