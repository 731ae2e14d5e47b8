"""``scripts: native``: all that imgbuild knows of maintainer scripts' effects, gathered.

Two steps, since a package's content is read back in one pass: `native_reads` says which files are
needed, `native_effects` makes the new ones of them. Both are functions of what is in the tree, and
know paths, not package formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from builder.effects.accounts import Accounts
from builder.effects.base_files import base_files, default_paths, zone_files
from builder.effects.certificates import certificate_files, certificate_paths
from builder.tree.entries import Entry, NewFile


def native_reads(entries: Mapping[str, Entry]) -> tuple[str, ...]:
    """Return the paths of ENTRIES whose content `native_effects` reads, sorted."""
    return tuple(sorted({*certificate_paths(entries), *default_paths(entries)}))


def native_effects(
    entries: Mapping[str, Entry], read: Callable[[str], bytes | None], accounts: Accounts
) -> tuple[NewFile, ...]:
    """Return what scripts would have made in a tree of ENTRIES, sorted by path.

    ENTRIES are the tree's with the spec's local files (certificates may be among them); READ gives
    the content of each of `native_reads`. Accounts themselves are `account_files`, always made.
    """
    files = (
        *base_files(entries, read, accounts.gid),
        *certificate_files(entries, read),
        *zone_files(entries),
    )
    return tuple(sorted(files, key=lambda file: file.entry.path))
