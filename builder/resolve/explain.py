"""Why nothing answers a spec: a short chain of reasons that ends at lines the user can edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from builder.errors import ResolveError
from builder.packages import Dependency, Package, Relation
from builder.resolve import core, policy
from builder.resolve.solver import Clashes, Fact, Held, Needs, Solver, Wanted
from builder.resolve.universe import Universe

if TYPE_CHECKING:
    from builder.resolve.resolution import Request

_SHOWN_VERSIONS = 5
_VERBS = {
    "pre-depends": "pre-depends on",
    "depends": "depends on",
    "conflicts": "conflicts with",
    "breaks": "breaks",
}
_PLURALS = {"pre-depends": "pre-depend on", "depends": "depend on"}


def check_requests(universe: Universe, requests: Sequence[Request], block: Sequence[Request]) -> None:
    """Raise `ResolveError` if a request has no answer at all, whatever else is asked for."""
    errors = [
        _unanswerable(universe, request, block)
        for request in requests
        if not policy.answers(universe, request.relation)
    ]
    if not errors:
        return
    first, *others = errors
    message = "\n".join([first.message, *[f"{error}" for error in others]])
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    raise ResolveError(message, where=first.where, hint="\n".join(hints) or None)


def unsolvable(
    universe: Universe, solver: Solver, requests: Sequence[Request], block: Sequence[Request]
) -> ResolveError:
    """Return the error for a search that found that nothing answers REQUESTS."""
    facts = core.minimal([solver.facts[n] for n in sorted(solver.core)], solver.options)
    told = core.told(facts, solver.options)
    teller = _Teller(universe, solver, requests, block, told)
    reasons = dict.fromkeys(reason for fact in told for reason in teller.reasons(fact))
    asked = [requests[fact.number] for fact in facts if isinstance(fact, Wanted)]
    where = next((request.where for request in asked), None)
    names = _listed([f'"{request.text}"' for request in asked])
    chain = "\n  and ".join(reasons)
    hint = f"change or remove {_listed(list(teller.lines), 'or')}"
    return ResolveError(f"no set of packages answers {names}\n  because {chain}", where=where, hint=hint)


# ---- one request ----


def _unanswerable(universe: Universe, request: Request, block: Sequence[Request]) -> ResolveError:
    relation = request.relation
    base = universe.installed.get(relation.name)
    if base is not None:
        message = f'"{request.text}" cannot be met: the base image holds {base}'
        return ResolveError(message, where=request.where)
    listed = universe.listed(relation.name)
    fitting = [package for package in listed if universe.matches(package, relation)]
    if fitting:
        blocking = next(b for b in block if b.relation.name == relation.name)
        message = f'"{request.text}" is blocked by {_line(blocking, "block")}'
        return ResolveError(message, where=request.where, hint="remove one of the two lines")
    if listed and relation.qualifier:
        message = f'"{request.text}" asks for "{relation.qualifier}", these are packages for '
        return ResolveError(message + universe.architecture, where=request.where)
    if listed or universe.providers(relation.name):
        message = f'no version answers "{request.text}"; {_available(universe, relation)}'
        return ResolveError(message, where=request.where)
    message = f'no package for {universe.architecture} is named or provides "{relation.name}"'
    return ResolveError(message, where=request.where, hint=_near(universe, relation.name))


def _near(universe: Universe, name: str) -> str | None:
    from difflib import get_close_matches

    names = sorted({known for index in universe.indexes for known in index.names()})
    found = get_close_matches(name, names, n=3, cutoff=0.75)
    return f"did you mean {_listed(found, 'or')}?" if found else None


# ---- one fact ----


class _Teller:
    """Puts facts into words; ``lines`` are the lines of the spec that they came from."""

    def __init__(
        self,
        universe: Universe,
        solver: Solver,
        requests: Sequence[Request],
        block: Sequence[Request],
        facts: Sequence[Fact],
    ) -> None:
        self.lines: dict[str, None] = {}
        self._versions: dict[tuple[str, str], list[str]] = {}
        for fact in facts:
            if isinstance(fact, Needs):
                versions = self._versions.setdefault(_saying(fact), [])
                versions.append(fact.package.version)
        self._universe = universe
        self._solver = solver
        self._requests = requests
        self._block = block

    def reasons(self, fact: Fact) -> Iterator[str]:
        """Yield FACT in words."""
        if isinstance(fact, Wanted):
            line = _line(self._requests[fact.number], "packages")
            self.lines[line] = None
            yield f"you ask for {line}"
        elif isinstance(fact, Held):
            yield f"the base image holds {fact.package}"
        elif isinstance(fact, Needs):
            yield self._need(fact)
        elif isinstance(fact, Clashes):
            verb = _VERBS[fact.conflict.kind]
            relation = fact.conflict.relation
            yield f"{fact.package} {verb} {relation}{_which_is(fact.other, relation)}"
        else:
            yield f"only one version of {fact.package.name} can be installed"
        if isinstance(fact, Wanted | Needs):
            yield from self._blocks(fact.dependency)

    def _need(self, fact: Needs) -> str:
        # What several versions of a package need alike is told once.
        versions = self._versions[_saying(fact)]
        verb = _VERBS[fact.dependency.kind] if len(versions) == 1 else _PLURALS[fact.dependency.kind]
        text = f"{fact.package.name} {_listed(versions)} {verb} {fact.dependency}"
        alternatives = fact.dependency.alternatives
        blocked = {request.relation.name for request in self._block}
        if self._solver.options(fact) or any(r.name in blocked for r in alternatives):
            return text
        available = dict.fromkeys(_available(self._universe, relation) for relation in alternatives)
        return f"{text}, but {' and '.join(available)}"

    def _blocks(self, dependency: Dependency) -> Iterator[str]:
        names = {relation.name for relation in dependency.alternatives}
        for request in self._block:
            name = request.relation.name
            if name in names and name not in self._universe.installed and self._universe.listed(name):
                line = _line(request, "block")
                self.lines[line] = None
                yield f"{request.relation} is blocked by {line}"


def _saying(fact: Needs) -> tuple[str, str]:
    return (fact.package.name, f"{fact.dependency.kind} {fact.dependency}")


def _which_is(other: Package, relation: Relation) -> str:
    if other.name != relation.name:
        return f", which {other} provides"
    return f", and {other.name} is {other.version}" if relation.operator else ""


def _available(universe: Universe, relation: Relation) -> str:
    """Say which versions of RELATION's name there are, and where."""
    base = universe.installed.get(relation.name)
    if base is not None:
        return f"the base image holds {base}"
    listed = universe.listed(relation.name)
    providers = [str(package) for package in universe.providers(relation.name)]
    if listed:
        shown = [f"{p.version} ({p.repository})" for p in listed[:_SHOWN_VERSIONS]]
        more = len(listed) - len(shown)
        tail = f" and {more} more" if more else ""
        return f"of {relation.name} there is {', '.join(shown)}{tail}"
    if providers:
        return f"{relation.name} is only provided, by {', '.join(providers[:_SHOWN_VERSIONS])}"
    return f"there is no {relation.name} for {universe.architecture}"


def _line(request: Request, key: str) -> str:
    return f'"{request.text}" ({request.where or key})'


def _listed(items: Sequence[str], word: str = "and") -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"
