"""What patterns leave out, as tables."""

from __future__ import annotations

import pytest

from builder.fragments.patterns import compile_patterns


@pytest.mark.parametrize(
    ("patterns", "out", "kept"),
    [
        ((), "", "a a/b"),
        (
            ("-usr/man/**",),
            "usr/man/a usr/man/a/b usr/man/a/",
            "usr/man usr/man/ usr/manual/a x/usr/man/a",
        ),
        (("/usr/man",), "usr/man usr/man/ usr/man/a/b", "usr/manual x/usr/man"),
        (("usr/doc/*/",), "usr/doc/a/ usr/doc/a/b usr/doc/a/b/", "usr/doc/a usr/doc/"),
        (("*.pyc",), "a.pyc usr/lib/b.pyc c.pyc/d", "a.py pyc"),
        (("/*.pyc",), "a.pyc", "usr/lib/b.pyc"),
        (("usr/*/x",), "usr/a/x usr/a/x/y", "usr/a/b/x usr/x"),
        (("usr/**/x",), "usr/a/x usr/a/b/x usr/x", "usr/ax x"),
        (("**/x",), "x a/x a/b/x", "ax a/bx"),
        (("a?c",), "abc x/aéc", "ac a/c abbc"),
        (("a[b-d]e",), "abe ade", "aae a/e"),
        (("a[!b]e",), "aae", "abe a/e"),
        (("a.b+c",), "a.b+c", "axb+c a.bbc"),
        (("-usr/**", "+usr/bin/**", "-usr/bin/x"), "usr/a usr/bin usr/bin/x", "usr/bin/y usr"),
        (("+a", "-**"), "a b", ""),
        (("-**", "+a"), "b", "a a/b"),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns: tuple[str, ...], out: str, kept: str) -> None:
    is_out = compile_patterns(patterns)
    assert [path for path in out.split() if not is_out(path)] == []
    assert [path for path in kept.split() if is_out(path)] == []


@pytest.mark.parametrize("pattern", ["", "-", "/", "+//"])
def test_a_pattern_that_names_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="names no path") as caught:
        compile_patterns([pattern])
    assert str(caught.value) == f'pattern "{pattern}" names no path'
