"""Locks named on the command line: a lock file, or the spec beside which it lies."""

from __future__ import annotations

from builder.errors import UsageError
from builder.lock.model import Lock


def read_named_lock(path: str) -> Lock:
    """Return the lock at PATH, or of the spec at PATH. `UsageError` where there is none."""
    from builder.pipeline.places import default_lock_path
    from builder.pipeline.project import read_lock_file

    is_lock = path.endswith(".json")
    place = path if is_lock else default_lock_path(path)
    found = read_lock_file(place)
    if found is None:
        hint = None if is_lock else f'"imgbuild lock {path}" makes it'
        raise UsageError(f'there is no lock "{place}"', hint=hint)
    return found.lock


def choose_architecture(lock: Lock, wanted: str | None) -> str:
    """Return WANTED, or the only or first architecture of LOCK."""
    known = [item.architecture for item in lock.architectures]
    if wanted is None:
        return known[0] if known else ""
    if wanted not in known:
        raise UsageError(
            f'the lock has no architecture "{wanted}"', where="--arch", hint=f"it has {', '.join(known)}"
        )
    return wanted
