"""``imgbuild update SPEC``: the newest packages, and what that changes."""

from __future__ import annotations

import click

from builder.cli.options import archive_options, lock_option, spec_argument, word_options


@click.command("update")
@spec_argument
@lock_option
@click.option("-n", "--dry-run", is_flag=True, help="Show what would change; write nothing.")
@archive_options
@word_options
def command(
    spec: str,
    lock_path: str | None,
    dry_run: bool,
    cache: str | None,
    mirrors: tuple[str, ...],
    offline: bool,
    accept_expired: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Take the newest packages for SPEC, write its lock and show what changes.

    Asks the archive afresh. The lock of a base is left alone: update the base's own spec for that.
    """
    from builder.cli.changes import print_diff
    from builder.cli.progress import console
    from builder.cli.session import open_ports
    from builder.formats.registry import load_format
    from builder.lock.changes import diff, without_packages
    from builder.pipeline.archive import load_distro
    from builder.pipeline.build import unpacked_packages
    from builder.pipeline.locks import new_lock
    from builder.pipeline.project import open_project, read_lock_file, write_lock_file

    project = open_project(spec, lock_path)
    with (
        console(quiet=quiet) as report,
        open_ports(
            report,
            cache=cache,
            mirrors=mirrors,
            offline=offline,
            accept_expired=accept_expired,
            max_age=0,
        ) as ports,
    ):
        previous = read_lock_file(project.lock_path)
        lock = new_lock(project, ports, unpacked_packages, previous)
        if not dry_run:
            write_lock_file(project.lock_path, lock)
    before = previous.lock if previous else without_packages(lock)
    format_ = load_format(load_distro(project.document).format)
    print_diff(diff(before, lock, format_.compare), as_json=as_json)
