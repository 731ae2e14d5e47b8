"""Versions order as dpkg's do; laws of an order; what is no version."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.formats.deb.version import compare, fault, satisfies
from builder.packages import Relation

_TABLE = [
    ("1.0", "1.0", 0),
    ("1.0", "1.0-0", 0),
    ("1.0", "1.00", 0),
    ("0:1.0", "1.0", 0),
    ("1.0~rc1", "1.0", -1),
    ("1.0~~", "1.0~", -1),
    ("1.0~~a", "1.0~~", 1),
    ("1.0-1", "1.0-0~bpo1", 1),
    ("1.0-0~", "1.0", -1),
    ("1.0", "1.0a", -1),
    ("1.0a", "1.0+", -1),
    ("1.0+b1", "1.0+b10", -1),
    ("1.9", "1.10", -1),
    ("1:0.1", "9", 1),
    ("2.36-9+deb12u10", "2.36-9+deb12u9", 1),
    ("1-2-3", "1-2-10", -1),
    ("1a0", "1a", 0),
    ("1." + "0" * 5000 + "7", "1.8", -1),
    ("1." + "9" * 5000, "1." + "8" * 5000, 1),
]

_PIECE = st.text(alphabet="0129azA.+~", min_size=1, max_size=6)
_VERSION = st.builds(
    lambda epoch, digit, upstream, revision: f"{epoch}{digit}{upstream}{revision}",
    st.sampled_from(["", "", "0:", "1:", "02:"]),
    st.sampled_from("0129"),
    st.one_of(st.just(""), _PIECE, st.builds("{}-{}".format, _PIECE, _PIECE)),
    st.one_of(st.just(""), _PIECE.map("-{}".format)),
)


@pytest.mark.parametrize(("left", "right", "expected"), _TABLE)
def test_order(left: str, right: str, expected: int) -> None:
    assert compare(left, right) == expected
    assert compare(right, left) == -expected


@given(st.lists(_VERSION, min_size=3, max_size=3))
def test_order_is_total(versions: list[str]) -> None:
    a, b, c = versions
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0
    if compare(a, b) == 0:
        assert compare(a, c) == compare(b, c)


@given(_VERSION)
def test_a_tilde_is_older_and_anything_else_is_newer(version: str) -> None:
    assert compare(f"{version}~", version) == -1
    assert compare(f"{version}+", version) == 1
    assert compare(f"{version}a", version) == 1


@pytest.mark.oracle
def test_order_is_that_of_the_perl_of_dpkg() -> None:
    _skip_without("perl", "perl -MDpkg::Version -e 1", "libdpkg-perl")
    chance = random.Random(1)  # noqa: S311 - the same versions each time

    def piece() -> str:
        return "".join(chance.choices("0129azA.+~", k=chance.randint(0, 5)))

    def version() -> str:
        revision = chance.choice(["", "-1" + piece(), "-0~" + piece()])
        return chance.choice(["", "", "0:", "1:", "02:"]) + chance.choice("019") + piece() + revision

    pairs = [(version(), version()) for _ in range(20_000)]
    script = (
        "use Dpkg::Version; while (<>) {"
        ' chomp; my ($a, $b) = split / /; print version_compare($a, $b), "\\n" }'
    )
    asked = "".join(f"{left} {right}\n" for left, right in pairs)
    ended = subprocess.run(
        ["perl", "-e", script], input=asked, capture_output=True, text=True, check=True
    )
    answers = [int(line) for line in ended.stdout.split()]
    assert [pair for pair, answer in zip(pairs, answers, strict=True) if compare(*pair) != answer] == []


@pytest.mark.oracle
@given(_VERSION, _VERSION)
@settings(max_examples=250, deadline=None)
def test_order_is_that_of_dpkg(left: str, right: str) -> None:
    _skip_without("dpkg", "dpkg --version", "dpkg")
    expected = {-1: "lt", 0: "eq", 1: "gt"}[compare(left, right)]
    ended = subprocess.run(["dpkg", "--compare-versions", left, expected, right], check=False)
    assert ended.returncode == 0


@pytest.mark.oracle
@given(st.text(alphabet="01a.+~:-_ é", max_size=6))
@settings(max_examples=250, deadline=None)
def test_what_dpkg_calls_invalid_has_a_fault(text: str) -> None:
    _skip_without("dpkg", "dpkg --version", "dpkg")
    ended = subprocess.run(["dpkg", "--validate-version", text], capture_output=True, check=False)
    # dpkg trims blanks around a version; a field's value has none.
    if text == text.strip():
        assert (ended.returncode == 0) == (fault(text) is None)


@pytest.mark.parametrize(
    ("version", "phrase"),
    [
        ("1.0", None),
        ("1:2.0-3", None),
        ("1.2-3-4", None),
        ("2147483647:1", None),
        ("", "a version cannot be empty"),
        ("1.0_1", "a version cannot contain '_'"),
        ("1.0 ", "a version cannot contain ' '"),
        ("1.0é", "a version cannot contain 'é'"),
        ("a1", "a version starts with a digit"),
        ("-1", "a version starts with a digit"),
        ("1.0-", 'nothing follows the last "-" of the version'),
        ("1:2-3:4", 'a colon cannot follow the last "-" of a version'),
        ("x:1", "the epoch of a version is a number"),
        (":1", "the epoch of a version is a number"),
        ("2147483648:1", "an epoch is at most 2147483647"),
        ("9" * 5000 + ":1", "an epoch is at most 2147483647"),
    ],
)
def test_fault(version: str, phrase: str | None) -> None:
    assert fault(version) == phrase


@pytest.mark.parametrize(
    ("version", "operator", "wanted", "holds"),
    [
        ("1.0", "", "", True),
        ("1.0", "=", "1.0-0", True),
        ("1.0", "<<", "1.0", False),
        ("1.0", "<=", "1.0", True),
        ("1.1", ">>", "1.0", True),
        ("1.0", ">=", "1.1", False),
        ("1.22.1-9", "=", "1.22.*", True),
        ("1.220", "=", "1.22.*", False),
        ("1x22.1", "=", "1.22.*", False),
        ("1.22.1-9+b1", "=", "*+b*", True),
        ("1.22.1", "=", "*", True),
    ],
)
def test_satisfies(version: str, operator: str, wanted: str, holds: bool) -> None:
    assert satisfies(version, Relation("x", operator, wanted)) is holds


def _skip_without(tool: str, command: str, package: str) -> None:
    found = shutil.which(tool) and subprocess.run(command.split(), capture_output=True, check=False)
    if not found or found.returncode:
        pytest.skip(f"{command} (Debian package: {package}) does not run: cannot ask it")
