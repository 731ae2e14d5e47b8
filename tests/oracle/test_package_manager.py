"""dpkg and apt themselves in images of real packages; scanners' view of those without them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builder.digests import Digest
from builder.lock.model import LockedPackage
from builder.store.store import Store
from tests.oracle.program import imgbuild, lock_of, need, need_mirror, need_root, run

pytestmark = [pytest.mark.oracle, pytest.mark.live, pytest.mark.slow]

# What apt, dpkg and the packages' scripts call; nothing is Essential here but what is asked for.
BASE = (
    "apt, dpkg, base-files, base-passwd, bash, coreutils, dash, debianutils, diffutils, findutils, "
    "grep, gzip, libc-bin, perl-base, sed, tar"
)
SUITES = ("bookworm", "trixie")


class Root:
    """An unpacked image and its lock."""

    def __init__(self, place: Path, cache: Path, suite: str, packages: str) -> None:
        place.mkdir()
        self.path = place / "root"
        (place / "spec.yaml").write_text(f"distro: debian/{suite}\npackages: [{packages}]\n")
        imgbuild("spec.yaml", "-q", "-o", "rootfs:root", cwd=place, cache=cache)
        self.packages: dict[str, LockedPackage] = {
            each.name: each for each in lock_of(place / "spec.lock.json").packages("amd64")
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run COMMAND in the image; stdout and stderr are one."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            ["chroot", self.path, *command],
            env={"PATH": path, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def answer(self, *command: str) -> list[str]:
        """Return the lines that COMMAND prints in the image, where it must succeed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout.splitlines()


@pytest.fixture(name="image", scope="module", params=SUITES)
def make_image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path
) -> Root:
    need_root()
    need("chroot", "coreutils")
    need_mirror()
    return Root(tmp_path_factory.mktemp("apt") / "image", shared_cache, request.param, BASE)


def test_dpkg_lists_every_package_as_installed(image: Root) -> None:
    lines = image.answer("dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture} ${Status}\\n")
    assert sorted(lines) == sorted(
        f"{p.name} {p.version} {p.architecture} install ok installed" for p in image.packages.values()
    )
    table = [line.split()[:3] for line in image.answer("dpkg", "-l") if line.startswith("ii ")]
    assert {(name.partition(":")[0], version) for _, name, version in table} == {
        (p.name, p.version) for p in image.packages.values()
    }


def test_dpkg_finds_whose_a_file_is(image: Root) -> None:
    assert image.answer("dpkg", "-S", "/usr/bin/ls") == ["coreutils: /usr/bin/ls"]
    # Where it lies; bookworm's archive says /bin/bash, and a dpkg that had installed it would too.
    assert image.answer("dpkg", "-S", "/usr/bin/bash") == ["bash: /usr/bin/bash"]
    assert "/etc/bash.bashrc" in image.answer("dpkg", "-L", "bash")


def test_dpkg_finds_nothing_amiss(image: Root) -> None:
    assert image.answer("dpkg", "--verify") == []
    assert image.answer("dpkg", "--audit") == []
    assert image.answer("dpkg", "--print-architecture") == ["amd64"]


def test_dpkg_notices_a_changed_file(image: Root, tmp_path: Path) -> None:
    """What the test above would not notice if dpkg had no sums."""
    program = image.path / "usr/bin/ls"
    shutil.copy2(program, tmp_path / "ls")
    program.write_bytes(b"other")
    try:
        assert image.run("dpkg", "--verify").stdout.split() == ["??5??????", "/usr/bin/ls"]
    finally:
        shutil.copy2(tmp_path / "ls", program)


def test_every_listed_file_is_there(image: Root) -> None:
    lists = sorted((image.path / "var/lib/dpkg/info").glob("*.list"))
    assert len(lists) == len(image.packages)
    missing = [
        line for each in lists for line in each.read_text().splitlines()
        if not os.path.lexists(f"{image.path}{line}")
    ]  # fmt: skip
    assert missing == []


def test_apt_agrees(image: Root) -> None:
    lines = [line for line in image.answer("apt", "list", "--installed") if "/" in line]
    listed = {(line.partition("/")[0], line.split()[1]) for line in lines}
    assert listed == {(p.name, p.version) for p in image.packages.values()}
    image.answer("apt-get", "check")
    assert image.answer("apt-get", "-s", "autoremove")[-1].startswith(
        "0 upgraded, 0 newly installed, 0 to r"
    )


def test_apt_knows_what_was_asked_for(image: Root) -> None:
    asked = {p.name for p in image.packages.values() if "" in p.requested_by}
    assert set(image.answer("apt-mark", "showmanual")) == asked


def test_dpkg_installs_packages_over_themselves(image: Root, tmp_path: Path, shared_cache: Path) -> None:
    """An update in the image: dpkg takes its own place, the library's, and a merged folder's."""
    root = tmp_path / "root"
    run("cp", "-a", image.path, root)
    names = ["base-files", "bash", "coreutils", "dpkg", "libc6", "libc-bin", "tar", "zlib1g"]
    store = Store(shared_cache)
    for name in names:
        digest: Digest = image.packages[name].digest
        shutil.copy(store.blob_path(digest), root / "tmp" / f"{name}.deb")
    copy = Root.__new__(Root)
    copy.path = root
    before = sorted(os.listdir(root / "usr/bin"))
    said = "\n".join(copy.answer("dpkg", "-i", *(f"/tmp/{name}.deb" for name in names)))
    assert "Setting up libc6" in said
    assert [name for name in before if not os.path.lexists(root / "usr/bin" / name)] == []
    assert copy.answer("dpkg", "--verify") == []
    assert copy.answer("dpkg", "--audit") == []


# ---- without dpkg --------------------------------------------------------------------------------


@pytest.fixture(name="bare", scope="module", params=SUITES)
def make_bare(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path
) -> Root:
    need_root()
    need_mirror()
    place = tmp_path_factory.mktemp("bare") / "image"
    return Root(place, shared_cache, request.param, "curl, jq, openssl")


def test_dpkg_reads_what_scanners_read(bare: Root, tmp_path: Path) -> None:
    need("dpkg-query", "dpkg")
    folder = bare.path / "var/lib/dpkg/status.d"
    paragraphs = [path.read_text() for path in sorted(folder.iterdir()) if path.suffix != ".md5sums"]
    assert len(paragraphs) == len(bare.packages)
    # status.d has no Status field, as nobody wrote one: Debian's own paragraph is what it holds.
    status = [text.replace("\n", "\nStatus: install ok installed\n", 1) for text in paragraphs]
    (tmp_path / "status").write_text("\n".join(status))
    (tmp_path / "info").mkdir()
    (tmp_path / "updates").mkdir()
    fields = "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\\n"
    lines = run("dpkg-query", f"--admindir={tmp_path}", "-W", "-f", fields).splitlines()
    assert sorted(lines) == sorted(
        f"{p.name} {p.version} {p.architecture} {p.source} {p.source_version}"
        for p in bare.packages.values()
    )


def test_the_sums_are_those_of_the_files(bare: Root) -> None:
    count = 0
    for path in sorted((bare.path / "var/lib/dpkg/status.d").glob("*.md5sums")):
        for line in path.read_text().splitlines():
            digest, _, name = line.partition("  ")
            content = (bare.path / name).read_bytes()
            assert hashlib.md5(content, usedforsecurity=False).hexdigest() == digest, name
            count += 1
    assert count > 200


def test_the_image_has_no_dpkg(bare: Root) -> None:
    assert "dpkg" not in bare.packages
    assert not (bare.path / "var/lib/dpkg/status").exists()
