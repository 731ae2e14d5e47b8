"""The store: blobs by digest and results of actions by key, shared by many processes.

    ROOT/
      blobs-v1/sha256/ab/HEX       a blob: its name is its digest, its time is its note (`files.note`)
      blobs-v1/temporary/PID-RANDOM  a blob being written; locked while its writer lives
      actions-v1/ab/HEX            what an action gave: checksum, digests of its blobs, document
      partial-v1/HEX               a download that is not whole; the file is its own lock
      locks-v1/in-use              held shared by whoever uses the store, exclusively to collect
      locks-v1/HEX                 held by whoever does the work of one key
      locks-v1/HEX.blob            held for replacing or dropping one blob that is there

``cache/README.md`` is the contract: what each lock guards, what is promised and which test shows it.
A bucket's name carries the version of its form: raise it when the form changes.

Not promised: that blobs outlive a power failure (there is no ``fsync``: all here can be made again,
and a file the failure cut short fails its note), nor safety from a user who may write to the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from builder.digests import Digest
from builder.errors import StoreError
from builder.store import files
from builder.store.writer import BlobWriter, settle

if TYPE_CHECKING:
    from pathlib import Path

    from builder.store.partial import PartialBlob
    from builder.store.upkeep import Damage, GcResult, Usage

_FOLDERS = {
    "blobs": "blobs-v1/sha256",
    "temporary": "blobs-v1/temporary",
    "actions": "actions-v1",
    "partial": "partial-v1",
    "locks": "locks-v1",
}

# Last use is noted this coarsely, in seconds: a warm build changes no inode twice an hour.
_USE_GRAIN = 3600


class Store:
    """The store below folder ROOT; folders are made when first needed.

    Threads may share one. It holds the store in use from its first call to `close` (or the end of
    the process): meanwhile nothing is collected. Errors: `StoreError`.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(os.fspath(root))
        self._blobs = f"{self.root}/{_FOLDERS['blobs']}/"
        self._actions = f"{self.root}/{_FOLDERS['actions']}/"
        self._use = -1
        self._user = 0
        self._guard = threading.Lock()

    # ---- blobs ---------------------------------------------------------------------------------

    def blob_path(self, digest: Digest) -> Path:
        """Return where blob DIGEST is or would be; `open` it instead where that will do."""
        from pathlib import Path

        return Path(self._blob(digest))

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether the blob is here, whole and right (and of SIZE bytes, where given)."""
        path = self._blob(digest)
        self.join()
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise files.failed(error, path) from error
        if size is not None and stat.st_size != size:
            return False
        if stat.st_mtime_ns != files.note(digest, stat.st_size):
            return self._check_again(path, digest)
        if time.time() - stat.st_atime > _USE_GRAIN:
            files.set_times(path, time.time_ns(), stat.st_mtime_ns)
        return True

    def open(self, digest: Digest) -> BinaryIO:
        """Open the blob for reading; seekable, a real file."""
        if not self.has(digest):
            raise self._missing(digest)
        try:
            return open(self._blob(digest), "rb")
        except OSError as error:
            raise files.failed(error, self._blob(digest)) from error

    def put(self, content: bytes) -> Digest:
        """Store CONTENT; return its digest."""
        digest = Digest.of(content)
        if not self.has(digest):
            with self.writer() as writer:
                writer.write(content)
                writer.commit(digest)
        return digest

    def writer(self) -> BlobWriter:
        """Return a `BlobWriter`, to be used in a ``with``."""
        return BlobWriter(self)

    def partial(self, digest: Digest) -> PartialBlob:
        """Return what is here of a blob that arrives in pieces, to be used in a ``with``."""
        from builder.store.partial import PartialBlob

        return PartialBlob(self, digest)

    # ---- actions -------------------------------------------------------------------------------

    def action(self, key: Digest) -> bytes | None:
        """Return the document recorded for KEY; None without one or where a blob of it has gone."""
        path = self._action(key)
        self.join()
        try:
            stat, content = files.read_whole(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise files.failed(error, path) from error
        is_noted = stat.st_mtime_ns == files.note(key, stat.st_size)
        record = read_record(content, checks=not is_noted)
        if record is None:
            files.remove(path)  # made again and recorded anew; losing a good one costs the same
            return None
        if not is_noted or time.time() - stat.st_atime > _USE_GRAIN:
            files.set_times(path, time.time_ns(), files.note(key, len(content)))
        blobs, document = record
        return document if all(map(self.has, blobs)) else None

    def record(self, key: Digest, document: bytes, blobs: Sequence[Digest] = ()) -> None:
        """Record that the action of KEY gave DOCUMENT, which refers to BLOBS; they must be here."""
        for digest in blobs:
            if not self.has(digest):
                raise self._missing(digest)
        head = " ".join(blobs).encode() + b"\n"
        checksum = hashlib.sha256(head)
        checksum.update(document)  # documents have megabytes: not copied
        head = checksum.hexdigest().encode() + b"\n" + head
        path = self._action(key)
        with BlobWriter(self) as writer:
            writer.write(head)
            writer.write(document)
            writer.place(path, files.note(key, writer.size))

    def lock(self, key: Digest) -> AbstractContextManager[None]:
        """Return a lock on the work of KEY, between processes and between threads.

        Whoever gets it should ask again for what it is about to make. It is not re-entrant.
        """
        self.join()
        return files.locked(f"{self.folder('locks')}/{_hex(key)}")

    # ---- upkeep --------------------------------------------------------------------------------

    def gc(self, max_size: int) -> GcResult:
        """Remove what was used longest ago until MAX_SIZE bytes remain, and all that is stale."""
        from builder.store import upkeep

        return upkeep.collect(self, max_size)

    def verify(self) -> tuple[Damage, ...]:
        """Hash everything; drop and return what is damaged or stale."""
        from builder.store import upkeep

        return upkeep.verify(self)

    def ls(self) -> tuple[Usage, ...]:
        """Return what the store holds, a total a kind."""
        from builder.store import upkeep

        return upkeep.usage(self)

    # ---- being in use --------------------------------------------------------------------------

    def join(self) -> None:
        """Hold the store in use, so that nothing is collected; cheap after the first time.

        A child of ``fork`` holds it anew: it shares its parent's lock and could give that up.
        """
        if self._user == os.getpid():
            return
        with self._guard:
            if self._user == os.getpid():
                return
            path = f"{self.folder('locks')}/in-use"
            try:
                self._use = _open_in_use(path)
            except OSError as error:
                raise files.failed(error, self.root) from error
            self._user = os.getpid()

    def leave(self) -> None:
        """No longer hold the store in use."""
        with self._guard:
            if self._use >= 0 and self._user == os.getpid():
                os.close(self._use)
            self._use, self._user = -1, 0

    close = leave

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_use", -1) >= 0 and self._user == os.getpid():
            os.close(self._use)

    # ---- for the rest of this room -------------------------------------------------------------

    def folder(self, name: str) -> str:
        """Return the folder of the bucket NAME."""
        return f"{self.root}/{_FOLDERS[name]}"

    def buckets(self) -> set[str]:
        """Return the names of the folders right below the root."""
        return {path.partition("/")[0] for path in _FOLDERS.values()}

    def partial_path(self, digest: Digest) -> str:
        """Return where the part of blob DIGEST is or would be."""
        return f"{self.folder('partial')}/{_hex(digest)}"

    def blob_exists(self, digest: Digest) -> bool:
        """Whether a file of that name is here, right or not: for collecting, which must not `join`."""
        return os.path.exists(self._blob(digest))

    def settle(self, descriptor: int, path: str, digest: Digest, size: int) -> None:
        """Give PATH, open as DESCRIPTOR and known to be blob DIGEST of SIZE bytes, its place."""
        target = self._blob(digest)
        if os.path.exists(target):
            # Perhaps damaged, and somebody is about to drop it: not ours by mistake.
            with self._blob_lock(digest):
                settle(descriptor, path, target, files.note(digest, size))
        else:
            settle(descriptor, path, target, files.note(digest, size))

    def drop(self, path: str, digest: Digest, seen: os.stat_result) -> None:
        """Remove the damaged file PATH, unless it is no longer the one that was SEEN."""
        if not os.access(self.folder("locks"), os.W_OK):
            return  # a read-only store: it stays, and is no hit
        with self._blob_lock(digest):
            try:
                now = os.stat(path)
            except FileNotFoundError:
                return
            if (now.st_ino, now.st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns):
                files.remove(path)

    def _check_again(self, path: str, digest: Digest) -> bool:
        """Hash a blob whose note does not hold: note it anew, or drop it."""
        try:
            found, stat = files.hash_file(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise files.failed(error, path) from error
        if found == digest:
            files.set_times(path, time.time_ns(), files.note(digest, stat.st_size))
            return True
        self.drop(path, digest, stat)
        return False

    def _blob_lock(self, digest: Digest) -> AbstractContextManager[None]:
        """Return the lock for replacing or dropping a blob; apart from `lock`, whose holders put."""
        return files.locked(f"{self.folder('locks')}/{_hex(digest)}.blob")

    def _blob(self, digest: Digest) -> str:
        name = _hex(digest)
        return f"{self._blobs}{name[:2]}/{name}"

    def _action(self, key: Digest) -> str:
        name = _hex(key)
        return f"{self._actions}{name[:2]}/{name}"

    def _missing(self, digest: Digest) -> StoreError:
        return StoreError(
            f"the cache does not hold {digest}, or it is damaged",
            where=self.root,
            hint="run `imgbuild cache verify`, then build again",
        )


def read_record(content: bytes, *, checks: bool) -> tuple[list[Digest], bytes] | None:
    """Take a record apart: its blobs and its document. None if it is damaged (CHECKS: hash it)."""
    checksum, _, body = content.partition(b"\n")
    if checks and hashlib.sha256(body).hexdigest().encode() != checksum:
        return None
    blobs, _, document = body.partition(b"\n")
    return [Digest(text) for text in blobs.decode("ascii").split()], document


def _hex(digest: Digest) -> str:
    # A digest made by hand could hold a path; and only sha256 is checked here.
    assert len(digest) == 71, f"not a sha256 digest: {digest!r}"
    assert digest.startswith("sha256:"), f"not a sha256 digest: {digest!r}"
    assert "/" not in digest, f"not a sha256 digest: {digest!r}"
    return digest[7:]


def _open_in_use(path: str) -> int:
    """Open and share the lock of the store; -1 in a read-only store, where none can be made."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        try:
            files.make_folder(os.path.dirname(path))
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            if os.path.isdir(os.path.dirname(os.path.dirname(path))):
                return -1
            raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
