r"""Digests, canonical JSON and cache keys.

>>> Digest.of(b"")[:14]
'sha256:e3b0c44'
>>> canonical_json({"b": [1, "é"], "a": None})
b'{"a":null,"b":[1,"\xc3\xa9"]}'
"""

from __future__ import annotations

import hashlib
import json
from typing import TypeAlias

_HEX = frozenset("0123456789abcdef")
_LENGTHS = {"sha256": 64, "sha512": 128}

# What canonical_json takes: no floats, since their text differs between encoders.
Json: TypeAlias = "bool | int | str | list[Json] | tuple[Json, ...] | dict[str, Json] | None"


class Digest(str):
    """A digest as OCI writes it: ``algorithm:lowercase-hex`` (image-spec, descriptor.md).

    It is a ``str``, so it compares, sorts, hashes and prints as its text; make one with `parse`,
    `of` or `from_hex`, which check it.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return TEXT as a digest; `ValueError` for anything but sha256 or sha512 in lowercase hex."""
        algorithm, _, value = text.partition(":")
        if len(value) != _LENGTHS.get(algorithm, -1) or not _HEX.issuperset(value):
            raise ValueError(f"not a sha256 or sha512 digest: {text[:100]!r}")
        return cls(text)

    @classmethod
    def from_hex(cls, value: str) -> Digest:
        """Return the sha256 digest whose hex digits are VALUE."""
        return cls.parse(f"sha256:{value}")

    @classmethod
    def of(cls, content: bytes | memoryview) -> Digest:
        """Return the sha256 digest of CONTENT."""
        return cls(f"sha256:{hashlib.sha256(content).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hex digits alone."""
        return self.partition(":")[2]


def canonical_json(value: Json) -> bytes:
    """Return VALUE as UTF-8 JSON with sorted keys and no white space (RFC 8785 without floats)."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def cache_key(stage: str, version: int, inputs: Json) -> Digest:
    """Return the key of one action: the sha256 of ONE canonical document, so no two inputs collide.

    VERSION is the stage's own number: raised whenever its output for the same inputs changes.
    """
    return Digest.of(canonical_json({"stage": stage, "version": version, "inputs": inputs}))
