"""Processes measured: wall time, processor time of the process and its children, peak memory, scratch.

    run = measure(["imgbuild", "build", "spec.yaml"], folder)
    run.wall, run.cpu, run.memory

Wall time is noisy on a shared machine, processor time less so: both are reported, as medians.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

_LOOK = 0.05


class Run(NamedTuple):
    """One run: seconds; ``memory`` bytes of its largest process; ``scratch`` bytes at their most."""

    wall: float
    cpu: float
    memory: int
    errors: str
    scratch: int = 0


def measure(command: Sequence[str], folder: Path, scratch: Callable[[], int] | None = None) -> Run:
    """Run COMMAND in FOLDER; SCRATCH is asked now and then for the bytes of temporary files."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    most, is_over = [0], threading.Event()

    def watch() -> None:
        assert scratch is not None
        while not is_over.wait(_LOOK):
            most[0] = max(most[0], scratch())

    watcher = threading.Thread(target=watch)
    if scratch:
        watcher.start()
    with (folder / "errors.txt").open("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text = errors.read()
    is_over.set()
    if scratch:
        watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{text}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, text, most[0])


def middle(runs: Sequence[Run]) -> Run:
    """Return the medians of RUNS (of memory and scratch, the most)."""
    return Run(
        median(run.wall for run in runs),
        median(run.cpu for run in runs),
        max(run.memory for run in runs),
        runs[-1].errors,
        max(run.scratch for run in runs),
    )


def program() -> list[str]:
    """Return the command that a user would call."""
    installed = Path(sys.executable).with_name("imgbuild")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "builder"]


def folder_size(*folders: Path) -> int:
    """Return the bytes of the files below FOLDERS, which may come and go meanwhile."""
    total = 0
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                try:
                    total += os.stat(os.path.join(root, name)).st_size
                except FileNotFoundError:
                    continue
    return total
