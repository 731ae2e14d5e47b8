"""Every way a mirror can fail, with the whole text a user sees."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate

import pytest

from builder.errors import FetchError, ImgbuildError, TrustError
from builder.store.store import Store
from tests.fetch.conftest import CONTENT, MakeFetcher, text_wanted, wanted
from tests.simulators.http import Fault, WebServer

AGAIN = "try again later, or another mirror with --mirror"
GONE = (
    "the archive may have replaced it since the lock was written: run `imgbuild update`, "
    "or give a mirror that keeps it with --mirror"
)
LIE = (
    "the mirror may be in the middle of an update, or something on the way changes files; "
    "try again later, or another mirror with --mirror"
)
WRONG = b"x" * len(CONTENT)

LASTING = {
    "a file that is not there": (Fault(status=404), FetchError, "404 Not Found", GONE, 1),
    "a file that is gone": (Fault(status=410), FetchError, "410 Gone", GONE, 1),
    "a mirror that wants a password": (Fault(status=401), FetchError, "401 Unauthorized", AGAIN, 1),
    "a mirror that forbids": (Fault(status=403), FetchError, "403 Forbidden", AGAIN, 1),
    "an odd status": (Fault(status=418), FetchError, "status 418", AGAIN, 1),
    "a server in trouble": (
        Fault(status=500), FetchError, "500 Internal Server Error (4 tries)", AGAIN, 4,
    ),
    "a server too busy": (Fault(status=503), FetchError, "503 Service Unavailable (4 tries)", AGAIN, 4),
    "a busy server that asks for an hour": (
        Fault(status=503, headers={"Retry-After": "3600"}),
        FetchError, "503 Service Unavailable", AGAIN, 1,
    ),
    "a file cut short with each connection": (
        Fault(truncate=1000, ignores_range=True),
        FetchError, "ended after 1000 of 204800 bytes (4 tries)", AGAIN, 4,
    ),
    "a file cut short without a length": (
        Fault(truncate=1000, length=-1, ignores_range=True),
        FetchError, "ended after 1000 of 204800 bytes (4 tries)", AGAIN, 4,
    ),
    "a shorter file": (
        Fault(body=b"short"), FetchError, "has 5 bytes, not the 204800 declared", AGAIN, 1,
    ),
    "a longer file": (
        Fault(body=CONTENT + b"x"), FetchError, "has 204801 bytes, not the 204800 declared", AGAIN, 1,
    ),
    "a longer file without a length": (
        Fault(body=CONTENT + b"x", length=-1),
        FetchError, "more than the 204800 bytes declared came", AGAIN, 1,
    ),
    "another file of the same size": (
        Fault(body=WRONG), TrustError, "its content has another digest", LIE, 1,
    ),
    "a connection that breaks at once": (
        Fault(reset=True), FetchError, "the connection broke (4 tries)", AGAIN, 4,
    ),
    "a redirect loop": (
        Fault(redirect="/pool/a.deb"), FetchError, "redirected more than 5 times", AGAIN, 6,
    ),
    "a redirect to a local file": (
        Fault(redirect="file:///etc/passwd"),
        FetchError, "redirected to what is not an http URL: file:", AGAIN, 1,
    ),
    "a redirect to ftp": (
        Fault(redirect="ftp://example.com/x"),
        FetchError, "redirected to what is not an http URL: ftp:", AGAIN, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_ends_in_one_clear_error_and_leaves_no_blob(
    case: str, make: MakeFetcher, server: WebServer, store: Store
) -> None:
    fault, kind, reason, hint, tries = LASTING[case]
    server.fail("pool/a.deb", fault)
    with pytest.raises(ImgbuildError) as caught:
        make().blob(wanted())
    assert caught.value.render() == f"error: {server.url}/pool/a.deb: {reason}\n\nhint: {hint}"
    assert type(caught.value) is kind
    assert len(server.requests) == tries
    assert not store.has(wanted().digest)  # type: ignore[arg-type]  # it has one
    assert store.verify() == ()


PASSING = {
    "500": Fault(status=500, times=3),
    "503": Fault(status=503, times=2),
    "429": Fault(status=429, times=1),
    "408": Fault(status=408, times=1),
    "reset": Fault(reset=True, times=3),
    "truncated": Fault(truncate=70_000, times=1),
    "truncated, then no ranges": Fault(truncate=70_000, times=2, ignores_range=True),
    "no length": Fault(length=-1),
    "says it is gzip": Fault(headers={"Content-Encoding": "gzip"}),
    "redirect": Fault(redirect="/other/a.deb"),
}


@pytest.mark.parametrize("case", PASSING)
def test_a_fault_that_passes_is_got_over(
    case: str, make: MakeFetcher, server: WebServer, store: Store
) -> None:
    server.files["other/a.deb"] = CONTENT
    server.fail("pool/a.deb", PASSING[case])
    with store.open(make().blob(wanted())) as stream:
        assert stream.read() == CONTENT
    assert store.ls()[2].files == 0  # no partial download is left


def test_pauses_between_tries_double(make: MakeFetcher, server: WebServer, pauses: list[float]) -> None:
    server.fail("pool/a.deb", Fault(status=500))
    with pytest.raises(FetchError):
        make(retries=5).blob(wanted())
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_retry_after_in_seconds_is_waited_for(
    make: MakeFetcher, server: WebServer, pauses: list[float]
) -> None:
    server.fail("pool/a.deb", Fault(status=429, times=2, headers={"Retry-After": "7"}))
    make().blob(wanted())
    assert pauses == [7.0, 7.0]


def test_retry_after_as_a_date_is_waited_for(
    make: MakeFetcher, server: WebServer, pauses: list[float]
) -> None:
    date = formatdate(time.time() + 20, usegmt=True)
    server.fail("pool/a.deb", Fault(status=503, times=1, headers={"Retry-After": date}))
    make().blob(wanted())
    assert 15 < pauses[0] <= 20


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "", "٣"])
def test_a_retry_after_that_says_nothing_is_ignored(
    text: str, make: MakeFetcher, server: WebServer, pauses: list[float]
) -> None:
    server.fail(
        "pool/a.deb",
        Fault(status=503, times=1, headers={"Retry-After": text.encode().decode("latin-1")}),
    )
    make().blob(wanted())
    assert pauses == [0.5]


def test_a_stalled_body_is_given_up_and_resumed(make: MakeFetcher, server: WebServer) -> None:
    server.fail("pool/a.deb", Fault(stall=100_000, times=1))
    began = time.monotonic()
    make(timeout=0.4).blob(wanted())
    assert time.monotonic() - began < 3
    assert [seen.headers.get("range") is None for seen in server.requests] == [True, False]


def test_a_stall_before_the_headers_is_told(make: MakeFetcher, server: WebServer) -> None:
    server.fail("pool/a.deb", Fault(stall=-1))
    with pytest.raises(FetchError) as caught:
        make(timeout=0.2, retries=1).blob(wanted())
    assert str(caught.value) == f"{server.url}/pool/a.deb: no data came for 0.2 s (2 tries)"


@pytest.mark.parametrize(
    ("speed", "reason"),
    # At 40 bytes a second not even the headers come in time.
    [(40, "no data came for 0.5 s"), (400, "slower than 1000 bytes a second")],
)
def test_a_server_that_drips_is_cut_off(
    speed: int, reason: str, make: MakeFetcher, server: WebServer
) -> None:
    server.fail("pool/a.deb", Fault(speed=speed))
    began = time.monotonic()
    with pytest.raises(FetchError) as caught:
        make(timeout=0.5, retries=0, minimum_speed=1000).blob(wanted())
    assert str(caught.value) == f"{server.url}/pool/a.deb: {reason}"
    assert time.monotonic() - began < 3


def test_a_slow_server_that_is_fast_enough_is_waited_for(make: MakeFetcher, server: WebServer) -> None:
    server.fail("pool/a.deb", Fault(speed=150_000))
    make(timeout=0.5, retries=0, minimum_speed=40_000).blob(wanted())


def test_a_host_that_refuses_is_told(make: MakeFetcher, free_port: int) -> None:
    with pytest.raises(FetchError) as caught:
        make(f"http://127.0.0.1:{free_port}/debian/").blob(wanted())
    url = f"http://127.0.0.1:{free_port}/debian/pool/a.deb"
    assert caught.value.render() == f"error: {url}: connection refused (4 tries)\n\nhint: {AGAIN}"


def test_a_host_without_an_address_is_told(make: MakeFetcher) -> None:
    with pytest.raises(FetchError) as caught:
        make("http://nowhere.invalid", retries=0).blob(wanted())
    assert str(caught.value) == "http://nowhere.invalid/pool/a.deb: the host name cannot be resolved"


def test_plain_http_where_tls_is_expected_is_told(make: MakeFetcher, server: WebServer) -> None:
    with pytest.raises(FetchError) as caught:
        make(server.url.replace("http:", "https:")).blob(wanted())
    assert str(caught.value) == (
        f"https://127.0.0.1:{server.port}/pool/a.deb: "
        "the server's certificate or its TLS is not acceptable"
    )


def test_what_is_not_http_is_told(make: MakeFetcher, free_port: int) -> None:
    import threading

    listener = socket.create_server(("127.0.0.1", free_port))

    def talk() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(b"220 mail.example.com ESMTP\r\n" * 3)

    thread = threading.Thread(target=talk)
    thread.start()
    with pytest.raises(FetchError) as caught:
        make(f"http://127.0.0.1:{free_port}", retries=0).blob(wanted())
    thread.join()
    assert str(caught.value) == f"http://127.0.0.1:{free_port}/pool/a.deb: the connection broke"


def test_a_text_that_is_too_long_is_refused_before_and_while_it_comes(
    make: MakeFetcher, server: WebServer
) -> None:
    server.files["dists/x/InRelease"] = b"x" * 1001
    with pytest.raises(FetchError) as caught:
        make().text(text_wanted())
    url = f"{server.url}/dists/x/InRelease"
    assert str(caught.value) == f"{url}: has 1001 bytes, more than the 1000 bytes allowed"
    server.fail("dists/x/InRelease", Fault(length=-1))
    with pytest.raises(FetchError) as caught:
        make().text(text_wanted())
    assert str(caught.value) == f"{url}: more than the 1000 bytes allowed came"


def test_an_encoded_text_is_refused(make: MakeFetcher, server: WebServer) -> None:
    server.fail("dists/x/InRelease", Fault(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(FetchError) as caught:
        make().text(text_wanted())
    assert str(caught.value) == (
        f"{server.url}/dists/x/InRelease: encoded as gzip, which was not asked for"
    )


def test_nothing_is_asked_of_a_length_beyond_the_limit(make: MakeFetcher, server: WebServer) -> None:
    server.fail("dists/x/InRelease", Fault(body=b"", length=10**15))
    with pytest.raises(FetchError, match="more than the 1000 bytes allowed"):
        make(timeout=60).text(text_wanted())


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
