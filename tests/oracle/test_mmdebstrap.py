"""Closure and tree of real package sets are those of ``mmdebstrap --variant=extract``.

Every path is compared: type, mode, owner, content or target, hard links, extended attributes and,
of what is no folder, the time (clamped to the image's, as ours is).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.oracle import mmdebstrap
from tests.oracle.mmdebstrap import Unpacked
from tests.oracle.program import imgbuild, lock_of, need, need_mirror, need_root
from tests.oracle.tarball import Member, read_tar

pytestmark = [pytest.mark.oracle, pytest.mark.live, pytest.mark.slow]

SETS = {
    "python": ("bookworm", "python3 ca-certificates tzdata"),
    "shell": ("bookworm", "coreutils bash"),
    "nginx": ("bookworm", "nginx"),
    "git": ("bookworm", "git"),
    "java": ("bookworm", "openjdk-17-jre-headless"),
    "perl": ("trixie", "perl"),
    "postgresql": ("trixie", "postgresql"),
    "apt": ("trixie", "apt dpkg base-files base-passwd"),
    "setuid": ("trixie", "iputils-ping sudo util-linux passwd openssh-client bsdutils man-db at"),
    "node": ("trixie", "nodejs"),
    # Hard links (bzip2, gzip, perl-base, tzdata-legacy) and names beyond ASCII (ca-certificates).
    "names": ("trixie", "bzip2 gzip ca-certificates tzdata-legacy"),
}


class Excuse(NamedTuple):
    """A difference that is right. SIDE: who alone may have the path; "both" may differ there."""

    side: str
    pattern: str
    reason: str


EXCUSES = [
    Excuse("theirs", "", "the root folder itself: no layer needs to say it"),
    Excuse("theirs", "dev(/.*)?|tmp", "mmdebstrap makes them, so that the chroot can be worked in"),
    Excuse("theirs", "etc/(fstab|hostname|resolv.conf)", "the same"),
    Excuse("theirs", "etc/(apt|dpkg)(/.*)?", "settings of the chroot's apt and dpkg"),
    Excuse("theirs", "var/(cache(/apt(/.*)?)?|lib/apt(/.*)?|log(/apt)?)", "folders of its apt"),
    Excuse("theirs", "var/lib/dpkg(/.*)?", "the empty database that its dpkg begins with"),
    Excuse("both", "var/(cache/apt/archives|lib/apt/lists)/partial", "its apt gives them to _apt"),
    Excuse("ours", "var/lib/dpkg(/.*)?", "what is installed; mmdebstrap has unpacked but not installed"),
    Excuse("ours", "var/lib/apt/extended_states", "what came as a dependency, for apt: the same"),
    Excuse("both", "var/lib/dpkg/status", "the same: mmdebstrap's is empty"),
]  # fmt: skip


def is_excused(path: str, ours: Member | None, theirs: Member | None) -> bool:
    side = "theirs" if ours is None else "ours" if theirs is None else "both"
    return any(e.side == side and re.fullmatch(e.pattern, path) for e in EXCUSES)


def clamped(tree: dict[str, Member], epoch: int) -> dict[str, Member]:
    return {path: m._replace(mtime=min(m.mtime, epoch)) for path, m in tree.items()}


def differences(ours: dict[str, Member], theirs: dict[str, Member]) -> list[str]:
    lines = []
    for path in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(path), theirs.get(path)
        if mine != other and not is_excused(path, mine, other):
            lines.append(f"/{path}\n    ours:   {mine}\n    theirs: {other}")
    return lines


Oracle = dict[str, "Future[Unpacked]"]


@pytest.fixture(name="oracle", scope="module")
def run_mmdebstrap(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Oracle]:
    """Two mmdebstraps at a time, for the sets that this run tests, while imgbuild builds its own."""
    need("mmdebstrap", "mmdebstrap")
    need_root()
    root = need_mirror()
    called = [item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")
              and item.path == request.path and "name" in item.callspec.params]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(
                mmdebstrap.unpack,
                tmp_path_factory.mktemp(name),
                root,
                SETS[name][0],
                SETS[name][1].split(),
            )
            for name in called
        }


@pytest.mark.parametrize("name", SETS)
def test_closure_and_tree_are_those_of_mmdebstrap(
    oracle: Oracle, name: str, tmp_path: Path, shared_cache: Path
) -> None:
    suite, packages = SETS[name]
    (tmp_path / "spec.yaml").write_text(
        f"distro: debian/{suite}\npackages: [{', '.join(packages.split())}]\ntrim: none\nscripts: off\n"
    )
    imgbuild("spec.yaml", "-q", "-o", "tar:ours.tar", cwd=tmp_path, cache=shared_cache)
    lock = lock_of(tmp_path / "spec.lock.json")
    theirs = oracle[name].result()
    assert {each.name: each.version for each in lock.packages("amd64")} == theirs.packages
    found = differences(read_tar(tmp_path / "ours.tar"), clamped(theirs.tree, lock.epoch))
    assert not found, f"{len(found)} paths differ:\n" + "\n".join(found[:40])
