"""The operations of the program, each as its stages in order.

ensure_lock   the lock that answers the spec: the one on disk, or a new one that is written
build         ensure_lock, then every architecture, then the image
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from builder.digests import Digest
from builder.errors import LockError, SpecError, UsageError
from builder.image.annotations import Facts, image_annotations
from builder.image.config import Platform
from builder.image.image import Image, assemble_image, platform_image
from builder.layers.parts import Layer
from builder.lock.answers import answers
from builder.lock.model import Lock
from builder.packages import Package
from builder.pipeline.architecture import build_architecture
from builder.pipeline.archive import architectures_of, load_distro, open_archive
from builder.pipeline.choose import Below, choose, plan_layers
from builder.pipeline.ports import Ports
from builder.pipeline.project import (
    LockFile,
    Project,
    read_lock_file,
    with_plan,
    write_lock_file,
)
from builder.pipeline.site import BuiltArchitecture, Site
from builder.pipeline.vcs import Origin, find_origin


class Built(NamedTuple):
    """An image, the lock it was built from, and its architectures."""

    image: Image[Layer]
    lock: LockFile
    architectures: tuple[BuiltArchitecture, ...]


class LockMode(NamedTuple):
    """How to come to a lock.

    is_fixed  a lock that does not answer the spec is an error (``--locked``)
    is_fresh  choose anew even where the lock answers (``imgbuild update``)
    """

    is_fixed: bool = False
    is_fresh: bool = False


_USUAL = LockMode()


# ---- locks ---------------------------------------------------------------------------------------


def ensure_lock(project: Project, ports: Ports, mode: LockMode = _USUAL) -> LockFile:
    """Return the lock that answers PROJECT's spec; a new one is written beside the spec."""
    base = ensure_lock(project.base, ports, mode._replace(is_fresh=False)) if project.base else None
    found = read_lock_file(project.lock_path)
    reason = stale_reason(project, found, base)
    if reason is None and found is not None and not mode.is_fresh:
        return _with_present_plan(project, found, mode)
    if mode.is_fixed:
        raise LockError(
            reason or "the lock is to be made anew, and --locked forbids that",
            where=project.lock_path,
            hint='"imgbuild lock" makes it anew; then commit it',
        )
    below = _below(project.base, base, ports) if project.base and base else None
    lock = choose(project, ports, previous=found.lock if found else None, below=below)
    return write_lock_file(project.lock_path, lock)


def stale_reason(project: Project, found: LockFile | None, base: LockFile | None) -> str | None:
    """Return why the lock does not answer the spec; None if it does."""
    if found is None:
        return "there is no lock"
    lock = found.lock
    if lock.answers != answers(project.spec):
        return "the lock is stale: the spec asks for other packages than when it was made"
    if (lock.base.digest if lock.base else None) != (base.digest if base else None):
        return "the lock is stale: the base's lock has changed since it was made"
    return None


def _with_present_plan(project: Project, found: LockFile, mode: LockMode) -> LockFile:
    """Return FOUND, its layers planned anew where ``layers.max`` has changed."""
    if found.lock.max_layers == project.spec.max_layers:
        return found
    if mode.is_fixed:
        raise LockError(
            f"the lock's layer plan is for layers.max {found.lock.max_layers}, "
            f"the spec says {project.spec.max_layers}",
            where=project.lock_path,
            hint='"imgbuild lock" plans anew; then commit it',
        )
    below = project.base.chain() if project.base else ()
    locks = [each.lock for p in below if (each := read_lock_file(p.lock_path))]
    count = sum(len(each.layers) + 1 for each in locks)
    layers = plan_layers(project, found.lock.architectures, found.lock, count)
    return write_lock_file(project.lock_path, with_plan(found.lock, layers, project.spec.max_layers))


def _below(base: Project, lock: LockFile, ports: Ports) -> Below:
    """Return what BASE brings into the choice of a spec on it."""
    locks = [found.lock for p in base.chain() if (found := read_lock_file(p.lock_path))]
    return Below(
        lock=lock,
        packages=lambda architecture: [p for each in locks for p in each.packages(architecture)],
        unpacked=lambda architecture: _unpacked(base, architecture, ports),
        layers=sum(len(each.layers) + 1 for each in locks),
    )


def _unpacked(base: Project, architecture: str, ports: Ports) -> tuple[Package, ...]:
    """Return the packages of BASE's image, as they say themselves."""
    archive = open_archive(base, ports)
    (built,) = build_project(base, ports, (architecture,)).architectures
    by_name = {fragment.identity.name: fragment for fragment in built.fragments}
    return tuple(
        archive.format.package(
            by_name[locked.name].control,
            repository=f"{locked.repository}/{locked.suite}",
            filename=locked.filename,
            size=locked.size,
            digest=locked.digest,
        )
        for locked in built.packages
    )


# ---- images --------------------------------------------------------------------------------------


def build_project(
    project: Project,
    ports: Ports,
    only: Sequence[str] = (),
    mode: LockMode = _USUAL,
    *,
    has_origin: bool = True,
) -> Built:
    """Build PROJECT's image for its architectures, or ONLY for some of them."""
    lock = ensure_lock(project, ports, mode)
    base = build_project(project.base, ports, only, mode, has_origin=False) if project.base else None
    chosen = _chosen_architectures(project, only)
    epoch = epoch_of(lock.lock, ports)
    site = Site(project, open_archive(project, ports), ports, lock.lock.layers, epoch)
    architectures = tuple(
        build_architecture(site, name, lock.lock.packages(name), _base_of(project, base, name))
        for name in chosen
    )
    origin = find_origin(project.folder) if has_origin else Origin()
    return Built(_image(site, architectures, base, origin), lock, architectures)


def epoch_of(lock: Lock, ports: Ports) -> int:
    """Return the time of the image: ``SOURCE_DATE_EPOCH``, else the newest index's date."""
    text = ports.environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return lock.epoch
    if not text.isdigit() or len(text) > 11:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {text[:40]!r}", hint="give seconds since 1970, or unset it"
        )
    return int(text)


def _chosen_architectures(project: Project, only: Sequence[str]) -> tuple[str, ...]:
    known = architectures_of(project.spec)
    for name in only:
        if name not in known:
            raise UsageError(
                f'the spec has no architecture "{name}"',
                where="--arch",
                hint=f"it has {', '.join(known)}",
            )
    return tuple(name for name in known if name in only) if only else known


def _base_of(project: Project, base: Built | None, architecture: str) -> BuiltArchitecture | None:
    if base is None:
        return None
    for built in base.architectures:
        if built.architecture == architecture:
            return built
    raise SpecError(
        f'the base has no architecture "{architecture}"',
        where=project.document.position("base"),
        hint="add it to architectures: of the base",
    )


def _image(
    site: Site, architectures: Sequence[BuiltArchitecture], base: Built | None, origin: Origin
) -> Image[Layer]:
    spec = site.project.spec
    images = []
    for built in architectures:
        platform = load_distro(site.project.document).platform(built.architecture)
        images.append(
            platform_image(
                spec.config,
                Platform(os=platform.os, architecture=platform.architecture, variant=platform.variant),
                built.layers,
                created=site.epoch,
                annotations=_annotations(site, base, _base_digest(base, built), origin),
            )
        )
    whole = _annotations(site, base, base.image.digest if base else None, origin)
    return assemble_image(spec.image, images, annotations=whole)


def _annotations(
    site: Site, base: Built | None, digest: Digest | None, origin: Origin
) -> tuple[tuple[str, str], ...]:
    spec = site.project.spec
    facts = Facts(
        created=site.epoch,
        title=_name(spec.image),
        version=_tag(spec.image),
        source=origin.source,
        revision=origin.revision,
        base_name=base.image.reference if base else "",
        base_digest=digest,
    )
    return image_annotations(facts, spec.annotations)


def _base_digest(base: Built | None, built: BuiltArchitecture) -> Digest | None:
    """Return the digest of the base's manifest for the architecture of BUILT."""
    if base is None:
        return None
    for below, image in zip(base.architectures, base.image.images, strict=True):
        if below.architecture == built.architecture:
            return image.descriptor.digest
    return None


def _name(reference: str) -> str:
    """Return the last word of REFERENCE: ``registry.example.com/team/app:1`` is ``app``."""
    return reference.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _tag(reference: str) -> str:
    return reference.rpartition("/")[2].partition("@")[0].partition(":")[2]
