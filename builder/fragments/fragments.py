"""From package blobs to fragments: unpacked, trimmed, hashed, compressed and stored, once.

A package is read once, front to back, in bounded memory; its fragment is kept in the store under a key
of all it is a function of. Entries keep the archive's order, in which a hard link comes after its file.
Where rules or omissions take that file and leave a link, the first such link becomes the file: the
archive is then read a second time, since its content has gone by.

Not checked here: that two packages agree on a path, which is `builder.tree`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from builder.digests import Digest, Json, cache_key
from builder.errors import PackageError
from builder.fragments.chunks import ChunkWriter, read_contents, write_new_files
from builder.fragments.patterns import compile_patterns
from builder.layers import compression as compressions
from builder.layers.parts import Chunk, Fragment
from builder.packages import Control, Identity, InstalledPackage, PackageFormat
from builder.reporting import Reporter, StageAdvanced, silent
from builder.spec.model import Compression
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, Entry

if TYPE_CHECKING:
    import threading
    from concurrent.futures import Future

    from builder.store.store import Store

STAGE = "unpack"

# Raised whenever a fragment of the same inputs comes out otherwise.
_VERSION = 1
_MAX_CONTENT = 64 << 20


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How packages become fragments.

    patterns     what is left out (`builder.fragments.patterns`): trim rules, then the spec's excludes
    moves        folders that are links in the image, as `PackageFormat.read` takes them
    compression  of the chunks
    clamp        the epoch: no mtime in a chunk is later; None = as packed
    """

    patterns: tuple[str, ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    compression: Compression = Compression()
    clamp: int | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One fragment to be made: of the archive BLOB, which must be IDENTITY, without the paths OMIT."""

    identity: Identity
    blob: Digest
    rules: Rules
    omit: frozenset[str] = frozenset()


class Fragments:
    """Makes fragments of one format's packages, or finds them in the store. Threads may share one."""

    def __init__(self, store: Store, format: PackageFormat) -> None:  # noqa: A002 (the domain's word)
        self._store = store
        self._format = format
        self._decoder = msgspec.msgpack.Decoder(Fragment, dec_hook=_decode_digest)
        # A build has one list of patterns, and compiling it takes 5 ms: as long as a small package.
        self._compiled = lru_cache(16)(compile_patterns)

    def build(
        self, identity: Identity, blob: Digest, rules: Rules, *, omit: frozenset[str] = frozenset()
    ) -> Fragment:
        """Return the fragment of package BLOB; `PackageError` if it is not, or not well, IDENTITY."""
        return self._build(Job(identity=identity, blob=blob, rules=rules, omit=omit), None)

    def find(self, job: Job) -> Fragment | None:
        """Return the fragment of JOB if the store has it; its archive is not needed then."""
        clamp = job.rules.clamp
        # A package whose files are all older than the epoch is the same under every epoch, so what is
        # kept without a clamp serves first.
        plain = self._find(self._key(job, None))
        if plain is not None and (clamp is None or plain.newest <= clamp):
            return plain
        return self._find(self._key(job, clamp)) if clamp is not None else None

    def build_all(
        self, jobs: Iterable[Job], *, workers: int | None = None, report: Reporter = silent
    ) -> tuple[Fragment, ...]:
        """Return the fragments of JOBS, sorted by identity; each begins when the iterable gives it.

        So JOBS may wait for downloads. The first failure, of a job or of the iterable, stops all others
        and is raised when they have stopped.
        """
        import os
        import threading
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        stop = threading.Event()
        futures: list[Future[Fragment]] = []

        def work(job: Job) -> Fragment:
            fragment = self._build(job, stop)
            report(StageAdvanced(STAGE, 1, str(job.identity)))
            return fragment

        with ThreadPoolExecutor(workers or os.cpu_count() or 1, "unpack") as pool:
            try:
                for job in jobs:
                    futures.append(pool.submit(work, job))
                    _raise_failure(futures)
                wait(futures, return_when=FIRST_EXCEPTION)
                _raise_failure(futures)
                fragments = [future.result() for future in futures]
            finally:
                # After success there is nothing left to stop.
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
        return tuple(sorted(fragments, key=lambda fragment: _order(fragment.identity)))

    def content(self, fragment: Fragment, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of PATHS that are files of FRAGMENT, or hard links to one."""
        entries = {entry.path: entry for entry in fragment.entries}
        files: dict[str, str] = {}
        for path in paths:
            entry = entries.get(path)
            if entry is not None and entry.kind in (FILE, HARDLINK):
                files[path] = entry.target or path
        wanted = frozenset(files.values())
        if sum(entries[path].size for path in wanted) > _MAX_CONTENT:
            raise PackageError(
                f"files to be read have more than {_MAX_CONTENT} bytes: {', '.join(sorted(wanted))}",
                where=f"package {fragment.identity}",
            )
        if not wanted or fragment.chunk is None:
            return {}
        contents = read_contents(self._store, fragment.chunk, fragment.entries, wanted)
        return {path: contents[file] for path, file in files.items()}

    # ---- one package -----------------------------------------------------------------------------

    def _build(self, job: Job, stop: threading.Event | None) -> Fragment:
        found = self.find(job)
        if found is not None:
            return found
        clamp = job.rules.clamp
        fragment = self._make(job, stop)
        is_plain = clamp is None or fragment.newest <= clamp
        chunks = (fragment.chunk, fragment.database_chunk)
        self._store.record(
            self._key(job, None if is_plain else clamp),
            msgspec.msgpack.encode(fragment, enc_hook=str),
            [chunk.digest for chunk in chunks if chunk is not None],
        )
        return fragment

    def _find(self, key: Digest) -> Fragment | None:
        document = self._store.action(key)
        return None if document is None else self._decoder.decode(document)

    def _key(self, job: Job, clamp: int | None) -> Digest:
        rules, identity = job.rules, job.identity
        inputs: Json = {
            "format": [self._format.name, self._format.version],
            "identity": [identity.name, identity.version, identity.architecture],
            "blob": job.blob,
            "patterns": list(rules.patterns),
            "moves": [list(move) for move in rules.moves],
            "compression": [
                rules.compression.algorithm,
                compressions.checked_level(rules.compression),
                compressions.version(rules.compression.algorithm),
            ],
            "clamp": clamp,
            "omit": tuple(sorted(job.omit)),
        }
        return cache_key("fragment", _VERSION, inputs)

    def _make(self, job: Job, stop: threading.Event | None) -> Fragment:
        promoted: dict[str, str] = {}
        with self._store.open(job.blob) as archive:
            is_out = self._compiled(job.rules.patterns)
            making = _Making(self._store, self._format, job, stop, is_out, promoted)
            if not making.run(archive):
                making = _Making(self._store, self._format, job, stop, is_out, making.promoted)
                is_whole = making.run(archive)
                assert is_whole, "the second pass knows every link that becomes a file"
        return making.fragment()


class _Making:
    """One pass over one archive."""

    def __init__(
        self,
        store: Store,
        format: PackageFormat,  # noqa: A002 (the domain's word)
        job: Job,
        stop: threading.Event | None,
        is_out: Callable[[str], bool],
        promoted: dict[str, str],
    ) -> None:
        self._store = store
        self._format = format
        self._job = job
        self._stop = stop
        self._is_out = is_out
        self.promoted = promoted  # file that is left out → the link that becomes it
        self._known = frozenset(promoted)
        self._directories: list[Entry] = []
        self._entries: list[Entry] = []
        self._left_out: set[str] = set()
        self._chunk: Chunk | None = None
        self._control: Control | None = None

    def run(self, archive: BinaryIO) -> bool:
        """Read ARCHIVE; False if it must be read again, knowing `promoted`."""
        job = self._job
        reader = self._format.read(archive, job.identity, moves=job.rules.moves)
        with ChunkWriter(self._store, job.rules.compression, job.rules.clamp) as writer:
            for entry, content in reader:
                if self._stop is not None and self._stop.is_set():
                    raise _Stopped
                if entry.kind == DIRECTORY:
                    self._directories.append(entry)
                elif (kept := self._kept(entry)) is not None:
                    self._entries.append(writer.add(kept, content))
            if self.promoted.keys() - self._known:
                return False
            self._chunk = writer.commit()
        self._control = reader.control
        return True

    def fragment(self) -> Fragment:
        """Return what was read, with the package's own database files."""
        assert self._control is not None
        job = self._job
        directories = self._kept_directories()
        entries = tuple(self._entries)
        package = InstalledPackage(
            identity=job.identity, control=self._control, entries=(*directories, *entries)
        )
        files = self._format.package_database(package)
        database, database_chunk = write_new_files(self._store, files, job.rules.compression)
        return Fragment(
            identity=job.identity,
            control=self._control,
            directories=directories,
            entries=entries,
            chunk=self._chunk,
            database=database,
            database_chunk=database_chunk,
            newest=max((entry.mtime for entry in (*directories, *entries)), default=0),
        )

    def _kept(self, entry: Entry) -> Entry | None:
        """Return ENTRY as it goes into the fragment, None if it stays out."""
        path = entry.path
        is_out = path in self._job.omit or self._is_out(path)
        if entry.kind == FILE and is_out:
            self._left_out.add(path)
            link = self.promoted.get(path)
            return None if link is None else msgspec.structs.replace(entry, path=link)
        if is_out:
            return None
        if entry.kind == HARDLINK and entry.target in self._left_out:
            link = self.promoted.setdefault(entry.target, path)
            # In the second pass the link has become the file where its content went by.
            return None if link == path else msgspec.structs.replace(entry, target=link)
        return entry

    def _kept_directories(self) -> tuple[Entry, ...]:
        """Return the folders that no pattern matches, or below which something stays; sorted."""
        needed: set[str] = set()
        for entry in self._entries:
            parent = entry.path.rpartition("/")[0]
            while parent not in needed:
                needed.add(parent)
                parent = parent.rpartition("/")[0]
        kept = []
        for entry in sorted(self._directories, key=lambda entry: entry.path, reverse=True):
            if entry.path in needed or not self._is_out(f"{entry.path}/"):
                kept.append(entry)
                needed.update((entry.path.rpartition("/")[0],))
        return tuple(reversed(kept))


class _Stopped(Exception):  # noqa: N818 (never leaves this module)
    """Another package has failed; this one need not go on."""


def _raise_failure(futures: Sequence[Future[Fragment]]) -> None:
    for future in futures:
        if future.done():
            future.result()


def _order(identity: Identity) -> tuple[str, str, str]:
    return identity.name, identity.architecture, identity.version


def _decode_digest(kind: type, value: Any) -> Any:
    # Documents of the store are checked by it; digests in them are our own.
    assert kind is Digest
    return Digest(value)
