"""Left of the waist: from a spec to its lock; the only part that asks what there is now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from builder.errors import FetchError, SpecError, TrustError
from builder.layers.plan import plan
from builder.lock.answers import answers
from builder.lock.model import Lock, LockedArchitecture, LockedPackage
from builder.packages import Freshness, Package, PackageIndex, Snapshot, Source
from builder.pipeline.archive import Archive, architectures_of, open_archive, suite_of
from builder.pipeline.ports import Ports
from builder.pipeline.project import LockFile, Project, base_of
from builder.reporting import StageBegan, StageEnded, counted
from builder.repository.recent import RecentFiles
from builder.repository.snapshots import Subject, index_key, open_indexes, take
from builder.resolve.resolution import Request, Resolution, resolve

Paired: TypeAlias = Sequence[tuple[Source, Snapshot]]
Indexes: TypeAlias = Mapping[str, Sequence[PackageIndex]]


class Below(NamedTuple):
    """What a base brings.

    packages  the lock's packages of an architecture, those of the base's own base included
    unpacked  the same as `Package`s, in their order, whatever it takes: for those no list has any more
    layers    how many layers it has at most
    """

    lock: LockFile
    packages: Callable[[str], Sequence[LockedPackage]]
    unpacked: Callable[[str], Sequence[Package]]
    layers: int


def choose(
    project: Project,
    ports: Ports,
    *,
    previous: Lock | None = None,
    below: Below | None = None,
) -> Lock:
    """Return a new lock for PROJECT from what its archive has now.

    PREVIOUS is held against rollback and lends its layer plan. BELOW is the base.
    """
    archive = open_archive(project, ports)
    requests, block = parse_requests(project, archive)
    paired, indexes = _present(project, archive, ports, previous)
    resolutions = _resolve(project, archive, ports, requests, block, indexes, below)
    return _lock(project, paired, resolutions, previous, below)


def parse_requests(
    project: Project, archive: Archive
) -> tuple[tuple[tuple[Request, tuple[str, ...]], ...], tuple[Request, ...]]:
    """Return the spec's packages with their architectures, and its blocked ones; all faults at once."""
    document, faults = project.document, list[SpecError]()

    def request(text: str, path: str) -> Request | None:
        where = document.position(path)
        try:
            return Request(relation=archive.format.parse_request(text), text=text, where=where)
        except ValueError as error:
            faults.append(SpecError(f'"{text}": {error}', where=where))
            return None

    packages = [
        (request(wanted.text, f"packages[{number}]"), wanted.architectures)
        for number, wanted in enumerate(project.spec.packages)
    ]
    block = [request(text, f"block[{number}]") for number, text in enumerate(project.spec.block)]
    if faults:
        raise faults[0] if len(faults) == 1 else SpecError(faults[0].message, faults=faults)
    return (
        tuple((found, architectures) for found, architectures in packages if found is not None),
        tuple(found for found in block if found is not None),
    )


# ---- snapshots -----------------------------------------------------------------------------------


def _present(
    project: Project, archive: Archive, ports: Ports, previous: Lock | None
) -> tuple[Paired, Indexes]:
    """Return the verified present state of every source, and the package lists of it."""
    recent = _recent(archive, ports, ports.max_age)
    try:
        found = _look(project, archive, ports, previous, recent)
    except (FetchError, TrustError):
        if ports.is_offline or not recent.has_answered:
            raise
        # The mirror has moved on since it was asked, and no longer has the lists of then.
        recent = _recent(archive, ports, 0)
        found = _look(project, archive, ports, previous, recent)
    recent.keep()
    return found


def _recent(archive: Archive, ports: Ports, max_age: int) -> RecentFiles:
    urls = " ".join(url for mirror in archive.mirrors.values() for url in mirror.urls)
    return RecentFiles(
        archive.fetcher,
        ports.store,
        urls,
        now=ports.now,
        max_age=max_age,
        is_offline=ports.is_offline,
    )


def _look(
    project: Project, archive: Archive, ports: Ports, previous: Lock | None, recent: RecentFiles
) -> tuple[Paired, Indexes]:
    snapshots = _take(archive, ports, previous, recent)
    paired = list(zip(archive.sources, snapshots, strict=True))
    indexes = open_indexes(
        archive.format,
        paired,
        architectures_of(project.spec),
        store=ports.store,
        fetcher=archive.fetcher,
        report=ports.report,
    )
    return paired, indexes


def _take(
    archive: Archive, ports: Ports, previous: Lock | None, recent: RecentFiles
) -> tuple[Snapshot, ...]:
    """Return the verified present state of every source."""
    dates: dict[tuple[str, str], int] = {}
    for snapshot in previous.snapshots if previous else ():
        # Ubuntu's ports are another archive with the same suites: the older date is held against both.
        place = (snapshot.repository, snapshot.suite)
        dates[place] = min(snapshot.date, dates.get(place, snapshot.date))
    subjects = [
        Subject(
            source=source,
            keyring=archive.keyrings[source.repository],
            freshness=_freshness(archive, source, ports, dates.get((source.repository, source.suite))),
        )
        for source in archive.sources
    ]
    ports.report(StageBegan("snapshot", len(subjects), "suites"))
    snapshots = take(archive.format, subjects, recent, report=ports.report)
    ports.report(StageEnded("snapshot", ", ".join(_origins(archive, snapshots))))
    return snapshots


def _freshness(archive: Archive, source: Source, ports: Ports, previous: int | None) -> Freshness:
    mirror = archive.mirrors[source.repository, source.location]
    accepts = mirror.accepts_expired or ports.accepts_expired
    return Freshness(now=ports.now, previous=previous, accepts_expired=accepts)


def _origins(archive: Archive, snapshots: Iterable[Snapshot]) -> list[str]:
    """Return phrases for which suites were read and from where."""
    return [f"{s.suite}" for s in snapshots]


# ---- resolution ----------------------------------------------------------------------------------


def _resolve(
    project: Project,
    archive: Archive,
    ports: Ports,
    requests: Sequence[tuple[Request, tuple[str, ...]]],
    block: Sequence[Request],
    indexes: Mapping[str, Sequence[PackageIndex]],
    below: Below | None,
) -> dict[str, Resolution]:
    """Return the packages of each architecture."""
    ports.report(StageBegan("resolve"))
    resolutions = {
        architecture: resolve(
            archive.format,
            indexes[architecture],
            [request for request, only in requests if not only or architecture in only],
            architecture=architecture,
            recommends=project.spec.recommends,
            block=block,
            installed=_installed(below, architecture, indexes[architecture]) if below else (),
        )
        for architecture in architectures_of(project.spec)
    }
    counts = ", ".join(f"{counted(len(r.new), 'package')} for {a}" for a, r in resolutions.items())
    ports.report(StageEnded("resolve", counts))
    return resolutions


def _installed(below: Below, architecture: str, indexes: Sequence[PackageIndex]) -> tuple[Package, ...]:
    """Return the base's packages: as INDEXES list them, else as they say themselves."""
    locked = below.packages(architecture)
    listed = [_find(package, indexes) for package in locked]
    if None not in listed:
        return tuple(package for package in listed if package is not None)
    return tuple(below.unpacked(architecture))


def _find(locked: LockedPackage, indexes: Sequence[PackageIndex]) -> Package | None:
    for index in indexes:
        for package in index.packages(locked.name):
            if (package.version, package.digest) == (locked.version, locked.digest):
                return package
    return None


# ---- the lock ------------------------------------------------------------------------------------


def _lock(
    project: Project,
    paired: Sequence[tuple[Source, Snapshot]],
    resolutions: Mapping[str, Resolution],
    previous: Lock | None,
    below: Below | None,
) -> Lock:
    places = {
        index_key(snapshot, reference): source
        for source, snapshot in paired
        for reference in snapshot.indexes
    }
    architectures = tuple(
        LockedArchitecture(architecture=architecture, packages=_locked(resolution, places))
        for architecture, resolution in resolutions.items()
    )
    spec = project.spec
    return Lock(
        answers=answers(spec),
        distro=f"{spec.distro.name}/{suite_of(spec)}",
        snapshot=spec.distro.snapshot,
        epoch=max(snapshot.date for _, snapshot in paired),
        base=base_of(spec, below.lock if below else None),
        snapshots=tuple(snapshot for _, snapshot in paired),
        architectures=architectures,
        layers=plan_layers(project, architectures, previous, below.layers if below else 0),
        max_layers=spec.max_layers,
    )


def plan_layers(
    project: Project,
    architectures: Sequence[LockedArchitecture],
    previous: Lock | None,
    base_layers: int,
) -> tuple[tuple[str, ...], ...]:
    """Return the layer plan of ARCHITECTURES; PREVIOUS's is kept where it can be."""
    units: dict[str, int] = {}
    for item in architectures:
        sizes: dict[str, int] = {}
        for package in item.packages:
            sizes[package.source] = sizes.get(package.source, 0) + package.size
        for source, size in sizes.items():
            units[source] = max(units.get(source, 0), size)
    kept = previous.layers if previous and previous.max_layers == project.spec.max_layers else ()
    return plan(units, kept, max_layers=project.spec.max_layers, base_layers=base_layers)


def _locked(resolution: Resolution, places: Mapping[str, Source]) -> tuple[LockedPackage, ...]:
    names = {chosen.package.name for chosen in resolution.packages if not chosen.is_installed} | {""}
    return tuple(
        _locked_package(chosen.package, tuple(n for n in chosen.requested_by if n in names), places)
        for chosen in resolution.packages
        if not chosen.is_installed
    )


def _locked_package(
    package: Package, requested_by: tuple[str, ...], places: Mapping[str, Source]
) -> LockedPackage:
    source = places[package.repository]
    return LockedPackage(
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        source=package.source,
        source_version=package.source_version,
        repository=source.repository,
        suite=source.suite,
        location=source.location,
        filename=package.filename,
        size=package.size,
        digest=package.digest,
        installed_size=package.installed_size,
        requested_by=requested_by,
    )
