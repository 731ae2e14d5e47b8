"""What a package is, whatever its format, and the protocol that a format answers.

A format is a folder under `builder/formats` with one object that answers `PackageFormat` and one
line in `builder/formats/registry.py`. Nothing here or above knows which formats there are. All of a
format is core: it gets values and open binary streams and returns values; where it needs a file of
an archive it *asks*, by yielding a `Want` (see `PackageFormat.snapshot`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol

import msgspec

from builder.digests import Digest
from builder.tree.entries import Entry, NewFile


class Relation(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One condition on one name, e.g. ``libc6 (>= 2.36)`` or ``python3:any``.

    operator   "" (any version), or one of ``<< <= = >= >>`` whatever the format writes; in a request
               of a spec ``=`` may have a version with ``*``, matched as a shell pattern
    qualifier  deb: the architecture after the colon (``any``, ``native``, ``arm64``); else ""
    """

    name: str
    operator: str = ""
    version: str = ""
    qualifier: str = ""

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.operator} {self.version})" if self.operator else name


class Dependency(msgspec.Struct, frozen=True, array_like=True):
    """Alternatives, best first, of which one must (or, recommended, should) be installed.

    kind  ``pre-depends``, ``depends`` or ``recommends``
    """

    kind: str
    alternatives: tuple[Relation, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.alternatives))


class Conflict(msgspec.Struct, frozen=True, array_like=True):
    """What may not be installed beside the package; kind ``conflicts`` or ``breaks``."""

    kind: str
    relation: Relation


class Provide(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A name the package answers to; ``version`` is "" when it is provided without one."""

    name: str
    version: str = ""


class Package(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of one package as a signed index lists it.

    repository       key of the index it was read from (`PackageIndex.key`)
    architecture     as the index says: ``amd64``, ``all``, …
    source           name of the source package; ``source_version`` its version
    filename         path below the archive root
    size             bytes of the archive file; ``installed_size`` bytes unpacked, as declared
    multi_arch       deb: ``no``, ``same``, ``foreign`` or ``allowed``
    """

    name: str
    version: str
    architecture: str
    repository: str
    source: str
    source_version: str
    filename: str
    size: int
    digest: Digest
    installed_size: int = 0
    section: str = ""
    priority: str = ""
    essential: bool = False
    multi_arch: str = "no"
    dependencies: tuple[Dependency, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    provides: tuple[Provide, ...] = ()
    replaces: tuple[Relation, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class PackageIndex(Protocol):
    """One package list, opened: cheap to open, and read only where asked."""

    @property
    def key(self) -> str:
        """``REPOSITORY/SUITE/COMPONENT/ARCHITECTURE``, e.g. ``debian/trixie/main/amd64``."""

    def packages(self, name: str) -> tuple[Package, ...]:
        """Return the packages named NAME, in the order of the index."""

    def providers(self, name: str) -> tuple[Package, ...]:
        """Return the packages that provide NAME, in the order of the index."""

    def names(self) -> Iterator[str]:
        """Yield every name of a package, sorted; for near matches and tests, not for resolving."""

    def first_mentions(self, names: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """Return where in the list each of NAMES is first mentioned, in any unit that sorts.

        For choices between packages that are alike in all else; may read the whole list.
        """


# ---- snapshots ---------------------------------------------------------------------------------


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an archive that a format asks for.

    path      below the archive root, e.g. ``dists/trixie/InRelease``
    limit     bytes at most; the exact size where ``digest`` is given and ``is_exact``
    digest    its sha256, or None for a file whose trust comes from inside (signed files)
    optional  the answer may be None (404) instead of an error
    """

    path: str
    limit: int
    digest: Digest | None = None
    is_exact: bool = False
    optional: bool = False


class IndexReference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package list that a signed release names.

    path    the compressed file to fetch, below the archive root (by-hash where offered)
    size    its bytes; ``digest`` its sha256
    """

    component: str
    architecture: str
    path: str
    size: int
    digest: Digest


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One verified state of one suite.

    repository    the repository's name in the spec, or the distribution's (``debian``)
    suite         as asked for; ``codename`` and ``origin`` as the release says
    date          seconds since 1970, from the signed release; ``valid_until`` likewise, or None
    digest        sha256 of the signed bytes
    signers       fingerprints of the certificates whose signatures held, sorted; () if unsigned
    is_security   whether the suite carries security updates
    """

    repository: str
    suite: str
    codename: str
    origin: str = ""
    date: int
    valid_until: int | None = None
    digest: Digest
    signers: tuple[str, ...]
    is_security: bool = False
    indexes: tuple[IndexReference, ...]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One suite of one repository as the spec and the distribution's data describe it.

    repository          its name: ``debian``, ``internal``
    location            which archive root of the distribution it lies below: ``main``, ``security``;
                        what `mirrors` are looked up by
    suite               directory below ``dists/``, or a flat path that ends in ``/`` (apt's ``./``)
    codenames           what the signed release may call itself (codename or suite); () = not checked
    components          () for a flat repository
    keys                fingerprints a signature must come from; () = any key of the keyring given
    is_trusted_unsigned ``trust: unsigned`` in the spec
    """

    repository: str
    location: str
    suite: str
    codenames: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...]
    keys: tuple[str, ...] = ()
    is_security: bool = False
    is_trusted_unsigned: bool = False


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """What a release's dates are held against.

    now              seconds since 1970; for a dated archive (``snapshot:``) the archive's own date
    previous         date of the same suite in the lock; an older release is a rollback
    accepts_expired  do not refuse a passed Valid-Until (dated archives, frozen mirrors)
    """

    now: int
    previous: int | None = None
    accepts_expired: bool = False


# ---- archives ----------------------------------------------------------------------------------


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive must say of itself."""

    name: str
    version: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.architecture})"


class ControlFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of the package's control part other than its chief one (``md5sums``, ``postinst``)."""

    name: str
    mode: int
    content: bytes


class Control(msgspec.Struct, frozen=True, array_like=True):
    """The control part of an archive: fields in their order and spelling, and the other files."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[ControlFile, ...]

    def field(self, name: str, default: str = "") -> str:
        """Return the value of field NAME, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.fields if key.lower() == wanted), default)


class ArchiveReader(Protocol):
    """An archive being read once, front to back."""

    control: Control

    def __iter__(self) -> Iterator[tuple[Entry, BinaryIO | None]]:
        """Yield each entry in the archive's order, with its content for a FILE.

        Paths are clean and unique; entries have passed the format's checks (no path that leaves the
        tree, no device, no ``.wh.`` name, …); `Entry.digest` is empty, the caller hashes as it
        copies. A content must be read whole before the next entry is asked for; what is left of it
        is skipped. `PackageError`, naming package and member, for anything else.
        """


class InstalledPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package as it is in the image: its control part and the entries that trimming left.

    requested  whether the spec itself asked for it (apt's ``manual``, rpm's ``user``)
    """

    identity: Identity
    control: Control
    entries: tuple[Entry, ...]
    requested: bool = False


class PackageFormat(Protocol):
    """All that the rest of the program asks of a package format."""

    name: str
    """``deb``; how distributions (`builder/distros`) name it."""

    version: int
    """Raised whenever what `read`, `build_index` or the databases return changes: part of each key."""

    def snapshot(
        self, source: Source, keyring: bytes, freshness: Freshness
    ) -> Generator[Want, BinaryIO | None, Snapshot]:
        """Find and verify the present state of SOURCE: yield what is needed, be sent it, return it.

        KEYRING holds the certificates that may sign (binary or armored OpenPGP, concatenated).
        Raises `TrustError`.
        """

    def build_index(self, stream: BinaryIO, sink: BinaryIO) -> None:
        """Turn a package list (decompressed already) into the local form that `open_index` reads."""

    def open_index(self, key: str, buffer: memoryview) -> PackageIndex:
        """Open what `build_index` wrote; BUFFER is usually a mapped file. `StoreError` if damaged."""

    def package(
        self, control: Control, *, repository: str, filename: str, size: int, digest: Digest
    ) -> Package:
        """Return what an index would say of a package with CONTROL; the rest as the lock has it."""

    def parse_request(self, text: str) -> Relation:
        """Parse an entry of the spec's ``packages`` (``nginx>=1.22``, ``nginx=1.22.*``).

        `ValueError` with a phrase about the text for anything else.
        """

    def compare(self, left: str, right: str) -> int:
        """Return a negative, zero or positive number as version LEFT is older, equal or newer."""

    def satisfies(self, version: str, relation: Relation) -> bool:
        """Whether VERSION answers RELATION's operator and version (its name is not looked at)."""

    def is_all(self, architecture: str) -> bool:
        """Whether packages of ARCHITECTURE are for every machine (``all``, ``noarch``)."""

    def read(
        self, archive: BinaryIO, identity: Identity, *, moves: Sequence[tuple[str, str]] = ()
    ) -> ArchiveReader:
        """Open ARCHIVE (seekable) and check that it is IDENTITY.

        MOVES are folders that are links in the image (``("bin", "usr/bin")``): each path below the
        first is given below the second, hard link targets too.
        """

    def may_replace(self, winner: Control, loser: Identity) -> bool:
        """Whether WINNER says it takes over files of LOSER (deb ``Replaces``)."""

    def has_manager(self, names: Iterable[str]) -> bool:
        """Whether NAMES of an image's packages include the package manager whose database is full."""

    def package_database(self, package: InstalledPackage) -> tuple[NewFile, ...]:
        """Return the database files that go with one package and add up over layers."""

    def image_database(
        self, packages: Sequence[InstalledPackage], architecture: str
    ) -> tuple[NewFile, ...]:
        """Return the full database of an image that holds the package manager, for the top layer.

        Includes the parent folders that need to be there.
        """

    def trim_rules(self) -> tuple[str, ...]:
        """Return the patterns of ``trim: minimal``, such as ``-usr/share/doc/**``.

        The last pattern that matches a path decides; ``-`` leaves it out, ``+`` keeps it.
        """


__all__ = [
    "ArchiveReader", "Conflict", "Control", "ControlFile", "Dependency", "Freshness", "Identity",
    "IndexReference", "InstalledPackage", "Package", "PackageFormat", "PackageIndex", "Provide",
    "Relation", "Snapshot", "Source", "Want",
]  # fmt: skip
