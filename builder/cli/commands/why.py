"""``imgbuild why SPEC PACKAGE``: the chains from the spec to a package."""

from __future__ import annotations

import click


@click.command("why")
@click.argument("spec", type=click.Path(dir_okay=False))
@click.argument("package")
@click.option("--arch", "architecture", help="Architecture of the lock (default: its first).")
@click.option("--json", "as_json", is_flag=True, help="Print the chains as JSON.")
def command(spec: str, package: str, architecture: str | None, as_json: bool) -> None:
    """Show why PACKAGE is in the image: the shortest chain from SPEC for each package that needs it.

    SPEC may also be a lock file.
    """
    from builder.cli.locks import choose_architecture, read_named_lock
    from builder.lock.graph import paths_to

    lock = read_named_lock(spec)
    chosen = choose_architecture(lock, architecture)
    chains = paths_to(lock, chosen, package)
    if as_json:
        import json

        click.echo(json.dumps({"package": package, "architecture": chosen, "chains": chains}, indent=2))
        return
    for chain in chains:
        click.echo(" → ".join(["spec", *chain]))
