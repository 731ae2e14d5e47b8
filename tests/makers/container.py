"""Run an image's root for real: namespaces of its own, its user, its environment, loopback alone.

Not a container engine: what an engine makes of the image's configuration (image-spec, config.md), as
far as our images use it, without cgroups and storage drivers, so that it works inside containers too.
Needs root, unshare and nsenter (util-linux), ip (iproute2).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_ENTER = r"""
import json, os, subprocess, sys
root, user, group, groups, environment, folder, command = json.loads(sys.argv[1])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for name, options in {"dev": ["--rbind", "/dev"], "proc": ["-t", "proc", "proc"]}.items():
    os.makedirs(f"{root}/{name}", exist_ok=True)
    subprocess.run(["mount", *options, f"{root}/{name}"], check=True)
os.makedirs("/dev/shm", exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{root}/dev/shm"], check=True)
os.chroot(root)
os.chdir(folder)
os.setgroups(groups)
os.setgid(group)
os.setuid(user)
os.umask(0o022)
os.execvpe(command[0], command, environment)
"""
_FETCH = r"""
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.buffer.write(opener.open(sys.argv[1], timeout=5).read())
"""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def need_container() -> None:
    """Skip, loudly, where nothing can be run in namespaces."""
    for tool, package in {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}.items():
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing: install Debian's {package}")
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes files of several owners and changes its root")
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"namespaces cannot be made here: {tried.stderr.strip()}")


class Server:
    """A container that runs; `fetch` asks it over its own loopback."""

    def __init__(self, container: Container, process: subprocess.Popen[str], log: Path) -> None:
        self._container, self._process, self._log = container, process, log

    def fetch(self, url: str, seconds: float = 20) -> str:
        """Return what it answers at URL, asked again until it does."""
        return self._until(seconds, sys.executable, "-c", _FETCH, url)

    def run(self, *command: str, seconds: float = 20) -> str:
        """Return what COMMAND prints beside the server, run again until it exits with 0."""
        return self._until(seconds, sys.executable, "-c", _EXEC, self._container.entering(command))

    def healthcheck(self) -> str:
        """Return what the image's own health check prints; it must say that all is well."""
        kind, *command = self._container.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.run(*command)

    def log(self) -> str:
        """Return what it has printed so far."""
        return self._log.read_text()

    def _until(self, seconds: float, *command: str) -> str:
        end = time.monotonic() + seconds
        while True:
            inside = ["nsenter", f"--net=/proc/{self._inner()}/ns/net", *command]
            done = subprocess.run(inside, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout
            ended = self._process.poll()
            assert ended is None, f"it has ended with {ended}:\n{self.log()}"
            assert time.monotonic() < end, f"no answer: {done.stderr}\n{self.log()}"
            time.sleep(0.1)

    def _inner(self) -> int:
        """Return the id of the container's first process: unshare's child."""
        children = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        while not (found := Path(children).read_text().split()):
            assert self._process.poll() is None, f"it has not started:\n{self.log()}"
            time.sleep(0.01)
        return int(found[0])


class Container:
    """An image's root in a folder, with the image's configuration."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        self.root, self.config = root, config

    def as_root(self) -> Container:
        """Return the same, run as root."""
        return Container(self.root, {**self.config, "User": "root"})

    def run(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        text: str = "",
        status: int = 0,
    ) -> str:
        """Return what COMMAND (default: the image's own) prints on stdout; it must exit with STATUS."""
        done = subprocess.run(
            self._starting(command, environment),
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, f"exits {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout if status == 0 else done.stderr

    @contextmanager
    def serving(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        log: Path,
        status: int | None = 0,
    ) -> Iterator[Server]:
        """Run it until the block ends, then stop it as an engine would; it must end with STATUS.

        Without a STATUS it is killed: unshare itself does not say that of its child well.
        """
        with log.open("w") as output:
            os.fchown(output.fileno(), self._account()[0], -1)  # as engines do: it may be opened anew
            process = subprocess.Popen(
                self._starting(command, environment), stdout=output, stderr=output, text=True
            )
        server = Server(self, process, log)
        try:
            yield server
            number = signal.Signals[self.config.get("StopSignal", "SIGTERM")]
            if status is not None:
                os.kill(server._inner(), number)
                ended = process.wait(20)
                assert ended == status, f"exits {ended}, not {status}:\n{server.log()}"
        finally:
            # The kernel forgets --kill-child when the program changes its user (prctl(2),
            # PR_SET_PDEATHSIG): the first process of the namespace is killed, and all go with it.
            if process.poll() is None:
                os.kill(server._inner(), signal.SIGKILL)
            process.kill()
            process.wait()

    def entering(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """Return what `_ENTER` needs to become COMMAND in the container."""
        words = list(command) or [
            *self.config.get("Entrypoint", ()), *self.config.get("Cmd", ())
        ]  # fmt: skip
        assert words, "the image has no command of its own"
        variables = {"PATH": _PATH}
        variables.update(each.split("=", 1) for each in self.config.get("Env", ()))
        variables.update(environment or {})
        user, group, groups, home = self._account()
        variables.setdefault("HOME", home)
        folder = self.config.get("WorkingDir") or "/"
        return json.dumps([str(self.root), user, group, groups, variables, folder, words])

    def _starting(self, command: Sequence[str], environment: Mapping[str, str] | None) -> list[str]:
        return [
            "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
            sys.executable, "-c", _ENTER, self.entering(command, environment),
        ]  # fmt: skip

    def _account(self) -> tuple[int, int, list[int], str]:
        """Return uid, gid, further groups and home of the configuration's ``User``."""
        name = self.config.get("User") or "root"
        assert ":" not in name, "no image of ours says a group"
        lines = [line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines()]
        found = next(line for line in lines if name in (line[0], line[2]))
        groups = [line.split(":") for line in (self.root / "etc/group").read_text().splitlines()]
        further = [int(line[2]) for line in groups if found[0] in line[3].split(",")]
        return int(found[2]), int(found[3]), further, found[5]


# As _ENTER, beside a process that has made the mounts for its own namespace: new ones are needed.
_EXEC = (
    r"""
import os, subprocess, sys
code = '''"""
    + _ENTER.replace("\\", "\\\\")
    + r"""'''
sys.exit(subprocess.run(["unshare", "--mount", sys.executable, "-c", code, sys.argv[1]]).returncode)
"""
)


def container_of(layout: Path, root: Path) -> Container:
    """Return the container of ROOT with the configuration of the one image in the OCI LAYOUT."""

    def blob(descriptor: Mapping[str, str]) -> Any:
        return json.loads((layout / "blobs/sha256" / descriptor["digest"][7:]).read_bytes())

    (image,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = blob(image)
    if "manifests" in manifest:
        (image,) = manifest["manifests"]
        manifest = blob(image)
    return Container(root, blob(manifest["config"])["config"])
