"""The local form of a package list: built once per digest, opened in microseconds, read where asked.

A `Packages` file (deb822 stanzas, a blank line between) becomes, front to back:

    blocks      runs of whole stanzas, some 64 KiB of text each, every one a zstd frame with checksum
    tables      numbers in the machine's byte order, 8-aligned:
                  block_text   u32  where each block begins in the text      (blocks + 1)
                  block_bytes  u64  where each block begins in this file     (blocks + 1)
                  stanzas      u32  where each stanza begins in the text     (stanzas + 1)
                  then twice, for package names and for provided names:
                  ends         u32  where each name ends in `names`          (names)
                  firsts       u32  the name's first posting                 (names + 1)
                  postings     u32  numbers of stanzas, in the index's order
                  names             the names sorted by their bytes, one after the other
    footer      `_FOOTER`: the length of each section, and a magic word that tells version and byte order

so a name is found by binary search over the mapped file, and one block is decompressed for it. The
text of a stanza is kept whole; it is parsed when it is asked for, and a stanza that is broken is
refused then (`TrustError` naming package and index), so that one bad stanza spoils nothing else.
A file that is not as above is a `StoreError`: the store holds what we wrote, or it is damaged.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from operator import methodcaller
from typing import TYPE_CHECKING, BinaryIO

from builder.errors import StoreError, TrustError
from builder.formats.deb import mentions
from builder.formats.deb.mentions import Place
from builder.formats.deb.stanza import parse_package
from builder.packages import Package

if TYPE_CHECKING:
    from zstandard import ZstdDecompressor

_MAGIC = b"imgidx1" + sys.byteorder[:1].encode()
_FOOTER = struct.Struct("=11Q8s")
_BLOCK = 64 << 10
_STANZA_LIMIT = 4 << 20
_TEXT_LIMIT = (1 << 32) - 1
_LEVEL = -1  # twice as fast as 1 on 50 MB of text, a third larger
_CACHED_BLOCKS = 64

_PACKAGE = re.compile(rb"^package:[ \t]*([^ \t\n]*)", re.IGNORECASE | re.MULTILINE)
_PROVIDES = re.compile(rb"^provides:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE)
_begins_plainly = methodcaller("startswith", b"Package: ")
_PROVIDED = re.compile(rb"(?:\A|,)\s*([^\s,:(]+)")


# ---- building ----------------------------------------------------------------------------------


class _Scan:
    """What is known of the stanzas seen so far: where each begins, its name, what it provides."""

    def __init__(self) -> None:
        self.starts = array("I")
        self.names: list[bytes] = []
        self.provided: list[bytes] = []
        self.providers: list[int] = []

    def add(self, block: bytes, text: int) -> None:
        """Note the stanzas of BLOCK, which begins at TEXT and ends in a blank line."""
        # Nearly every block of every archive: each stanza begins with "Package: ", and field names
        # are spelled so (they may be of any case, policy §5.1).
        stanzas = block[:-2].split(b"\n\n")
        provides = _positions(block, b"\nProvides: ")
        if block.lower().count(b"\nprovides:") != len(provides) or not all(
            map(_begins_plainly, stanzas)
        ):
            return self._add_slowly(block, text)
        first = len(self.starts)
        self.names += [stanza[9 : stanza.find(b"\n")] for stanza in stanzas]
        self.starts.extend(accumulate([len(stanza) + 2 for stanza in stanzas[:-1]], initial=text))
        for position in provides:
            end = block.find(b"\n", position + 11)
            if block[end + 1] in b" \t":
                end = block.find(b"\n\n", end)
            number = bisect_right(self.starts, text + position, first) - 1
            self._add_provides(block[position + 1 : end], number)
        return None

    def _add_slowly(self, block: bytes, text: int) -> None:
        for stanza in block.split(b"\n\n"):
            if stanza.strip():
                name = _PACKAGE.search(stanza)
                self._add_provides(stanza, len(self.starts))
                self.starts.append(text)
                self.names.append(name[1] if name else b"")
            text += len(stanza) + 2

    def _add_provides(self, text: bytes, number: int) -> None:
        if found := _PROVIDES.search(text):
            names = set(_PROVIDED.findall(found[1]))  # one may be provided at several versions
            self.provided += names
            self.providers += [number] * len(names)


def _positions(block: bytes, word: bytes) -> list[int]:
    found = []
    position = block.find(word)
    while position >= 0:
        found.append(position)
        position = block.find(word, position + 1)
    return found


def build_index(stream: BinaryIO, sink: BinaryIO) -> None:
    """Write the local form of the package list STREAM (decompressed already) to SINK.

    Holds one block of text and the names in memory. `TrustError` for a list no archive publishes:
    4 GiB of text, a stanza of 4 MiB.
    """
    import zstandard

    compress = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress
    scan = _Scan()
    block_text, block_bytes = array("I", [0]), array("Q", [0])
    for block in _blocks(stream):
        if block_text[-1] + len(block) > _TEXT_LIMIT:
            raise TrustError("package list is larger than 4 GiB")
        scan.add(block, block_text[-1])
        frame = compress(block)
        sink.write(frame)
        block_text.append(block_text[-1] + len(block))
        block_bytes.append(block_bytes[-1] + len(frame))
    scan.starts.append(block_text[-1])
    packages = _table(scan.names, range(len(scan.names)))
    provided = _table(scan.provided, scan.providers)
    _write_tables(sink, block_bytes[-1], (block_text, block_bytes, scan.starts, *packages, *provided))


def _table(
    names: list[bytes], stanzas: Sequence[int]
) -> tuple[array[int], array[int], array[int], bytes]:
    """Return the sections ends, firsts, postings and names: sorted, each name once."""
    order = sorted(range(len(names)), key=names.__getitem__)  # stable: the index's order is kept
    counts = Counter(names)
    unique = sorted(counts)
    ends = array("I", accumulate(map(len, unique)))
    firsts = array("I", accumulate(map(counts.__getitem__, unique), initial=0))
    return ends, firsts, array("I", map(stanzas.__getitem__, order)), b"".join(unique)


def _write_tables(sink: BinaryIO, written: int, sections: tuple[array[int] | bytes, ...]) -> None:
    contents = [bytes(section) for section in sections]
    padded = [content + bytes(-len(content) % 8) for content in contents]
    footer = _FOOTER.pack(*map(len, contents), _MAGIC)
    sink.write(b"".join((bytes(-written % 8), *padded, footer)))


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the text in runs of whole stanzas, each ending in one blank line."""
    held = b""
    for piece in iter(partial(stream.read, _BLOCK), b""):
        held += piece.replace(b"\r", b"") if b"\r" in piece else piece
        cut = held.rfind(b"\n\n") + 2
        if cut > 1:
            block = held[:cut]
            yield block if block[0] != 10 else block.lstrip(b"\n") or b"\n\n"
            held = held[cut:]
        elif len(held) > _STANZA_LIMIT:
            raise TrustError("package list has a stanza of more than 4 MiB")
    if held.strip():
        yield held.strip(b"\n") + b"\n\n"


# ---- reading -----------------------------------------------------------------------------------


class _Table:
    """One table of names in the mapped file."""

    def __init__(self, sections: list[memoryview]) -> None:
        self._ends, self._firsts, self._postings = (section.cast("I") for section in sections[:3])
        self._names = sections[3]

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._ends:
            yield bytes(self._names[start:end]).decode(errors="replace")
            start = end

    def find(self, name: bytes) -> memoryview | tuple[()]:
        """Return the numbers of the stanzas that bear NAME."""
        ends, names = self._ends, self._names
        low, high = 0, len(ends)
        while low < high:
            middle = (low + high) // 2
            found = bytes(names[ends[middle - 1] if middle else 0 : ends[middle]])
            if found == name:
                return self._postings[self._firsts[middle] : self._firsts[middle + 1]]
            if found < name:
                low = middle + 1
            else:
                high = middle
        return ()


class DebIndex:
    """One opened package list (`builder.packages.PackageIndex`); not safe to share between threads."""

    def __init__(self, key: str, buffer: memoryview) -> None:
        self._key = key
        self._buffer = buffer
        self._architecture = key.rpartition("/")[2]
        self._cache: dict[int, bytes] = {}
        self._decompressor: ZstdDecompressor | None = None
        sections = _sections(key, buffer)
        self._block_text = sections[0].cast("I")
        self._block_bytes = sections[1].cast("Q")
        self._stanzas = sections[2].cast("I")
        self._packages = _Table(sections[3:7])
        self._provided = _Table(sections[7:11])

    @property
    def key(self) -> str:
        """``REPOSITORY/SUITE/COMPONENT/ARCHITECTURE``."""
        return self._key

    def __len__(self) -> int:
        return len(self._stanzas) - 1

    def names(self) -> Iterator[str]:
        """Yield every name of a package, sorted by its bytes."""
        return iter(self._packages)

    def packages(self, name: str) -> tuple[Package, ...]:
        """Return the packages named NAME for this architecture or ``all``, in the index's order."""
        found = tuple(self._parse(number) for number in self._find(self._packages, name))
        if any(package.name != name for package in found):
            raise self._damage()
        return self._usable(found)

    def providers(self, name: str) -> tuple[Package, ...]:
        """Return the packages that provide NAME, in the index's order."""
        found = tuple(self._parse(number) for number in self._find(self._provided, name))
        if any(all(provide.name != name for provide in package.provides) for package in found):
            raise self._damage()
        return self._usable(found)

    def first_mentions(self, names: Sequence[str]) -> dict[str, Place]:
        """Return where each of NAMES is first met; those the list does not mention are left out."""
        places: dict[str, Place] = {}
        wanted = {name: name.encode() for name in names}
        for number in range(len(self._block_text) - 1):
            if not wanted:
                break
            block = self._block(number)
            for name in [name for name, text in wanted.items() if text in block]:
                found = mentions.in_block(block, wanted[name])
                if found is not None:
                    offset = self._block_text[number] + found[0]
                    places[name] = (bisect_right(self._stanzas, offset) - 1, found[1], offset)
                    del wanted[name]
        return places

    def _usable(self, found: tuple[Package, ...]) -> tuple[Package, ...]:
        # A flat repository lists every architecture in one file.
        return tuple(package for package in found if package.architecture in (self._architecture, "all"))

    def _find(self, table: _Table, name: str) -> memoryview | tuple[()]:
        try:
            return table.find(name.encode())
        except (IndexError, ValueError) as error:
            raise self._damage() from error

    def _parse(self, number: int) -> Package:
        return parse_package(self._text(number), self._key)

    def _text(self, number: int) -> bytes:
        if number + 1 >= len(self._stanzas):
            raise self._damage()
        start, end = self._stanzas[number], self._stanzas[number + 1]
        block = bisect_right(self._block_text, start) - 1
        if not 0 <= block < len(self._block_text) - 1:
            raise self._damage()
        text = self._block(block)
        start, end = start - self._block_text[block], end - self._block_text[block]
        stanza = text[start:end]
        is_whole = text[max(start - 1, 0) : start] in (b"", b"\n") and stanza.endswith(b"\n\n")
        if not is_whole or b"\n\n" in stanza.strip(b"\n"):
            raise self._damage()
        return stanza

    def _block(self, number: int) -> bytes:
        if number in self._cache:
            return self._cache[number]
        import zstandard

        size = self._block_text[number + 1] - self._block_text[number]
        frame = self._buffer[self._block_bytes[number] : self._block_bytes[number + 1]]
        try:
            if self._decompressor is None:
                self._decompressor = zstandard.ZstdDecompressor()
            text = self._decompressor.decompress(frame, max_output_size=max(size, 1))
        except zstandard.ZstdError as error:
            raise self._damage() from error
        if len(text) != size:
            raise self._damage()
        if len(self._cache) >= _CACHED_BLOCKS:
            self._cache.pop(next(iter(self._cache)))
        self._cache[number] = text
        return text

    def _damage(self) -> StoreError:
        return _damaged(self._key)


def open_index(key: str, buffer: memoryview) -> DebIndex:
    """Open what `build_index` wrote. `StoreError` for anything else."""
    try:
        return DebIndex(key, buffer)
    except (struct.error, TypeError, ValueError) as error:
        raise _damaged(key) from error


def _damaged(key: str) -> StoreError:
    return StoreError(
        f"local index of {key} is damaged", hint='"imgbuild cache verify" drops what is damaged'
    )


def _sections(key: str, buffer: memoryview) -> list[memoryview]:
    if len(buffer) < _FOOTER.size:
        raise _damaged(key)
    *lengths, magic = _FOOTER.unpack_from(buffer, len(buffer) - _FOOTER.size)
    padded = [length + -length % 8 for length in lengths]
    start = len(buffer) - _FOOTER.size - sum(padded)
    if magic != _MAGIC or start < 0:
        raise _damaged(key)
    sections = []
    for length, step in zip(lengths, padded, strict=True):
        sections.append(buffer[start : start + length])
        start += step
    return sections
