"""A Docker daemon of the test's own: unix socket, no network, everything below one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Daemon:
    """A running daemon; `docker` runs its client."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def docker(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "-H", self._socket, *arguments], capture_output=True, text=True, check=check
        )


@contextmanager
def running_daemon() -> Iterator[Daemon]:
    """Start dockerd and end it by its id; skips, saying why, where it cannot run."""
    for tool in ("dockerd", "docker"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing: install Debian's docker.io")
    if os.geteuid() != 0:
        pytest.skip("dockerd needs root")
    # A short path of its own: names of unix sockets end at 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="imgbuild-dockerd-", dir="/tmp"))
    socket = f"unix://{folder}/s"
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
                    "--storage-driver=vfs", "--data-root", folder / "data",
                    "--exec-root", folder / "exec",
                    "--pidfile", folder / "pid", "-H", socket,
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip
        try:
            daemon = Daemon(socket)
            _wait(daemon, process, folder / "log")
            yield daemon
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(daemon: Daemon, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(150):
        if process.poll() is not None:
            pytest.skip(f"dockerd does not start here: {log.read_text()[-300:]}")
        if daemon.docker("version", check=False).returncode == 0:
            return
        time.sleep(0.2)
    pytest.skip(f"dockerd does not answer: {log.read_text()[-300:]}")
