"""A loaded spec as bytes and back, so that a text that was read before need not be read again.

Whoever keeps the bytes keys them by the text's digest, the file's name and `VERSION`.
"""

from __future__ import annotations

import msgspec

from builder.errors import Position
from builder.spec.model import ImageSpec, SpecDocument

# Raised whenever `load_spec` may return another document for the same text.
VERSION = 1


class _Memory(msgspec.Struct, frozen=True, array_like=True):
    spec: ImageSpec
    positions: dict[str, tuple[int, int]]


def remember(document: SpecDocument) -> bytes:
    """Return DOCUMENT as bytes."""
    positions = {path: (place.line, place.column) for path, place in document.positions.items()}
    return msgspec.json.encode(_Memory(document.spec, positions))


def recall(memory: bytes, file: str) -> SpecDocument:
    """Return the document of `remember`; raises `msgspec.DecodeError` if MEMORY is none."""
    remembered = msgspec.json.decode(memory, type=_Memory)
    positions = {path: Position(file, *place) for path, place in remembered.positions.items()}
    return SpecDocument(spec=remembered.spec, positions=positions)
