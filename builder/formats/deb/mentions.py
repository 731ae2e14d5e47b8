"""Where a package list first mentions a name: what apt's last resort between equals goes by.

apt numbers packages in the order in which it meets their names, as a stanza's own or as one that a
stanza points to, and of two packages that are alike in all else takes the one met later
(`CompareProviders` in apt-pkg/depcache.cc). Few choices come to that, so it is searched for in the
text when it is asked for, and not kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

# (number of the stanza, place of the field, offset in the text)
Place: TypeAlias = tuple[int, int, int]

# The order in which apt's debListParser::NewVersion reads the fields of a stanza, after its name.
_FIELDS = {
    field: number
    for number, field in enumerate(
        (
            b"package",
            b"pre-depends",
            b"depends",
            b"conflicts",
            b"breaks",
            b"recommends",
            b"suggests",
            b"replaces",
            b"enhances",
            b"provides",
        )
    )
}
_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._")


def in_block(block: bytes, name: bytes) -> tuple[int, int] | None:
    """Return offset and place of the field where apt first meets NAME in BLOCK, whole stanzas."""
    best: tuple[int, int] | None = None
    end = len(block)
    for offset in _occurrences(block, name):
        if offset >= end:
            break
        field = _field(block, offset)
        if field is not None and (best is None or field < best[1]):
            # A later field of the stanza may be one that apt reads before this one.
            best = (offset, field)
            end = block.find(b"\n\n", offset)
    return best


def _occurrences(block: bytes, name: bytes) -> Iterable[int]:
    offset = block.find(name)
    while offset >= 0:
        after = block[offset + len(name) : offset + len(name) + 5]
        is_whole = block[offset - 1] not in _NAME and (not after or after[0] not in _NAME)
        # "python3:any" is a name of its own to apt.
        if is_whole and not (after.startswith(b":any") and (len(after) < 5 or after[4] not in _NAME)):
            yield offset
        offset = block.find(name, offset + len(name))


def _field(block: bytes, offset: int) -> int | None:
    start = block.rfind(b"\n", 0, offset) + 1
    while block[start : start + 1] in (b" ", b"\t") and start > 0:
        start = block.rfind(b"\n", 0, start - 1) + 1
    return _FIELDS.get(block[start : block.find(b":", start)].lower())
