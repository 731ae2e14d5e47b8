"""One file, mirror after mirror, try after try, until it is here or none is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from builder.errors import FetchError, TrustError
from builder.fetch.answers import Answer, Refusal
from builder.fetch.request import Address, Request

_FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
# A try that brought this much new is no failed one: a line that breaks each minute still gets there.
_PROGRESS = 1 << 16


class Sink(Protocol):
    """Where the bytes go; ``size`` is what it holds of the file."""

    size: int

    def write(self, data: bytes) -> None:
        """Append DATA."""

    def restart(self) -> None:
        """Forget what is held."""

    def commit(self) -> bool:
        """Take what is held for the whole file, or forget it: whether its digest is right."""


class Attempts(NamedTuple):
    """How files are tried for.

    open     asks an address from a byte on
    advance  is told of bytes that came, or (negative) had to be forgotten
    retries  more tries of one mirror after the first
    """

    open: Callable[[Address, int], AbstractContextManager[Answer]]
    advance: Callable[[int, str], None]
    sleep: Callable[[float], None]
    retries: int

    def run(self, request: Request, addresses: Sequence[Address], sink: Sink) -> bool:
        """Bring REQUEST into SINK; False if it is optional and no mirror has it.

        `TrustError` if a mirror gave something else and none gave the right thing, else `FetchError`.
        """
        failures: list[tuple[Address, Refusal, int]] = []
        for each in addresses:
            refusal, tries = self._from(each, request, sink)
            if refusal is None:
                return True
            failures.append((each, refusal, tries))
        if request.optional and failures and all(refusal.is_absent for _, refusal, _ in failures):
            return False
        raise _error(request, failures)

    def _from(self, source: Address, request: Request, sink: Sink) -> tuple[Refusal | None, int]:
        """Try one mirror; return why it failed, or None, and the number of tries."""
        failed, tries, most = 0, 0, sink.size
        while True:
            tries += 1
            try:
                self._once(source, request, sink)
            except Refusal as refusal:
                failed = 1 if sink.size - most >= _PROGRESS else failed + 1
                most = max(most, sink.size)
                if not refusal.is_transient or failed > self.retries or refusal.pause > LONGEST_PAUSE:
                    return refusal, tries
                self.sleep(max(_FIRST_PAUSE * 2 ** (failed - 1), refusal.pause))
            else:
                return None, tries

    def _once(self, source: Address, request: Request, sink: Sink) -> None:
        """Ask once for what SINK lacks. `Refusal`; what came before it stays for the next try."""
        if request.digest is None or sink.size >= request.limit:
            self._forget(request, sink)
        offset = sink.size
        with self.open(source, offset) as answer:
            self._check(request, sink, answer)
            for chunk in answer.chunks:
                if sink.size + len(chunk) > request.limit:
                    self._forget(request, sink)
                    raise Refusal(f"more than the {_stated(request)} came")
                sink.write(chunk)
                self.advance(len(chunk), request.path)
            whole = request.limit if request.is_exact else answer.size
        if whole is not None and sink.size < whole:
            raise Refusal(f"ended after {sink.size} of {whole} bytes", is_transient=True)
        size = sink.size
        if not sink.commit():
            self.advance(-size, request.path)
            # An earlier part may have been another's fault: once more, from the first byte.
            raise Refusal("its content has another digest", is_lie=True, is_transient=offset > 0)

    def _check(self, request: Request, sink: Sink, answer: Answer) -> None:
        """Judge the answer by its headers, before its first byte. `Refusal`."""
        if answer.size is not None:
            if request.is_exact and answer.size != request.limit:
                raise Refusal(f"has {answer.size} bytes, not the {request.limit} declared")
            if answer.size > request.limit:
                raise Refusal(f"has {answer.size} bytes, more than the {_stated(request)}")
        if request.digest is None and answer.encoding.lower() not in {"", "identity"}:
            raise Refusal(f"encoded as {answer.encoding[:40]}, which was not asked for")
        if answer.start != sink.size:
            self._forget(request, sink)
            if answer.start:
                raise Refusal("another range than the one asked for came", is_transient=True)

    def _forget(self, request: Request, sink: Sink) -> None:
        if sink.size:
            self.advance(-sink.size, request.path)
            sink.restart()


def _stated(request: Request) -> str:
    return f"{request.limit} bytes {'declared' if request.is_exact else 'allowed'}"


def _error(
    request: Request, failures: Sequence[tuple[Address, Refusal, int]]
) -> FetchError | TrustError:
    """Return the error that tells what each mirror said."""
    lies = any(refusal.is_lie for _, refusal, _ in failures)
    kind = TrustError if lies else FetchError
    hint = _hint(failures, lies=lies)
    if len(failures) == 1:
        source, refusal, tries = failures[0]
        return kind(_told(refusal, tries), where=source.url, hint=hint)
    lines = [f"  {source.url}: {_told(refusal, tries)}" for source, refusal, tries in failures]
    return kind(
        f"none of {len(failures)} mirrors gave it",
        where=request.path,
        excerpt="\n".join(lines),
        hint=hint,
    )


def _told(refusal: Refusal, tries: int) -> str:
    return f"{refusal} ({tries} tries)" if tries > 1 else str(refusal)


def _hint(failures: Sequence[tuple[Address, Refusal, int]], *, lies: bool) -> str:
    if lies:
        return (
            "the mirror may be in the middle of an update, or something on the way changes files; "
            "try again later, or another mirror with --mirror"
        )
    if all(refusal.is_absent for _, refusal, _ in failures):
        return (
            "the archive may have replaced it since the lock was written: run `imgbuild update`, "
            "or give a mirror that keeps it with --mirror"
        )
    return "try again later, or another mirror with --mirror"
