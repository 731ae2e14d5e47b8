"""The deb format: `builder.packages.PackageFormat`, answered by the modules of this folder."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import BinaryIO

from builder.digests import Digest
from builder.packages import (
    ArchiveReader,
    Control,
    Freshness,
    Identity,
    InstalledPackage,
    Package,
    PackageFormat,
    PackageIndex,
    Relation,
    Snapshot,
    Source,
    Want,
)
from builder.tree.entries import NewFile

# Modules are imported where they are used: a warm build needs none of them, a lock no archive reader.


class DebFormat:
    """Packages of dpkg, archives of apt."""

    name = "deb"
    version = 1

    def snapshot(
        self, source: Source, keyring: bytes, freshness: Freshness
    ) -> Generator[Want, BinaryIO | None, Snapshot]:
        """See `builder.formats.deb.snapshot`."""
        from builder.formats.deb.snapshot import snapshot

        return snapshot(source, keyring, freshness)

    def build_index(self, stream: BinaryIO, sink: BinaryIO) -> None:
        """See `builder.formats.deb.index`."""
        from builder.formats.deb.index import build_index

        build_index(stream, sink)

    def open_index(self, key: str, buffer: memoryview) -> PackageIndex:
        """See `builder.formats.deb.index`."""
        from builder.formats.deb.index import open_index

        return open_index(key, buffer)

    def package(
        self, control: Control, *, repository: str, filename: str, size: int, digest: Digest
    ) -> Package:
        """See `builder.formats.deb.stanza`."""
        from builder.formats.deb.stanza import package_of_control

        return package_of_control(control, repository, filename, size, digest)

    def parse_request(self, text: str) -> Relation:
        """See `builder.formats.deb.relations`."""
        from builder.formats.deb.relations import parse_request

        return parse_request(text)

    def compare(self, left: str, right: str) -> int:
        """See `builder.formats.deb.version`."""
        from builder.formats.deb.version import compare

        return compare(left, right)

    def satisfies(self, version: str, relation: Relation) -> bool:
        """See `builder.formats.deb.version`."""
        from builder.formats.deb.version import satisfies

        return satisfies(version, relation)

    def is_all(self, architecture: str) -> bool:
        """Whether ARCHITECTURE is ``all``."""
        return architecture == "all"

    def read(
        self, archive: BinaryIO, identity: Identity, *, moves: Sequence[tuple[str, str]] = ()
    ) -> ArchiveReader:
        """See `builder.formats.deb.archive`."""
        from builder.formats.deb.archive import read

        return read(archive, identity, moves=moves)

    def may_replace(self, winner: Control, loser: Identity) -> bool:
        """See `builder.formats.deb.database`."""
        from builder.formats.deb.database import may_replace

        return may_replace(winner, loser)

    def has_manager(self, names: Iterable[str]) -> bool:
        """See `builder.formats.deb.database`."""
        from builder.formats.deb.database import has_manager

        return has_manager(names)

    def package_database(self, package: InstalledPackage) -> tuple[NewFile, ...]:
        """See `builder.formats.deb.database`."""
        from builder.formats.deb.database import package_database

        return package_database(package)

    def image_database(
        self, packages: Sequence[InstalledPackage], architecture: str
    ) -> tuple[NewFile, ...]:
        """See `builder.formats.deb.database`."""
        from builder.formats.deb.database import image_database

        return image_database(packages, architecture)

    def trim_rules(self) -> tuple[str, ...]:
        """See `builder.formats.deb.database`."""
        from builder.formats.deb.database import TRIM_RULES

        return TRIM_RULES


FORMAT: PackageFormat = DebFormat()
