"""``imgbuild init``: a commented spec to start from."""

from __future__ import annotations

import click


@click.command("init")
@click.argument("spec", type=click.Path(dir_okay=False), default="spec.yaml")
@click.option("--distro", default="debian/trixie", show_default=True, help="Distribution and suite.")
@click.option("--force", is_flag=True, help="Overwrite a spec that is there.")
def command(spec: str, distro: str, force: bool) -> None:
    """Write a commented spec to start from (default: spec.yaml)."""
    import os

    from builder.errors import SpecError, UsageError
    from builder.repository import distros
    from builder.spec.starter import starter

    name, _, suite = distro.partition("/")
    try:
        distros.load(name).sources(suite)
    except SpecError as error:
        raise UsageError(f"--distro: {error.message}", hint=error.hint) from error
    text = starter(os.path.splitext(os.path.basename(spec))[0], distro)
    try:
        with open(spec, "w" if force else "x", encoding="utf-8") as sink:
            sink.write(text)
    except FileExistsError:
        raise UsageError(f"{spec} is there already", hint="--force overwrites it") from None
    except OSError as error:
        raise UsageError(f"cannot write {spec}: {error.strerror}") from error
    click.echo(f"wrote {spec}; build it with: imgbuild {spec}", err=True)
