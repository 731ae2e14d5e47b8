"""The words for what differs between two locks."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from builder.cli.terminal import human_size, table
from builder.lock.changes import LockDiff, PackageChange, in_order


def print_diff(found: LockDiff, *, as_json: bool) -> None:
    """Print FOUND to stdout."""
    if as_json:
        import json

        import msgspec

        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    elif found.is_empty:
        click.echo("nothing changes")
    else:
        click.echo("\n".join(diff_lines(found)))


def diff_lines(found: LockDiff) -> list[str]:
    """Return FOUND line by line: packages, suites, and a summary last."""
    lines = []
    if found.packages:
        rows = [_row(change, found) for change in in_order(found.packages)]
        lines += table(rows).split("\n")
    for suite in found.suites:
        lines.append(f"{suite.repository} {suite.suite}: {_day(suite.old)} → {_day(suite.new)}")
    lines += [f"architecture {name} added" for name in found.added_architectures]
    lines += [f"architecture {name} removed" for name in found.removed_architectures]
    return [*lines, _summary(found)]


def _row(change: PackageChange, found: LockDiff) -> tuple[str, ...]:
    words = {"added": f"added {change.new}", "removed": f"removed {change.old}"}
    versions = words.get(change.kind, f"{change.old} → {change.new}")
    marks = []
    if change.is_security:
        marks.append("security")
    if change.kind in ("downgraded", "replaced"):
        marks.append(change.kind)
    if change.architectures != found.architectures:
        marks.append(f"on {', '.join(change.architectures)}")
    return change.name, versions, ", ".join(marks)


def _summary(found: LockDiff) -> str:
    kinds = [change.kind for change in found.packages]
    security = sum(change.is_security for change in found.packages)
    upgraded = sum(kind not in ("added", "removed") for kind in kinds)
    text = f"{upgraded} changed ({security} by security updates), {kinds.count('added')} added, "
    text += f"{kinds.count('removed')} removed"
    return f"{text}; packages {_signed(found.size)}, installed {_signed(found.installed_size)}"


def _signed(size: int) -> str:
    return f"{'-' if size < 0 else '+'}{human_size(abs(size))}"


def _day(seconds: int | None) -> str:
    return "none" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
