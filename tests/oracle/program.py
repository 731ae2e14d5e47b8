"""Our own program as its users start it, and what they know of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from builder.lock.file import read_lock
from builder.lock.model import Lock
from tests.oracle.apt import mirror

ROOT = Path(__file__).resolve().parents[2]


def need(tool: str, package: str) -> None:
    """Skip, loudly, without TOOL of Debian's PACKAGE."""
    if not shutil.which(tool):
        pytest.skip(f"{tool} is missing: install Debian's {package}")


def need_mirror() -> str:
    """Return the host's Debian archive root; skip, loudly, without."""
    found = mirror()
    if found is None:
        pytest.skip("the host's apt has no Debian mirror to take packages from")
    return found


def need_root() -> None:
    """Skip, loudly, unless root runs the tests."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes files of several owners")


def run(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> str:
    """Run ARGUMENTS after PREFIX (a wrapper as ``taskset -c 0``); return what they print."""
    done = subprocess.run(
        [*prefix, *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments[:3]} exits {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def imgbuild(
    *arguments: str | Path,
    cwd: Path,
    cache: Path,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> str:
    """Run imgbuild in CWD; return what it prints on stdout."""
    variables = {"PYTHONPATH": str(ROOT), "IMGBUILD_CACHE": str(cache), **(environment or {})}
    return run(
        sys.executable, "-m", "builder", *arguments, cwd=cwd, environment=variables, prefix=prefix
    )


def lock_of(path: Path) -> Lock:
    """Return the lock at PATH."""
    return read_lock(path.read_bytes(), str(path))
