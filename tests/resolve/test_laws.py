"""Laws: small universes, solved by trying every set, against both strategies."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import ResolveError
from builder.packages import Dependency, Package
from builder.resolve import policy, resolution, resolve, validate
from builder.resolve.universe import Universe
from tests.resolve.worlds import DebVersions, index, names, request

_NAMES = "abcdef"
_RELATION = st.builds(
    lambda name, condition: f"{name} {condition}".strip(),
    st.sampled_from([*_NAMES, "v", "w"]),
    st.sampled_from(["", "", "", "(>= 2)", "(<< 2)", "(= 1)"]),
)
_DEPENDENCY = st.lists(_RELATION, min_size=1, max_size=3).map(" | ".join)
_PROVIDE = st.sampled_from(["v", "w", "v (= 1)", "w (= 2)", "a", "b (= 2)"])


@st.composite
def _line(draw: st.DrawFn, name: str, number: int) -> str:
    fields = {
        "Depends": draw(st.lists(_DEPENDENCY, max_size=2)),
        "Recommends": draw(st.lists(_DEPENDENCY, max_size=1)),
        "Conflicts": draw(st.lists(_RELATION, max_size=1)),
        "Breaks": draw(st.lists(_RELATION, max_size=1)),
        "Provides": draw(st.lists(_PROVIDE, max_size=1)),
    }
    given_fields = [f"{key}: {', '.join(value)}" for key, value in fields.items() if value]
    return "; ".join([f"{name}={number}", *given_fields])


@st.composite
def _world(draw: st.DrawFn) -> str:
    lines = []
    for name in _NAMES:
        versions = draw(st.sampled_from([(1,), (1,), (2,), (1, 2), ()]))
        lines += [draw(_line(name, number)) for number in versions]
    return "\n".join(lines)


def _universe(world: str) -> Universe:
    return Universe(DebVersions(), [index(world)], architecture="amd64")


def _holding_sets(world: str, texts: list[str]) -> list[tuple[Package, ...]]:
    """Return every set of packages that answers TEXTS."""
    universe = _universe(world)
    wanted = [Dependency(policy.REQUEST, (request(text).relation,)) for text in texts]
    options: list[list[Package | None]] = [[None, *universe.versions(name)] for name in _NAMES]
    sets = [tuple(p for p in chosen if p is not None) for chosen in product(*options)]
    return [chosen for chosen in sets if _answers(universe, chosen, wanted)]


def _answers(universe: Universe, chosen: tuple[Package, ...], wanted: list[Dependency]) -> bool:
    # A request for a name that is a package's own is for that package (`policy.answers`).
    for want in wanted:
        options = policy.answers(universe, want.alternatives[0])
        if not any(package is option for package in chosen for option in options):
            return False
    return not validate.faults(universe, chosen, wanted)


_TEXTS = st.lists(
    st.sampled_from(["a", "b", "c>=2", "d=1", "v", "a=*"]), min_size=1, max_size=3, unique=True
)


@pytest.mark.parametrize("strategy", ["both", "solver"])
@given(world=_world(), texts=_TEXTS, recommends=st.booleans())
@settings(max_examples=100, deadline=None)
def test_finds_a_set_that_holds_exactly_if_there_is_one(
    strategy: str, world: str, texts: list[str], recommends: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if strategy == "solver":
            patch.setattr(resolution, "_mark", lambda *_args, **_options: None)
        holding = _holding_sets(world, texts)
        try:
            result = resolve(
                DebVersions(),
                [index(world)],
                [request(text) for text in texts],
                architecture="amd64",
                recommends=recommends,
            )
        except ResolveError:
            assert not holding
        else:
            found = [sorted(str(package) for package in chosen) for chosen in holding]
            assert sorted(str(chosen.package) for chosen in result.packages) in found


@given(world=_world(), texts=_TEXTS, recommends=st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_order_of_equal_runs_is_the_same(world: str, texts: list[str], recommends: bool) -> None:
    def run() -> str:
        requests = [request(text) for text in texts]
        try:
            return names(
                resolve(
                    DebVersions(), [index(world)], requests, architecture="amd64", recommends=recommends
                )
            )
        except ResolveError as error:
            return error.render()

    assert run() == run()


@given(world=_world(), texts=_TEXTS)
@settings(max_examples=200, deadline=None)
def test_everything_chosen_is_asked_for(world: str, texts: list[str]) -> None:
    try:
        result = resolve(
            DebVersions(), [index(world)], [request(text) for text in texts], architecture="amd64"
        )
    except ResolveError:
        return
    known = {chosen.package.name for chosen in result.packages} | {""}
    for chosen in result.packages:
        assert chosen.requested_by or chosen.package.name in known
        assert set(chosen.requested_by) <= known
