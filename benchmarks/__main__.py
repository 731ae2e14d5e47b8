"""Measure the program against its targets and print a table: see `benchmarks/README.md`.

python -m benchmarks [--runs N] [--large] [--only WORD]…
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import rival
from benchmarks.floor import measure_floor
from benchmarks.process import Run, folder_size, middle
from benchmarks.workshop import ARCHITECTURE, Image, Workshop, unpacked
from builder.digests import Digest

COLD = ("python3", "ca-certificates", "tzdata")
# Some 2 GB unpacked; texlive-fonts-extra alone is 1.1 GB.
LARGE = ("texlive-fonts-extra", "libreoffice", "openjdk-17-jdk")
GROWING = (("base-files", "tzdata"), COLD, (*COLD, "build-essential"), (*COLD, "build-essential", "git",
    "default-jdk-headless", "imagemagick", "postgresql"))  # fmt: skip
SHARING = ("curl", "git", "jq", "sqlite3", "nginx-light", "redis-server", "python3-yaml",
    "python3-requests", "openssh-client", "make")  # fmt: skip
MEMORY = 300


class Row(NamedTuple):
    """What was measured, the number, its target or "", and more to know."""

    what: str
    value: str
    target: str = ""
    note: str = ""


# ---- what is measured ----------------------------------------------------------------------------


def cold(workshop: Workshop, runs: int) -> Iterator[Row]:
    """Everything from nothing, beside mmdebstrap, turn by turn; then the floor of the same packages."""
    image = workshop.image("cold", COLD)
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(workshop.cold(image))
        if rival.is_there():
            theirs.append(rival.extract(workshop, image, COLD))
    mine = middle(ours)
    packages = workshop.locked(image).packages(ARCHITECTURE)
    yield Row("cold build", _times(mine), note=f"{len(packages)} packages")
    if theirs:
        other = middle(theirs)
        yield Row("mmdebstrap --variant=extract", _times(other))
        ratio = median(m.wall / t.wall for m, t in zip(ours, theirs, strict=True))
        note = f"of processor time: {mine.cpu / other.cpu:.2f}"
        yield Row("cold build / mmdebstrap", f"{ratio:.2f}", "≤ 0.50", note)
    else:
        yield Row("mmdebstrap --variant=extract", "not installed", note="Debian package mmdebstrap")
    yield Row("peak memory", f"{mine.memory / 1e6:.0f} MB", f"≤ {MEMORY} MB")
    yield _scratch(workshop, image, mine)
    floors = [measure_floor(workshop.store(image), packages) for _ in range(runs)]
    wall, cpu = median(floor.wall for floor in floors), median(floor.cpu for floor in floors)
    yield Row("floor: decompress, hash, compress", f"{wall:.2f} s (cpu {cpu:.2f})",
              note=f"{floors[0].size / 1e6:.0f} MB of tar, C code only")  # fmt: skip
    note = f"of processor time: {mine.cpu / cpu:.2f}; network, lists and start-up are ours only"
    yield Row("cold build / floor", f"{mine.wall / wall:.2f}", note=note)


def warm(workshop: Workshop, runs: int) -> Iterator[Row]:
    """The same again; one package changed; the lock alone."""
    image = workshop.image("warm", COLD)
    workshop.cold(image)
    yield Row("unchanged rebuild", _times(middle([workshop.build(image) for _ in range(2 * runs)])),
              "≤ 0.25 s")  # fmt: skip
    locks = middle([workshop.lock(image) for _ in range(2 * runs)])
    yield Row("imgbuild lock, lists cached", _times(locks), "≤ 0.50 s")
    workshop.build(image)
    yield _changed(workshop, image)


def _changed(workshop: Workshop, image: Image) -> Row:
    """Build an image that differs from IMAGE in the version of one package."""
    what = "one package changed"
    locked = workshop.locked(image).packages(ARCHITECTURE)
    indexes = workshop.indexes(image)
    for package in sorted(locked, key=lambda package: package.size):
        for other in (other for index in indexes for other in index.packages(package.name)):
            if other.version == package.version:
                continue
            pinned = workshop.image("pinned", (*COLD, f"{other.name}={other.version}"), image.cache)
            workshop.lock(pinned)
            now = workshop.locked(pinned).packages(ARCHITECTURE)
            if len({p.digest for p in now} - {p.digest for p in locked}) == 1:
                run = workshop.build(pinned)
                words = f"{other.name} {package.version} → {other.version}"
                return Row(f"{what}: compressed", f"{unpacked(run)} package, {_times(run)}",
                           "1 package", words)  # fmt: skip
    return Row(what, "not measured", note="no package of it has two versions in the archive now")


def growth(workshop: Workshop, runs: int) -> Iterator[Row]:
    """Processor time of larger and larger images, archives and lists cached: per package and MB."""
    for number, packages in enumerate(GROWING):
        image = workshop.image(f"growing{number}", packages, "growing.cache")
        workshop.lock(image)
        found = workshop.locked(image).packages(ARCHITECTURE)
        workshop.build(image)
        archives = {package.digest for package in found}
        times = []
        for _ in range(runs):
            _keep_only(workshop, image, archives)
            times.append(workshop.build(image, "--locked", "--offline"))
        run = middle(times)
        size = sum(package.installed_size for package in found) / 1e6
        yield Row(f"growth: {len(found)} packages, {size:.0f} MB", _times(run), "linear",
            f"{run.cpu / len(found) * 1e3:.0f} ms a package, {run.cpu / size * 1e3:.0f} ms a MB, "
            f"{run.memory / 1e6:.0f} MB memory")  # fmt: skip


def _keep_only(workshop: Workshop, image: Image, archives: set[Digest]) -> None:
    """Forget all results and all blobs but ARCHIVES."""
    cache = workshop.folder / image.cache
    for path in (cache / "actions-v1").rglob("*"):
        if path.is_file():
            path.unlink()
    for path in (cache / "blobs-v1").rglob("*"):
        if path.is_file() and f"sha256:{path.name}" not in archives:
            path.unlink()
    shutil.rmtree(workshop.folder / f"{image.name}.oci", ignore_errors=True)


def sharing(workshop: Workshop, _runs: int) -> Iterator[Row]:
    """Ten images that share packages, in one cache, beside one image of all their packages."""
    images = [
        workshop.image(f"sharing{n}", (*COLD, name), "sharing.cache") for n, name in enumerate(SHARING)
    ]
    union = workshop.image("union", (*COLD, *SHARING))
    ten = [workshop.build(image) for image in images]
    one = workshop.cold(union)
    sizes = [folder_size(workshop.folder / image.cache) for image in (images[0], union)]
    wall, cpu = sum(run.wall for run in ten), sum(run.cpu for run in ten)
    apart = sum(len(workshop.locked(image).packages(ARCHITECTURE)) for image in images)
    together = len(workshop.locked(union).packages(ARCHITECTURE))
    made = sum(map(unpacked, ten))
    note = f"{apart} packages, {together} of them different; {made} unpacked"
    yield Row("ten images that share packages", f"{wall:.1f} s (cpu {cpu:.1f})", note=note)
    yield Row("one image of their union", _times(one))
    note = f"of processor time: {cpu / one.cpu:.2f}; of cache: {sizes[0] / sizes[1]:.2f}"
    yield Row("ten / union", f"{wall / one.wall:.2f}", "little more", note)


def large(workshop: Workshop, _runs: int) -> Iterator[Row]:
    """Memory and scratch disk with 2 GB of packages."""
    image = workshop.image("large", LARGE)
    run = workshop.cold(image)
    found = workshop.locked(image).packages(ARCHITECTURE)
    size = sum(package.installed_size for package in found) / 1e9
    packed = sum(package.size for package in found) / 1e9
    yield Row(
        f"large: {len(found)} packages",
        _times(run),
        note=f"{packed:.1f} GB packed, {size:.1f} GB unpacked",
    )
    yield Row("large: peak memory", f"{run.memory / 1e6:.0f} MB", f"≤ {MEMORY} MB")
    yield _scratch(workshop, image, run)


def _scratch(workshop: Workshop, image: Image, run: Run) -> Row:
    size = workshop.image_size(image) / 1e6
    return Row("scratch disk at its most", f"{run.scratch / 1e6:.1f} MB", f"≤ {size:.1f} MB",
               "temporary files; the target is the compressed image")  # fmt: skip


def _times(run: Run) -> str:
    return f"{run.wall:.2f} s (cpu {run.cpu:.2f})"


# ---- the command ---------------------------------------------------------------------------------

CASES = {"cold": cold, "warm": warm, "growth": growth, "sharing": sharing, "large": large}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=5, help="runs that a median is of (default 5)")
    arguments.add_argument("--large", action="store_true", help="build 2 GB of packages too")
    arguments.add_argument("--only", action="append", choices=CASES, help="measure this alone")
    given = arguments.parse_args()
    chosen = given.only or [name for name in CASES if name != "large" or given.large]
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, Python {platform.python_version()}, medians of {given.runs} runs")
    print("| What | Measured | Target | |\n|---|---|---|---|", flush=True)
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="imgbuild-benchmark-") as folder:
            Path(folder).chmod(0o755)  # apt reads the keyring as another user
            for row in CASES[name](Workshop(Path(folder)), given.runs):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
