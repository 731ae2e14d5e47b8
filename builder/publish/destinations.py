"""Destinations as ``-o`` gives them: ``KIND:PLACE``.

>>> parse_destination("oci-archive:app.tar")
Destination(kind='oci-archive', place='app.tar')
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from builder.errors import UsageError

KINDS = {
    "oci": "DIR",
    "oci-archive": "FILE",
    "docker-archive": "FILE",
    "rootfs": "DIR",
    "tar": "FILE",
}
"""Each kind and what its place is."""

_FORMS = ", ".join(f"{kind}:{place}" for kind, place in KINDS.items())
_OF_ONE_ARCHITECTURE = frozenset({"docker-archive", "rootfs", "tar"})


class Destination(NamedTuple):
    """Where an image goes; ``place`` is a path, or ``-`` for standard output (kinds of FILE)."""

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    @property
    def is_stdout(self) -> bool:
        """Whether it is written to standard output."""
        return self.place == "-" and KINDS[self.kind] == "FILE"

    @property
    def holds_one_architecture(self) -> bool:
        """Whether it can hold no image index."""
        return self.kind in _OF_ONE_ARCHITECTURE


def parse_destination(text: str) -> Destination:
    """Return the destination TEXT says; `UsageError` for an unknown kind or a missing place."""
    kind, colon, place = text.partition(":")
    if not colon or kind not in KINDS:
        raise UsageError(f'"{text}" is no destination', where="-o", hint=f"use one of {_FORMS}")
    if not place:
        raise UsageError(f'"{text}" names no place', where="-o", hint=f"write {kind}:{KINDS[kind]}")
    if "\0" in place:
        raise UsageError(f"{text!r} has a NUL byte in its path", where="-o")
    if place == "-" and KINDS[kind] == "DIR":
        raise UsageError(
            f'"{text}" is a folder and cannot go to standard output',
            where="-o",
            hint="use oci-archive:- , docker-archive:- or tar:-",
        )
    return Destination(kind, place)


def parse_destinations(texts: Iterable[str]) -> tuple[Destination, ...]:
    """Return the destinations of TEXTS, each once, in their order.

    `UsageError` where two would write to one place.
    """
    destinations = tuple(dict.fromkeys(map(parse_destination, texts)))
    by_place: dict[str, Destination] = {}
    for destination in destinations:
        other = by_place.setdefault(destination.place.rstrip("/") or "/", destination)
        if other is not destination:
            raise UsageError(f'"{other}" and "{destination}" write to the same place', where="-o")
    return destinations
