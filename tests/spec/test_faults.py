"""Faults of specs: whole texts (faults.txt), all of them in one run, and what no text file can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import SpecError
from builder.spec import load_spec
from builder.spec.faults import MAX_FAULTS, Faults
from builder.spec.nodes import MAX_BYTES, MAX_NODES, Span

_CASES = [
    (summary, *rest.split("---\nerror: ", 1))
    for summary, rest in (
        block.split("\n", 1)
        for block in Path(__file__).with_name("faults.txt").read_text().split("=== ")[1:]
    )
]


def _fault(text: str | bytes, file: str = "web.yaml") -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(text, file)
    assert caught.value.exit_status == 3
    return caught.value.render()


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in _CASES], ids=[c[0] for c in _CASES])
def test_every_fault_is_told_at_its_place_with_excerpt_and_hint(text: str, expected: str) -> None:
    assert _fault(text) + "\n" == "error: " + expected


def test_each_fault_is_an_error_of_its_own_in_the_order_of_the_file() -> None:
    with pytest.raises(SpecError) as caught:
        load_spec("trim: x\ndistro: Y\nquux: 1\n", "web.yaml")
    assert str(caught.value) == "web.yaml: 3 faults"
    assert [str(fault) for fault in caught.value.faults] == [
        'web.yaml:1:7: trim: must be minimal or none, not "x"',
        'web.yaml:2:9: distro: "Y" is not a distribution',
        'web.yaml:3:1: unknown key "quux"',
    ]


def test_a_single_fault_is_the_error_itself() -> None:
    with pytest.raises(SpecError) as caught:
        load_spec("distro: debian/trixie\ntrim: x\n", "web.yaml")
    assert str(caught.value) == 'web.yaml:2:7: trim: must be minimal or none, not "x"'
    assert len(caught.value.faults) == 1


def test_faults_without_end_are_counted_not_printed() -> None:
    keys = "".join(f"key{number}: 1\n" for number in range(MAX_FAULTS + 5))
    rendered = _fault("distro: debian/trixie\n" + keys)
    assert rendered.count("unknown key") == MAX_FAULTS
    assert rendered.endswith("\n\nerror: web.yaml: 5 more faults")


def test_bytes_that_are_not_utf_8_are_pointed_at() -> None:
    assert _fault(b"distro: debian/trixie\nimage: caf\xe9\n") == (
        "error: web.yaml:2:11: byte 0xe9 is not UTF-8\n    image: caf\ufffd\n              ^\n\n"
        "hint: save the file as UTF-8"
    )


def test_utf_16_is_named() -> None:
    content = "distro: debian/trixie\n".encode("utf-16")
    assert _fault(content).startswith("error: web.yaml:1:1: UTF-16 text\n")
    assert _fault(content).endswith("\n\nhint: save the file as UTF-8")


def test_control_characters_are_pointed_at() -> None:
    assert _fault("distro: debian/trixie\nimage: a\x07b\n") == (
        "error: web.yaml:2:9: character U+0007 is not allowed in YAML\n    image: a b\n            ^\n\n"
        'hint: inside double quotes it can be written as an escape such as "\\u0007"'
    )


@pytest.mark.parametrize("character", ["\0", "\x1b", "\ud800", "\ufffe", "\ufeff"])
def test_no_unprintable_character_gives_a_traceback(character: str) -> None:
    assert f"U+{ord(character):04X} is not allowed" in _fault(f"distro: debian{character}\n")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    document = load_spec(b"\xef\xbb\xbfdistro: debian/trixie\r\npackages: [a]\r\n", "web.yaml")
    assert str(document.positions["distro"]) == "web.yaml:1:9"
    assert str(document.positions["packages[0]"]) == "web.yaml:2:12"


def test_a_file_larger_than_a_mebibyte_is_refused() -> None:
    assert _fault(b"#" * (MAX_BYTES + 1)).startswith(
        "error: web.yaml:1:1: larger than 1048576 bytes, too large for a spec"
    )


def test_a_billion_laughs_are_refused_at_the_alias_that_is_too_much() -> None:
    lines = [
        "distro: debian/trixie",
        "packages:",
        "  - &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]",
    ]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    rendered = _fault("\n".join(lines))
    assert rendered.startswith("error: web.yaml:7:40: ")
    assert f"more than {MAX_NODES} values" in rendered
    assert rendered.endswith("hint: aliases count as often as they are used")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_without_recursion(opening: str) -> None:
    rendered = _fault(opening * 100_000)
    # libyaml has a bound of its own, far from ours, that it meets first in a row of brackets.
    assert "nested more than 24 levels deep" in rendered or "exceeded maximum nesting depth" in rendered


def test_an_alias_is_faulted_where_it_is_used() -> None:
    text = "distro: debian/trixie\nconfig: {user: &u app, workdir: *u}\n"
    assert _fault(text) == (
        'error: web.yaml:2:33: config.workdir: "app" is not absolute\n'
        "    config: {user: &u app, workdir: *u}\n"
        "                                    ~^\n\nhint: write /app"
    )


@pytest.mark.parametrize("file", ["My App.yaml", "-", "<stdin>", ".yaml", "x/Ü.yaml"])
def test_a_file_name_that_cannot_name_an_image_asks_for_one(file: str) -> None:
    stem = {"My App.yaml": "My App", "x/Ü.yaml": "Ü", ".yaml": ".yaml"}.get(file, file)
    assert _fault("distro: debian/trixie\n", file) == (
        f'error: {file}:1:1: the file\'s name "{stem}" cannot be the name of the image\n'
        "    distro: debian/trixie\n    ^\n\nhint: add image: registry.example.com/team/app"
    )


def test_a_span_behind_the_last_line_has_no_excerpt() -> None:
    faults = Faults("x", "a\n")
    assert faults.excerpt(Span(7, 0, 7, 1)) is None
    assert faults.excerpt(Span(1, 0, 1, 1)) is None
