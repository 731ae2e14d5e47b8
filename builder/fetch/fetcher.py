"""The fetcher: files of archives from whichever mirror gives them right.

Each file has a byte limit before its first byte. A blob is hashed as it comes, resumed where an
earlier attempt ended (of this or of another process), and enters the store only with the right
digest. A mirror is tried again where that may help, with growing pauses; then the next is asked.

    fetcher = Fetcher(store, {("debian", "main"): ("http://mirror.test/debian",)})
    for request in fetcher.blobs(requests):      # each as it lands
        archive = store.open(request.digest)

Threads may share one. Progress is of the stage ``fetch``, in bytes; an amount may be negative, when
what came had to be thrown away.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from builder import __version__
from builder.digests import Digest
from builder.errors import FetchError, OfflineError
from builder.fetch.request import Address, Request, address
from builder.fetch.watch import Cancellation, Watch
from builder.reporting import Reporter, StageAdvanced, StageBegan, StageEnded, silent
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.fetch.answers import Answer
    from builder.fetch.attempts import Attempts
    from builder.fetch.transport import Transport

STAGE = "fetch"

Item = TypeVar("Item")


class Fetcher:
    """Fetches into STORE from MIRRORS: (repository, location) → base URLs or folders, best first.

    jobs           transfers at once
    timeout        seconds in which at least ``minimum_speed`` bytes a second must come
    retries        more tries of a mirror after the first
    sleep          waits between tries, in seconds; tests pass their own
    """

    def __init__(
        self,
        store: Store,
        mirrors: Mapping[tuple[str, str], Sequence[str]],
        *,
        offline: bool = False,
        report: Reporter = silent,
        jobs: int = 8,
        timeout: float = 30.0,
        minimum_speed: float = 1024.0,
        retries: int = 3,
        user_agent: str = f"imgbuild/{__version__}",
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._store = store
        self._mirrors = mirrors
        self._offline = offline
        self._report = report
        self._jobs = jobs
        self._watch = Watch(timeout, minimum_speed)
        self._timeout = timeout
        self._retries = retries
        self._user_agent = user_agent
        self._sleep = sleep
        self._transport: Transport | None = None
        self._lock = threading.Lock()

    # ---- blobs ---------------------------------------------------------------------------------

    def blob(self, request: Request) -> Digest:
        """Return the digest of REQUEST, which is in the store then.

        `FetchError` if no mirror gives it, `OfflineError` if none may be asked, `TrustError` if what
        they give is something else, `StoreError` if it cannot be kept.
        """
        digest = _digest(request)
        for _ in self.blobs((request,)):
            pass
        return digest

    def blobs(self, requests: Sequence[Request]) -> Iterator[Request]:
        """Yield each of REQUESTS when it is in the store: first those that are, then as they land.

        Downloads begin in the order given, before the first is yielded. A failure is raised at once
        and cancels the rest; what came of them stays for the next attempt.
        """
        here: list[Request] = []
        missing: list[Request] = []
        for request in requests:
            (here if self._has(request) else missing).append(request)
        if not missing:
            yield from here
            return
        if self._offline:
            raise _offline(missing)
        self._report(StageBegan(STAGE, sum(request.limit for request in missing), "bytes"))
        with closing(self._each(self._fetch, missing)) as landing:
            yield from here
            yield from landing
        self._report(StageEnded(STAGE, _summary(missing)))

    def answer(self, request: Request) -> BinaryIO | None:
        """Return REQUEST opened, blob or text; None if it is optional and no mirror has it."""
        if request.digest is None:
            text = self.text(request)
            return None if text is None else io.BytesIO(text)
        if not self._has(request):
            if self._offline:
                raise _offline([request])
            self._report(StageBegan(STAGE, request.limit, "bytes"))
            is_there = self._bring(request, Cancellation())
            self._report(StageEnded(STAGE, _summary([request] if is_there else [])))
            if not is_there:
                return None
        return self._store.open(request.digest)

    # ---- texts ---------------------------------------------------------------------------------

    def text(self, request: Request) -> bytes | None:
        """Return what the mirrors have now of REQUEST, which has no digest; never from the store.

        None if it is optional and no mirror has it. Errors as of `blob`.
        """
        return self._text(request, Cancellation())

    def texts(self, requests: Sequence[Request]) -> tuple[bytes | None, ...]:
        """Return the texts of REQUESTS in their order, fetched at once."""
        found: dict[int, bytes | None] = {}

        def fetch(item: tuple[int, Request], cancellation: Cancellation) -> None:
            found[item[0]] = self._text(item[1], cancellation)

        for _ in self._each(fetch, list(enumerate(requests))):
            pass
        return tuple(found[number] for number in range(len(requests)))

    def _text(self, request: Request, cancellation: Cancellation) -> bytes | None:
        if self._offline:
            raise _offline([request])
        sink = _Memory()
        is_there = self._attempts(cancellation, _unreported).run(request, self._sources(request), sink)
        return b"".join(sink.parts) if is_there else None

    # ---- one blob ------------------------------------------------------------------------------

    def _has(self, request: Request) -> bool:
        return self._store.has(_digest(request), request.limit if request.is_exact else None)

    def _fetch(self, request: Request, cancellation: Cancellation) -> None:
        """Bring one blob; that it is optional helps nobody here: the caller wants it in the store."""
        if not self._bring(request, cancellation):
            raise FetchError("no mirror has it", where=request.path)

    def _bring(self, request: Request, cancellation: Cancellation) -> bool:
        """Bring one blob into the store; False if it is optional and no mirror has it."""
        sources = self._sources(request)
        with self._store.partial(_digest(request)) as partial:
            # Whoever held the partial blob before us may have brought it home.
            if self._has(request):
                self._advance(request.limit, request.path)
                return True
            self._advance(partial.size, request.path)
            if partial.size == request.limit and partial.commit():
                return True
            return self._attempts(cancellation, self._advance).run(request, sources, partial)

    def _attempts(self, cancellation: Cancellation, advance: Callable[[int, str], None]) -> Attempts:
        from builder.fetch.answers import open_local
        from builder.fetch.attempts import Attempts

        def open_source(source: Address, offset: int) -> AbstractContextManager[Answer]:
            if source.path:
                return open_local(source, offset)
            return self._http().open(source, offset, cancellation)

        return Attempts(open_source, advance, self._sleep or cancellation.wait, self._retries)

    def _http(self) -> Transport:
        with self._lock:
            if self._transport is None:
                from builder.fetch.transport import Transport

                self._transport = Transport(
                    self._watch, timeout=self._timeout, user_agent=self._user_agent
                )
            return self._transport

    def _sources(self, request: Request) -> list[Address]:
        bases = self._mirrors.get((request.repository, request.location), ())
        if not bases:
            raise FetchError(
                f'no mirror is known for "{request.repository}" ({request.location})',
                where=request.path,
                hint="name one in the spec or with --mirror",
            )
        return [address(base, request.path) for base in bases]

    def _advance(self, amount: int, item: str) -> None:
        if amount:
            self._report(StageAdvanced(STAGE, amount, item))

    def _each(
        self, work: Callable[[Item, Cancellation], None], items: Sequence[Item]
    ) -> Generator[Item, None, None]:
        """Start WORK on ITEMS in parallel now; return an iterator over those that are done."""
        from builder.fetch.parallel import as_done

        cancellation = Cancellation()
        return as_done(
            lambda item: work(item, cancellation),
            items,
            min(self._jobs, len(items)),
            lambda: self._watch.cancel(cancellation),
        )


class _Memory:
    """A text as it comes."""

    def __init__(self) -> None:
        self.size = 0
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)

    def restart(self) -> None:
        self.size = 0
        self.parts.clear()

    def commit(self) -> bool:
        return True


def _unreported(amount: int, item: str) -> None:
    """Texts are small: no progress of theirs is told."""


def _digest(request: Request) -> Digest:
    assert request.digest is not None, f"a blob is asked for by its digest: {request.path}"
    return request.digest


def _offline(missing: Sequence[Request]) -> OfflineError:
    first, more = missing[0].path, len(missing) - 1
    others = f" and {more} other file{'s' if more > 1 else ''}" if more else ""
    return OfflineError(
        f"the cache lacks it{others}, and the network may not be asked",
        where=first,
        hint="run the same command once without --offline, on this machine or with this cache",
    )


def _summary(requests: Sequence[Request]) -> str:
    size = sum(request.limit for request in requests)
    return f"{len(requests)} file{'' if len(requests) == 1 else 's'}, {size / 1e6:.1f} MB"
