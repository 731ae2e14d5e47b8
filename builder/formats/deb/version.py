"""Versions of Debian packages: their order, and whether one answers a relation (deb-version(7)).

A version is turned once into a key, a tuple that Python compares in C; keys are remembered, since
one list of packages names the same few thousand versions again and again.

>>> compare("1.0~rc1-1", "1.0-1"), compare("1:0", "2"), compare("1.0", "1.0-0")
(-1, 1, 0)
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

from builder.packages import Relation

_MAX_EPOCH = 2**31 - 1

_PAIRS = re.compile("([^0-9]*)([0-9]*)")
_VALID = re.compile(r"(?:([0-9]+):)?([0-9A-Za-z.+~:\-]+)", re.ASCII)

# A tilde sorts before the end of a part, letters after it, all else after the letters.
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_ORDER = {code: code + 256 for code in range(256) if code not in _LETTERS} | {ord("~"): 1}
_END = "\x02"

_Part: TypeAlias = tuple[str | int, ...]
Key: TypeAlias = tuple[int, _Part, _Part]

# Two of them, so that what is longer by zeros alone ("0", "") is equal and "0~" is less than "".
_TERMINATOR: _Part = (_END, 0, "", _END, 0, "")


@lru_cache(maxsize=1 << 16)
def sort_key(version: str) -> Key:
    """Return a value that orders as dpkg orders VERSION (dpkg's lib/dpkg/version.c).

    What dpkg itself only warns about (a version that starts with a letter) has its place too; use
    `fault` to refuse it.
    """
    epoch, colon, rest = version.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdecimal()):
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return (int(epoch[-18:]), _part_key(upstream), _part_key(revision))


def compare(left: str, right: str) -> int:
    """Return -1, 0 or 1 as LEFT is older than, equal to or newer than RIGHT."""
    if left == right:
        return 0
    left_key, right_key = sort_key(left), sort_key(right)
    return (left_key > right_key) - (left_key < right_key)


def satisfies(version: str, relation: Relation) -> bool:
    """Whether VERSION answers RELATION's operator and version; its name is not looked at.

    ``=`` with ``*`` in its version matches the text of VERSION as a shell pattern, as in
    ``apt-get install nginx=1.22.*``.
    """
    operator = relation.operator
    if not operator:
        return True
    if operator == "=" and "*" in relation.version:
        return _pattern(relation.version).fullmatch(version) is not None
    return _HOLDS[operator](compare(version, relation.version))


def fault(version: str) -> str | None:
    """Return a phrase about what makes VERSION invalid by deb-version(7), or None."""
    match = _VALID.fullmatch(version)
    if match is None:
        wrong = next((c for c in version if not _VALID.fullmatch(c)), None)
        return f"a version cannot contain {wrong!r}" if wrong else "a version cannot be empty"
    epoch, rest = match.groups()
    upstream, dash, revision = rest.rpartition("-")
    faults = (
        (epoch is None and ":" in rest, "the epoch of a version is a number"),
        (epoch is not None and not _is_small(epoch), f"an epoch is at most {_MAX_EPOCH}"),
        (dash and not revision, 'nothing follows the last "-" of the version'),
        (dash and ":" in revision, 'a colon cannot follow the last "-" of a version'),
        (not (upstream if dash else rest)[:1].isdigit(), "a version starts with a digit"),
    )
    return next((phrase for holds, phrase in faults if holds), None)


def _is_small(epoch: str) -> bool:
    digits = epoch.lstrip("0")
    return len(digits) <= 10 and int(digits or "0") <= _MAX_EPOCH


def _part_key(part: str) -> _Part:
    key: list[str | int] = []
    for text, digits in _PAIRS.findall(part):
        number = digits.lstrip("0")
        # By length, then by digits: int() would refuse numbers of more than 4,300 digits.
        key += (text.translate(_ORDER) + _END, len(number), number)
    while key[-3:] == [_END, 0, ""]:
        del key[-3:]
    return (*key, *_TERMINATOR)


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


_HOLDS = {
    "<<": (0).__gt__,
    "<=": (0).__ge__,
    "=": (0).__eq__,
    ">=": (0).__le__,
    ">>": (0).__lt__,
}
