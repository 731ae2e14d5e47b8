"""Many packages, one base and one spec become one tree; the rules of who has which path.

Packages are taken in the order of their names, so the order they are given in changes nothing.

*Folders* merge. Where packages disagree on mode, owner or attributes, one that says something other
than 0755 root:root wins over one that says just that, then the earlier name wins. dpkg keeps what
was unpacked first and GNU tar what came last (``tarobject`` in dpkg's archives.c; tar's
``--overwrite-dir``), so both answer by chance of the order; a package that asks for 1777 or for a
group means it. A folder's mtime is not part of the tree: it is 0 here.

*Other entries* of one path: identical ones (kind, mode, owner, content or target, attributes; not
mtime) are one. Else the package wins that says it replaces all others, when none of these says the
same of it. Symbolic links to one folder are one, as for dpkg. Anything else is a `ConflictError`.

*A link where another has a folder*: dpkg keeps the link and what the other ships comes to lie in
the folder it points to. Such a package must be built again with `Merged.moves`. A base's folder is
there first and stays; the link is left out.

*The spec* (``generated`` and ``local``) overrides packages and the base; local wins over generated,
and a later generated file over an earlier one. It cannot put a file where there is a folder.

Losers are listed in `Merged.omissions`, apart from the base's and those under the spec's files:
their layers stay as they are and the upper layer has the path.

>>> from builder.tree.entries import FILE, Entry
>>> tree = Tree(entries={"etc/motd": Entry("etc/motd", FILE, 0o644)}, owners={"etc/motd": "motd"})
>>> merge(lambda control, identity: False, [], base=tree).tree.owners["etc"]
'motd'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from builder.errors import ConflictError
from builder.tree.entries import DIRECTORY, HARDLINK, SYMLINK, Entry, parents
from builder.tree.flatten import difference, is_identical, is_plain, replace, without, without_mtime
from builder.tree.links import resolve_folder

SPEC = ""
"""The owner of what the spec, and no package, puts into the tree."""


class Named(Protocol):
    """What a package is called."""

    @property
    def name(self) -> str: ...  # noqa: D102


IdentityT = TypeVar("IdentityT", bound=Named)
ControlT = TypeVar("ControlT")
IdentityT_co = TypeVar("IdentityT_co", bound=Named, covariant=True)
ControlT_co = TypeVar("ControlT_co", covariant=True)


class Contribution(Protocol[IdentityT_co, ControlT_co]):
    """What one package adds (`builder.layers.parts.Fragment` is one)."""

    @property
    def identity(self) -> IdentityT_co: ...  # noqa: D102
    @property
    def control(self) -> ControlT_co: ...  # noqa: D102
    @property
    def directories(self) -> tuple[Entry, ...]: ...  # noqa: D102
    @property
    def entries(self) -> tuple[Entry, ...]: ...  # noqa: D102
    @property
    def database(self) -> tuple[Entry, ...]: ...  # noqa: D102


class Member(NamedTuple, Generic[IdentityT, ControlT]):
    """A package of a tree, as the question who replaces whom needs it."""

    identity: IdentityT
    control: ControlT


class Tree(msgspec.Struct, Generic[IdentityT, ControlT], frozen=True, kw_only=True):
    """Every path of an image; folders' mtime is 0, and each path's parents are in it.

    owners   path → name of the package that has it (of a folder: whose metadata it has), or `SPEC`
    members  name → package, the base's too
    """

    entries: Mapping[str, Entry]
    owners: Mapping[str, str]
    members: Mapping[str, Member[IdentityT, ControlT]] = {}


class Merged(msgspec.Struct, Generic[IdentityT, ControlT], frozen=True, kw_only=True):
    """The outcome of `merge`.

    omissions  package name → paths it must be built without; the tree is right without merging again
    moves      package name (or `SPEC`) → folders that are links, ``("bin", "usr/bin")``; unless it
               is empty the tree is empty: build these again and merge again
    """

    tree: Tree[IdentityT, ControlT]
    omissions: Mapping[str, frozenset[str]]
    moves: Mapping[str, tuple[tuple[str, str], ...]]


class _Claim(NamedTuple):
    """One package's (or the base's, or the spec's) entry, hard links told by their content."""

    owner: str
    entry: Entry
    file: Entry
    is_base: bool = False


def merge(
    may_replace: Callable[[ControlT, IdentityT], bool],
    packages: Sequence[Contribution[IdentityT, ControlT]],
    *,
    base: Tree[IdentityT, ControlT] | None = None,
    links: Sequence[tuple[str, str]] = (),
    generated: Sequence[Entry] = (),
    local: Sequence[Contribution[IdentityT, ControlT]] = (),
    has_databases: bool = True,
) -> Merged[IdentityT, ControlT]:
    """Return the one tree of PACKAGES over BASE, with the spec's own files on top.

    MAY_REPLACE is the format's. LINKS are the folders that the distribution says are links
    (``("bin", "usr/bin")``): the spec's, unless a package ships them. HAS_DATABASES: each package's
    own database files are in its layer. `ConflictError`, naming both sides and the path, if two
    cannot be in one image.
    """
    merging = _Merging(
        may_replace,
        packages,
        base=base,
        links=links,
        generated=generated,
        local=local,
        has_databases=has_databases,
    )
    merging.collect_folders()
    if moves := merging.find_moves():
        return Merged(tree=Tree(entries={}, owners={}), omissions={}, moves=moves)
    merging.merge_folders()
    merging.merge_packages()
    merging.put_on_top()
    return Merged(tree=merging.tree(), omissions=merging.frozen_omissions(), moves={})


def _add_with_parents(folders: set[str], path: str) -> None:
    """Add PATH and what is above it to FOLDERS; the root is not an entry."""
    while path and path not in folders:
        folders.add(path)
        path = path.rpartition("/")[0]


class _Merging(Generic[IdentityT, ControlT]):
    """The state of one `merge`."""

    def __init__(
        self,
        may_replace: Callable[[ControlT, IdentityT], bool],
        packages: Sequence[Contribution[IdentityT, ControlT]],
        *,
        base: Tree[IdentityT, ControlT] | None,
        links: Sequence[tuple[str, str]],
        generated: Sequence[Entry],
        local: Sequence[Contribution[IdentityT, ControlT]],
        has_databases: bool,
    ) -> None:
        self.may_replace = may_replace
        self.packages = sorted(packages, key=lambda package: package.identity.name)
        self.base = base or Tree(entries={}, owners={})
        self.local = local
        self.has_databases = has_databases
        self.generated = tuple(generated)
        self.members = {
            **self.base.members,
            **{p.identity.name: Member(p.identity, p.control) for p in (*self.packages, *local)},
        }
        self.links = dict(links)
        self.folders: set[str] = set()
        self.symlinks: dict[str, str] = {}
        self.entries: dict[str, Entry] = {}
        self.owners: dict[str, str] = {}
        self.omissions: dict[str, set[str]] = {}
        self.by_path: dict[str, dict[str, Entry]] = {}  # of packages whose paths are contested

    # ---- where the folders are, and which of them are links --------------------------------------

    def others(self, package: Contribution[IdentityT, ControlT]) -> Iterable[Entry]:
        """Return the entries of PACKAGE that are not folders."""
        if not self.has_databases or not package.database:
            return package.entries
        return (*package.entries, *(e for e in package.database if e.kind != DIRECTORY))

    def sides(self) -> Iterable[tuple[str, Iterable[Entry]]]:
        """Yield every owner with all its entries, the base's apart."""
        for package in (*self.packages, *self.local):
            yield package.identity.name, (*package.directories, *self.others(package))
        yield SPEC, self.generated

    def collect_folders(self) -> None:
        """Find every folder, also the implied ones, and every link."""
        base_folders = {path for path, entry in self.base.entries.items() if entry.kind == DIRECTORY}
        self.folders |= base_folders
        for target in self.links.values():
            _add_with_parents(self.folders, target)
        self.symlinks = {
            **self.links,
            **{path: entry.target for path, entry in self.base.entries.items() if entry.kind == SYMLINK},
        }
        for _, entries in self.sides():
            for entry in entries:
                if entry.kind == DIRECTORY:
                    _add_with_parents(self.folders, entry.path)
                else:
                    parent = entry.path.rpartition("/")[0]
                    if parent not in self.folders:
                        _add_with_parents(self.folders, parent)
                    if entry.kind == SYMLINK:
                        self.symlinks[entry.path] = entry.target
        for path in base_folders & self.symlinks.keys():
            self.keep_base_folder(path)

    def keep_base_folder(self, path: str) -> None:
        """Leave links out that packages ship where the base has a folder."""
        del self.symlinks[path]
        self.links.pop(path, None)
        for package in self.packages:
            if any(entry.path == path and entry.kind == SYMLINK for entry in package.entries):
                self.omit(package.identity.name, path)

    def find_moves(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return which side ships what at or below a folder that is a link."""
        aliases = {}
        for path in sorted(self.symlinks.keys() & self.folders):
            folder = resolve_folder(path, self.symlinks, self.folders)
            if folder is not None and folder != path:
                aliases[path] = folder
        if not aliases:
            return {}
        moves = {}
        for owner, entries in self.sides():
            touched: set[str] = set()
            for entry in entries:
                touched.update(aliases.keys() & parents(entry.path))
                if entry.kind == DIRECTORY and entry.path in aliases:
                    touched.add(entry.path)
            if touched:
                moves[owner] = tuple((path, aliases[path]) for path in sorted(touched))
        self.folders -= aliases.keys()
        return moves

    # ---- merging ----------------------------------------------------------------------------------

    def merge_folders(self) -> None:
        """Give every folder its metadata."""
        for path, entry in self.base.entries.items():
            if entry.kind == DIRECTORY:
                self.entries[path] = entry
                self.owners[path] = self.base.owners[path]
        for package in self.packages:
            for entry in package.directories:
                present = self.entries.get(entry.path)
                if present is None or (is_plain(present) and not is_plain(entry)):
                    self.entries[entry.path] = without_mtime(entry)
                    self.owners[entry.path] = package.identity.name

    def merge_packages(self) -> None:
        """Put every other entry of base and packages into the tree."""
        holders, contested = self.holders()
        for path in sorted(contested):
            for loser in self.losers(path, self.claims(path, contested[path])):
                if not loser.is_base:
                    self.omit(loser.owner, path)
        for path in sorted(self.folders & holders.keys()):
            if not self.is_omitted(holders[path], path):
                raise self.folder_conflict(path, holders[path])
        for path, entry in self.base.entries.items():
            if entry.kind != DIRECTORY:
                self.entries[path] = entry
                self.owners[path] = self.base.owners[path]
        for package in self.packages:
            name = package.identity.name
            omitted = self.omissions.get(name, ())
            for entry in without(self.others(package), omitted) if omitted else self.others(package):
                self.put(entry, name)

    def holders(self) -> tuple[dict[str, str], dict[str, list[Contribution[IdentityT, ControlT]]]]:
        """Return who is first at each path, and the packages that want what somebody has already."""
        base = self.base.entries
        holders = {path: self.base.owners[path] for path in base if base[path].kind != DIRECTORY}
        firsts: dict[str, Contribution[IdentityT, ControlT]] = {}
        contested: dict[str, list[Contribution[IdentityT, ControlT]]] = {}
        for package in self.packages:
            name = package.identity.name
            for entry in self.others(package):
                path = entry.path
                if path not in holders:
                    holders[path] = name
                    firsts[path] = package
                elif not self.is_omitted(name, path):
                    first = [firsts[path]] if path in firsts else []
                    contested.setdefault(path, first).append(package)
        return holders, contested

    def claims(self, path: str, wanting: Iterable[Contribution[IdentityT, ControlT]]) -> list[_Claim]:
        """Return the claims to PATH: the base's, if it has it, and those of the packages WANTING it."""
        claims = []
        base = self.base.entries
        if path in base:
            file = base[base[path].target] if base[path].kind == HARDLINK else base[path]
            claims.append(_Claim(self.base.owners[path], base[path], file, is_base=True))
        for package in wanting:
            entries = self.by_path.get(package.identity.name)
            if entries is None:
                entries = {entry.path: entry for entry in self.others(package)}
                self.by_path[package.identity.name] = entries
            entry = entries[path]
            file = entries[entry.target] if entry.kind == HARDLINK else entry
            claims.append(_Claim(package.identity.name, entry, file))
        return claims

    def losers(self, path: str, claims: Sequence[_Claim]) -> Iterable[_Claim]:
        """Return all claims of PATH but the one that wins."""
        for winner in claims:
            others = [claim for claim in claims if claim is not winner]
            if all(self.beats(winner, other) for other in others):
                return others
        raise self.file_conflict(path, claims)

    def beats(self, winner: _Claim, loser: _Claim) -> bool:
        """Whether WINNER may stand for, or takes over from, LOSER."""
        if is_identical(winner.file, loser.file):
            return True
        if SPEC in (winner.owner, loser.owner):  # the base's spec decided
            return winner.owner == SPEC
        if self.replaces(winner, loser):
            return not self.replaces(loser, winner)
        if self.replaces(loser, winner) or not winner.entry.kind == loser.entry.kind == SYMLINK:
            return False
        path = winner.entry.path
        ours, theirs = (
            resolve_folder(path, {**self.symlinks, path: claim.entry.target}, self.folders)
            for claim in (winner, loser)
        )
        return ours is not None and ours == theirs

    def replaces(self, winner: _Claim, loser: _Claim) -> bool:
        """Whether WINNER's package says it takes over files of LOSER's."""
        return self.may_replace(self.members[winner.owner].control, self.members[loser.owner].identity)

    def put_on_top(self) -> None:
        """Put the links, generated and local files into the tree, and the folders nobody shipped."""
        for path, target in self.links.items():
            self.put_link(path, target)
        for entry in self.generated:
            self.put_spec(entry, SPEC)
        for package in self.local:
            for entry in (*package.directories, *self.others(package)):
                self.put_spec(entry, package.identity.name)
        missing = self.folders - self.entries.keys()
        for path in [path for path in self.entries if missing and "/" in path]:
            for parent in reversed(parents(path)):
                if parent in self.entries:
                    break
                self.entries[parent] = Entry(parent, DIRECTORY, 0o755)
                self.owners[parent] = self.owners[path]

    def put_link(self, path: str, target: str) -> None:
        """Make PATH the link that the distribution says it is, unless it leads there already."""
        present = self.entries.get(path)
        if present is None:
            self.put(Entry(path, SYMLINK, 0o777, target=target), SPEC)
        elif present.kind != SYMLINK or resolve_folder(path, self.symlinks, self.folders) != target:
            raise ConflictError(
                f'/{path} of {self.called(self.owners[path])} is not the link to "{target}" that the'
                " distribution says it is"
            )
        for folder in (*parents(target), target):
            if folder not in self.entries:
                self.put(Entry(folder, DIRECTORY, 0o755), SPEC)

    def put_spec(self, entry: Entry, owner: str) -> None:
        """Put an entry of the spec into the tree, over what is there."""
        if entry.kind == DIRECTORY:
            present = self.entries.get(entry.path)
            if present is None or present.kind == DIRECTORY:
                self.put(without_mtime(entry), owner)
                return
            raise self.folder_conflict(entry.path, self.owners[entry.path])
        if entry.path in self.folders:
            raise self.folder_conflict(entry.path, owner)
        present = self.entries.get(entry.path)
        if present is None or not self.is_the_bases(present, entry):
            self.put(entry, owner)

    def is_the_bases(self, present: Entry, entry: Entry) -> bool:
        """Whether the base has ENTRY already, so that no layer need say it again."""
        return present is self.base.entries.get(entry.path) and is_identical(present, entry)

    def put(self, entry: Entry, owner: str) -> None:
        """Put ENTRY into the tree; hard links to a file it replaces keep that file."""
        if entry.path in self.entries:
            replace(self.entries, entry)
        else:
            self.entries[entry.path] = entry
        self.owners[entry.path] = owner

    def omit(self, owner: str, path: str) -> None:
        """Note that OWNER must be built without PATH."""
        self.omissions.setdefault(owner, set()).add(path)

    def is_omitted(self, owner: str, path: str) -> bool:
        """Whether OWNER must be built without PATH."""
        return path in self.omissions.get(owner, ())

    def frozen_omissions(self) -> dict[str, frozenset[str]]:
        """Return the omissions, by sorted names."""
        return {name: frozenset(paths) for name, paths in sorted(self.omissions.items())}

    def tree(self) -> Tree[IdentityT, ControlT]:
        """Return what has been merged, sorted by path."""
        entries = {path: self.entries[path] for path in sorted(self.entries)}
        owners = {path: self.owners[path] for path in entries}
        return Tree(entries=entries, owners=owners, members=self.members)

    # ---- errors -----------------------------------------------------------------------------------

    def called(self, owner: str) -> str:
        """Return what OWNER is called in a message."""
        return f"package {self.members[owner].identity}" if owner in self.members else "the spec"

    def file_conflict(self, path: str, claims: Sequence[_Claim]) -> ConflictError:
        """Say which two claims of PATH cannot both be."""
        pairs = [(a, b) for a in claims for b in claims if a is not b]
        left, right = next((p for p in pairs if not (self.beats(*p) or self.beats(*p[::-1]))), pairs[0])
        how = difference(left.file, right.file)
        why = "neither replaces the other"
        if SPEC not in (left.owner, right.owner) and self.replaces(left, right):
            why = "each says it replaces the other"
        sides = f"{self.called(left.owner)} and {self.called(right.owner)}"
        return ConflictError(
            f"{sides} both have /{path}, {how}, and {why}",
            hint="leave one of the two out of the spec",
        )

    def folder_conflict(self, path: str, owner: str) -> ConflictError:
        """Say who has a folder where OWNER has a file."""
        other = next(
            (
                name
                for name, entries in self.sides()
                for entry in entries
                if entry.path.startswith(f"{path}/") or (entry.path == path and entry.kind == DIRECTORY)
            ),
            self.base.owners.get(path, SPEC),
        )
        return ConflictError(
            f"{self.called(owner)} has a file or link at /{path}, and {self.called(other)} a folder",
            hint="leave one of the two out of the spec"
            if SPEC not in (owner, other)
            else "choose another path in the spec",
        )
