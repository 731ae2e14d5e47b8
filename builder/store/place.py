"""Where the store is when nobody says, and when somebody does."""

from __future__ import annotations

import os
from collections.abc import Mapping


def place(option: str | None, environment: Mapping[str, str]) -> str:
    """Return the root of the store, the first that is given.

    OPTION (``--cache``), ``IMGBUILD_CACHE``, ``XDG_CACHE_HOME/imgbuild``, ``~/.cache/imgbuild``. An
    empty value is no value; a relative ``XDG_CACHE_HOME`` is ignored (XDG Base Directory: "All paths
    must be absolute").
    """
    chosen = option or environment.get("IMGBUILD_CACHE")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    base = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = environment.get("HOME") or os.path.expanduser("~")
        base = os.path.join(home, ".cache")
    return os.path.join(base, "imgbuild")
