"""Images built of real packages from the host's Debian mirror, once a session and cache.

`IMGBUILD_CACHE`, if set, is the cache (a CI that keeps one saves the downloads); else the session's
own. Specs are copied first, without their locks: the archive moves on, and these tests are of the
specs, with the packages of today.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.makers.container import Container, container_of, need_container
from tests.oracle.apt import mirror

ROOT = Path(__file__).resolve().parents[2]


class Workshop:
    """A copy of a folder of specs, and what has been built of it."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self._cache = cache
        self._built: dict[str, RealImage] = {}

    def build(self, name: str) -> RealImage:
        """Return the amd64 image of the spec in the folder NAME, with its root unpacked."""
        if name not in self._built:
            need_container()
            folder = self.folder / name
            layout, root = folder / "image.oci", folder / "root"
            reference = self.imgbuild(
                f"{name}/spec.yaml", "--arch=amd64", "-o", f"oci:{layout}", "-o", f"rootfs:{root}"
            )
            self._built[name] = RealImage(reference.strip(), layout, container_of(layout, root))
        return self._built[name]

    def imgbuild(self, *arguments: str | Path) -> str:
        """Run imgbuild in the copy; return what it prints on stdout."""
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "IMGBUILD_CACHE": str(self._cache)}
        done = subprocess.run(
            [sys.executable, "-m", "builder", "--quiet", *arguments],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class RealImage(NamedTuple):
    """A built image: what imgbuild printed, its layout, and a container of it."""

    reference: str
    layout: Path
    container: Container

    def exists(self, path: str) -> bool:
        """Whether PATH is in the image, as a link or as what it says."""
        return os.path.lexists(self.container.root / path.lstrip("/"))


def make_workshop(folder: str, place: Path) -> Workshop:
    """Copy FOLDER of the project to PLACE, without locks; skips, saying why, without a mirror."""
    if mirror() is None:
        pytest.skip("the host's apt has no Debian mirror to take packages from")
    left_out = shutil.ignore_patterns("*.lock.json", "*.oci", "*.tar", "__pycache__")
    shutil.copytree(ROOT / folder, place / folder, ignore=left_out)
    cache = os.environ.get("IMGBUILD_CACHE")
    return Workshop(place / folder, Path(cache) if cache else place / "cache")
