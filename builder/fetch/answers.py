"""What one attempt gives: an `Answer` to be read, or a `Refusal` that says why there is none."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from typing import NamedTuple

from builder.fetch.request import Address

CHUNK = 1 << 18


class Refusal(Exception):  # noqa: N818 - it is not an error yet: another try or mirror may do better
    """One attempt that failed; ``str`` is the reason, a phrase.

    is_transient  the same mirror may do better in a moment
    is_absent     the mirror says that it has no such file
    is_lie        what came is not what was asked for, by its digest
    pause         seconds the mirror asked us to wait
    """

    def __init__(
        self,
        reason: str,
        *,
        is_transient: bool = False,
        is_absent: bool = False,
        is_lie: bool = False,
        pause: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.is_transient = is_transient
        self.is_absent = is_absent
        self.is_lie = is_lie
        self.pause = pause


class Answer(NamedTuple):
    """A body about to come.

    start  which byte of the file its first one is
    size   of the whole file in bytes, as the mirror says; None if it does not
    """

    start: int
    size: int | None
    chunks: Iterator[bytes]
    encoding: str = ""


@contextmanager
def open_local(address: Address, offset: int) -> Iterator[Answer]:
    """Answer from a local archive, under the rules that a server is held to. Raises `Refusal`."""
    try:
        # A FIFO in the place of the file must not make us wait for its writer.
        descriptor = os.open(address.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise Refusal("no such file", is_absent=True) from None
    except OSError as error:
        raise Refusal(os.strerror(error.errno or 0).lower()) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Refusal("not a regular file")
    with FileIO(descriptor) as stream:
        start = stream.seek(offset if offset < found.st_size else 0)
        yield Answer(start, found.st_size, _read(stream))


def _read(stream: FileIO) -> Iterator[bytes]:
    while True:
        try:
            data = stream.read(CHUNK)
        except OSError as error:
            raise Refusal(os.strerror(error.errno or 0).lower()) from error
        if not data:
            return
        yield data
