"""``imgbuild [build] SPEC``: build an image and print the reference of what was built."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from builder.cli.options import archive_options, lock_option, spec_argument, word_options

if TYPE_CHECKING:
    from builder.pipeline.ports import Ports
    from builder.pipeline.warm import Warm
    from builder.publish.destinations import Destination


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
    "--arch",
    "architectures",
    multiple=True,
    metavar="ARCH",
    help="Build this architecture of the spec only.",
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
    from builder.pipeline import warm
    from builder.pipeline.places import default_lock_path
    from builder.publish.destinations import parse_destinations
    from builder.store.place import place
    from builder.store.store import Store

    wanted = parse_destinations(outputs)
    lock = lock_path or default_lock_path(spec)
    with Store(place(cache, os.environ)) as store:
        found = warm.find(store, spec, lock, architectures, os.environ)
        if found is None or not _is_everywhere(found, wanted):
            from builder.cli.progress import console
            from builder.cli.session import ports_of

            with console(quiet=quiet) as report:
                ports = ports_of(
                    store, report, mirrors=mirrors, offline=offline, accept_expired=accept_expired
                )
                found = _build(spec, lock, architectures, wanted, ports, is_fixed=locked)
        if _takes_stdout(wanted):
            return
        _print(found, _places(found.name, wanted), as_json=as_json)


def _places(name: str, wanted: tuple[Destination, ...]) -> tuple[Destination, ...]:
    """Return the destinations WANTED, or the default for an image called NAME."""
    from builder.publish.destinations import Destination

    return wanted or (Destination("oci", f"{name}.oci"),)


def _is_everywhere(found: Warm, wanted: tuple[Destination, ...]) -> bool:
    """Whether each destination has the image already."""
    from builder.publish.current import is_current

    return all(
        is_current(place, found.reference, found.digest, found.blobs)
        for place in _places(found.name, wanted)
    )


def _build(
    spec: str,
    lock_path: str,
    architectures: tuple[str, ...],
    wanted: tuple[Destination, ...],
    ports: Ports,
    *,
    is_fixed: bool,
) -> Warm:
    from builder.pipeline import warm
    from builder.pipeline.build import build_project, chosen_architectures
    from builder.pipeline.locks import LockMode
    from builder.pipeline.places import image_name
    from builder.pipeline.project import open_project
    from builder.publish.publish import check, publish
    from builder.reporting import StageBegan, StageEnded

    began = warm.now_ns()
    project = open_project(spec, lock_path)
    destinations = _places(image_name(project.spec.image), wanted)
    chosen = chosen_architectures(project, architectures)
    stdout = sys.stdout.buffer
    for destination in destinations:
        check(chosen, destination, stdout)
    built = build_project(project, ports, architectures, LockMode(is_fixed=is_fixed))
    ports.report(StageBegan("publish", len(destinations), "destinations"))
    for destination in destinations:
        publish(built.image, destination, ports.store, stdout=stdout, report=ports.report)
    ports.report(StageEnded("publish", ", ".join(map(str, destinations))))
    return warm.remember(ports.store, project, built, architectures, ports.environment, began)


def _takes_stdout(wanted: tuple[Destination, ...]) -> bool:
    """Whether the image itself went to stdout, where nothing else may go then."""
    return any(destination.is_stdout for destination in wanted)


def _print(found: Warm, places: tuple[Destination, ...], *, as_json: bool) -> None:
    if not as_json:
        click.echo(f"{found.reference}@{found.digest}")
        return
    import json

    result = {
        "image": found.reference,
        "digest": found.digest,
        "reference": f"{found.reference}@{found.digest}",
        "platforms": found.platforms,
        "outputs": [str(place) for place in places],
    }
    click.echo(json.dumps(result))
