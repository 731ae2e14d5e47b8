"""What an image has that no package ships: accounts, the spec's files, the manager's database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from builder.effects.accounts import account_files, build_accounts, home_folders
from builder.fragments.fragments import Fragments
from builder.layers.parts import Fragment
from builder.lock.model import LockedPackage
from builder.packages import InstalledPackage
from builder.pipeline.site import BuiltArchitecture, Generated, ImageTree, Site
from builder.tree.entries import FILE, HARDLINK, NewFile

Read = Callable[[str], bytes | None]


def generate(
    site: Site,
    architecture: str,
    tree: ImageTree,
    fragments: Sequence[Fragment],
    packages: Sequence[LockedPackage],
    base: BuiltArchitecture | None,
) -> Generated:
    """Return what is generated over TREE, the tree of FRAGMENTS (the base's included)."""
    spec = site.project.spec
    read = reader(site, tree, fragments, base)
    accounts = build_accounts(
        read, groups=spec.groups, users=spec.users, locate=site.project.document.position
    )
    files = [*account_files(accounts), *home_folders(accounts, spec.users, tree.entries.__contains__)]
    has_manager = site.archive.format.has_manager({f.identity.name for f in fragments})
    if has_manager:
        files += _database(site, architecture, fragments, packages)
    return Generated(files=tuple(files), local=(), has_databases=not has_manager)


def reader(
    site: Site, tree: ImageTree, fragments: Sequence[Fragment], base: BuiltArchitecture | None
) -> Read:
    """Return a function that gives the content of a path of TREE, None where there is no file."""
    by_name = {fragment.identity.name: fragment for fragment in fragments}
    made: Mapping[str, NewFile] = {f.entry.path: f for f in base.generated} if base else {}
    maker = Fragments(site.ports.store, site.archive.format)

    def read(path: str) -> bytes | None:
        entry = tree.entries.get(path)
        if entry is None or entry.kind not in (FILE, HARDLINK):
            return None
        owner = tree.owners[path]
        if owner in by_name:
            return maker.content(by_name[owner], [path]).get(path)
        return made[path].content if path in made else None

    return read


def _database(
    site: Site, architecture: str, fragments: Sequence[Fragment], packages: Sequence[LockedPackage]
) -> tuple[NewFile, ...]:
    """Return the package manager's full database."""
    requested = {package.name for package in packages if "" in package.requested_by}
    return site.archive.format.image_database(
        [
            InstalledPackage(
                identity=fragment.identity,
                control=fragment.control,
                entries=(*fragment.directories, *fragment.entries),
                requested=fragment.identity.name in requested,
            )
            for fragment in fragments
        ],
        architecture,
    )
