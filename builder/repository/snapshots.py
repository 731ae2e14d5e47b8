"""Snapshots taken and package lists opened: a format's requests, answered by the fetcher and the store.

    subjects = [Subject(source=source, keyring=keyring, freshness=Freshness(now=now)), …]
    snapshots = take(format, subjects, fetcher)
    indexes = open_indexes(format, zip(sources, snapshots), ("amd64",), store=store, fetcher=fetcher)
    indexes["amd64"][0].packages("nginx")

A package list is turned into the format's local index once per digest: the index is a blob of the
store, found by the action ``index``. Later runs map it and fetch nothing.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec

from builder.digests import Digest, cache_key
from builder.errors import TrustError
from builder.fetch.request import Request
from builder.packages import (
    Freshness,
    IndexReference,
    PackageFormat,
    PackageIndex,
    Snapshot,
    Source,
    Want,
)
from builder.reporting import Reporter, StageAdvanced, StageBegan, StageEnded, Warned, counted, silent
from builder.repository.lists import decompressed
from builder.repository.recent import Answers

if TYPE_CHECKING:
    from builder.fetch.fetcher import Fetcher
    from builder.store.store import Store

STAGE = "index"
_JOBS = 8
_BUILDERS = 2  # each is a thread that decompresses, beside the one that reads
_VERSION = 1


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A suite to take the state of, and what to hold it against."""

    source: Source
    keyring: bytes
    freshness: Freshness


class _List(msgspec.Struct, frozen=True, kw_only=True):
    """A package list to open, and the keys of the indexes it stands for (flat: several)."""

    source: Source
    reference: IndexReference
    key: str
    action: Digest


# ---- snapshots ---------------------------------------------------------------------------------


def take(
    format_: PackageFormat, subjects: Sequence[Subject], fetcher: Answers, *, report: Reporter = silent
) -> tuple[Snapshot, ...]:
    """Return the verified state of each of SUBJECTS, in their order; they are asked for at once.

    Raises the error of the first that does not hold. An expired release that was accepted is told of
    by `Warned`.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(1, min(_JOBS, len(subjects)))) as pool:
        work = [pool.submit(_take, format_, subject, fetcher) for subject in subjects]
        snapshots = tuple(future.result() for future in work)
    for subject, snapshot in zip(subjects, snapshots, strict=True):
        _tell_expired(subject.freshness, snapshot, report)
    return snapshots


def _take(format_: PackageFormat, subject: Subject, fetcher: Answers) -> Snapshot:
    conversation = format_.snapshot(subject.source, subject.keyring, subject.freshness)
    try:
        want = next(conversation)
        while True:
            with fetcher.answer(_request(subject.source, want)) or nullcontext() as answer:
                want = conversation.send(answer)
    except StopIteration as stop:
        snapshot: Snapshot = stop.value
        return snapshot
    finally:
        conversation.close()


def _request(source: Source, want: Want) -> Request:
    return Request(
        repository=source.repository,
        location=source.location,
        path=want.path,
        limit=want.limit,
        digest=want.digest,
        is_exact=want.is_exact,
        optional=want.optional,
    )


def _tell_expired(freshness: Freshness, snapshot: Snapshot, report: Reporter) -> None:
    until = snapshot.valid_until
    if until is None or until >= freshness.now:
        return
    from datetime import UTC, datetime

    report(
        Warned(
            f"the release expired on {datetime.fromtimestamp(until, UTC):%Y-%m-%d}; "
            "accepted, as the mirror's source says not to check that",
            where=f"{snapshot.repository} {snapshot.suite}",
            hint="packages may lack security updates since then",
        )
    )


# ---- package lists -----------------------------------------------------------------------------


def index_key(snapshot: Snapshot, reference: IndexReference) -> str:
    """Return the `PackageIndex.key` of REFERENCE: ``REPOSITORY/SUITE/COMPONENT/ARCHITECTURE``."""
    words = (
        snapshot.repository,
        snapshot.suite.rstrip("/"),
        reference.component,
        reference.architecture,
    )
    return "/".join(words)


def open_indexes(
    format_: PackageFormat,
    snapshots: Iterable[tuple[Source, Snapshot]],
    architectures: Sequence[str],
    *,
    store: Store,
    fetcher: Fetcher,
    report: Reporter = silent,
) -> dict[str, tuple[PackageIndex, ...]]:
    """Return, for each of ARCHITECTURES, the package lists of SNAPSHOTS in their order.

    Lists for every machine go with each architecture. What the store lacks is fetched and built, in
    parallel. Raises `FetchError`, `TrustError`, `StoreError`.
    """
    lists = _lists(format_, snapshots, architectures)
    local = _local_digests(format_, lists, store, fetcher, report)
    opened = {
        entry.key: format_.open_index(entry.key, _mapped(store, local[entry.action])) for entry in lists
    }
    return {
        architecture: tuple(
            opened[entry.key]
            for entry in lists
            if entry.reference.architecture == architecture
            or format_.is_all(entry.reference.architecture)
        )
        for architecture in architectures
    }


def _lists(
    format_: PackageFormat, snapshots: Iterable[tuple[Source, Snapshot]], architectures: Sequence[str]
) -> tuple[_List, ...]:
    return tuple(
        _List(
            source=source,
            reference=reference,
            key=index_key(snapshot, reference),
            action=cache_key("index", _VERSION, [format_.name, format_.version, str(reference.digest)]),
        )
        for source, snapshot in snapshots
        for reference in snapshot.indexes
        if reference.architecture in architectures or format_.is_all(reference.architecture)
    )


def _local_digests(
    format_: PackageFormat,
    lists: Sequence[_List],
    store: Store,
    fetcher: Fetcher,
    report: Reporter,
) -> dict[Digest, Digest]:
    """Return action → digest of the local index, made where it is missing."""
    local: dict[Digest, Digest] = {}
    missing: dict[Digest, _List] = {}
    for entry in lists:
        document = store.action(entry.action)
        if document is None:
            missing.setdefault(entry.reference.digest, entry)
        else:
            local[entry.action] = Digest.parse(document.decode())
    if missing:
        local |= _build_all(format_, missing, store, fetcher, report)
    return local


def _build_all(
    format_: PackageFormat,
    missing: dict[Digest, _List],
    store: Store,
    fetcher: Fetcher,
    report: Reporter,
) -> dict[Digest, Digest]:
    from concurrent.futures import ThreadPoolExecutor

    report(StageBegan(STAGE, len(missing), "lists"))
    requests = [
        Request(
            repository=entry.source.repository,
            location=entry.source.location,
            path=entry.reference.path,
            limit=entry.reference.size,
            digest=entry.reference.digest,
            is_exact=True,
        )
        # The largest first: it takes longest to build, and the others are built beside it.
        for entry in sorted(missing.values(), key=lambda entry: -entry.reference.size)
    ]
    built: dict[Digest, Digest] = {}
    with ThreadPoolExecutor(_BUILDERS) as pool:
        work = {}
        try:
            for request in fetcher.blobs(requests):
                assert request.digest is not None
                entry = missing[request.digest]
                work[entry.action] = pool.submit(_build, format_, entry, store, report)
            built = {action: future.result() for action, future in work.items()}
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    report(StageEnded(STAGE, counted(len(missing), "package list")))
    return built


def _build(format_: PackageFormat, entry: _List, store: Store, report: Reporter) -> Digest:
    """Make the local index of one list, unless another process has meanwhile."""
    with store.lock(entry.action):
        document = store.action(entry.action)
        if document is not None:
            return Digest.parse(document.decode())
        with store.open(entry.reference.digest) as packed, store.writer() as writer:
            try:
                with decompressed(packed) as stream:
                    format_.build_index(stream, writer)  # type: ignore[arg-type]  # it writes, no more
            except TrustError as error:
                raise TrustError(error.message, where=entry.key) from error
            digest, _ = writer.commit()
        store.record(entry.action, digest.encode(), (digest,))
    report(StageAdvanced(STAGE, 1, entry.key))
    return digest


def _mapped(store: Store, digest: Digest) -> memoryview:
    with store.open(digest) as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
