"""The local index: every stanza found by its names, damage told, broken stanzas refused when used."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builder.errors import StoreError, TrustError
from builder.formats.deb.index import DebIndex, build_index, open_index
from builder.packages import Provide
from tests.simulators.archive import stanza

KEY = "debian/trixie/main/amd64"


class Trickle(io.RawIOBase):
    """Gives as little as it likes, as pipes do."""

    def __init__(self, content: bytes, step: int) -> None:
        self._content = io.BytesIO(content)
        self._step = step

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, self._step) if size >= 0 else self._step)


def text(*stanzas: dict[str, str]) -> bytes:
    return "".join(
        "".join(f"{name}: {value}\n" for name, value in fields.items() if value) + "\n"
        for fields in stanzas
    ).encode()


def built(content: bytes, step: int = 1 << 20) -> bytes:
    sink = io.BytesIO()
    build_index(Trickle(content, step), sink)  # type: ignore[arg-type]
    return sink.getvalue()


def opened(content: bytes, step: int = 1 << 20, key: str = KEY) -> DebIndex:
    return open_index(key, memoryview(built(content, step)))


NAME = st.text("abc1+.-", min_size=1, max_size=4).map(lambda text: "p" + text)
STANZA = st.tuples(NAME, st.integers(0, 3), st.lists(NAME, max_size=3), st.integers(0, 2000))


@settings(max_examples=150, deadline=None)
@given(st.lists(STANZA, max_size=30), st.integers(1, 3000))
@example([], 1)
def test_every_stanza_is_found_by_its_name_and_by_what_it_provides(
    drawn: list[tuple[str, int, list[str], int]], step: int
) -> None:
    stanzas = [
        stanza(name, str(version), Provides=", ".join(provides), Description="x" * padding)
        for name, version, provides, padding in drawn
    ]
    index = opened(text(*stanzas), step)
    names = {name for name, *_ in drawn}
    assert list(index.names()) == sorted(names)
    for name in names | {"absent"}:
        wanted = [str(version) for other, version, *_ in drawn if other == name]
        assert [package.version for package in index.packages(name)] == wanted
    for name in {name for *_, provides, _ in drawn for name in provides} | {"absent"}:
        wanted = [other for other, _, provides, _ in drawn if name in provides]
        assert [package.name for package in index.providers(name)] == wanted


def test_a_stanza_becomes_a_package_with_all_that_matters() -> None:
    fields = stanza(
        "b",
        "1.0+b1",
        Source="a (1.0)",
        Installed_Size="3",
        Essential="yes",
        Multi_Arch="foreign",
        Section="misc",
        Priority="required",
        Pre_Depends="x",
        Depends="c | d (>= 1)",
        Recommends="r",
        Breaks="e (<< 2)",
        Conflicts="f",
        Provides="g (= 3), h,\n i",
        Replaces="j",
        Description="one\n two",
    )
    [package] = opened(text(fields)).packages("b")
    assert (package.source, package.source_version, package.installed_size) == ("a", "1.0", 3072)
    assert (package.essential, package.multi_arch, package.repository) == (True, "foreign", KEY)
    assert [f"{d.kind} {d}" for d in package.dependencies] == [
        "pre-depends x", "depends c | d (>= 1)", "recommends r",
    ]  # fmt: skip
    assert [f"{c.kind} {c.relation}" for c in package.conflicts] == ["conflicts f", "breaks e (<< 2)"]
    assert package.provides == (Provide("g", "3"), Provide("h"), Provide("i"))
    assert [str(relation) for relation in package.replaces] == ["j"]
    assert [p.name for p in opened(text(fields)).providers("i")] == ["b"]


@pytest.mark.parametrize(
    "content",
    [
        b"package: a\nPROVIDES: v\n",
        b"Version: 1\nPackage: a\nProvides: v\n",
        b"\n\n\nPackage: a\nProvides:v\n\n\n\n",
        b"Package: a\r\nProvides: v\r\n\r\n",
        b"Package: a\nProvides: u,\n v\nMulti-Arch: no",
    ],
)
def test_spellings_that_deb822_allows_are_read(content: bytes) -> None:
    rest = "\n".join(f"{k}: {v}" for k, v in stanza("a").items() if k not in ("Package", "Version"))
    version = "" if b"Version" in content else "Version: 1\n"
    body = content.strip(b"\r\n") + f"\n{version}{rest}\n".encode()
    start = content[: len(content) - len(content.lstrip(b"\n"))]
    ends = b"\r\n" if b"\r" in content else b"\n"
    index = opened(start + body.replace(b"\r\n", b"\n").replace(b"\n", ends) + ends * 3)
    assert [package.name for package in index.packages("a")] == ["a"]
    assert [package.name for package in index.providers("v")] == ["a"]


def test_packages_for_other_machines_are_passed_over() -> None:
    index = opened(text(stanza("a", "1", "arm64"), stanza("a", "2"), stanza("a", "3", "all")))
    assert [package.version for package in index.packages("a")] == ["2", "3"]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"Version": ""}, "the stanza has no Version"),
        ({"SHA256": ""}, "the stanza has no SHA256"),
        ({"Size": ""}, "the stanza has no Size"),
        ({"SHA256": "00"}, "SHA256 is '00', which is no sha256 digest"),
        ({"Size": "-1"}, "Size is '-1', which is no number of bytes"),
        (
            {"Size": "99999999999999"},
            "Size is 99999999999999, more than the 68719476736 that is accepted",
        ),
        ({"Filename": "/etc/passwd"}, "Filename '/etc/passwd' is absolute"),
        ({"Filename": "a/../../b"}, "Filename 'a/../../b' leaves the archive: path has a \"..\" part"),
        ({"Filename": "http://x.test/a"}, "Filename 'http://x.test/a' is no path below the archive"),
        ({"Multi-Arch": "maybe"}, 'Multi-Arch is "maybe", not no, same, foreign or allowed'),
        ({"Depends": "a b c"}, "'a b c' is no relation to a package"),
        ({"x\nVersion": "2"}, "line 7 is no field: 'x'"),
    ],
)
def test_a_broken_stanza_is_refused_when_it_is_used_and_no_other(
    fields: dict[str, str], fault: str
) -> None:
    index = opened(text(stanza("good"), stanza("bad") | fields, stanza("other")))
    assert [p.name for p in (*index.packages("good"), *index.packages("other"))] == ["good", "other"]
    with pytest.raises(TrustError) as caught:
        index.packages("bad")
    assert str(caught.value) == f"package bad of index {KEY}: {fault}"


def test_a_stanza_of_absurd_size_is_refused() -> None:
    with pytest.raises(TrustError) as caught:
        built(b"Package: a\nDescription: " + b"x" * (5 << 20))
    assert str(caught.value) == "package list has a stanza of more than 4 MiB"


def test_bytes_that_are_no_text_are_refused_when_used() -> None:
    index = opened(text(stanza("a")).replace(b"Size: 1000", b"Size: \xff"))
    with pytest.raises(TrustError) as caught:
        index.packages("a")
    assert str(caught.value) == f"package a of index {KEY}: the stanza is not UTF-8"


GOOD = built(text(*(stanza(f"p{n}", Provides=f"v{n % 3}") for n in range(40))))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_index_is_a_store_error_or_still_right(place: int, flip: int) -> None:
    damaged = bytearray(GOOD)
    damaged[place] ^= flip
    try:
        index = open_index(KEY, memoryview(bytes(damaged)))
        for n in range(40):
            assert {package.name for package in index.packages(f"p{n}")} <= {f"p{n}"}
            index.providers(f"v{n % 3}")
    except StoreError as error:
        assert str(error) == f"local index of {KEY} is damaged"  # noqa: PT017


@pytest.mark.parametrize("length", [0, 10, 100, len(GOOD) - 1])
def test_an_index_cut_short_is_a_store_error(length: int) -> None:
    with pytest.raises(StoreError) as caught:
        open_index(KEY, memoryview(GOOD[:length]))
    assert str(caught.value) == f"local index of {KEY} is damaged"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_the_list_building_does_not_crash(content: bytes) -> None:
    index = opened(content)
    for name in list(index.names()):
        try:
            index.packages(name)
        except (TrustError, StoreError):
            continue
