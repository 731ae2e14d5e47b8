"""``imgbuild schema``: the JSON Schema of the spec or of the lock."""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("kind", type=click.Choice(["spec", "lock"]), default="spec")
def command(kind: str) -> None:
    """Print the JSON Schema of the spec (or of the lock), for editors and checks.

    In VS Code, with the YAML extension: put
    "# yaml-language-server: $schema=spec.schema.json" on the first line of the spec.
    """
    import json

    if kind == "spec":
        from builder.spec.schema import json_schema
    else:
        from builder.lock.schema import json_schema
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
