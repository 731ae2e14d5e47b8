"""Specs, caches and outputs below one temporary folder, and the program run on them."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.process import Run, folder_size, measure, program
from builder.lock.model import Lock
from builder.packages import PackageIndex
from builder.pipeline.archive import Archive, open_archive
from builder.pipeline.ports import Ports
from builder.pipeline.project import Project, open_project, read_lock_file
from builder.reporting import silent
from builder.repository.snapshots import open_indexes
from builder.store.store import Store

SUITE = "bookworm"
ARCHITECTURE = "amd64"


class Image(NamedTuple):
    """A spec below the workshop's folder, with its own cache and output."""

    name: str
    packages: tuple[str, ...]
    cache: str

    @property
    def spec(self) -> str:
        """The spec's file name."""
        return f"{self.name}.yaml"


class Workshop:
    """Runs the program in FOLDER."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def image(self, name: str, packages: Sequence[str], cache: str | None = None) -> Image:
        """Write a spec with PACKAGES; its cache is its own unless another's is named."""
        image = Image(name, tuple(packages), cache or f"{name}.cache")
        listed = "".join(f'  - "{package}"\n' for package in packages)
        text = f"image: {name}\ndistro: debian/{SUITE}\npackages:\n{listed}"
        (self.folder / image.spec).write_text(text)
        return image

    def build(self, image: Image, *options: str) -> Run:
        """Build IMAGE with what its cache and lock have."""
        cache = self.folder / image.cache
        temporary = (cache / "blobs-v1" / "temporary", cache / "partial-v1")
        return measure(
            [*program(), "build", image.spec, "--cache", image.cache, *options],
            self.folder,
            lambda: folder_size(*temporary),
        )

    def cold(self, image: Image) -> Run:
        """Build IMAGE with an empty cache, no lock and no output."""
        shutil.rmtree(self.folder / image.cache, ignore_errors=True)
        self.forget(image)
        return self.build(image)

    def lock(self, image: Image) -> Run:
        """Lock IMAGE anew."""
        (self.folder / f"{image.name}.lock.json").unlink(missing_ok=True)
        return measure([*program(), "lock", image.spec, "--cache", image.cache], self.folder)

    def forget(self, image: Image) -> None:
        """Remove IMAGE's lock and output."""
        (self.folder / f"{image.name}.lock.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder / f"{image.name}.oci", ignore_errors=True)

    # ---- what is there ---------------------------------------------------------------------------

    def locked(self, image: Image) -> Lock:
        """Return IMAGE's lock."""
        found = read_lock_file(str(self.folder / f"{image.name}.lock.json"))
        assert found is not None, f"{image.name} is locked"
        return found.lock

    def store(self, image: Image) -> Store:
        """Return IMAGE's cache."""
        return Store(self.folder / image.cache)

    def archive(self, image: Image) -> Archive:
        """Return the archive that IMAGE is made from, its mirrors found as the program finds them."""
        return open_archive(self._project(image), self._ports(image))

    def indexes(self, image: Image) -> tuple[PackageIndex, ...]:
        """Return the package lists of IMAGE's lock, from its cache."""
        archive = self.archive(image)
        paired = zip(archive.sources, self.locked(image).snapshots, strict=True)
        store = self.store(image)
        return open_indexes(
            archive.format, paired, (ARCHITECTURE,), store=store, fetcher=archive.fetcher
        )[ARCHITECTURE]

    def image_size(self, image: Image) -> int:
        """Return the bytes of IMAGE's output: its compressed layers, and little else."""
        return folder_size(self.folder / f"{image.name}.oci")

    def _project(self, image: Image) -> Project:
        return open_project(str(self.folder / image.spec))

    def _ports(self, image: Image) -> Ports:
        return Ports(
            store=self.store(image), report=silent, environment=dict(os.environ), now=int(time.time())
        )


def unpacked(run: Run) -> int:
    """Return how many packages RUN unpacked and compressed, by its own words."""
    found = re.search(r"^unpacking: (\d+) package", run.errors, re.MULTILINE)
    return int(found[1]) if found else 0
