"""The lock: the waist of the program, all that an image is a function of; no I/O.

Its differences are in `builder.lock.changes`, its graph in `builder.lock.graph`; both are for commands
that people read, so building does not import them.
"""

from builder.lock.answers import answers
from builder.lock.file import read_lock, write_lock
from builder.lock.model import Lock, LockedArchitecture, LockedBase, LockedPackage

__all__ = [
    "Lock", "LockedArchitecture", "LockedBase", "LockedPackage", "answers", "read_lock", "write_lock",
]  # fmt: skip
