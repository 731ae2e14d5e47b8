"""Writing a blob whose digest is known only when its last byte is there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from io import FileIO
from types import TracebackType
from typing import TYPE_CHECKING, Self

from builder.digests import Digest
from builder.errors import TrustError
from builder.store import files

if TYPE_CHECKING:
    from builder.store.store import Store


class BlobWriter:
    """A blob in the making: a temporary file that `commit` gives its name, or nothing.

    The file is locked while its writer lives, so that clearing up knows the dead from the living.
    For one thread. Errors: `StoreError` where the disk refuses.

        with store.writer() as writer:
            writer.write(b"content")
            digest, size = writer.commit()
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hash = hashlib.sha256()
        self._file: FileIO | None = None
        self._path = ""
        self.size = 0

    def __enter__(self) -> Self:
        self._store.join()
        folder = self._store.folder("temporary")
        try:
            files.make_folder(folder)
            while self._file is None:
                self._create(os.path.join(folder, f"{os.getpid()}-{os.urandom(8).hex()}"))
        except OSError as error:
            raise files.failed(error, folder) from error
        return self

    def _create(self, path: str) -> None:
        """Make and lock the file; a sweep that came between the two steps has taken it: no file."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        file = FileIO(descriptor, "wb")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            self._file, self._path = file, path
        else:
            file.close()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append DATA; return its length in bytes."""
        assert self._file is not None, "the writer is not open"
        self._hash.update(data)
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise files.failed(error, self._path) from error
        self.size += len(data)
        return len(data)

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        """Give the blob its place; return its digest and its size in bytes.

        `TrustError` if it is not the EXPECTED one; nothing of it stays then.
        """
        assert self._file is not None, "the writer is not open"
        digest = Digest(f"sha256:{self._hash.hexdigest()}")
        if expected is not None and digest != expected:
            raise TrustError(f"content has digest {digest}, not {expected}")
        try:
            if not self._store.has(digest):
                self._store.settle(self._file.fileno(), self._path, digest, self.size)
                self._path = ""
        except OSError as error:
            raise files.failed(error, self._path) from error
        self._close()
        return digest, self.size

    def place(self, target: str, noted_ns: int) -> None:
        """Give the file the name TARGET, for what is not a blob."""
        assert self._file is not None, "the writer is not open"
        try:
            settle(self._file.fileno(), self._path, target, noted_ns)
        except OSError as error:
            raise files.failed(error, target) from error
        self._path = ""
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            if self._path:
                files.remove(self._path)
            self._file.close()
            self._file = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()


def settle(descriptor: int, path: str, target: str, noted_ns: int) -> None:
    """Make the checked file PATH, open as DESCRIPTOR, final: mode, note, then its name TARGET."""
    os.fchmod(descriptor, files.MODE)
    os.utime(descriptor, ns=(time.time_ns(), noted_ns))
    try:
        os.replace(path, target)
    except FileNotFoundError:
        files.make_folder(os.path.dirname(target))
        os.replace(path, target)
