"""The floor: what C code alone needs to decompress, hash and compress the same packages.

Every .deb's data part is decompressed, its tar hashed, compressed as a layer is, and that hashed too,
each step one call for a whole package, on all cores; no tar is read, nothing is trimmed or written.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import zstandard

from builder.errors import PackageError
from builder.formats.deb import ar
from builder.layers.compression import compress
from builder.lock.model import LockedPackage
from builder.spec.model import Compression
from builder.store.store import Store


class Floor(NamedTuple):
    """Seconds, and bytes of tar."""

    wall: float
    cpu: float
    size: int


def measure_floor(store: Store, packages: Sequence[LockedPackage]) -> Floor:
    """Return the floor of PACKAGES, whose archives are in STORE."""
    ordered = sorted(packages, key=lambda package: -package.size)
    parts = [_data_part(store, package) for package in ordered]
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = list(pool.map(_work, parts))
    return Floor(time.perf_counter() - wall, time.process_time() - cpu, sum(sizes))


def _work(part: tuple[str, bytes]) -> int:
    suffix, packed = part
    tar = _DECODERS[suffix](packed)
    hashlib.sha256(tar).digest()
    hashlib.sha256(compress(tar, Compression())).digest()
    return len(tar)


def _zstd(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda packed: packed,
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".zst": _zstd,
}


def _data_part(store: Store, package: LockedPackage) -> tuple[str, bytes]:
    with store.open(package.digest) as archive:
        for member in ar.members(archive, lambda message: PackageError(message, where=package.name)):
            if member.name.startswith("data.tar"):
                archive.seek(member.offset)
                return member.name.removeprefix("data.tar"), archive.read(member.size)
    raise AssertionError(f"{package.name} has no data part")
