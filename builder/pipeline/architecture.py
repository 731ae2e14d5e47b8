"""One architecture of an image: from its part of the lock to layers.

LockedPackage… ─ fetch, unpack ▶ Fragment… ─ merge ▶ Tree ─ generate, merge ▶ Tree ─ cut, write ▶ Layer…
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from builder.fetch.request import Request
from builder.fragments.fragments import STAGE as UNPACK
from builder.fragments.fragments import Fragments, Job, Rules
from builder.layers.assemble import (
    LayerParts,
    cut_layers,
    decode_layer,
    encode_layer,
    layer_key,
    write_layer,
)
from builder.layers.parts import Fragment, Layer
from builder.lock.model import LockedPackage
from builder.packages import Control, Identity
from builder.pipeline.archive import suite_of
from builder.pipeline.generate import generate
from builder.pipeline.site import BuiltArchitecture, Generated, Site
from builder.reporting import StageBegan, StageEnded
from builder.tree.merge import Merged, merge

# A folder that turns out to be a link can show another one, but not for ever.
_MAX_ROUNDS = 8


def build_architecture(
    site: Site, architecture: str, packages: Sequence[LockedPackage], base: BuiltArchitecture | None
) -> BuiltArchitecture:
    """Build PACKAGES, the lock's for ARCHITECTURE, over BASE."""
    rules = _rules(site)
    own = _fragments(site, packages, rules)
    links = site.archive.distro.links(suite_of(site.project.spec), architecture)
    own, merged = _settle(site, packages, own, rules, base, links, None)
    everything = (*(base.fragments if base else ()), *own)
    locked = (*(base.packages if base else ()), *packages)
    made = generate(site, architecture, merged.tree, everything, locked, base)
    own, merged = _settle(site, packages, own, rules, base, links, made)
    parts = cut_layers(
        site.plan,
        own,
        {package.name: package.source for package in packages},
        merged.tree,
        epoch=site.epoch,
        base=base.tree if base else None,
        generated=made.files,
        local=made.local,
        has_databases=made.has_databases,
    )
    return BuiltArchitecture(
        architecture=architecture,
        layers=(*(base.layers if base else ()), *_write_layers(site, parts)),
        tree=merged.tree,
        packages=tuple(locked),
        fragments=everything,
        generated=(*(base.generated if base else ()), *made.files),
    )


# ---- fragments -----------------------------------------------------------------------------------


def _rules(site: Site) -> Rules:
    spec = site.project.spec
    trim = site.archive.format.trim_rules() if spec.trim == "minimal" else ()
    return Rules(
        patterns=(*trim, *(rule for pattern in spec.exclude for rule in _exclusion(pattern))),
        moves=site.archive.distro.moves,
        compression=spec.compression,
        clamp=site.epoch,
    )


def _exclusion(pattern: str) -> tuple[str, ...]:
    """Return the rules that leave out what PATTERN of ``exclude`` names, and all below it."""
    path = pattern.strip("/")
    return (f"-{path}",) if path.endswith("**") else (f"-{path}", f"-{path}/**")


def _fragments(site: Site, packages: Sequence[LockedPackage], rules: Rules) -> tuple[Fragment, ...]:
    """Return the fragments of PACKAGES; only archives that must be unpacked are downloaded."""
    maker = Fragments(site.ports.store, site.archive.format)
    found: dict[str, Fragment] = {}
    missing: list[LockedPackage] = []
    for package in packages:
        fragment = maker.find(_job(package, rules))
        if fragment is None:
            missing.append(package)
        else:
            found[package.name] = fragment
    if missing:
        report = site.ports.report
        report(StageBegan(UNPACK, len(missing), "packages"))
        jobs = _jobs_as_they_land(site, missing, rules)
        made = maker.build_all(jobs, workers=site.ports.jobs, report=report)
        found |= {fragment.identity.name: fragment for fragment in made}
        cached = (
            f", {len(packages) - len(missing)} from the cache" if len(missing) < len(packages) else ""
        )
        report(StageEnded(UNPACK, f"{len(missing)} packages{cached}"))
    return tuple(found[package.name] for package in packages)


def _jobs_as_they_land(site: Site, packages: Sequence[LockedPackage], rules: Rules) -> Iterator[Job]:
    """Yield the job of each package when its archive is in the store, big ones first."""
    by_digest = {package.digest: package for package in packages}
    ordered = sorted(packages, key=lambda package: (-package.size, package.name))
    for request in site.archive.fetcher.blobs([_request(package) for package in ordered]):
        assert request.digest is not None
        yield _job(by_digest[request.digest], rules)


def _request(package: LockedPackage) -> Request:
    return Request(
        repository=package.repository,
        location=package.location,
        path=package.filename,
        limit=package.size,
        digest=package.digest,
        is_exact=True,
    )


def _job(package: LockedPackage, rules: Rules, omit: frozenset[str] = frozenset()) -> Job:
    identity = Identity(name=package.name, version=package.version, architecture=package.architecture)
    return Job(identity=identity, blob=package.digest, rules=rules, omit=omit)


# ---- tree ----------------------------------------------------------------------------------------


def _settle(
    site: Site,
    packages: Sequence[LockedPackage],
    fragments: Sequence[Fragment],
    rules: Rules,
    base: BuiltArchitecture | None,
    links: tuple[tuple[str, str], ...],
    made: Generated | None,
) -> tuple[tuple[Fragment, ...], Merged[Identity, Control]]:
    """Merge until no package has to be unpacked otherwise; return its fragments and the tree."""
    current = list(fragments)
    moved: dict[str, tuple[tuple[str, str], ...]] = {}
    merged = _merge(site, current, base, links, made)
    for _ in range(_MAX_ROUNDS):
        if not merged.moves:
            break
        moved = {name: (*moved.get(name, ()), *moves) for name, moves in merged.moves.items()}
        current = _rebuilt(site, packages, current, rules, moved, {})
        merged = _merge(site, current, base, links, made)
    assert not merged.moves, "each round takes a folder that is a link out of the way"
    if merged.omissions:
        current = _rebuilt(site, packages, current, rules, moved, merged.omissions)
    return tuple(current), merged


def _merge(
    site: Site,
    fragments: Sequence[Fragment],
    base: BuiltArchitecture | None,
    links: tuple[tuple[str, str], ...],
    made: Generated | None,
) -> Merged[Identity, Control]:
    names = {fragment.identity.name for fragment in (*fragments, *(base.fragments if base else ()))}
    return merge(
        site.archive.format.may_replace,
        fragments,
        base=base.tree if base else None,
        links=links,
        generated=[file.entry for file in made.files] if made else (),
        local=made.local if made else (),
        has_databases=not site.archive.format.has_manager(names),
    )


def _rebuilt(
    site: Site,
    packages: Sequence[LockedPackage],
    fragments: Sequence[Fragment],
    rules: Rules,
    moves: Mapping[str, tuple[tuple[str, str], ...]],
    omissions: Mapping[str, frozenset[str]],
) -> list[Fragment]:
    """Return FRAGMENTS with those made again that must move or omit something."""
    maker = Fragments(site.ports.store, site.archive.format)
    rebuilt = []
    for package, fragment in zip(packages, fragments, strict=True):
        name = package.name
        if name not in moves and name not in omissions:
            rebuilt.append(fragment)
            continue
        own = msgspec.structs.replace(rules, moves=(*rules.moves, *moves.get(name, ())))
        job = _job(package, own, omissions.get(name, frozenset()))
        found = maker.find(job)
        if found is None:
            site.archive.fetcher.blob(_request(package))
            found = maker.build(job.identity, job.blob, job.rules, omit=job.omit)
        rebuilt.append(found)
    return rebuilt


# ---- layers --------------------------------------------------------------------------------------


def _write_layers(site: Site, parts: Sequence[LayerParts]) -> tuple[Layer, ...]:
    """Return the layers of PARTS, those from the cache and those hashed now, two at a time."""
    keys = [layer_key(part, site.project.spec.compression, clamp=site.epoch) for part in parts]
    layers: list[Layer | None] = []
    for key in keys:
        document = site.ports.store.action(key)
        layers.append(None if document is None else decode_layer(document))
    missing = [number for number, layer in enumerate(layers) if layer is None]
    if missing:
        site.ports.report(StageBegan("layers", len(missing), "layers"))
        with ThreadPoolExecutor(site.ports.jobs, "layers") as pool:
            for number, layer in zip(
                missing, pool.map(partial(_write_layer, site), [parts[n] for n in missing]), strict=True
            ):
                layers[number] = layer
                chunks = [chunk.digest for chunk in layer.chunks]
                site.ports.store.record(keys[number], encode_layer(layer), chunks)
        site.ports.report(StageEnded("layers", f"{len(missing)} of {len(parts)}"))
    return tuple(layer for layer in layers if layer is not None)


def _write_layer(site: Site, parts: LayerParts) -> Layer:
    store = site.ports.store
    return write_layer(
        parts, site.project.spec.compression, clamp=site.epoch, put=store.put, open_chunk=store.open
    )
