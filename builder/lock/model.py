"""The values of a lock. Made from index metadata alone; names no host; every byte by digest."""

from __future__ import annotations

import msgspec

from builder.digests import Digest
from builder.packages import Snapshot


class LockedPackage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One package of one architecture's set.

    repository      name of the repository it is fetched from (`Snapshot.repository`)
    suite           the suite that listed it, e.g. ``trixie-security``
    location        archive root it lies below (`builder.packages.Source.location`)
    filename        path below the archive root; ``size`` its bytes, ``digest`` its sha256
    installed_size  bytes unpacked, as declared
    requested_by    names of the packages that need it, sorted; ``""`` stands for the spec itself
    """

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    repository: str
    suite: str
    location: str
    filename: str
    size: int
    digest: Digest
    installed_size: int = 0
    requested_by: tuple[str, ...] = ()


class LockedArchitecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The packages of one architecture, sorted by name."""

    architecture: str
    packages: tuple[LockedPackage, ...]


class LockedBase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base spec's lock: its path as the spec says it, and the sha256 of the lock file's bytes."""

    spec: str
    digest: Digest


class Lock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an image is a function of, with the spec and the local files it names.

    answers    digest of the parts of the spec that the choice depends on: stale when it differs
    distro     ``debian/trixie``
    epoch      seconds since 1970: newest snapshot date
    snapshots  every suite that was looked at, in the order of the sources
    layers     the layer plan, bottom first: the source packages each layer holds
    max_layers ``layers.max`` that the plan was made for; another number asks for another plan, but
               not for another choice of packages
    """

    version: int = 1
    answers: Digest
    distro: str
    snapshot: str = ""
    epoch: int
    base: LockedBase | None = None
    snapshots: tuple[Snapshot, ...]
    architectures: tuple[LockedArchitecture, ...]
    layers: tuple[tuple[str, ...], ...] = ()
    max_layers: int = 20

    def packages(self, architecture: str) -> tuple[LockedPackage, ...]:
        """Return the packages of ARCHITECTURE; () if the lock has none."""
        return next((a.packages for a in self.architectures if a.architecture == architecture), ())
