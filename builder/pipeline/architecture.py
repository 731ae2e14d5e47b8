"""One architecture of an image: from its part of the lock to layers.

LockedPackage… ─ fetch, unpack ▶ Fragment… ─ merge ▶ Tree ─ generate, merge ▶ Tree ─ cut, write ▶ Layer…
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
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
from builder.pipeline.generate import Content, generate
from builder.pipeline.rules import package_rules
from builder.pipeline.site import BuiltArchitecture, Generated, ImageTree, Site
from builder.reporting import StageBegan, StageEnded, counted
from builder.tree.merge import SPEC, Merged, Tree, merge

# A folder that turns out to be a link can show another one, but not for ever.
_MAX_ROUNDS = 8


def build_architecture(
    site: Site, architecture: str, packages: Sequence[LockedPackage], base: BuiltArchitecture | None
) -> BuiltArchitecture:
    """Build PACKAGES, the lock's for ARCHITECTURE, over BASE."""
    work = _Work(site, architecture, packages, base)
    work.unpack()
    work.settle()
    parts = work.cut()
    layers = (*(base.layers if base else ()), *_write_layers(site, parts))
    return work.built(layers)


class _Work:
    """The state of one architecture's build: fragments, what is generated, and the tree of both."""

    def __init__(
        self,
        site: Site,
        architecture: str,
        packages: Sequence[LockedPackage],
        base: BuiltArchitecture | None,
    ) -> None:
        self.site = site
        self.architecture = architecture
        self.packages = tuple(packages)
        self.base = base
        self.rules = package_rules(site)
        self.maker = Fragments(site.ports.store, site.archive.format)
        self.links = site.archive.distro.links(suite_of(site.project.spec), architecture)
        self.fragments: tuple[Fragment, ...] = ()
        self.made = Generated(files=(), local=(), has_databases=True)
        self.tree: ImageTree = Tree(entries={}, owners={})
        self.moves: dict[str, tuple[tuple[str, str], ...]] = {}

    # ---- the steps -----------------------------------------------------------------------------

    def unpack(self) -> None:
        """Get the fragment of every package."""
        self.fragments = _fragments(self.site, self.maker, self.packages, self.rules)

    def settle(self) -> None:
        """Merge, generate, and merge again, until no package has to be unpacked otherwise."""
        self._merge_until_still()
        self._generate()
        for _ in range(_MAX_ROUNDS):
            if not self._merge_until_still():
                return
            self._generate()  # what moved is read, and owned, elsewhere
        raise RuntimeError("folders that are links do not settle")

    def cut(self) -> tuple[LayerParts, ...]:
        """Return the layers that are this spec's own."""
        return cut_layers(
            self.site.plan,
            self.fragments,
            {package.name: package.source for package in self.packages},
            self.tree,
            epoch=self.site.epoch,
            base=self.base.tree if self.base else None,
            generated=self.made.files,
            local=self.made.local,
            has_databases=self.made.has_databases,
        )

    def built(self, layers: tuple[Layer, ...]) -> BuiltArchitecture:
        """Return the outcome."""
        base = self.base
        return BuiltArchitecture(
            architecture=self.architecture,
            layers=layers,
            tree=self.tree,
            packages=(*(base.packages if base else ()), *self.packages),
            fragments=(*(base.fragments if base else ()), *self.fragments),
            generated=(*(base.generated if base else ()), *self.made.files),
        )

    # ---- merging -------------------------------------------------------------------------------

    def _merge_until_still(self) -> bool:
        """Merge until no folder turns out to be a link; return whether any did."""
        has_moved = False
        for _ in range(_MAX_ROUNDS):
            merged = self._merge()
            if not merged.moves:
                self.tree = merged.tree
                self.fragments = self._rebuilt(merged.omissions, merged.omissions)
                return has_moved
            has_moved = True
            for name, moves in merged.moves.items():
                self.moves[name] = (*self.moves.get(name, ()), *moves)
            self.fragments = self._rebuilt(merged.moves, {})
            if merged.moves.keys() & {SPEC, *(f.identity.name for f in self.made.local)}:
                self._generate()
        raise RuntimeError("folders that are links do not settle")

    def _merge(self) -> Merged[Identity, Control]:
        return merge(
            self.site.archive.format.may_replace,
            self.fragments,
            base=self.base.tree if self.base else None,
            links=self.links,
            generated=[file.entry for file in self.made.files],
            local=self.made.local,
            has_databases=not self.site.archive.format.has_manager(self._names()),
        )

    def _generate(self) -> None:
        """Generate over the tree of the packages alone: what was generated before is no part of it."""
        if self.made.files or self.made.local:
            self.made = Generated(files=(), local=(), has_databases=True)
            self.tree = self._merge().tree
        base = self.base
        fragments = (*(base.fragments if base else ()), *self.fragments)
        packages = (*(base.packages if base else ()), *self.packages)
        requested = frozenset(package.name for package in packages if "" in package.requested_by)
        self.made = generate(
            self.site,
            self.architecture,
            Content(self.tree, fragments, base),
            requested,
            self.moves,
        )

    def _names(self) -> set[str]:
        base = self.base.fragments if self.base else ()
        return {fragment.identity.name for fragment in (*base, *self.fragments)}

    def _rebuilt(
        self, changed: Container[str], omissions: Mapping[str, frozenset[str]]
    ) -> tuple[Fragment, ...]:
        """Return the fragments, those of CHANGED packages made again with their moves and OMISSIONS."""
        return tuple(
            self._rebuild(package, omissions.get(package.name, frozenset()))
            if package.name in changed
            else fragment
            for package, fragment in zip(self.packages, self.fragments, strict=True)
        )

    def _rebuild(self, package: LockedPackage, omit: frozenset[str]) -> Fragment:
        moves = (*self.rules.moves, *self.moves.get(package.name, ()))
        job = _job(package, msgspec.structs.replace(self.rules, moves=moves), omit)
        found = self.maker.find(job)
        if found is None:
            self.site.archive.fetcher.blob(_request(package))
            found = self.maker.build(job.identity, job.blob, job.rules, omit=job.omit)
        return found


# ---- fragments -----------------------------------------------------------------------------------


def _fragments(
    site: Site, maker: Fragments, packages: Sequence[LockedPackage], rules: Rules
) -> tuple[Fragment, ...]:
    """Return the fragments of PACKAGES; only archives that must be unpacked are downloaded."""
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
        report(StageEnded(UNPACK, f"{counted(len(missing), 'package')}{cached}"))
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
