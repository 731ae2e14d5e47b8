"""How a spec comes to its lock: the one on disk where it answers the spec, else a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from builder.errors import LockError
from builder.lock.answers import answers
from builder.lock.model import Lock
from builder.packages import Package
from builder.pipeline.choose import Below, choose, plan_layers
from builder.pipeline.ports import Ports
from builder.pipeline.project import (
    LockFile,
    Project,
    read_lock_file,
    with_plan,
    write_lock_file,
)

Unpacked = Callable[[Project, str, Ports], tuple[Package, ...]]
"""Gives a base's packages for an architecture, as they say themselves (`builder.pipeline.build`)."""


class LockMode(NamedTuple):
    """How to come to a lock.

    is_fixed  a lock that does not answer the spec is an error (``--locked``)
    """

    is_fixed: bool = False


USUAL = LockMode()


def ensure_lock(project: Project, ports: Ports, unpacked: Unpacked, mode: LockMode = USUAL) -> LockFile:
    """Return the lock that answers PROJECT's spec; a new one is written beside the spec."""
    base = _base_lock(project, ports, unpacked, mode)
    found = read_lock_file(project.lock_path)
    reason = stale_reason(project, found, base)
    if reason is None and found is not None:
        return _with_present_plan(project, found, mode)
    if mode.is_fixed:
        assert reason is not None
        raise LockError(
            reason, where=project.lock_path, hint='"imgbuild lock" makes it anew; then commit it'
        )
    lock = new_lock(project, ports, unpacked, found)
    return write_lock_file(project.lock_path, lock)


def new_lock(project: Project, ports: Ports, unpacked: Unpacked, previous: LockFile | None) -> Lock:
    """Return a lock of what there is now; PREVIOUS is not rolled back, and its plan is kept."""
    base = _base_lock(project, ports, unpacked, USUAL)
    below = _below(project.base, base, ports, unpacked) if project.base and base else None
    return choose(project, ports, previous=previous.lock if previous else None, below=below)


def _base_lock(project: Project, ports: Ports, unpacked: Unpacked, mode: LockMode) -> LockFile | None:
    return ensure_lock(project.base, ports, unpacked, mode) if project.base else None


def stale_reason(project: Project, found: LockFile | None, base: LockFile | None) -> str | None:
    """Return why the lock does not answer the spec; None if it does."""
    if found is None:
        return "there is no lock"
    lock = found.lock
    if lock.answers != answers(project.spec):
        return "the lock is stale: the spec asks for other packages than when it was made"
    if (lock.base.digest if lock.base else None) != (base.digest if base else None):
        return "the lock is stale: the base's lock has changed since it was made"
    return None


def _with_present_plan(project: Project, found: LockFile, mode: LockMode) -> LockFile:
    """Return FOUND, its layers planned anew where ``layers.max`` has changed."""
    if found.lock.max_layers == project.spec.max_layers:
        return found
    if mode.is_fixed:
        raise LockError(
            f"the lock's layer plan is for layers.max {found.lock.max_layers}, "
            f"the spec says {project.spec.max_layers}",
            where=project.lock_path,
            hint='"imgbuild lock" plans anew; then commit it',
        )
    below = project.base.chain() if project.base else ()
    locks = [each.lock for p in below if (each := read_lock_file(p.lock_path))]
    count = sum(len(each.layers) + 1 for each in locks)
    layers = plan_layers(project, found.lock.architectures, found.lock, count)
    return write_lock_file(project.lock_path, with_plan(found.lock, layers, project.spec.max_layers))


def _below(base: Project, lock: LockFile, ports: Ports, unpacked: Unpacked) -> Below:
    """Return what BASE brings into the choice of a spec on it."""
    locks = [found.lock for p in base.chain() if (found := read_lock_file(p.lock_path))]
    return Below(
        lock=lock,
        packages=lambda architecture: [p for each in locks for p in each.packages(architecture)],
        unpacked=lambda architecture: unpacked(base, architecture, ports),
        layers=sum(len(each.layers) + 1 for each in locks),
    )
