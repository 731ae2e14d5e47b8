"""The checks that are no tests, as tests: so one command runs all, the same here and in CI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_SCRIPTS = Path(sys.executable).parent


def _check(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_ruff_finds_no_fault() -> None:
    _check(sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet", ".")


def test_ruff_would_format_nothing() -> None:
    _check(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow  # a minute without its cache
def test_mypy_finds_no_fault() -> None:
    _check(sys.executable, "-m", "mypy")


def test_imports_point_downwards_and_the_core_does_no_io() -> None:
    _check(_SCRIPTS / "lint-imports", "--no-cache")
