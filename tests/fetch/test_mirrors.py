"""Which mirror is asked, for what, with whose password; local archives; what is said of each."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from builder.errors import FetchError, OfflineError, TrustError
from builder.fetch.request import Address, address
from builder.store.store import Store
from tests.fetch.conftest import CONTENT, MakeFetcher, text_wanted, wanted
from tests.fetch.test_faults import AGAIN, GONE, LIE, WRONG
from tests.simulators.http import Fault, WebServer


def test_the_next_mirror_is_asked_at_once_where_the_first_lacks_it(
    make: MakeFetcher, server: WebServer, pauses: list[float]
) -> None:
    with WebServer() as empty:
        make(empty.url, server.url).blob(wanted())
        assert (len(empty.requests), len(server.requests), pauses) == (1, 1, [])


def test_a_lying_mirror_is_passed_over(make: MakeFetcher, server: WebServer, store: Store) -> None:
    with WebServer({"pool/a.deb": WRONG}) as liar:
        make(liar.url, server.url).blob(wanted())
        assert len(liar.requests) == 1
    assert store.verify() == ()


def test_an_exhausted_mirror_hands_its_part_to_the_next(make: MakeFetcher, server: WebServer) -> None:
    with WebServer({"pool/a.deb": CONTENT}) as weak:
        weak.fail("pool/a.deb", Fault(truncate=50_000, times=1), Fault(status=500))
        make(weak.url, server.url).blob(wanted())
    assert server.requests[0].headers["range"] == "bytes=50000-"


def test_a_part_of_a_liar_does_not_count_against_the_honest(
    make: MakeFetcher, server: WebServer
) -> None:
    with WebServer({"pool/a.deb": WRONG}) as liar:
        liar.fail("pool/a.deb", Fault(truncate=50_000, times=1), Fault(status=404))
        make(liar.url, server.url).blob(wanted())
    assert [seen.headers.get("range") for seen in server.requests] == ["bytes=50000-", None]


def test_each_mirror_is_named_with_its_reason(make: MakeFetcher, server: WebServer) -> None:
    server.fail("pool/a.deb", Fault(status=500))
    with WebServer() as empty:
        with pytest.raises(FetchError) as caught:
            make(empty.url, server.url).blob(wanted())
        assert caught.value.render() == (
            "error: pool/a.deb: none of 2 mirrors gave it\n"
            f"  {empty.url}/pool/a.deb: 404 Not Found\n"
            f"  {server.url}/pool/a.deb: 500 Internal Server Error (4 tries)\n\n"
            f"hint: {AGAIN}"
        )


def test_one_liar_among_the_mirrors_makes_it_a_matter_of_trust(
    make: MakeFetcher, server: WebServer
) -> None:
    server.files["pool/a.deb"] = WRONG
    with WebServer() as empty:
        with pytest.raises(TrustError) as caught:
            make(empty.url, server.url).blob(wanted())
        assert caught.value.render() == (
            "error: pool/a.deb: none of 2 mirrors gave it\n"
            f"  {empty.url}/pool/a.deb: 404 Not Found\n"
            f"  {server.url}/pool/a.deb: its content has another digest\n\n"
            f"hint: {LIE}"
        )


def test_an_optional_file_may_be_missing_only_where_every_mirror_says_so(
    make: MakeFetcher, server: WebServer
) -> None:
    request = text_wanted("dists/x/Release.gpg", optional=True)
    with WebServer() as empty:
        assert make(empty.url, server.url).text(request) is None
        assert make(server.url).answer(request) is None
        assert make(server.url).answer(wanted("none", optional=True)) is None
        empty.fail("dists/x/Release.gpg", Fault(status=500))
        with pytest.raises(FetchError):
            make(server.url, empty.url).text(request)


def test_a_password_goes_to_its_own_host_only_and_into_no_message(
    make: MakeFetcher, server: WebServer
) -> None:
    with WebServer() as other:
        server.fail("pool/a.deb", Fault(redirect=f"{other.url}/pool/a.deb"))
        mirror = server.url.replace("//", "//user:p%40ss@")
        with pytest.raises(FetchError) as caught:
            make(mirror).blob(wanted())
        token = base64.b64encode(b"user:p@ss").decode()
        assert server.requests[0].headers["authorization"] == f"Basic {token}"
        assert "authorization" not in other.requests[0].headers
        assert caught.value.render() == f"error: {server.url}/pool/a.deb: 404 Not Found\n\nhint: {GONE}"


def test_a_password_stays_with_the_host_through_its_own_redirect(
    make: MakeFetcher, server: WebServer
) -> None:
    server.files["other/a.deb"] = CONTENT
    server.fail("pool/a.deb", Fault(redirect="../other/a.deb"))
    make(server.url.replace("//", "//user:secret@")).blob(wanted())
    assert all("authorization" in seen.headers for seen in server.requests)


def test_a_password_in_a_redirect_is_not_sent(make: MakeFetcher, server: WebServer) -> None:
    server.files["other/a.deb"] = CONTENT
    target = server.url.replace("//", "//thief:secret@")
    server.fail("pool/a.deb", Fault(redirect=f"{target}/other/a.deb"))
    make().blob(wanted())
    assert not any("authorization" in seen.headers for seen in server.requests)


def test_cookies_are_not_kept(make: MakeFetcher, server: WebServer) -> None:
    server.fail("dists/x/InRelease", Fault(headers={"Set-Cookie": "track=1; Path=/"}))
    fetcher = make()
    for _ in range(2):  # of one session, since in one thread
        fetcher.text(text_wanted())
    assert not any("cookie" in seen.headers for seen in server.requests)


def test_bodies_are_asked_for_as_they_are(make: MakeFetcher, server: WebServer) -> None:
    make().blob(wanted())
    headers = server.requests[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("imgbuild/")


def test_a_connection_is_kept_for_the_next_file(make: MakeFetcher, server: WebServer) -> None:
    files = {f"pool/{number}.deb": b"%d" % number for number in range(20)}
    server.files.update(files)
    requests = [wanted(path, content) for path, content in files.items()]
    assert len(list(make(jobs=2).blobs(requests))) == 20
    assert len({seen.connection for seen in server.requests}) == 2


def test_a_missing_file_does_not_cost_the_connection(make: MakeFetcher, server: WebServer) -> None:
    fetcher = make()
    for number in range(3):
        assert fetcher.text(text_wanted(f"none{number}", optional=True)) is None
    assert len({seen.connection for seen in server.requests}) == 1


def test_a_proxy_of_the_environment_is_used(
    make: MakeFetcher, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    make("http://archive.test/debian").text(text_wanted(optional=True))
    assert server.requests[0].headers["host"] == "archive.test"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_local_archive_is_held_to_the_same_rules(
    scheme: str, make: MakeFetcher, store: Store, tmp_path: Path
) -> None:
    root = tmp_path / "my archive"
    (root / "pool").mkdir(parents=True)
    deb = root / "pool/a.deb"
    mirror = f"{scheme}{root}".replace(" ", "%20" if scheme else " ")
    deb.write_bytes(CONTENT)
    assert store.has(make(mirror).blob(wanted()))
    store.gc(0)

    for content, reason, kind in (
        (WRONG, "its content has another digest", TrustError),
        (b"short", "has 5 bytes, not the 204800 declared", FetchError),
        (None, "no such file", FetchError),
    ):
        deb.unlink()
        if content is not None:
            deb.write_bytes(content)
        with pytest.raises(kind) as caught:
            make(mirror).blob(wanted())
        assert str(caught.value) == f"{deb}: {reason}"
    deb.mkdir()
    with pytest.raises(FetchError, match="not a regular file"):
        make(mirror).blob(wanted())
    deb.rmdir()
    os.mkfifo(deb)
    with pytest.raises(FetchError, match="not a regular file"):
        make(mirror).blob(wanted())


def test_offline_names_what_is_missing(make: MakeFetcher, server: WebServer) -> None:
    fetcher = make(offline=True)
    hint = "run the same command once without --offline, on this machine or with this cache"
    for act, text in (
        (lambda: fetcher.blob(wanted()), "pool/a.deb: the cache lacks it"),
        (
            lambda: list(fetcher.blobs([wanted(), wanted("b", b"b"), wanted("c", b"c")])),
            "pool/a.deb: the cache lacks it and 2 other files",
        ),
        (lambda: fetcher.text(text_wanted()), "dists/x/InRelease: the cache lacks it"),
        (lambda: fetcher.answer(wanted()), "pool/a.deb: the cache lacks it"),
    ):
        with pytest.raises(OfflineError) as caught:
            act()
        assert caught.value.render() == (
            f"error: {text}, and the network may not be asked\n\nhint: {hint}"
        )
    assert server.requests == []


def test_offline_serves_what_the_store_has(make: MakeFetcher, store: Store) -> None:
    digest = store.put(CONTENT)
    assert make(offline=True).blob(wanted()) == digest


def test_a_repository_without_mirrors_is_told(make: MakeFetcher) -> None:
    with pytest.raises(FetchError) as caught:
        make().blob(wanted(repository="internal"))
    assert caught.value.render() == (
        'error: pool/a.deb: no mirror is known for "internal" (main)\n\n'
        "hint: name one in the spec or with --mirror"
    )


def test_a_mirror_of_another_scheme_is_told_without_its_password() -> None:
    with pytest.raises(FetchError) as caught:
        address("ftp://me:secret@example.com/debian", "a")
    assert caught.value.render() == (
        "error: ftp://example.com/debian: a mirror is an http, https or file URL, or the path of a "
        "folder\n\nhint: correct the mirror in the spec, with --mirror, or where the host's own tools "
        "name it"
    )


@pytest.mark.parametrize(
    "path", ["", "../x", "a/../../x", "/etc/passwd", "a//b", "a\nb", "a\0b", "a\\..\\b", "a/"]
)
def test_a_path_that_could_leave_the_mirror_is_refused(path: str) -> None:
    with pytest.raises(FetchError) as caught:
        address("http://example.com", path)
    assert str(caught.value) == f"not a path below an archive's root: {path!r}"


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("http://a.test/debian/", "pool/g++_1~a.deb", "http://a.test/debian/pool/g%2B%2B_1~a.deb"),
        ("http://a.test", "./Packages", "http://a.test/Packages"),
        ("https://a.test:8443/x", "a%3ab c?d#e", "https://a.test:8443/x/a%253ab%20c%3Fd%23e"),
        ("http://[::1]:80/d", "é", "http://[::1]:80/d/%C3%A9"),
    ],
)
def test_paths_are_quoted(base: str, path: str, expected: str) -> None:
    assert address(base, path) == Address(expected)


def test_quoted_paths_arrive(make: MakeFetcher, server: WebServer) -> None:
    path = "pool/g++ 100%/é~#?.deb"
    server.files[path] = CONTENT
    make().blob(wanted(path))
    assert server.paths == [path]
