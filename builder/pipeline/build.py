"""The operations of the program, each as its stages in order.

ensure_lock   the lock that answers the spec: the one on disk, or a new one that is written
build         ensure_lock, then every architecture, then the image
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from builder.digests import Digest
from builder.errors import SpecError, UsageError
from builder.image.annotations import Facts, image_annotations
from builder.image.config import Platform, inherit
from builder.image.image import Image, assemble_image, platform_image
from builder.layers.parts import Layer
from builder.lock.model import Lock
from builder.packages import Package
from builder.pipeline.architecture import build_architecture
from builder.pipeline.archive import architectures_of, load_distro, open_archive
from builder.pipeline.locks import USUAL, LockMode, ensure_lock
from builder.pipeline.places import image_name
from builder.pipeline.ports import Ports
from builder.pipeline.project import LockFile, Project
from builder.pipeline.site import BuiltArchitecture, Site
from builder.pipeline.vcs import Origin, find_origin
from builder.spec.model import Config


class Built(NamedTuple):
    """An image, what it runs (its base's share included), its lock, and its architectures."""

    image: Image[Layer]
    config: Config
    lock: LockFile
    architectures: tuple[BuiltArchitecture, ...]


# ---- images --------------------------------------------------------------------------------------


def build_project(
    project: Project, ports: Ports, only: Sequence[str] = (), mode: LockMode = USUAL
) -> Built:
    """Build PROJECT's image for its architectures, or ONLY for some of them."""
    chosen = chosen_architectures(project, only)
    lock = ensure_lock(project, ports, unpacked_packages, mode)
    base = _build_base(project, ports, chosen, mode)
    epoch = epoch_of(lock.lock, ports)
    site = Site(project, open_archive(project, ports, lock.lock.epoch), ports, lock.lock.layers, epoch)
    architectures = tuple(
        build_architecture(site, name, lock.lock.packages(name), _base_of(base, name)) for name in chosen
    )
    config = inherit(base.config, project.spec.config) if base else project.spec.config
    image = _image(site, config, architectures, base, find_origin(project.folder))
    return Built(image, config, lock, architectures)


def _build_base(project: Project, ports: Ports, chosen: Sequence[str], mode: LockMode) -> Built | None:
    """Return the base of PROJECT, built for what is CHOSEN."""
    if project.base is None:
        return None
    known = architectures_of(project.base.spec)
    for name in chosen:
        if name not in known:
            raise SpecError(
                f'the base has no architecture "{name}"',
                where=project.document.position("base"),
                hint=f"add it to architectures: of {project.base.spec_path}",
            )
    return build_project(project.base, ports, chosen, mode)


def epoch_of(lock: Lock, ports: Ports) -> int:
    """Return the time of the image: ``SOURCE_DATE_EPOCH``, else the newest index's date."""
    text = ports.environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return lock.epoch
    if not (text.isascii() and text.isdigit()) or len(text) > 11:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {text[:40]!r}", hint="give seconds since 1970, or unset it"
        )
    return int(text)


def chosen_architectures(project: Project, only: Sequence[str]) -> tuple[str, ...]:
    """Return the architectures to build: ONLY some of the spec's, or all. `UsageError` for others."""
    known = architectures_of(project.spec)
    for name in only:
        if name not in known:
            raise UsageError(
                f'the spec has no architecture "{name}"',
                where="--arch",
                hint=f"it has {', '.join(known)}",
            )
    return tuple(name for name in known if name in only) if only else known


def _base_of(base: Built | None, architecture: str) -> BuiltArchitecture | None:
    if base is None:
        return None
    return next(built for built in base.architectures if built.architecture == architecture)


def _image(
    site: Site,
    config: Config,
    architectures: Sequence[BuiltArchitecture],
    base: Built | None,
    origin: Origin,
) -> Image[Layer]:
    spec = site.project.spec
    images = []
    for built in architectures:
        platform = load_distro(site.project.document).platform(built.architecture)
        images.append(
            platform_image(
                config,
                Platform(os=platform.os, architecture=platform.architecture, variant=platform.variant),
                built.layers,
                created=site.epoch,
                annotations=_annotations(site, base, _base_digest(base, built), origin),
            )
        )
    # What the base is called by: its index, if this image holds all that the index does.
    is_whole = base is not None and len(base.architectures) == len(base.lock.lock.architectures)
    digest = base.image.digest if base is not None and is_whole else None
    whole = _annotations(site, base, digest, origin)
    return assemble_image(spec.image, images, annotations=whole)


def _annotations(
    site: Site, base: Built | None, digest: Digest | None, origin: Origin
) -> tuple[tuple[str, str], ...]:
    spec = site.project.spec
    facts = Facts(
        created=site.epoch,
        title=image_name(spec.image),
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


def _tag(reference: str) -> str:
    return reference.rpartition("/")[2].partition("@")[0].partition(":")[2]


def unpacked_packages(base: Project, architecture: str, ports: Ports) -> tuple[Package, ...]:
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
