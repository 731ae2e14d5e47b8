"""``imgbuild lock SPEC``: choose the packages, write the lock, build nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.options import archive_options, lock_option, spec_argument, word_options

if TYPE_CHECKING:
    from builder.packages import Package
    from builder.pipeline.ports import Ports
    from builder.pipeline.project import Project


@click.command("lock")
@spec_argument
@lock_option
@click.option(
    "--check", is_flag=True, help="Write nothing; fail where the lock does not answer the spec."
)
@archive_options
@word_options
def command(
    spec: str,
    lock_path: str | None,
    check: bool,
    cache: str | None,
    mirrors: tuple[str, ...],
    offline: bool,
    accept_expired: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Choose the packages of SPEC and write them to its lock.

    A lock that answers the spec is left as it is ("imgbuild update" takes newer packages). Only
    package lists are read; no package is downloaded. Prints the lock's path and digest.
    """
    from builder.cli.progress import console
    from builder.cli.session import open_ports
    from builder.pipeline.locks import LockMode, ensure_lock
    from builder.pipeline.project import open_project

    project = open_project(spec, lock_path)
    with (
        console(quiet=quiet) as report,
        open_ports(
            report, cache=cache, mirrors=mirrors, offline=offline, accept_expired=accept_expired
        ) as ports,
    ):
        found = ensure_lock(project, ports, _unpacked, LockMode(is_fixed=check))
    if as_json:
        import json

        packages = {a.architecture: len(a.packages) for a in found.lock.architectures}
        click.echo(json.dumps({"lock": project.lock_path, "digest": found.digest, "packages": packages}))
    else:
        click.echo(f"{project.lock_path} {found.digest}")


def _unpacked(base: Project, architecture: str, ports: Ports) -> tuple[Package, ...]:
    """See `builder.pipeline.build.unpacked_packages`; few locks need what builds images."""
    from builder.pipeline.build import unpacked_packages

    return unpacked_packages(base, architecture, ports)
