"""``imgbuild [build] SPEC``: build an image and print the reference of what was built."""

from __future__ import annotations

import click

from builder.cli.options import archive_options, lock_option, spec_argument, word_options


@click.command("build")
@spec_argument
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="KIND:PLACE",
    help="Where the image goes: oci:DIR (default oci:NAME.oci), oci-archive:FILE, docker-archive:FILE, "
    "rootfs:DIR, tar:FILE; may be given several times.",
)
@click.option(
    "--arch", "architectures", multiple=True, help="Build for this architecture of the spec only."
)
@click.option("--locked", is_flag=True, help="Fail where the lock does not answer the spec.")
@lock_option
@archive_options
@word_options
def command(
    spec: str,
    outputs: tuple[str, ...],
    architectures: tuple[str, ...],
    locked: bool,
    lock_path: str | None,
    cache: str | None,
    mirrors: tuple[str, ...],
    offline: bool,
    accept_expired: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build an image from SPEC and print its reference with the digest.

    The lock beside SPEC decides which packages go in. Without one, or where the spec now asks for
    other packages, the newest are chosen and the lock is written.
    """
    import sys

    from builder.cli.progress import console
    from builder.cli.session import open_ports
    from builder.pipeline.build import LockMode, build_project
    from builder.pipeline.project import open_project
    from builder.publish.destinations import parse_destinations
    from builder.publish.publish import publish

    project = open_project(spec, lock_path)
    name = project.spec.image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    destinations = parse_destinations(outputs or (f"oci:{name}.oci",))
    with console(quiet=quiet) as report:
        ports = open_ports(
            report, cache=cache, mirrors=mirrors, offline=offline, accept_expired=accept_expired
        )
        built = build_project(project, ports, architectures, LockMode(is_fixed=locked))
        for destination in destinations:
            publish(built.image, destination, ports.store, stdout=sys.stdout.buffer, report=report)
    click.echo(f"{built.image.reference}@{built.image.digest}")
