"""dpkg's database as text, and as dpkg itself reads it."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from builder.formats.deb.archive import read
from builder.formats.deb.database import has_manager, image_database, may_replace, package_database
from builder.packages import Control, Identity, InstalledPackage
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, NewFile
from tests.makers.deb import Dir, Hard, Link, Made, Reg, make_deb

MOVES = (("bin", "usr/bin"),)
needs_dpkg = pytest.mark.skipif(
    not shutil.which("dpkg"), reason="MISSING TOOL: dpkg (Debian package dpkg)"
)


def installed(
    name: str,
    entries: Sequence[Made],
    *,
    left_out: Sequence[str] = (),
    requested: bool = False,
    fields: dict[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    architecture: str = "amd64",
) -> tuple[InstalledPackage, dict[str, bytes]]:
    """Return the package as it is after trimming, and the contents of its files."""
    deb = make_deb(name, "1.0", architecture, entries, fields=fields, files=files)
    identity = Identity(name=name, version="1.0", architecture=architecture)
    reader = read(io.BytesIO(deb), identity, moves=MOVES)
    all_of_it = [(entry, content.read() if content else b"") for entry, content in reader]
    kept = [(entry, content) for entry, content in all_of_it if entry.path not in left_out]
    package = InstalledPackage(
        identity=identity,
        control=reader.control,
        entries=tuple(entry for entry, _ in kept),
        requested=requested,
    )
    return package, {entry.path: content for entry, content in kept}


SH = [
    Reg(0o755, "./bin/sh", "sh"),
    Reg(0o644, "./etc/sh.conf", "conf"),
    Reg(0o644, "./etc/gone.conf", "gone"),
    Reg(0o644, "./usr/share/doc/sh/copyright", "c"),
    Reg(0o644, "./usr/share/man/sh.1", "m"),
]
SH_FILES: dict[str, str | bytes] = {
    "conffiles": "/etc/sh.conf\n/etc/gone.conf\n",
    "postinst": "#!/bin/sh\n",
    "triggers": "interest-noawait /usr/lib/x # x\ninterest ldconfig\nactivate-noawait ldconfig\n",
    "md5sums": "".join(
        f"{'0' * 32}  {path}\n" for path in ("bin/sh", "usr/share/man/sh.1", "../../etc/shadow")
    ),
    "list": "/etc/shadow\n",
    "odd.name": "x",
}
LEFT_OUT = ("usr/share/man/sh.1", "etc/gone.conf")


def texts(files: Sequence[NewFile]) -> dict[str, str]:
    return {file.entry.path: file.content.decode() for file in files if file.entry.kind == FILE}


def test_one_package_brings_its_paragraph_and_the_sums_of_what_is_there() -> None:
    package, _ = installed("sh", SH, left_out=LEFT_OUT, files=SH_FILES)
    assert texts(package_database(package)) == {
        "var/lib/dpkg/status.d/sh": (
            "Package: sh\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Test <test@example.com>\n"
            "Installed-Size: 1\nSection: misc\nPriority: optional\n"
            "Description: a package made by a test\n"
        ),
        "var/lib/dpkg/status.d/sh.md5sums": f"{'0' * 32}  usr/bin/sh\n",
    }


def test_the_whole_database_is_what_dpkg_would_write() -> None:
    package, _ = installed("sh", SH, left_out=LEFT_OUT, files=SH_FILES)
    library, _ = installed(
        "libx", [Reg(0o644, "./usr/lib/x", "x")], fields={"Multi-Arch": "same"}, requested=True
    )
    files = image_database([package, library], "amd64")
    assert texts(files) == {
        "var/lib/apt/extended_states": "Package: sh\nArchitecture: amd64\nAuto-Installed: 1\n\n",
        "var/lib/dpkg/arch": "amd64\n",
        "var/lib/dpkg/available": "",
        "var/lib/dpkg/diversions": "",
        "var/lib/dpkg/info/format": "1\n",
        "var/lib/dpkg/info/libx:amd64.list": "/.\n/usr\n/usr/lib\n/usr/lib/x\n",
        "var/lib/dpkg/info/libx:amd64.md5sums": "9dd4e461268c8034f5c8564e155c67a6  usr/lib/x\n",
        "var/lib/dpkg/info/sh.conffiles": "/etc/sh.conf\n",
        "var/lib/dpkg/info/sh.list": (
            "/.\n/etc\n/etc/sh.conf\n/usr\n/usr/bin\n/usr/bin/sh\n/usr/share\n/usr/share/doc\n"
            "/usr/share/doc/sh\n/usr/share/doc/sh/copyright\n/usr/share/man\n"
        ),
        "var/lib/dpkg/info/sh.md5sums": f"{'0' * 32}  usr/bin/sh\n",
        "var/lib/dpkg/info/sh.postinst": "#!/bin/sh\n",
        "var/lib/dpkg/info/sh.triggers": SH_FILES["triggers"],
        "var/lib/dpkg/statoverride": "",
        "var/lib/dpkg/status": (
            "Package: libx\nStatus: install ok installed\nPriority: optional\nSection: misc\n"
            "Installed-Size: 1\nMaintainer: Test <test@example.com>\nArchitecture: amd64\n"
            "Multi-Arch: same\nVersion: 1.0\nDescription: a package made by a test\n\n"
            "Package: sh\nStatus: install ok installed\nPriority: optional\nSection: misc\n"
            "Installed-Size: 1\nMaintainer: Test <test@example.com>\nArchitecture: amd64\nVersion: 1.0\n"
            "Conffiles:\n /etc/sh.conf 3a8e4c06e471595f6eb262bb9b5582d9\n"
            "Description: a package made by a test\n\n"
        ),
        "var/lib/dpkg/triggers/File": "/usr/lib/x sh/noawait\n",
        "var/lib/dpkg/triggers/Unincorp": "",
        "var/lib/dpkg/triggers/ldconfig": "sh\n",
    }
    modes = {file.entry.path: file.entry.mode for file in files}
    assert modes["var/lib/dpkg/info/sh.postinst"] == 0o755
    assert modes["var/lib/dpkg/info/sh.list"] == 0o644
    paths = [file.entry.path for file in files]
    assert len(set(paths)) == len(paths)
    assert all(path.rpartition("/")[0] in ("", *paths[:at]) for at, path in enumerate(paths))


@pytest.mark.oracle
@needs_dpkg
def test_dpkg_finds_its_database_in_order(tmp_path: Path) -> None:
    links: list[Made] = [Link(0o777, "./usr/bin/l", "sh"), Hard(0o755, "./usr/bin/h", "./bin/sh")]
    conffiles = {"conffiles": "/etc/sh.conf\n/etc/gone.conf\n"}
    package, contents = installed(
        "sh", [*SH, *links, Dir(0o700, "./srv/")], left_out=LEFT_OUT, files=conffiles, requested=True
    )
    library, more = installed("libx", [Reg(0o644, "./usr/lib/x", "x")], fields={"Multi-Arch": "same"})
    files = image_database([package, library], "amd64")
    contents |= more | {file.entry.path: file.content for file in files}
    for entry in (*package.entries, *library.entries, *(file.entry for file in files)):
        path = tmp_path / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == DIRECTORY:
            path.mkdir(exist_ok=True)
        elif entry.kind == SYMLINK:
            path.symlink_to(entry.target)
        elif entry.kind == HARDLINK:
            path.hardlink_to(tmp_path / entry.target)
        else:
            path.write_bytes(contents[entry.path])

    def dpkg(*arguments: str) -> str:
        command = ["dpkg", f"--root={tmp_path}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert dpkg("--verify") == ""
    assert dpkg("--audit") == ""
    assert dpkg("-S", "/usr/bin/sh") == "sh: /usr/bin/sh\n"
    assert dpkg("-L", "libx") == "/.\n/usr\n/usr/lib\n/usr/lib/x\n"
    assert "ii  libx:amd64" in dpkg("-l")
    (tmp_path / "usr/bin/sh").write_text("other")
    (tmp_path / "etc/sh.conf").write_text("other")
    done = subprocess.run(
        ["dpkg", f"--root={tmp_path}", "--verify"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "??5?????? c /etc/sh.conf\n??5??????   /usr/bin/sh\n"


@pytest.mark.parametrize(
    ("replaces", "is_replaced"),
    [
        ("", False),
        ("loser", True),
        ("other, loser (<< 2)", True),
        ("loser (<< 1.0)", False),
        ("loser (<= 1.0), other", True),
        ("los", False),
    ],
)
def test_replaces_counts_by_name_and_version(replaces: str, is_replaced: bool) -> None:
    control = Control((("replaces", replaces),) if replaces else (), ())
    assert may_replace(control, Identity(name="loser", version="1.0", architecture="all")) is is_replaced


def test_dpkg_is_the_manager() -> None:
    assert has_manager(["apt", "dpkg"])
    assert not has_manager(["apt", "libdpkg-perl"])
