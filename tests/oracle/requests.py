"""Random requests on real package lists, and our answer to them."""

from __future__ import annotations

import mmap
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from builder.errors import ResolveError
from builder.formats.deb.index import build_index, open_index
from builder.packages import PackageIndex, Relation
from builder.resolve import Request, resolve
from tests.resolve.worlds import DebVersions


class Sample(NamedTuple):
    """What to ask for."""

    names: tuple[str, ...]
    recommends: bool


class Ours(NamedTuple):
    """Our answer: strategy ``marker``, ``solver`` or ``none``, versions, seconds, the error's text."""

    strategy: str
    versions: dict[str, str]
    seconds: float
    text: str = ""


def open_lists(lists: Sequence[Path], folder: Path) -> list[PackageIndex]:
    """Return LISTS as the program reads them, built below FOLDER once."""
    folder.mkdir(parents=True, exist_ok=True)
    opened: list[PackageIndex] = []
    for path in lists:
        built = folder / f"{path.name}.index"
        if not built.exists():
            with path.open("rb") as stream, built.open("wb") as sink:
                build_index(stream, sink)
        with built.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        suite = path.name.partition("_dists_")[2].partition("_")[0]
        opened.append(open_index(f"debian/{suite}/main/amd64", view))
    return opened


def samples(indexes: Sequence[PackageIndex], count: int, seed: int) -> list[Sample]:
    """Return COUNT requests: one to three packages, half of them with recommendations."""
    names = sorted({name for index in indexes for name in index.names()})
    chance = random.Random(seed)  # noqa: S311 - the same requests each time, not secrets
    return [
        Sample(
            tuple(sorted(chance.sample(names, chance.choice([1, 1, 1, 2, 3])))), chance.random() < 0.5
        )
        for _ in range(count)
    ]


def ours(indexes: Sequence[PackageIndex], sample: Sample) -> Ours:
    """Resolve SAMPLE."""
    began = time.perf_counter()
    try:
        result = resolve(
            DebVersions(),
            indexes,
            [Request(relation=Relation(name), text=name) for name in sample.names],
            architecture="amd64",
            recommends=sample.recommends,
        )
    except ResolveError as error:
        return Ours("none", {}, time.perf_counter() - began, error.render())
    versions = {chosen.package.name: chosen.package.version for chosen in result.packages}
    return Ours(result.strategy, versions, time.perf_counter() - began)
