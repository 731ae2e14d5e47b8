"""The archive a spec draws on: its distribution's data, format, sources, keys and mirrors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from builder.errors import SpecError
from builder.fetch.fetcher import Fetcher
from builder.formats.registry import load_format
from builder.packages import PackageFormat, Source
from builder.pipeline.memory import share_arenas
from builder.pipeline.ports import Ports
from builder.pipeline.project import Project
from builder.repository import distros, mirrors
from builder.spec.model import ImageSpec, SpecDocument

DEFAULT_ARCHITECTURES = ("amd64",)
"""What a spec without ``architectures:`` is built for; not the host's, or a lock would depend on it."""


class Archive(NamedTuple):
    """All that choosing and fetching need to know of one spec.

    keyrings  repository name → the certificates that may sign it
    """

    distro: distros.DistroData
    format: PackageFormat
    sources: tuple[Source, ...]
    keyrings: dict[str, bytes]
    mirrors: mirrors.Mirrors
    fetcher: Fetcher


def architectures_of(spec: ImageSpec) -> tuple[str, ...]:
    """Return the architectures that SPEC is built for, in its order."""
    return spec.architectures or DEFAULT_ARCHITECTURES


def suite_of(spec: ImageSpec) -> str:
    """Return the suite of SPEC's distribution."""
    return spec.distro.suite or distros.load(spec.distro.name).default_suite


def open_archive(project: Project, ports: Ports, epoch: int | None = None) -> Archive:
    """Return the archive of PROJECT's spec. `SpecError` for what the distribution does not have.

    With the EPOCH of a lock, what mirrors have dropped since is looked for in the dated archive.
    """
    share_arenas()  # all that begins threads comes after
    spec = project.spec
    distro = load_distro(project.document)
    found = mirrors.find(
        distro,
        spec.distro,
        spec.repositories,
        options=ports.mirrors,
        environment=ports.environment,
        root=Path(ports.root),
    )
    if epoch is not None:
        found = mirrors.with_past(found, distro, epoch)
    urls = {place: mirror.urls for place, mirror in found.items()}
    return Archive(
        distro=distro,
        format=load_format(distro.format),
        sources=_sources(project, distro),
        keyrings=_keyrings(project, distro),
        mirrors=found,
        fetcher=Fetcher(ports.store, urls, offline=ports.is_offline, report=ports.report),
    )


def load_distro(document: SpecDocument) -> distros.DistroData:
    """Return the data of the distribution that DOCUMENT names, checked against what it asks for."""
    wanted = document.spec.distro
    try:
        distro = distros.load(wanted.name)
    except SpecError as error:
        raise _at(error, document, "distro.name", "distro") from error
    checks: list[tuple[str, Callable[[], object]]] = [
        ("distro.suite", partial(distro.sources, wanted.suite)),
        *(
            (f"distro.components[{number}]", partial(distro.check_component, component))
            for number, component in enumerate(wanted.components)
        ),
        *(
            (f"architectures[{number}]", partial(distro.check_architecture, architecture))
            for number, architecture in enumerate(document.spec.architectures)
        ),
    ]
    faults = []
    for place, check in checks:
        try:
            check()
        except SpecError as error:
            faults.append(_at(error, document, place, "distro"))
    if faults:
        raise faults[0] if len(faults) == 1 else SpecError(faults[0].message, faults=faults)
    return distro


def _at(error: SpecError, document: SpecDocument, *places: str) -> SpecError:
    where = next((p for place in places if (p := document.position(place))), None)
    return SpecError(error.message, where=where, hint=error.hint)


def _sources(project: Project, distro: distros.DistroData) -> tuple[Source, ...]:
    """Return the sources of the distribution, then those of the spec's own repositories."""
    spec = project.spec
    architectures = architectures_of(spec)
    own = distro.sources(suite_of(spec), spec.distro.components, architectures)
    return (
        *own,
        *(
            Source(
                repository=repository.name,
                location=mirrors.MAIN,
                suite=repository.suite,
                components=repository.components,
                architectures=architectures,
                is_trusted_unsigned=repository.is_unsigned,
            )
            for repository in spec.repositories
        ),
    )


def _keyrings(project: Project, distro: distros.DistroData) -> dict[str, bytes]:
    keyrings = {distro.name: distro.keyring}
    for number, repository in enumerate(project.spec.repositories):
        paths = [os.path.join(project.folder, key) for key in repository.keys]
        keyrings[repository.name] = b"\n".join(
            _read_keys(paths, project.document, f"repositories[{number}].keys")
        )
    return keyrings


def _read_keys(paths: Iterable[str], document: SpecDocument, place: str) -> Iterable[bytes]:
    for number, path in enumerate(paths):
        try:
            with open(path, "rb") as stream:
                yield stream.read()
        except OSError as error:
            raise SpecError(
                f"cannot read the key file {path}: {error.strerror}",
                where=document.position(f"{place}[{number}]"),
            ) from error
