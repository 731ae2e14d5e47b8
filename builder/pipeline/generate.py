"""What an image has that no package ships: accounts, scripts' effects, spec files, the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from builder.effects.accounts import (
    GROUP,
    GSHADOW,
    MASTERS,
    PASSWD,
    SHADOW,
    Accounts,
    account_files,
    build_accounts,
    home_folders,
    resolve_owner,
)
from builder.effects.files import permission_reads, spec_files
from builder.effects.native import native_effects, native_reads
from builder.errors import SpecError
from builder.fragments.fragments import Fragments
from builder.fragments.local import LocalRules, local_fragment, over
from builder.layers.parts import Fragment
from builder.packages import Identity, InstalledPackage
from builder.pipeline.rules import exclusions
from builder.pipeline.site import BuiltArchitecture, Generated, ImageTree, Site
from builder.tree.entries import FILE, HARDLINK, Entry, NewFile
from builder.tree.links import move_path
from builder.tree.merge import SPEC

Read = Callable[[str], bytes | None]
Moves = Mapping[str, tuple[tuple[str, str], ...]]


class Content(NamedTuple):
    """Where the content of a tree's files is: its packages' fragments, and what was generated below."""

    tree: ImageTree
    fragments: Sequence[Fragment]
    below: BuiltArchitecture | None

    def reader(self, site: Site, paths: Sequence[str]) -> Read:
        """Return a function that gives the content of each of PATHS that is a file, else None."""
        by_name = {fragment.identity.name: fragment for fragment in self.fragments}
        made = {f.entry.path: f for f in self.below.generated} if self.below else {}
        wanted: dict[str, list[str]] = {}
        contents: dict[str, bytes] = {}
        for path in paths:
            entry = self.tree.entries.get(path)
            if entry is None or entry.kind not in (FILE, HARDLINK):
                continue
            owner = self.tree.owners[path]
            if owner in by_name:
                wanted.setdefault(owner, []).append(path)
            elif path in made:
                contents[path] = made[path].content
        maker = Fragments(site.ports.store, site.archive.format)
        for owner, its in wanted.items():
            contents |= maker.content(by_name[owner], its)
        return contents.get


def generate(
    site: Site, architecture: str, content: Content, requested: frozenset[str], moves: Moves
) -> Generated:
    """Return what is generated over the tree of CONTENT.

    REQUESTED are the packages that the spec asks for. MOVES are folders that turned out to be links
    (`builder.tree.merge.Merged.moves`), for the spec's own paths.
    """
    accounts = _accounts(site, content)
    _check_user(site, accounts)
    local = _local(site, accounts, content.tree.entries, moves)
    own = _spec_files(site, accounts, content, moves)
    files = [
        *_account_files(site, accounts, content.tree),
        *_native(site, accounts, content, local, own),
        *own,
    ]
    has_manager = site.archive.format.has_manager({f.identity.name for f in content.fragments})
    if has_manager:
        files += _database(site, architecture, content.fragments, requested)
    _refuse_doubles(site, local)
    return Generated(files=tuple(files), local=local, has_databases=not has_manager)


def _refuse_doubles(site: Site, local: Sequence[Fragment]) -> None:
    """Refuse two entries of ``files`` that make one path: which of them was meant cannot be told."""
    document, spec = site.project.document, site.project.spec
    makers = {
        entry.path: fragment.identity.name for fragment in reversed(local) for entry in fragment.entries
    }
    claims = [(fragment.identity.name, entry.path) for fragment in local for entry in fragment.entries]
    claims += [
        (f"files[{number}]", move_path(file.path.strip("/"), site.archive.distro.moves))
        for number, file in enumerate(spec.files)
        if not file.source
    ]
    for name, path in claims:
        other = makers.get(path, name)
        if other != name:
            number = int(other[len("files[") : -1])
            raise SpecError(
                f'"/{path}" comes from the source "{spec.files[number].source}" too',
                where=document.position(name),
                hint=f'leave it out of one of them, or out of both with exclude: ["/{path}"]',
            )


def _accounts(site: Site, content: Content) -> Accounts:
    spec = site.project.spec
    read = content.reader(site, (PASSWD, GROUP, SHADOW, GSHADOW, *MASTERS.values()))
    return build_accounts(
        read, groups=spec.groups, users=spec.users, locate=site.project.document.position
    )


def _check_user(site: Site, accounts: Accounts) -> None:
    """Refuse a ``config.user`` that no engine could start: names are looked up in the image."""
    spec = site.project.spec
    if any(file.path.strip("/") in (PASSWD, GROUP) for file in spec.files):
        return  # the spec writes its own
    user, _, group = spec.config.user.partition(":")
    where = site.project.document.position("config.user")
    if user and not user.isdigit() and accounts.uid(user) is None:
        raise SpecError(
            f'user "{user}" is no user of the image',
            where=where,
            hint=f"add it under accounts.users; there are {', '.join(p.name for p in accounts.passwd)}",
        )
    if group and not group.isdigit() and accounts.gid(group) is None:
        raise SpecError(
            f'group "{group}" is no group of the image',
            where=where,
            hint=f"add it under accounts.groups; there are {', '.join(g.name for g in accounts.group)}",
        )


def _account_files(site: Site, accounts: Accounts, tree: ImageTree) -> tuple[NewFile, ...]:
    """Return the account files; with ``scripts: off`` only where the spec has accounts."""
    spec = site.project.spec
    if spec.scripts == "off" and not (spec.users or spec.groups):
        return ()
    homes = home_folders(accounts, spec.users, tree.entries.__contains__)
    return (*account_files(accounts), *homes)


def _native(
    site: Site,
    accounts: Accounts,
    content: Content,
    local: Sequence[Fragment],
    own: Sequence[NewFile],
) -> tuple[NewFile, ...]:
    """Return scripts' effects on the tree of CONTENT with the spec's files, LOCAL and OWN, over it."""
    if site.project.spec.scripts == "off":
        return ()
    entries = {
        **content.tree.entries,
        **{file.entry.path: file.entry for file in own},
        **{entry.path: entry for fragment in local for entry in fragment.entries},
    }
    paths = native_reads(entries)
    contents = {file.entry.path: file.content for file in own if file.entry.kind == FILE}
    maker = Fragments(site.ports.store, site.archive.format)
    for fragment in local:
        contents |= maker.content(fragment, paths)
    below = content.reader(site, [path for path in paths if path not in contents])
    return native_effects(
        entries, lambda path: contents[path] if path in contents else below(path), accounts
    )


def _spec_files(site: Site, accounts: Accounts, content: Content, moves: Moves) -> tuple[NewFile, ...]:
    """Return the spec's ``files`` that have no source, where they come to lie."""
    spec, tree = site.project.spec, content.tree
    links = (*site.archive.distro.moves, *moves.get(SPEC, ()))
    files = tuple(
        msgspec.structs.replace(file, path="/" + move_path(file.path.strip("/"), links))
        for file in spec.files
    )
    read = content.reader(site, permission_reads(files, tree.entries))
    return spec_files(files, accounts, tree.entries, read, locate=site.project.document.position)


def _local(
    site: Site, accounts: Accounts, entries: Mapping[str, Entry], moves: Moves
) -> tuple[Fragment, ...]:
    """Return the spec's ``files`` with a source, each as a fragment called by its place in the spec."""
    spec, document = site.project.spec, site.project.document
    fragments = []
    for number, file in enumerate(spec.files):
        if not file.source:
            continue
        name = f"files[{number}]"
        where = document.position(name)
        rules = LocalRules(
            mtime=site.epoch,
            patterns=exclusions(spec),
            moves=(*site.archive.distro.moves, *moves.get(name, ())),
            compression=spec.compression,
        )
        owner = resolve_owner(accounts, file.owner, file.group, where)
        fragment = local_fragment(
            site.ports.store,
            site.project.folder,
            file,
            owner,
            rules,
            where=where,
            report=site.ports.report,
        )
        identity = Identity(name=name, version="", architecture="")
        fragments.append(msgspec.structs.replace(over(fragment, entries), identity=identity))
    return tuple(fragments)


def _database(
    site: Site, architecture: str, fragments: Sequence[Fragment], requested: frozenset[str]
) -> tuple[NewFile, ...]:
    """Return the package manager's full database."""
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
