"""mmdebstrap as an oracle: the packages it takes and the tree it unpacks them to, no script run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from tests.oracle.program import run
from tests.oracle.tarball import Member, read_tar

# A merged root is debootstrap's doing until bookworm (mmdebstrap leaves it to a hook), and from
# trixie on base-files ships the links, which is not in every set.
_LINKS = {"bookworm": "bin lib lib32 lib64 libx32 sbin", "trixie": "bin lib lib64 sbin"}
_MERGE = """#!/bin/sh -eu
for folder in {links}; do mkdir -p "$1/usr/$folder"; ln -s "usr/$folder" "$1/$folder"; done
"""


class Unpacked(NamedTuple):
    """What mmdebstrap made of a request.

    packages  name → version, epoch and all
    tree      path → what is there
    """

    packages: dict[str, str]
    tree: dict[str, Member]


def unpack(folder: Path, root: str, suite: str, packages: Sequence[str]) -> Unpacked:
    """Unpack PACKAGES of SUITE with all they depend on, in FOLDER, from the archive ROOT."""
    hook = folder / "merge"
    hook.write_text(_MERGE.format(links=_LINKS[suite]))
    hook.chmod(0o755)
    run(
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=extract",
        f"--include={','.join(packages)}",
        f"--setup-hook={hook}",
        f'--extract-hook=ls "$1/var/cache/apt/archives" > {folder}/archives',
        suite,
        folder / "theirs.tar",
        f"deb {root} {suite} main",
        f"deb {root} {suite}-updates main",
        f"deb {root}-security {suite}-security main",
        environment={"TMPDIR": str(folder)},
    )
    names = [line.split("_") for line in (folder / "archives").read_text().split()]
    chosen = {name[0]: unquote(name[1]) for name in names if len(name) == 3}
    return Unpacked(chosen, read_tar(folder / "theirs.tar"))
