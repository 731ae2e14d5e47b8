"""Replay update histories of images: bytes pulled with a plan that is kept and with others.

    xzcat Packages.xz | python benchmarks/layer_plan_replay.py [HISTORIES]

The package list of a stable release says how often each source was updated in it: the number after
``deb12u`` of its version. Histories are drawn from these counts with fixed seeds; packages that
follow their upstream's versions (`FOLLOWERS`) show no count and get one. The ``growing`` histories
add a package of the list to the image at every third update; ``rolling`` is a suite like sid, where
each source changes in an update with one chance in twenty. A client has the previous image. Sizes
move by up to 5 % with each version.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from builder.layers.plan import Plan, plan

UPDATES = 25
SEEDS = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
MAX_LAYERS = 20
FOLLOWERS = {
    "openssl": 6,
    "php8.2": 9,
    "mariadb": 6,
    "postgresql-15": 9,
    "openjdk-17": 10,
    "tzdata": 5,
    "systemd": 8,
}
IMAGES = {
    "python": ["python3", "ca-certificates", "tzdata", "base-files"],
    "nginx": ["nginx", "ca-certificates", "base-files"],
    "postgres": ["postgresql-15", "base-files"],
    "java": ["openjdk-17-jre", "ca-certificates", "base-files"],
    "desktop": ["gimp", "libreoffice-writer", "base-files"],
}


class Package(NamedTuple):
    """A binary package; ``updates`` of its source in the release's life."""

    source: str
    size: int
    depends: tuple[str, ...]
    updates: int


def read_packages(text: str) -> dict[str, Package]:
    packages = {}
    for stanza in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in stanza.split("\n") if ": " in line and line[0] != " "
        )
        if not fields:
            continue
        source, _, version = fields.get("Source", fields["Package"]).partition(" ")
        count = re.search(r"deb\d+u(\d+)", version or fields["Version"])
        depends = f"{fields.get('Pre-Depends', '')}, {fields.get('Depends', '')}"
        names = [re.split(r"[ :(|]", one.strip())[0] for one in depends.split(",")]
        updates = max(int(count[1]) if count else 0, FOLLOWERS.get(source, 0))
        packages[fields["Package"]] = Package(
            source, int(fields["Size"]), tuple(filter(None, names)), updates
        )
    return packages


def closure(packages: Mapping[str, Package], names: list[str]) -> set[str]:
    """Return NAMES and what they need, by first alternatives: near enough for sizes."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in packages and name not in found:
            found.add(name)
            pending += packages[name].depends
    return found


State = dict[str, tuple[int, int]]  # source → version, size


def histories(packages: Mapping[str, Package], names: list[str], kind: str, seed: int) -> list[State]:
    chance = random.Random(seed)  # noqa: S311 - histories to compare, no secret
    inside = closure(packages, names)
    versions: dict[str, int] = {}
    drift: dict[str, float] = {}
    when = {
        source: {chance.randrange(UPDATES) for _ in range(count)}
        for source, count in sorted({(p.source, p.updates) for p in packages.values()})
    }
    states = []
    for update in range(UPDATES):
        if kind == "growing" and update % 3 == 2:
            inside |= closure(packages, [chance.choice(sorted(packages))])
        sizes: dict[str, int] = {}
        for name in sorted(inside):
            sizes[packages[name].source] = sizes.get(packages[name].source, 0) + packages[name].size
        for source in sizes:
            if update and (chance.random() < 0.05 if kind == "rolling" else update in when[source]):
                versions[source] = versions.get(source, 0) + 1
                drift[source] = drift.get(source, 1.0) * chance.uniform(0.95, 1.05)
        states.append(
            {s: (versions.get(s, 0), int(size * drift.get(s, 1.0))) for s, size in sizes.items()}
        )
    return states


def pulled(states: list[State], planner: Callable[[dict[str, int], Plan], Plan]) -> int:
    """Return the bytes pulled after the first image."""
    held: set[object] = set()
    layers: Plan = ()
    total = 0
    for number, state in enumerate(states):
        sizes = {source: size for source, (_, size) in state.items()}
        layers = planner(sizes, layers)
        image = {tuple((source, state[source][0]) for source in layer): layer for layer in layers}
        if number:
            total += sum(sizes[s] for key, layer in image.items() if key not in held for s in layer)
        held = set(image)
    return total


def by_size(sizes: dict[str, int], previous: Plan) -> Plan:
    """The usual way: the biggest alone, the rest together; computed at each build."""
    order = sorted(sizes, key=lambda source: (-sizes[source], source))
    return (*((source,) for source in order[: MAX_LAYERS - 2]), tuple(sorted(order[MAX_LAYERS - 2 :])))


def in_equal_parts(sizes: dict[str, int], previous: Plan) -> Plan:
    """Layers of about the same size, by name; computed at each build."""
    share = sum(sizes.values()) / (MAX_LAYERS - 1)
    layers: list[tuple[str, ...]] = [()]
    filled = 0
    for source in sorted(sizes):
        if filled > share * len(layers):
            layers.append(())
        layers[-1] += (source,)
        filled += sizes[source]
    return tuple(layers)


PLANNERS: dict[str, Callable[[dict[str, int], Plan], Plan]] = {
    "kept": lambda sizes, previous: plan(sizes, previous, max_layers=MAX_LAYERS),
    "anew": lambda sizes, previous: plan(sizes, max_layers=MAX_LAYERS),
    "by size": by_size,
    "equal": in_equal_parts,
    "one layer": lambda sizes, previous: (tuple(sorted(sizes)),),
    "ideal": lambda sizes, previous: tuple((source,) for source in sorted(sizes)),
}


def main() -> None:
    packages = read_packages(sys.stdin.read())
    print(f"MB pulled in {UPDATES - 1} updates, mean of {len(SEEDS)} histories, {MAX_LAYERS} layers")
    print(f"{'image':<10}{'history':<9}{'MB':>6}" + "".join(f"{name:>11}" for name in PLANNERS))
    for image, names in IMAGES.items():
        for kind in ("stable", "growing", "rolling"):
            runs = [histories(packages, names, kind, seed) for seed in SEEDS]
            start = sum(size for _, size in runs[0][0].values()) / 1e6
            means = [
                sum(pulled(run, one) for run in runs) / len(runs) / 1e6 for one in PLANNERS.values()
            ]
            print(f"{image:<10}{kind:<9}{start:>6.0f}" + "".join(f"{mean:>11.1f}" for mean in means))


if __name__ == "__main__":
    main()
