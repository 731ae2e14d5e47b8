"""Relations as control files and specs write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.formats.deb.relations import (
    parse_conflicts,
    parse_dependencies,
    parse_provides,
    parse_relations,
    parse_request,
)
from builder.packages import Conflict, Dependency, Provide, Relation


def test_alternatives_versions_and_architectures() -> None:
    text = "libc6 (>= 2.36), python3:any | python3.11:native, awk"
    assert parse_dependencies(text, "depends") == (
        Dependency("depends", (Relation("libc6", ">=", "2.36"),)),
        Dependency(
            "depends", (Relation("python3", qualifier="any"), Relation("python3.11", qualifier="native"))
        ),
        Dependency("depends", (Relation("awk"),)),
    )


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("a", Relation("a")),
        ("  a  ", Relation("a")),
        ("a(=1)", Relation("a", "=", "1")),
        ("a ( >= 1:2-3 )", Relation("a", ">=", "1:2-3")),
        ("a (< 1)", Relation("a", "<=", "1")),
        ("a (> 1)", Relation("a", ">=", "1")),
        ("a:arm64 (<< 1)", Relation("a", "<<", "1", "arm64")),
        ("a (>= 1) [amd64 !arm64]", Relation("a", ">=", "1")),
        ("a [linux-any] <!nocheck> <stage1>", Relation("a")),
        ("lib++.x-y_z", Relation("lib++.x-y_z")),
    ],
)
def test_relation(text: str, relation: Relation) -> None:
    assert parse_relations(text) == (relation,)


def test_empty_groups_are_passed_over() -> None:
    assert parse_relations(" a, , b,\n") == (Relation("a"), Relation("b"))
    assert parse_relations("") == ()
    assert parse_dependencies("", "depends") == ()


def test_conflicts_bear_their_kind() -> None:
    assert parse_conflicts("a (<< 1)", "breaks") == (Conflict("breaks", Relation("a", "<<", "1")),)


def test_provides_have_the_version_of_an_equals_sign_alone() -> None:
    assert parse_provides("a, b (= 2), c (>= 3)") == (Provide("a"), Provide("b", "2"))


@pytest.mark.parametrize(
    "text", ["(>= 1)", "a (1)", "a (>= 1", "a b", "a (= 1) x", "-a", "a:", "a | | b", "é"]
)
def test_what_is_no_relation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'.*' is no relation to a package$"):
        parse_dependencies(text, "depends")


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_relations, parse_provides, parse_request):
        with suppress(ValueError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("nginx", Relation("nginx")),
        ("r", Relation("r")),
        ("g++", Relation("g++")),
        ("nginx>=1.22", Relation("nginx", ">=", "1.22")),
        (" nginx  >= 1.22 ", Relation("nginx", ">=", "1.22")),
        ("nginx (>= 1.22)", Relation("nginx", ">=", "1.22")),
        ("nginx=1.22.*", Relation("nginx", "=", "1.22.*")),
        ("nginx=*", Relation("nginx", "=", "*")),
        ("nginx<<1:2~rc1-3", Relation("nginx", "<<", "1:2~rc1-3")),
        ("nginx:any", Relation("nginx", qualifier="any")),
        ("nginx:arm64=1.2", Relation("nginx", "=", "1.2", "arm64")),
    ],
)
def test_request(text: str, relation: Relation) -> None:
    assert parse_request(text) == relation


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "the name of a package is missing"),
        ("  ", "the name of a package is missing"),
        ("NGINX", '"NGINX" is no name of a package'),
        ("ngi_nx", '"ngi_nx" is no name of a package'),
        ("nginx-", '"nginx-" ends in "-": to keep a package out, list it under block'),
        ("nginx:", 'nothing follows the colon of "nginx:"'),
        (
            "nginx/trixie-backports",
            '"nginx/trixie-backports" names a suite: a request takes a version, such as "=1.22.*"',
        ),
        ("nginx, curl", '"nginx, curl" is more than one package: give each its own entry'),
        ("nginx | curl", '"nginx | curl" is more than one package: give each its own entry'),
        ("nginx curl", '"nginx curl" is no request such as "nginx" or "nginx>=1.22"'),
        ("nginx (>= 1", '"nginx (>= 1" is no request such as "nginx" or "nginx>=1.22"'),
        ("nginx>=", 'no version follows ">="'),
        (
            "nginx>1.22",
            '">" does not compare versions: write ">>" for newer or ">=" for newer or equal',
        ),
        (
            "nginx<1.22",
            '"<" does not compare versions: write "<<" for older or "<=" for older or equal',
        ),
        ("nginx==1.22", '"==" does not compare versions: write "="'),
        ("nginx~=1.22", '"~=" does not compare versions: write a pattern such as "=1.22.*"'),
        ("nginx!=1.22", '"!=" does not compare versions: the operators are <<, <=, =, >= and >>'),
        ("nginx>=1.*", "\"1.*\" is no version: a version cannot contain '*'"),
        ("nginx=abc", '"abc" is no version: a version starts with a digit'),
    ],
)
def test_what_is_no_request_is_refused_with_a_phrase(text: str, phrase: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is looked at
        parse_request(text)
    assert str(caught.value) == phrase
