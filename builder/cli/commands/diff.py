"""``imgbuild diff OLD NEW``: what differs between two locks."""

from __future__ import annotations

import click


@click.command("diff")
@click.argument("old", type=click.Path(dir_okay=False))
@click.argument("new", type=click.Path(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(old: str, new: str, as_json: bool) -> None:
    """Show which packages differ between the locks OLD and NEW (lock files, or specs)."""
    from builder.cli.changes import print_diff
    from builder.cli.locks import read_named_lock
    from builder.formats.registry import load_format
    from builder.lock.changes import diff
    from builder.repository import distros

    before, after = read_named_lock(old), read_named_lock(new)
    format_ = load_format(distros.load(after.distro.partition("/")[0]).format)
    print_diff(diff(before, after, format_.compare), as_json=as_json)
