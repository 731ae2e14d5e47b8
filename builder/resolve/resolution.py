"""From requests to packages: the strategies in their order, checked, with who asked for what."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from builder.errors import Position
from builder.packages import Dependency, Package, PackageIndex, Relation
from builder.resolve import explain, policy, validate
from builder.resolve.marker import Marker
from builder.resolve.solver import Solver
from builder.resolve.universe import Format, Universe


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the spec, under ``packages`` or under ``block``.

    relation  what it asks for, as the format parsed it
    text      as it stands in the spec
    where     its position; None where there is no file
    """

    relation: Relation
    text: str
    where: Position | None = None


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A package of the result.

    requested_by  names of the packages that need (or, where wanted, recommend) it, sorted; ``""``
                  stands for the spec itself
    is_installed  it is in the base image already
    """

    package: Package
    requested_by: tuple[str, ...]
    is_installed: bool = False


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """A set of packages that holds, sorted by name.

    skipped   recommendations that were wanted and could not be had: (package, recommendation)
    strategy  ``marker`` (what apt would take) or ``solver`` (the complete search)
    """

    packages: tuple[Chosen, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    strategy: str = "marker"

    @property
    def new(self) -> tuple[Package, ...]:
        """The packages that are not in the base image."""
        return tuple(chosen.package for chosen in self.packages if not chosen.is_installed)


def resolve(
    format: Format,  # noqa: A002 - the protocol's own word
    indexes: Sequence[PackageIndex],
    requests: Sequence[Request],
    *,
    architecture: str,
    recommends: bool = False,
    block: Sequence[Request] = (),
    installed: Sequence[Package] = (),
) -> Resolution:
    """Choose the packages that answer REQUESTS; `ResolveError` with the reasons if none do.

    The result is what the distribution's own tool would take, if that holds; else the complete search
    finds one, if there is one. INDEXES stand in the order of the sources: of equal versions the first
    list's is taken. INSTALLED stay as they are.
    """
    universe = Universe(
        format,
        indexes,
        architecture=architecture,
        blocked=[request.relation for request in block],
        installed=installed,
    )
    explain.check_requests(universe, requests, block)
    wanted = [Dependency(policy.REQUEST, (request.relation,)) for request in requests]
    roots = policy.roots(universe, wanted)
    strategy = "marker"
    chosen = _mark(universe, wanted, roots, recommends=recommends)
    if chosen is None:
        strategy = "solver"
        solver = Solver(universe, prefer=policy.Preference(universe, roots), recommends=recommends)
        solution = solver.solve(wanted)
        if solution is None:
            raise explain.unsolvable(universe, solver, requests, block)
        chosen = solution
    kept = _swept(universe, chosen, wanted)
    faults = validate.faults(universe, kept, wanted)
    if faults:
        raise RuntimeError(f"strategy {strategy} gave a set that does not hold: {'; '.join(faults)}")
    return _resolution(universe, kept, requests, recommends=recommends, strategy=strategy)


def _mark(
    universe: Universe,
    wanted: Sequence[Dependency],
    roots: Sequence[Package],
    *,
    recommends: bool,
) -> tuple[Package, ...] | None:
    """Return what the first strategy chooses, or None if that does not hold."""
    marker = Marker(universe, recommends=recommends)
    marker.request(roots)
    marker.request_virtual(wanted)
    chosen = tuple(marker.chosen.values())
    if validate.faults(universe, _swept(universe, chosen, wanted), wanted):
        return None
    return chosen


def _swept(
    universe: Universe, chosen: Sequence[Package], wanted: Sequence[Dependency]
) -> tuple[Package, ...]:
    """Return those of CHOSEN that the spec or the base wants, by name."""
    roots = list(universe.installed.values())
    for want in wanted:
        options = policy.answers(universe, want.alternatives[0])
        roots += [package for package in chosen if any(package is option for option in options)]
    kept = policy.reachable(universe, chosen, roots)
    return tuple(sorted((p for p in chosen if p.name in kept), key=lambda p: p.name))


def _resolution(
    universe: Universe,
    kept: Sequence[Package],
    requests: Sequence[Request],
    *,
    recommends: bool,
    strategy: str,
) -> Resolution:
    edges: dict[str, set[str]] = {package.name: set() for package in kept}
    skipped: list[tuple[str, str]] = []
    bearers: dict[str, list[Package]] = {}
    for package in kept:
        for name in dict.fromkeys([package.name, *[p.name for p in package.provides]]):
            bearers.setdefault(name, []).append(package)

    def note(asker: str, dependency: Dependency) -> bool:
        meeting = [
            other.name
            for relation in dependency.alternatives
            for other in bearers.get(relation.name, ())
            if universe.matches(other, relation)
        ]
        for name in meeting:
            if name != asker:
                edges[name].add(asker)
        return bool(meeting)

    for request in requests:
        note("", Dependency(policy.REQUEST, (request.relation,)))
    for package in kept:
        for need in universe.needs(package):
            note(package.name, need)
        if recommends and package.name not in universe.installed:
            skipped += [
                (package.name, str(w)) for w in universe.wants(package) if not note(package.name, w)
            ]
    packages = tuple(
        Chosen(
            package=package,
            requested_by=tuple(sorted(edges[package.name])),
            is_installed=package.name in universe.installed,
        )
        for package in kept
    )
    return Resolution(packages=packages, skipped=tuple(skipped), strategy=strategy)
