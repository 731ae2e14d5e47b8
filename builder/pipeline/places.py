"""Where files of a project lie; imports nothing, since a warm build asks it."""

from __future__ import annotations

import os


def default_lock_path(spec_path: str) -> str:
    """Return the lock's path of a spec: ``web/app.yaml`` has ``web/app.lock.json``."""
    return os.path.splitext(spec_path)[0] + ".lock.json"


def image_name(reference: str) -> str:
    """Return the last word of REFERENCE: ``registry.example.com/team/app:1`` is ``app``."""
    return reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
