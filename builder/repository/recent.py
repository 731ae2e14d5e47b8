"""Signed files kept for a while: a release that was just looked at need not be asked for again.

Only what led to a snapshot and its package lists is kept: a login page in place of a release, or a
release that a mirror had before its lists, would otherwise be the answer until it is too old. What is
kept is as untrusted as what a mirror sends: it goes through the same checks each time. With an age of
0 everything is asked for (``imgbuild update``); offline, whatever is kept is taken.
"""

from __future__ import annotations

import io
from typing import BinaryIO, Protocol

import msgspec

from builder.digests import Digest, cache_key
from builder.fetch.request import Request
from builder.store.store import Store

_VERSION = 1


class Answers(Protocol):
    """What answers requests: a `Fetcher`, or `RecentFiles` before one."""

    def answer(self, request: Request) -> BinaryIO | None:
        """Return REQUEST opened; None if it is optional and not there."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """When an answer was got, and its digest ("" for none)."""

    time: int
    digest: str


class RecentFiles:
    """Answers from STORE what it asked FETCHER at most MAX_AGE seconds before NOW.

    has_answered  whether an answer came from the store; the others are kept by `keep`
    """

    def __init__(
        self, fetcher: Answers, store: Store, mirrors: str, *, now: int, max_age: int, is_offline: bool
    ) -> None:
        self._fetcher = fetcher
        self._store = store
        self._mirrors = mirrors
        self._now = now
        self._max_age = max_age
        self._is_offline = is_offline
        self._fresh: list[tuple[Digest, Digest | None]] = []
        self.has_answered = False

    def answer(self, request: Request) -> BinaryIO | None:
        """Return REQUEST opened; files with a digest are the fetcher's own business."""
        if request.digest is not None:
            return self._fetcher.answer(request)
        key = self._key(request)
        kept = self._kept(key)
        if kept is not None and (self._is_offline or 0 <= self._now - kept.time < self._max_age):
            self.has_answered = True
            return self._store.open(Digest.parse(kept.digest)) if kept.digest else None
        stream = self._fetcher.answer(request)
        content = stream.read() if stream is not None else None
        digest = self._store.put(content) if content is not None else None
        self._fresh.append((key, digest))
        return io.BytesIO(content) if content is not None else None

    def keep(self) -> None:
        """Keep the answers that were fetched: what they say has held."""
        for key, digest in self._fresh:
            document = msgspec.json.encode(_Kept(self._now, str(digest or "")))
            self._store.record(key, document, (digest,) if digest else ())

    def _kept(self, key: Digest) -> _Kept | None:
        document = self._store.action(key)
        return None if document is None else msgspec.json.decode(document, type=_Kept)

    def _key(self, request: Request) -> Digest:
        place: tuple[str, ...] = (request.repository, request.location, request.path, self._mirrors)
        return cache_key("recent", _VERSION, list(place))
