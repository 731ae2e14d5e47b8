"""A store in a folder of its own, and Python programs that use the same one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from builder.store.store import Store

Start: TypeAlias = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    with Store(root) as store:
        yield store


@pytest.fixture
def start(root: Path) -> Iterator[Start]:
    """Start a program with `store`, `os`, `time`, `sys` and `Digest` at hand; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        head = (
            "import os, sys, time\n"
            "from builder.digests import Digest\n"
            "from builder.store.store import Store\n"
            f"store = Store({str(root)!r})\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", head + program, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
