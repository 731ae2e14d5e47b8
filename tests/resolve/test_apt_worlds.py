"""Small worlds, each with what apt makes of it; the real apt is asked as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import ResolveError
from tests.oracle import apt
from tests.resolve.worlds import names, solve, stanzas

_REFUSED = "nothing"

# summary, world, requests, recommends, expected
_WORLDS = [
    (
        "pre-dependencies and dependencies are followed",
        "a=1; Pre-Depends: b; Depends: c (>= 2)\nb=1\nc=2\nd=1",
        "a",
        False,
        "a=1 b=1 c=2",
    ),
    ("the first alternative is taken", "a=1; Depends: b | c\nb=1\nc=1", "a", False, "a=1 b=1"),
    (
        "an alternative that is chosen already is enough",
        "a=1; Depends: b | c\nb=1\nc=1",
        "a c",
        False,
        "a=1 c=1",
    ),
    (
        "an alternative that cannot be is passed over",
        "a=1; Depends: b | c\nb=1; Depends: none\nc=1",
        "a",
        False,
        "a=1 c=1",
    ),
    (
        "an alternative whose needs fail deeper is passed over",
        "a=1; Depends: b | c\nb=1; Depends: d\nd=1; Depends: none\nc=1",
        "a",
        False,
        "a=1 c=1",
    ),
    (
        "what was taken for a failed alternative is not kept",
        "a=1; Depends: b | c\nb=1; Depends: e, d\nd=1; Depends: f\nf=1; Depends: none\nc=1\ne=1",
        "a",
        False,
        "a=1 c=1",
    ),
    (
        "recommendations are followed when wanted",
        "a=1; Recommends: b | c\nb=1; Recommends: d\nc=1\nd=1",
        "a",
        True,
        "a=1 b=1 d=1",
    ),
    ("recommendations are left when not", "a=1; Recommends: b\nb=1", "a", False, "a=1"),
    (
        "a recommendation that cannot be is left",
        "a=1; Recommends: b\nb=1; Depends: none",
        "a",
        True,
        "a=1",
    ),
    (
        "a recommendation in conflict with the request is left",
        "a=1; Conflicts: b; Recommends: b\nb=1",
        "a",
        True,
        "a=1",
    ),
    (
        "the real package comes before those that provide its name",
        "a=1; Depends: b\nb=1\nc=1; Provides: b; Priority: required",
        "a",
        False,
        "a=1 b=1",
    ),
    (
        "of several providers the most important is taken",
        "a=1; Depends: v\nb=1; Provides: v\nc=1; Provides: v; Priority: important\nd=1; Provides: v",
        "a",
        False,
        "a=1 c=1",
    ),
    (
        "of equal providers the one that is met last is taken",
        "a=1; Depends: v\nb=1; Provides: v\nc=1; Provides: v\nd=1; Provides: v",
        "a",
        False,
        "a=1 d=1",
    ),
    (
        "a provider that is mentioned early is met early",
        "a=1; Depends: v; Suggests: d\nb=1; Provides: v\nc=1; Provides: v\nd=1; Provides: v",
        "a",
        False,
        "a=1 c=1",
    ),
    (
        "an essential provider comes first",
        "a=1; Depends: v\nb=1; Provides: v; Essential: yes\nc=1; Provides: v; Priority: required",
        "a",
        False,
        "a=1 b=1",
    ),
    (
        "a provide without a version answers no version",
        "a=1; Depends: v (>= 1) | c\nb=2; Provides: v\nc=1",
        "a",
        False,
        "a=1 c=1",
    ),
    (
        "a provide with a version answers it",
        "a=1; Depends: v (>= 1) | c\nb=2; Provides: v (= 3)\nc=1",
        "a",
        False,
        "a=1 b=2",
    ),
    ("the newest version is the candidate", "a=1\na=2\na=1.5", "a", False, "a=2"),
    ("a pinned version is the candidate", "a=1\na=2\na=1.5", "a=1.5", False, "a=1.5"),
    ("a pattern takes the newest that fits", "a=1.1\na=2\na=1.5", "a=1.*", False, "a=1.5"),
    (
        "what is asked for beats a first alternative in conflict with it",
        "a=1; Depends: b | c\nb=1; Conflicts: d\nc=1\nd=1",
        "a d",
        False,
        "a=1 c=1 d=1",
    ),
    (
        "breaks of an older version leave the newer alone",
        "a=1; Depends: b; Breaks: c (<< 2)\nb=1; Depends: c\nc=2",
        "a",
        False,
        "a=1 b=1 c=2",
    ),
    (
        "a conflict with one's own provide is none",
        "a=1; Depends: b\nb=1; Provides: v; Conflicts: v",
        "a",
        False,
        "a=1 b=1",
    ),
    ("a circle of dependencies is fine", "a=1; Depends: b\nb=1; Depends: a", "a", False, "a=1 b=1"),
    (
        ":any is answered by Multi-Arch: allowed",
        "a=1; Depends: b:any\nb=1; Multi-Arch: allowed",
        "a",
        False,
        "a=1 b=1",
    ),
    (
        ":any is not answered by Multi-Arch: foreign",
        "a=1; Depends: b:any\nb=1; Multi-Arch: foreign",
        "a",
        False,
        _REFUSED,
    ),
    (
        ":any is answered by what an allowed package provides",
        "a=1; Depends: v:any\nb=1; Multi-Arch: allowed; Provides: v",
        "a",
        False,
        "a=1 b=1",
    ),
    ("the own architecture may be named", "a=1; Depends: b:amd64\nb=1", "a", False, "a=1 b=1"),
    ("another architecture has nothing", "a=1; Depends: b:arm64\nb=1", "a", False, _REFUSED),
    (
        "packages for all architectures count",
        "a=1; Depends: b\nb=1; Architecture: all",
        "a",
        False,
        "a=1 b=1",
    ),
    (
        "packages for another architecture do not",
        "a=1; Depends: b\nb=1; Architecture: arm64",
        "a",
        False,
        _REFUSED,
    ),
    ("two requests in conflict have no answer", "a=1; Conflicts: b\nb=1", "a b", False, _REFUSED),
    ("a need that is not there has no answer", "a=1; Depends: none", "a", False, _REFUSED),
    (
        "the only answer of a protected package rules out its rivals",
        "a=1; Depends: b, c | d\nb=1; Conflicts: c\nc=1\nd=1",
        "a",
        False,
        "a=1 b=1 d=1",
    ),
]
_IDS = [world[0] for world in _WORLDS]


def _ours(world: str, texts: str, recommends: bool) -> str:
    try:
        return names(solve(world, *texts.split(), recommends=recommends))
    except ResolveError:
        return _REFUSED


@pytest.mark.parametrize(
    ("world", "texts", "recommends", "expected"), [w[1:] for w in _WORLDS], ids=_IDS
)
def test_small_world(world: str, texts: str, recommends: bool, expected: str) -> None:
    assert _ours(world, texts, recommends) == expected


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("world", "texts", "recommends", "expected"), [w[1:] for w in _WORLDS], ids=_IDS
)
def test_small_world_is_what_apt_makes_of_it(
    tmp_path: Path, world: str, texts: str, recommends: bool, expected: str
) -> None:
    apt.require_apt()
    answer = apt.local(tmp_path, stanzas(world)).install(*texts.split(), recommends=recommends)
    versions = " ".join(f"{name}={version}" for name, version in sorted(answer.versions.items()))
    assert (versions if answer.is_solved else _REFUSED) == expected, answer.text


def test_a_set_that_apt_does_not_find_is_found() -> None:
    # Only the old version of b goes with c, and apt looks at candidates alone.
    world = "a=1; Depends: b, c\nb=1\nb=2; Conflicts: c\nc=1"
    result = solve(world, "a")
    assert (names(result), result.strategy) == ("a=1 b=1 c=1", "solver")
