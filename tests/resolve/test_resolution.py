"""What a resolution says: edges, suites, bases, blocks, pins; and every error's whole text."""

from __future__ import annotations

import pytest

from builder.errors import ResolveError
from builder.packages import Package
from builder.resolve import resolution, resolve, validate
from builder.resolve.universe import Universe
from tests.resolve.worlds import DebVersions, index, names, request, solve


def _package(world: str, name: str) -> Package:
    return index(world, "base").packages(name)[0]


def _error(world: str | list[str], *texts: str, block: tuple[str, ...] = ()) -> str:
    with pytest.raises(ResolveError) as caught:
        solve(world, *texts, block=block)
    return caught.value.render()


def test_edges_name_who_asked() -> None:
    result = solve(
        "a=1; Depends: b, c\nb=1; Depends: c\nc=1; Recommends: d\nd=1", "a", "c", recommends=True
    )
    assert [(chosen.package.name, chosen.requested_by) for chosen in result.packages] == [
        ("a", ("",)),
        ("b", ("a",)),
        ("c", ("", "a", "b")),
        ("d", ("c",)),
    ]


def test_recommendations_that_cannot_be_had_are_told() -> None:
    result = solve("a=1; Recommends: b | c\nb=1; Depends: none", "a", recommends=True)
    assert result.skipped == (("a", "b | c"),)


def test_the_newest_of_several_suites_is_taken() -> None:
    result = solve(["a=1; Depends: b\nb=2", "a=2; Depends: b\nb=1"], "a")
    assert [(c.package.version, c.package.repository) for c in result.packages] == [
        ("2", "test/suite2/main/amd64"),
        ("2", "test/suite1/main/amd64"),
    ]


def test_of_equal_versions_the_first_suite_is_taken() -> None:
    result = solve(["a=1", "a=1~; Depends: b\nb=1", "a=1; Depends: b"], "a")
    assert [c.package.repository for c in result.packages] == ["test/suite1/main/amd64"]


def test_an_older_version_of_another_suite_is_taken_when_only_it_fits() -> None:
    world = ["a=1; Depends: b (<< 2)\nb=1", "b=2"]
    result = solve(world, "a")
    assert (names(result), result.strategy) == ("a=1 b=1", "solver")


def test_two_lines_may_ask_for_one_package() -> None:
    assert names(solve("a=1\na=2\na=3", "a>=2", "a<<3")) == "a=2"


def test_a_virtual_name_may_be_asked_for() -> None:
    assert names(solve("a=1; Provides: v\nb=1; Provides: v; Priority: required", "v")) == "b=1"
    assert names(solve("a=1; Provides: v\nb=1; Provides: v; Priority: required", "v", "a")) == "a=1"


def test_what_is_blocked_is_not_chosen() -> None:
    world = "a=1; Depends: b | c\nb=1\nc=1"
    assert names(solve(world, "a", block=("b",))) == "a=1 c=1"
    assert names(solve("a=1\na=2", "a", block=("a>=2",))) == "a=1"


def test_a_base_stays_as_it_is_and_meets_needs() -> None:
    base = [_package("b=1; Depends: z\nz=1", name) for name in ("b", "z")]
    result = resolve(
        DebVersions(),
        [index("a=1; Depends: b, c\nb=2; Depends: z\nc=1\nz=2")],
        [request("a")],
        architecture="amd64",
        installed=base,
    )
    assert names(result) == "a=1 b=1 c=1 z=1"
    assert [package.name for package in result.new] == ["a", "c"]
    assert [chosen.is_installed for chosen in result.packages] == [False, True, False, True]


def test_a_base_rules_out_what_conflicts_with_it() -> None:
    base = [_package("b=1; Conflicts: c", "b")]
    result = resolve(
        DebVersions(),
        [index("a=1; Depends: c | d\nc=1\nd=1")],
        [request("a")],
        architecture="amd64",
        installed=base,
    )
    assert names(result) == "a=1 b=1 d=1"


def test_a_base_that_does_not_fit_is_named() -> None:
    base = [_package("b=1", "b")]
    with pytest.raises(ResolveError) as caught:
        resolve(
            DebVersions(),
            [index("a=1; Depends: b (>= 2)\nb=2")],
            [request("a")],
            architecture="amd64",
            installed=base,
        )
    assert caught.value.render() == (
        'error: spec.yaml:3:5: no set of packages answers "a"\n'
        '  because you ask for "a" (spec.yaml:3:5)\n'
        "  and a 1 depends on b (>= 2), but the base image holds b 1\n\n"
        'hint: change or remove "a" (spec.yaml:3:5)'
    )


def test_what_conflicts_with_a_base_is_told_with_the_base() -> None:
    base = [_package("b=1", "b")]
    with pytest.raises(ResolveError) as caught:
        resolve(
            DebVersions(),
            [index("a=1; Conflicts: b\nb=1")],
            [request("a")],
            architecture="amd64",
            installed=base,
        )
    assert caught.value.render() == (
        'error: spec.yaml:3:5: no set of packages answers "a"\n'
        '  because you ask for "a" (spec.yaml:3:5)\n'
        "  and the base image holds b 1\n"
        "  and a 1 conflicts with b\n\n"
        'hint: change or remove "a" (spec.yaml:3:5)'
    )


def test_unknown_names_are_told_together_with_near_ones() -> None:
    assert _error("nginx=1\ncurl=1", "ngnix", "crul", "nginx") == (
        'error: spec.yaml:3:5: no package for amd64 is named or provides "ngnix"\n'
        'spec.yaml:4:5: no package for amd64 is named or provides "crul"\n\n'
        "hint: did you mean nginx?\ndid you mean curl?"
    )


def test_a_pin_that_matches_nothing_lists_what_there_is() -> None:
    assert _error(["a=1\na=2", "a=3"], "a=4.*") == (
        'error: spec.yaml:3:5: no version answers "a=4.*"; of a there is 3 (test/suite2/main/amd64), '
        "2 (test/suite1/main/amd64), 1 (test/suite1/main/amd64)"
    )


def test_a_blocked_request_names_both_lines() -> None:
    assert _error("a=1", "a", block=("a",)) == (
        'error: spec.yaml:3:5: "a" is blocked by "a" (spec.yaml:20:5)\n\n'
        "hint: remove one of the two lines"
    )


def test_another_architecture_is_named() -> None:
    assert _error("a=1", "a:arm64") == (
        'error: spec.yaml:3:5: "a:arm64" asks for "arm64", these are packages for amd64'
    )


def test_a_need_that_is_not_there_is_the_end_of_the_chain() -> None:
    assert _error("a=1; Depends: b\nb=1; Depends: c (>= 2) | d\nc=1", "a") == (
        'error: spec.yaml:3:5: no set of packages answers "a"\n'
        '  because you ask for "a" (spec.yaml:3:5)\n'
        "  and a 1 depends on b\n"
        "  and b 1 depends on c (>= 2) | d, but of c there is 1 (test/suite1/main/amd64)"
        " and there is no d for amd64\n\n"
        'hint: change or remove "a" (spec.yaml:3:5)'
    )


def test_a_blocked_need_leads_to_both_lines() -> None:
    assert _error("a=1; Depends: b\na=2; Depends: b\nb=1", "a", block=("b",)) == (
        'error: spec.yaml:3:5: no set of packages answers "a"\n'
        '  because you ask for "a" (spec.yaml:3:5)\n'
        "  and a 2 and 1 depend on b\n"
        '  and b is blocked by "b" (spec.yaml:20:5)\n\n'
        'hint: change or remove "a" (spec.yaml:3:5) or "b" (spec.yaml:20:5)'
    )


def test_two_requests_in_conflict_are_told_with_the_reason() -> None:
    world = "a=1; Depends: c\nb=1; Depends: d\nc=1; Breaks: e (<< 2)\nd=1; Depends: e\ne=1\nz=1"
    assert _error(world, "z", "a", "b") == (
        'error: spec.yaml:4:5: no set of packages answers "a" and "b"\n'
        '  because you ask for "a" (spec.yaml:4:5)\n'
        "  and a 1 depends on c\n"
        '  and you ask for "b" (spec.yaml:5:5)\n'
        "  and b 1 depends on d\n"
        "  and d 1 depends on e\n"
        "  and c 1 breaks e (<< 2), and e is 1\n\n"
        'hint: change or remove "a" (spec.yaml:4:5) or "b" (spec.yaml:5:5)'
    )


def test_two_pins_of_one_package_are_told() -> None:
    assert _error("a=1\na=2", "a=1", "a=2") == (
        'error: spec.yaml:3:5: no set of packages answers "a=1" and "a=2"\n'
        '  because you ask for "a=1" (spec.yaml:3:5)\n'
        '  and you ask for "a=2" (spec.yaml:4:5)\n'
        "  and only one version of a can be installed\n\n"
        'hint: change or remove "a=1" (spec.yaml:3:5) or "a=2" (spec.yaml:4:5)'
    )


def test_a_set_that_does_not_hold_never_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "faults", lambda *_arguments: ("a 1 lacks b",))
    monkeypatch.setattr(resolution, "_mark", lambda *_arguments, **_options: ())
    with pytest.raises(
        RuntimeError, match=r"^strategy marker gave a set that does not hold: a 1 lacks b$"
    ):
        solve("a=1", "a")


@pytest.mark.parametrize(
    ("world", "chosen", "faults"),
    [
        ("a=1; Depends: b\nb=1", "a", ("a 1 lacks b",)),
        ("a=1; Conflicts: v\nb=1; Provides: v", "a b", ("a 1 conflicts v, which is b 1",)),
        ("a=1; Breaks: b (<< 2)\nb=1", "a b", ("a 1 breaks b (<< 2), which is b 1",)),
        ("a=1; Conflicts: v; Provides: v", "a", ()),
        ("a=1\nb=1", "b", ("nothing answers a",)),
        ("a=1", "a a", ("a is chosen twice",)),
    ],
)
def test_the_validator_sees(world: str, chosen: str, faults: tuple[str, ...]) -> None:
    from builder.packages import Dependency

    universe = Universe(DebVersions(), [index(world)], architecture="amd64")
    packages = [universe.versions(name)[0] for name in chosen.split()]
    wanted = [Dependency("request", (request("a").relation,))]
    assert validate.faults(universe, packages, wanted) == faults


def test_a_thousand_packages_in_a_chain_need_no_deep_stack() -> None:
    chain = "\n".join(f"p{n}=1; Depends: p{n + 1}" for n in range(3000)) + "\np3000=1"
    assert len(solve(chain, "p0").packages) == 3001
