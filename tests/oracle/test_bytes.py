"""The same spec, and the same lock, give the same bytes: whoever builds, wherever and whenever.

All that may vary varies at once: folder, user, umask, TZ, locale, hash seed, number of processors,
clock, HOME, and a fresh cache each time. What is wrong then, one setting at a time tells.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.oracle.program import imgbuild, need, need_mirror, need_root

pytestmark = [pytest.mark.oracle, pytest.mark.live, pytest.mark.slow]

SPEC = """\
image: registry.example.com/team/rich:1
distro: debian/bookworm
architectures: [amd64, arm64]
packages: [bash, ca-certificates, base-passwd]
accounts:
  groups: [{{name: staff2, gid: 20001, members: [app]}}]
  users: [{{name: app, uid: 10001, home: /home/app}}]
files:
  - {{path: /app, source: ./app, owner: app}}
  - {{path: /etc/motd, text: "hi\\n", owner: app, mode: 0600}}
  - {{path: /usr/local/bin/sh, link: ../../bin/bash}}
  - {{path: /var/lib/app, directory: true, owner: app, mode: 0700}}
config: {{user: app, entrypoint: [/app/run], env: {{B: "2", A: "1"}}, labels: {{z: "1", a: "2"}}}}
compression: {compression}
"""


class World(NamedTuple):
    """Who builds, where and when. CLOCK is faketime's, None for the real one."""

    folder: str
    umask: int
    environment: Mapping[str, str]
    prefix: tuple[str, ...] = ()
    clock: str | None = None


HERE = World("a", 0o022, {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"})
THERE = World(
    "b/ein Ort, größer",
    0o077,
    {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "4242"},
    # Nobody, who may read though what root keeps to itself: the checkout and Python itself.
    ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search",
     "--ambient-caps=+dac_read_search", "taskset", "-c", "0"),
    "+20h",
)  # fmt: skip
IN_YEARS = THERE._replace(folder="c", clock="2041-02-03 04:05:06")
LONG_AGO = HERE._replace(folder="d", clock="2001-02-03 04:05:06", umask=0o002)


class Outcome(NamedTuple):
    """What a build left: the sha256 of the archive, the lock, and what was printed."""

    archive: str
    lock: bytes
    printed: str


def write_app(place: Path, world: World) -> None:
    """The spec's local folder, as a checkout under the world's umask leaves it, at its own times."""
    before = os.umask(world.umask)
    try:
        (place / "app/ünter").mkdir(parents=True)
        names = ["run", "z.py", "a.py", "ünter/ö.txt"]
        for number, name in enumerate(names if world.umask == 0o022 else reversed(names)):
            path = place / "app" / name
            path.write_text(f"#!/bin/bash\n# {name}\nid -u\n")
            os.utime(path, (1e9 + number * len(world.folder),) * 2)
        (place / "app/run").chmod(0o777 & ~world.umask)
        (place / "app/latest").symlink_to("z.py")
    finally:
        os.umask(before)


def build(top: Path, world: World, compression: str, lock: bytes | None = None) -> Outcome:
    """Build the spec in WORLD, from LOCK if there is one, with a cache of its own."""
    place = top / world.folder
    place.mkdir(parents=True)
    (place / "spec.yaml").write_text(SPEC.format(compression=compression))
    if lock is not None:
        (place / "spec.lock.json").write_bytes(lock)
    write_app(place, world)
    prefix = world.prefix
    if "setpriv" in prefix:
        subprocess.run(["chown", "-R", "65534:65534", top / world.folder.split("/")[0]], check=True)
    if world.clock is not None:
        prefix = ("faketime", "-f" if world.clock[0] == "+" else "-m", world.clock, *prefix)
    before = os.umask(world.umask)
    try:
        printed = imgbuild(
            "spec.yaml", "-q", "-o", "oci-archive:out.tar", *(["--locked"] if lock else []),
            cwd=place, cache=place / "cache", prefix=prefix,
            environment={"HOME": str(place / "home"), **world.environment},
        )  # fmt: skip
    finally:
        os.umask(before)
    assert (place / "out.tar").stat().st_uid == (65534 if "setpriv" in prefix else os.geteuid())
    digest = sha256((place / "out.tar").read_bytes()).hexdigest()
    return Outcome(digest, (place / "spec.lock.json").read_bytes(), printed)


def test_everything_else_may_differ(tmp_path: Path) -> None:
    need_root()
    need_mirror()
    need("faketime", "faketime")
    need("setpriv", "util-linux")
    here = build(tmp_path, HERE, "zstd")
    there = build(tmp_path, THERE, "zstd")
    assert there.lock == here.lock
    assert there == here
    assert build(tmp_path, LONG_AGO, "zstd", here.lock) == here
    gzip = build(tmp_path, HERE._replace(folder="e"), "gzip", here.lock)
    assert gzip.archive != here.archive
    assert build(tmp_path, IN_YEARS, "gzip", here.lock) == gzip


def test_a_changed_file_changes_the_bytes(tmp_path: Path) -> None:
    """What the test above would not notice if it compared nothing."""
    need_mirror()
    here = build(tmp_path, HERE, "zstd")
    place = tmp_path / HERE.folder
    (place / "app/run").chmod(0o644)
    imgbuild("spec.yaml", "-q", "-o", "oci-archive:again.tar", cwd=place, cache=place / "cache")
    assert sha256((place / "again.tar").read_bytes()).hexdigest() != here.archive
