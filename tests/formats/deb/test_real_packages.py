"""Real packages of the host's mirror, held against dpkg-deb: nothing lost, nothing added."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.formats.deb.archive import CONFFILE_SUMS, read
from builder.packages import Identity
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK

# Merged folders, hard links, setuid, many small files, conffiles.
NAMES = (
    "base-files", "bash", "coreutils", "dpkg", "git", "iputils-ping", "libc6", "mount", "perl-base",
    "sudo", "tzdata",
)  # fmt: skip
KINDS = {b"5": DIRECTORY, b"0": FILE, b"1": HARDLINK, b"2": SYMLINK}
MOVES = (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"))

pytestmark = [pytest.mark.live, pytest.mark.oracle]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    for tool, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
        if not shutil.which(tool):
            pytest.skip(f"MISSING TOOL: {tool} (Debian package {package})")
    folder = tmp_path_factory.mktemp("debs")
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *NAMES]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"NO MIRROR: apt-get download failed: {done.stderr.strip()[:200]}")
    return {path.name.partition("_")[0]: path for path in sorted(folder.glob("*.deb"))}


def identity_of(path: Path) -> Identity:
    form = "--showformat=${Package} ${Version} ${Architecture}"
    text = subprocess.run(
        ["dpkg-deb", "-W", form, path], capture_output=True, text=True, check=True
    ).stdout
    name, version, architecture = text.split()
    return Identity(name=name, version=version, architecture=architecture)


def by_dpkg(path: Path) -> Iterator[tuple[object, ...]]:
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = member.name.removeprefix("./").removeprefix(".")
            if not name:
                continue
            content = tar.extractfile(member) if member.isreg() else None
            target = member.linkname.removeprefix("./") if member.islnk() else member.linkname
            mode = 0o777 if member.issym() else member.mode
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            yield (
                name,
                KINDS[member.type],
                mode,
                member.uid,
                member.gid,
                int(member.mtime),
                target,
                digest,
            )


def by_us(path: Path) -> Iterator[tuple[object, ...]]:
    with path.open("rb") as archive:
        for entry, content in read(archive, identity_of(path)):
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            e = entry
            yield e.path, e.kind, e.mode, e.uid, e.gid, e.mtime, e.target, digest


@pytest.mark.parametrize("name", NAMES)
def test_entries_are_those_of_dpkg_deb(name: str, packages: dict[str, Path]) -> None:
    assert list(by_us(packages[name])) == list(by_dpkg(packages[name]))


@pytest.mark.parametrize("name", NAMES)
def test_the_control_part_is_that_of_dpkg_deb(
    name: str, packages: dict[str, Path], tmp_path: Path
) -> None:
    subprocess.run(["dpkg-deb", "-e", packages[name], tmp_path / "x"], check=True)
    with packages[name].open("rb") as archive:
        control = read(archive, identity_of(packages[name])).control
    found = {file.name: (file.mode, file.content) for file in control.files}
    expected = {
        path.name: (path.stat().st_mode & 0o777, path.read_bytes())
        for path in (tmp_path / "x").iterdir()
        if path.name != "control"
    }
    assert found == expected
    text = "".join(f"{key}: {value}\n" for key, value in control.fields)
    assert text == (tmp_path / "x" / "control").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_moved_packages_hold_the_sums_they_declare(name: str, packages: dict[str, Path]) -> None:
    sums: dict[str, str] = {}
    with packages[name].open("rb") as archive:
        reader = read(archive, identity_of(packages[name]), moves=MOVES)
        for entry, content in reader:
            assert not entry.path.startswith(("bin/", "sbin/", "lib/", "lib64/"))
            if content is not None:
                sums[entry.path] = hashlib.md5(content.read(), usedforsecurity=False).hexdigest()
            elif entry.kind == HARDLINK:
                sums[entry.path] = sums[entry.target]
    files = {file.name: file.content.decode() for file in reader.control.files}
    for line in (files.get("md5sums", "") + files.get(CONFFILE_SUMS, "")).splitlines():
        digest, path = line.split(None, 1)
        assert sums.get(path, sums.get(f"usr/{path}")) == digest, path
