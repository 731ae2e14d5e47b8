"""Many files at once: order, latency, resuming, progress, cancelling, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from builder.digests import Digest
from builder.errors import FetchError, StoreError
from builder.reporting import Event, StageAdvanced, StageBegan, StageEnded
from builder.store.store import Store
from tests.fetch.conftest import CONTENT, MakeFetcher, text_wanted, wanted
from tests.simulators.http import Fault, Seen, WebServer

FILES = {f"pool/{number}.deb": b"%d " % number * 500 for number in range(40)}
REQUESTS = [wanted(path, content) for path, content in FILES.items()]


def test_blobs_land_in_the_store_each_once(make: MakeFetcher, server: WebServer, store: Store) -> None:
    server.files.update(FILES)
    landed = list(make().blobs(REQUESTS))
    assert sorted(landed, key=REQUESTS.index) == REQUESTS
    assert sorted(server.paths) == sorted(FILES)
    assert all(store.has(request.digest) for request in REQUESTS if request.digest)


def test_downloads_begin_in_the_order_asked_for(make: MakeFetcher, server: WebServer) -> None:
    server.files.update(FILES)
    list(make(jobs=1).blobs(REQUESTS))
    assert server.paths == list(FILES)


def test_blobs_are_yielded_as_they_land(make: MakeFetcher, server: WebServer) -> None:
    server.files.update(FILES)
    slow = REQUESTS[0]
    server.fail(slow.path, Fault(speed=4000))
    landed = list(make(jobs=2).blobs(REQUESTS))
    assert landed[-1] == slow
    assert len(landed) == len(REQUESTS)


def test_what_the_store_has_is_yielded_first_while_the_rest_is_on_its_way(
    make: MakeFetcher, server: WebServer, store: Store
) -> None:
    server.files.update(FILES)
    for content in list(FILES.values())[20:]:
        store.put(content)
    landing = make(jobs=20).blobs(REQUESTS)
    assert next(landing) == REQUESTS[20]
    deadline = time.monotonic() + 5
    while len(server.requests) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(server.requests) == 20  # though nobody has asked for the second yet
    assert len(list(landing)) == 39


def test_hits_ask_nothing_and_report_nothing(make: MakeFetcher, server: WebServer, store: Store) -> None:
    store.put(CONTENT)
    events: list[Event] = []
    assert list(make(report=events.append).blobs([wanted()])) == [wanted()]
    assert (server.requests, events) == ([], [])


def test_progress_adds_up_to_what_was_announced(make: MakeFetcher, server: WebServer) -> None:
    server.files.update(FILES)
    server.fail("pool/a.deb", Fault(truncate=100_000, times=1), Fault(ignores_range=True, times=1))
    events: list[Event] = []
    list(make(report=events.append).blobs([*REQUESTS, wanted()]))
    total = sum(map(len, FILES.values())) + len(CONTENT)
    assert events[0] == StageBegan("fetch", total, "bytes")
    assert sum(event.amount for event in events if isinstance(event, StageAdvanced)) == total
    assert events[-1] == StageEnded("fetch", "41 files, 0.3 MB")
    assert min(event.amount for event in events if isinstance(event, StageAdvanced)) < 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(ignores_range=True),
        Fault(content_range="bytes 0-9/10"),
        Fault(content_range="lies"),
        Fault(content_range=f"bytes 100000-204799/{len(CONTENT) + 1}"),
        Fault(shift=7),
        Fault(shift=-7),
        Fault(status=416),
    ],
    ids=lambda fault: f"{fault.content_range or fault.shift or fault.status or 'ignores'}",
)
def test_a_resumed_download_is_right_whatever_the_server_makes_of_ranges(
    fault: Fault, make: MakeFetcher, server: WebServer, store: Store
) -> None:
    with store.partial(Digest.of(CONTENT)) as partial:
        partial.write(CONTENT[:100_000])
    with WebServer({"pool/a.deb": CONTENT}) as good:
        server.fail("pool/a.deb", Fault(**{**vars(fault), "times": 1}))
        make(server.url, good.url).blob(wanted())
    assert server.requests[0].headers["range"] == "bytes=100000-"
    assert store.verify() == ()


def test_a_part_that_is_whole_needs_no_network(
    make: MakeFetcher, server: WebServer, store: Store
) -> None:
    with store.partial(Digest.of(CONTENT)) as partial:
        partial.write(CONTENT)
    make().blob(wanted())
    assert server.requests == []


@pytest.mark.parametrize("part", [b"x" * len(CONTENT), b"x" * (len(CONTENT) + 9), b"x" * 5000])
def test_a_part_that_is_wrong_is_thrown_away(
    part: bytes, make: MakeFetcher, server: WebServer, store: Store
) -> None:
    with store.partial(Digest.of(CONTENT)) as partial:
        partial.write(part)
    make().blob(wanted())
    assert store.verify() == ()


def test_a_file_that_changes_between_two_tries_ends_right(
    make: MakeFetcher, server: WebServer, store: Store
) -> None:
    """The server replaces a wrong file while we fetch it: what came of the first does not stay."""
    server.files["pool/a.deb"] = b"y" * len(CONTENT)
    server.fail("pool/a.deb", Fault(truncate=90_000, times=1))

    def change(seen: Seen) -> None:
        if len(server.requests) > 1:
            server.files["pool/a.deb"] = CONTENT

    server.on_request = change
    make().blob(wanted())
    assert store.verify() == ()


def test_a_line_that_breaks_often_gets_there(make: MakeFetcher, server: WebServer) -> None:
    content = os.urandom(1_000_000)
    server.files["pool/big.deb"] = content
    server.fail("pool/big.deb", Fault(truncate=90_000))
    make(retries=1).blob(wanted("pool/big.deb", content))
    assert len(server.requests) == 12


def test_chunked_answers_are_read_and_broken_ones_resumed(
    make: MakeFetcher, server: WebServer, store: Store
) -> None:
    size = f"{len(CONTENT):x}".encode()
    chunked = {"Transfer-Encoding": "chunked"}
    whole = size + b"\r\n" + CONTENT + b"\r\n0\r\n\r\n"
    server.fail("pool/a.deb", Fault(body=whole, length=-1, headers=chunked))
    make().blob(wanted())
    assert len(server.requests) == 1
    store.gc(0)
    server.fail("pool/a.deb", Fault(body=whole[:80_000], length=-1, headers=chunked, times=1))
    make().blob(wanted())
    assert len(server.requests) == 3
    server.fail("dists/x/InRelease", Fault(body=b"6\r\nsig", length=-1, headers=chunked))
    with pytest.raises(FetchError, match="the connection broke"):
        make(retries=0).text(text_wanted())


def test_a_failure_cancels_the_rest_at_once_and_leaves_a_clean_store(
    make: MakeFetcher, server: WebServer, store: Store
) -> None:
    server.files.update(FILES)
    for request in REQUESTS[1:]:
        server.fail(request.path, Fault(stall=100))
    server.fail(REQUESTS[0].path, Fault(status=404))
    began, threads = time.monotonic(), threading.active_count()
    with pytest.raises(FetchError, match="404 Not Found"):
        list(make(timeout=30).blobs(REQUESTS))
    assert time.monotonic() - began < 2
    assert len(server.requests) <= 10
    deadline = time.monotonic() + 3
    while any(
        "fetch-" in thread.name and "watch" not in thread.name for thread in threading.enumerate()
    ):
        assert time.monotonic() < deadline, threads
    assert store.verify() == ()


def test_a_caller_that_stops_early_stops_the_downloads(make: MakeFetcher, server: WebServer) -> None:
    server.files.update(FILES)
    for request in REQUESTS[1:]:
        server.fail(request.path, Fault(stall=100))
    landing = make(timeout=30, jobs=4).blobs(REQUESTS)
    assert next(landing) == REQUESTS[0]
    began = time.monotonic()
    landing.close()  # type: ignore[attr-defined]  # it is a generator
    assert time.monotonic() - began < 2
    assert len(server.requests) < 12


def test_texts_come_in_the_order_asked_for(make: MakeFetcher, server: WebServer) -> None:
    server.files.update({f"{number}": b"%d" % number for number in range(9)})
    server.fail("0", Fault(speed=500))
    requests = [text_wanted(f"{number}") for number in range(9)]
    requests.append(text_wanted("none", optional=True))
    assert make().texts(requests) == (*(b"%d" % number for number in range(9)), None)
    assert make().texts([]) == ()
    with pytest.raises(FetchError, match="404 Not Found"):
        make().texts([text_wanted("none"), *requests])


def test_an_answer_is_open_and_seekable(make: MakeFetcher) -> None:
    for request, content in ((wanted(), CONTENT), (text_wanted(), b"signed")):
        stream = make().answer(request)
        assert stream is not None
        with stream:
            assert stream.read() == content
            assert stream.seek(0) == 0


def test_a_blob_of_unknown_size_is_bounded_and_kept(
    make: MakeFetcher, server: WebServer, store: Store
) -> None:
    make().blob(wanted(limit=len(CONTENT) + 1000, is_exact=False))
    assert store.verify() == ()


def test_a_store_that_cannot_keep_it_ends_the_fetch(
    make: MakeFetcher, store: Store, server: WebServer
) -> None:
    (Path(store.root) / "partial-v1").parent.mkdir(parents=True, exist_ok=True)
    (Path(store.root) / "partial-v1").write_text("in the way")
    with pytest.raises(StoreError) as caught:
        make().blob(wanted())
    assert caught.value.message == "the cache cannot be used: is not a folder"
    assert server.requests == []


PROGRAM = """
import sys
from builder.digests import Digest
from builder.fetch.fetcher import Fetcher
from builder.fetch.request import Request
from builder.store.store import Store
root, url, digest, size, limit = sys.argv[1:]
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
fetcher = Fetcher(Store(root), {("debian", "main"): (url,)})
request = Request(repository="debian", location="main", path="pool/a.deb", limit=int(size),
                  is_exact=True, digest=Digest(digest))
print("ready", flush=True)
try:
    for landed in fetcher.blobs([request]):
        print(landed.path)
except KeyboardInterrupt:
    print("stopped")
    sys.exit(130)
"""


def _start(store: Store, url: str, content: bytes, limit: int = 0) -> subprocess.Popen[str]:
    arguments = [store.root, url, Digest.of(content), str(len(content)), str(limit)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _wait_for_part(store: Store, size: int) -> None:
    path = Path(store.partial_path(Digest.of(CONTENT)))
    deadline = time.monotonic() + 10
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_download_goes_on_after_kill_9(make: MakeFetcher, server: WebServer, store: Store) -> None:
    server.fail("pool/a.deb", Fault(stall=100_000, times=1))
    process = _start(store, server.url, CONTENT)
    _wait_for_part(store, 100_000)
    process.kill()
    process.communicate()
    make().blob(wanted())
    assert server.requests[1].headers["range"] == "bytes=100000-"
    assert store.verify() == ()


def test_ctrl_c_ends_a_stalled_download_at_once(server: WebServer, store: Store) -> None:
    server.fail("pool/a.deb", Fault(stall=100_000))
    process = _start(store, server.url, CONTENT)
    _wait_for_part(store, 100_000)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10) == ("ready\nstopped\n", "")
    assert process.returncode == 130
    assert time.monotonic() - began < 2


@pytest.mark.slow
def test_memory_is_bounded_however_large_the_file(server: WebServer, store: Store) -> None:
    content = bytes(300_000_000)
    server.files["pool/a.deb"] = content
    process = _start(store, server.url, content, limit=150_000_000)
    assert process.communicate(timeout=120) == ("ready\npool/a.deb\n", "")


def test_importing_and_hitting_the_store_asks_for_no_heavy_module(store: Store) -> None:
    digest = store.put(CONTENT)
    program = (
        "import sys; before = set(sys.modules)\n"
        "from builder.fetch.fetcher import Fetcher, Request\n"
        "from builder.store.store import Store\n"
        f"fetcher = Fetcher(Store({store.root!r}), {{}})\n"
        f"fetcher.blob(Request(repository='d', location='m', path='p', limit=9999999, "
        f"digest=__import__('builder.digests').digests.Digest({str(digest)!r})))\n"
        "heavy = {'requests', 'urllib3', 'pathlib', 'socket', 'urllib.parse', 'tempfile', 'ssl'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)))\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout == "[]\n"
