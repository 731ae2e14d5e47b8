"""A blob that arrives over several attempts, perhaps of several processes."""

from __future__ import annotations

import hashlib
import os
from io import FileIO
from types import TracebackType
from typing import TYPE_CHECKING, Self

from builder.digests import Digest
from builder.store import files

if TYPE_CHECKING:
    from builder.store.store import Store


class PartialBlob:
    """The part of blob DIGEST that is here already; what is added stays for the next attempt.

    Its file is its lock: a second process that wants the same blob waits in ``with`` until the first
    has it or gives up, and should then ask `Store.has`. ``size`` is what is held, in bytes. For one
    thread. Errors: `StoreError` where the disk refuses.
    """

    def __init__(self, store: Store, digest: Digest) -> None:
        self._store = store
        self._digest = digest
        self._path = store.partial_path(digest)
        self._file: FileIO | None = None
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        self._store.join()
        try:
            files.make_folder(os.path.dirname(self._path))
            descriptor = files.open_locked(self._path)
            assert descriptor is not None
            self._file = FileIO(descriptor, "rb+")
            self._read_back()
        except OSError as error:
            self._close()
            raise files.failed(error, self._path) from error
        return self

    def _read_back(self) -> None:
        """Bring the hash to where an earlier attempt left off."""
        assert self._file is not None
        while data := self._file.read(1 << 18):
            self._hash.update(data)
            self.size += len(data)

    def write(self, data: bytes | memoryview) -> None:
        """Append DATA."""
        assert self._file is not None, "the partial blob is not open"
        view = memoryview(data)
        try:
            while view:
                written = self._file.write(view)
                # Counted and hashed as it lands, so that a full disk leaves the three in step.
                self._hash.update(view[:written])
                self.size += written
                view = view[written:]
        except OSError as error:
            raise files.failed(error, self._path) from error

    def restart(self) -> None:
        """Forget what is held."""
        assert self._file is not None, "the partial blob is not open"
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            raise files.failed(error, self._path) from error
        self._hash = hashlib.sha256()
        self.size = 0

    def commit(self) -> bool:
        """Make it the blob if the digest is the right one; else forget it. Whether it was right."""
        assert self._file is not None, "the partial blob is not open"
        if self._hash.hexdigest() != self._digest.hex:
            self.restart()
            return False
        try:
            self._store.settle(self._file.fileno(), self._path, self._digest, self.size)
        except OSError as error:
            raise files.failed(error, self._path) from error
        self._file.close()
        self._file = None
        return True

    def _close(self) -> None:
        if self._file is not None:
            if not self.size:
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
