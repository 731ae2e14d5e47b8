"""A real apt with folders of its own: private state, cache, lists and an empty root.

Nothing of the host's apt is read but where its Debian mirror is, and nothing of it is written.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_URI = re.compile(r"(?:^URIs:|^deb(?: \[[^]]*\])?)\s+(https?://\S+)", re.MULTILINE)
_INSTALLED = re.compile(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+)", re.MULTILINE)

SUITES = ("bookworm", "trixie", "sid")


class Answer(NamedTuple):
    """What apt says: whether it would install, and which versions."""

    is_solved: bool
    versions: dict[str, str]
    text: str


class Apt:
    """apt-get with all its folders below FOLDER and the sources of LINES."""

    def __init__(self, folder: Path, lines: Sequence[str]) -> None:
        self._folder = folder
        for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").write_text("")
        (folder / "etc/sources.list").write_text("".join(f"{line}\n" for line in lines))
        settings = {
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc": folder / "etc",
            "Dir::Etc::parts": folder / "etc/apt.conf.d",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Check-Valid-Until": "false",
        }
        text = "".join(f'{key} "{value}";\n' for key, value in settings.items())
        (folder / "apt.conf").write_text(text)

    def update(self) -> None:
        """Fetch the lists."""
        self._run("update", "-q", check=True)

    def install(self, *names: str, recommends: bool = False) -> Answer:
        """Say what ``apt-get install NAMES`` would install on the empty root."""
        policy = "--install-recommends" if recommends else "--no-install-recommends"
        ended = self._run("-s", "-q", policy, "install", *names)
        versions = {name.partition(":")[0]: v for name, v in _INSTALLED.findall(ended.stdout)}
        return Answer(ended.returncode == 0, versions, ended.stdout + ended.stderr)

    def lists(self) -> list[Path]:
        """Return the package lists, those of the security suite last, as the sources have them."""
        found = sorted((self._folder / "state/lists").glob("*_Packages"))
        return sorted(found, key=lambda path: "security" in path.name)

    def _run(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "APT_CONFIG": str(self._folder / "apt.conf"), "LC_ALL": "C"}
        return subprocess.run(
            ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=check
        )


def require_apt() -> None:
    """Skip, loudly, where apt is missing."""
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get (Debian package: apt) is missing: cannot ask it what it would install")


def mirror() -> str | None:
    """Return the Debian archive that the host's own apt uses, or None."""
    texts = []
    for pattern in ("sources.list", "sources.list.d/*.list", "sources.list.d/*.sources"):
        texts += [path.read_text() for path in sorted(Path("/etc/apt").glob(pattern))]
    uris = [uri.rstrip("/") for text in texts for uri in _URI.findall(text)]
    return next((uri for uri in uris if uri.endswith("/debian")), None)


def suite(folder: Path, name: str) -> Apt:
    """Return apt for Debian NAME with its security updates, lists fetched (once a folder)."""
    root = mirror()
    if root is None or not _KEYRING.exists():
        pytest.skip("the host's apt has no Debian mirror to fetch package lists from")
    signed = f"deb [signed-by={_KEYRING}]"
    lines = [f"{signed} {root} {name} main"]
    if name != "sid":
        lines.append(f"{signed} {root}-security {name}-security main")
    apt = Apt(folder / name, lines)
    if not apt.lists():
        apt.update()
    return apt


def local(folder: Path, packages: str) -> Apt:
    """Return apt for a repository of one list, PACKAGES, trusted without a signature."""
    archive = folder / "archive"
    archive.mkdir(parents=True)
    (archive / "Packages").write_text(packages)
    apt = Apt(folder, [f"deb [trusted=yes] file:{archive} ./"])
    apt.update()
    return apt
