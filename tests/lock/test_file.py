"""The lock as a file: canonical, strict, and with a good word for each way it can be broken."""

from __future__ import annotations

import json
import string

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digests import Digest
from builder.errors import LockError
from builder.lock import Lock, LockedArchitecture, LockedBase, LockedPackage, read_lock, write_lock
from builder.lock.file import MAX_BYTES
from builder.lock.schema import json_schema
from builder.packages import IndexReference, Snapshot

D = Digest.of(b"")
SNAPSHOT = Snapshot(
    repository="debian",
    suite="trixie",
    codename="trixie",
    origin="Debian",
    date=1_750_000_000,
    digest=D,
    signers=("AA",),
    indexes=(
        IndexReference(
            component="main", architecture="amd64", path="dists/trixie/Packages.xz", size=3, digest=D
        ),
    ),
)


def package(
    name: str, version: str = "1", *, by: tuple[str, ...] = ("",), size: int = 4
) -> LockedPackage:
    return LockedPackage(
        name=name,
        version=version,
        architecture="amd64",
        source=name,
        source_version=version,
        repository="debian",
        suite="trixie",
        location="main",
        filename=f"pool/{name}_{version}.deb",
        size=size,
        digest=Digest.of(f"{name}{version}{size}".encode()),
        installed_size=10 * size,
        requested_by=by,
    )


def lock(*packages: LockedPackage, architecture: str = "amd64") -> Lock:
    return Lock(
        answers=D,
        distro="debian/trixie",
        epoch=1_750_000_000,
        snapshots=(SNAPSHOT,),
        architectures=(LockedArchitecture(architecture=architecture, packages=packages),),
        layers=(("libc6", "gcc"), ("nginx",)),
    )


GOOD = write_lock(lock(package("nginx"), package("libc6", by=("nginx",))))


def test_a_lock_has_one_package_a_line() -> None:
    assert GOOD.decode() == (
        "{\n"
        ' "version": 1,\n'
        f' "answers": "{D}",\n'
        ' "distro": "debian/trixie",\n'
        ' "snapshot": "",\n'
        ' "epoch": 1750000000,\n'
        ' "base": null,\n'
        ' "max_layers": 20,\n'
        ' "snapshots": [\n'
        '  {"repository":"debian","suite":"trixie","codename":"trixie","origin":"Debian",'
        f'"date":1750000000,"valid_until":null,"digest":"{D}","signers":["AA"],"is_security":false,"indexes":[\n'
        '   {"component":"main","architecture":"amd64","path":"dists/trixie/Packages.xz","size":3,'
        f'"digest":"{D}"}}\n'
        "  ]}\n"
        " ],\n"
        ' "architectures": [\n'
        '  {"architecture":"amd64","packages":[\n'
        '   {"name":"libc6","version":"1","architecture":"amd64","source":"libc6","source_version":"1",'
        '"repository":"debian","suite":"trixie","location":"main","filename":"pool/libc6_1.deb","size":4,'
        f'"digest":"{Digest.of(b"libc614")}","installed_size":40,"requested_by":["nginx"]}},\n'
        '   {"name":"nginx","version":"1","architecture":"amd64","source":"nginx","source_version":"1",'
        '"repository":"debian","suite":"trixie","location":"main","filename":"pool/nginx_1.deb","size":4,'
        f'"digest":"{Digest.of(b"nginx14")}","installed_size":40,"requested_by":[""]}}\n'
        "  ]}\n"
        " ],\n"
        ' "layers": [\n'
        '  ["libc6","gcc"],\n'
        '  ["nginx"]\n'
        " ]\n"
        "}\n"
    )


def test_digests_are_digests_again() -> None:
    again = read_lock(GOOD, "spec.lock")
    assert type(again.answers) is Digest
    assert type(again.packages("amd64")[0].digest) is Digest


_WORDS = st.text(st.sampled_from(string.ascii_lowercase + string.digits + "+-."), min_size=1, max_size=8)
_TEXTS = st.text(max_size=8)


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    architectures = draw(st.lists(_WORDS, max_size=2, unique=True))
    return Lock(
        answers=Digest.of(draw(st.binary(max_size=3))),
        distro=draw(_TEXTS),
        snapshot=draw(_TEXTS),
        epoch=draw(st.integers(0, 2**40)),
        base=draw(st.none() | st.builds(LockedBase, spec=_TEXTS, digest=st.just(D))),
        snapshots=(SNAPSHOT, *((SNAPSHOT,) if draw(st.booleans()) else ())),
        architectures=tuple(
            LockedArchitecture(architecture=architecture, packages=tuple(draw(_sets())))
            for architecture in architectures
        ),
        layers=tuple(map(tuple, draw(st.lists(st.lists(_WORDS, max_size=3), max_size=3)))),
        max_layers=draw(st.integers(1, 120)),
    )


@st.composite
def _sets(draw: st.DrawFn) -> list[LockedPackage]:
    names = draw(st.lists(_WORDS, max_size=4, unique=True))
    return [
        package(
            name,
            draw(_WORDS),
            by=tuple(sorted(draw(st.sets(st.sampled_from(["", *names]))))),
            size=draw(st.integers(1, 99)),
        )
        for name in names
    ]


@settings(max_examples=40)
@given(locks())
def test_what_is_written_is_read_as_it_was_and_written_the_same(some: Lock) -> None:
    written = write_lock(some)
    assert write_lock(read_lock(written, "x")) == written
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(written))
    assert written.endswith(b"}\n")


@settings(max_examples=40)
@given(locks())
def test_order_and_white_space_do_not_matter(some: Lock) -> None:
    written = write_lock(some)
    document = json.loads(written)
    for architecture in document["architectures"]:
        architecture["packages"].reverse()
    document["architectures"].reverse()
    assert write_lock(read_lock(json.dumps(document, indent=4).encode(), "x")) == written


_AGAIN = '\n\nhint: delete it and make it again with "imgbuild lock"'
_NEWER = '\n\nhint: update imgbuild, or delete it and make it again with "imgbuild lock"'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "x.lock: the file is empty" + _AGAIN),
        (b" \n", "x.lock: the file is empty" + _AGAIN),
        (GOOD[:60], "x.lock: the file ends too early" + _AGAIN),
        (
            GOOD.replace(b'"epoch": 1750000000,', b'"epoch": 1750000000;'),
            "x.lock:6:21: expected ',' or '}'" + _AGAIN,
        ),
        (GOOD[:40] + b"\xff" + GOOD[41:], None),
        (b"[]", 'x.lock: expected "object", got "array"' + _AGAIN),
        (b"{}", 'x.lock: object missing required field "version"' + _AGAIN),
        (GOOD.replace(b'"epoch"', b'"epok"'), 'x.lock: object contains unknown field "epok"' + _AGAIN),
        (
            GOOD.replace(b'"size":4', b'"size":"4"'),
            'x.lock: architectures[0].packages[0].size: expected "int", got "str"' + _AGAIN,
        ),
        (
            GOOD.replace(b'"component":"main"', b'"component":"main","x":1'),
            'x.lock: snapshots[0].indexes[0]: object contains unknown field "x"' + _AGAIN,
        ),
        (
            GOOD.replace(b'"answers": "sha256:e', b'"answers": "md5:e'),
            f"x.lock: answers: not a sha256 or sha512 digest: 'md5:{D[7:]}'" + _AGAIN,
        ),
        (
            GOOD.replace(b'"version": 1', b'"version": 7, "new": 1'),
            "x.lock: lock version 7, made by a newer imgbuild; this one reads 1" + _NEWER,
        ),
        (GOOD.replace(b'"version": 1', b'"version": 0'), "x.lock: lock version 0 is not known" + _AGAIN),
        (
            GOOD.replace(b' "layers"', b'<<<<<<< HEAD\n "layers"'),
            (
                "x.lock:20:1: holds the marks of a merge conflict\n\n"
                'hint: take one side as it stands, then run "imgbuild lock"'
            ),
        ),
        (
            GOOD.replace(b"pool/nginx_1.deb", b"../nginx_1.deb"),
            'x.lock: amd64: package nginx: "../nginx_1.deb" is not a path below an archive root'
            + _AGAIN,
        ),
        (
            GOOD.replace(b"pool/nginx_1.deb", b"/nginx_1.deb"),
            'x.lock: amd64: package nginx: "/nginx_1.deb" is not a path below an archive root' + _AGAIN,
        ),
        (
            GOOD.replace(b'"size":4,', b'"size":0,'),
            "x.lock: amd64: package libc6: a size is not positive" + _AGAIN,
        ),
        (
            GOOD.replace(b'"requested_by":["nginx"]', b'"requested_by":["apache2"]'),
            'x.lock: amd64: package libc6: requested by "apache2", which is not in the lock' + _AGAIN,
        ),
        (
            GOOD.replace(b'"name":"libc6"', b'"name":"nginx"'),
            "x.lock: amd64: package nginx: is there twice" + _AGAIN,
        ),
        (
            GOOD.replace(b'"suite":"trixie","location"', b'"suite":"sid","location"'),
            'x.lock: amd64: package libc6: no snapshot of suite "sid" of "debian"' + _AGAIN,
        ),
        (GOOD.replace(b"1750000000,\n", b"-1,\n"), "x.lock: epoch -1 is before 1970" + _AGAIN),
    ],
)
def test_a_lock_that_cannot_be_used_says_why(data: bytes, expected: str | None) -> None:
    with pytest.raises(LockError) as caught:
        read_lock(data, "x.lock")
    assert caught.value.exit_status == 5
    if expected is not None:
        assert caught.value.render() == "error: " + expected
    else:
        assert caught.value.render().startswith("error: x.lock:")


def test_an_architecture_twice_is_refused() -> None:
    twice = GOOD.replace(
        b' "architectures": [', b' "architectures": [{"architecture":"amd64","packages":[]},'
    )
    with pytest.raises(LockError, match=r"^x: an architecture is there twice$"):
        read_lock(twice, "x")


def test_a_lock_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(LockError, match=r"larger than 67108864 bytes, too large for a lock"):
        read_lock(bytes(MAX_BYTES + 1), "x")


@given(st.binary(max_size=40), st.integers(0, len(GOOD) - 1))
def test_no_bytes_give_anything_but_a_lock_or_an_error(junk: bytes, place: int) -> None:
    data = GOOD[:place] + junk + GOOD[place + len(junk) :]
    try:
        read = read_lock(data, "x")
    except LockError as error:
        assert error.hint  # noqa: PT017 - either outcome is right
    else:
        assert read_lock(write_lock(read), "x") == read
