"""``imgbuild cache``: what the cache holds, whether it is whole, how to make it smaller."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from builder.cli.options import cache_option
from builder.errors import StoreError, UsageError

if TYPE_CHECKING:
    from builder.store.store import Store

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@click.group("cache")
def command() -> None:
    """Look at the cache, check it, or shrink it.

    The folder is --cache, $IMGBUILD_CACHE, or ~/.cache/imgbuild; all of it can be made again.
    """


@command.command("ls")
@cache_option
@click.option("--json", "as_json", is_flag=True, help="Print the totals as JSON.")
def ls(cache: str | None, as_json: bool) -> None:
    """Show what the cache holds."""
    from builder.cli.terminal import human_size, table

    with _open(cache) as store:
        usages = store.ls()
        root = store.root
    if as_json:
        import json

        totals = {usage.kind: {"files": usage.files, "bytes": usage.size} for usage in usages}
        click.echo(json.dumps({"folder": root, "kinds": totals}, indent=2))
        return
    rows = [(usage.kind, f"{usage.files} files", human_size(usage.size)) for usage in usages]
    total = human_size(sum(usage.size for usage in usages))
    rows.append(("total", f"{sum(usage.files for usage in usages)} files", total))
    click.echo(f"{root}\n{table(rows, right=frozenset({1, 2}))}")


@command.command("gc")
@cache_option
@click.option(
    "--max-size",
    required=True,
    metavar="SIZE",
    help="Bytes that may remain: 500M, 2G, 0; what was used longest ago goes first.",
)
def gc(cache: str | None, max_size: str) -> None:
    """Shrink the cache to a size."""
    from builder.cli.terminal import human_size

    limit = _size(max_size)
    with _open(cache) as store:
        result = store.gc(limit)
    click.echo(
        f"removed {result.removed} files, {human_size(result.freed)}; "
        f"{result.remaining} files, {human_size(result.size)} remain"
    )


@command.command("verify")
@cache_option
def verify(cache: str | None) -> None:
    """Hash everything in the cache; drop what is damaged."""
    with _open(cache) as store:
        damages = store.verify()
        root = store.root
    for damage in damages:
        click.echo(f"{damage.path}: {damage.reason}", err=True)
    if damages:
        raise StoreError(
            f"{len(damages)} damaged files were dropped",
            where=root,
            hint="build again: what is missing is fetched or made anew",
        )
    click.echo("the cache is clean", err=True)


def _open(cache: str | None) -> Store:
    import os

    from builder.store.place import place
    from builder.store.store import Store

    return Store(place(cache, os.environ))


def _size(text: str) -> int:
    """Return the bytes that TEXT says (powers of 1000, as disks are sold and shown here)."""
    found = re.fullmatch(r"(\d{1,15})([kKmMgGtT]?)[bB]?", text)
    if not found:
        raise UsageError(f'"{text}" is no size', where="--max-size", hint="write 500M, 2G or 0")
    return int(found[1]) * _UNITS[found[2].lower()]
