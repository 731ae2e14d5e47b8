"""Compare verdicts with dose-debcheck: which packages of a suite can be installed at all.

    python -m tests.oracle.dose_sweep --suite sid

asks about every package that dose calls broken and as many others; where the two differ, apt is
asked as well, and the exit status is 1 if it sides with dose.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from builder.errors import ResolveError
from builder.packages import Relation
from builder.resolve import Request, resolve
from tests.oracle import apt as real
from tests.oracle import requests
from tests.resolve.worlds import DebVersions

_BROKEN = re.compile(r'^  package: (\S+)\n  version: "?([^"\s]+)"?\n', re.MULTILINE)


class Verdicts(NamedTuple):
    """What was asked, and the packages about which ours and dose's verdicts differ."""

    broken: int
    others: int
    different: tuple[tuple[str, str], ...]
    wrong: tuple[str, ...]


def compare(folder: Path, suite: str, count: int | None, seed: int) -> Verdicts:
    """Ask about COUNT packages that dose calls broken (None: all), and as many that it does not."""
    if shutil.which("dose-debcheck") is None:
        pytest.skip("dose-debcheck (Debian package: dose-extra) is missing: cannot ask its verdict")
    apt = real.suite(folder, suite)
    indexes = requests.open_lists(apt.lists()[:1], folder / suite / "indexes")
    broken = _broken(apt.lists()[0])
    chance = random.Random(seed)  # noqa: S311 - the same packages each time
    asked = sorted(broken) if count is None else chance.sample(sorted(broken), min(count, len(broken)))
    names = sorted(indexes[0].names())
    fine: list[tuple[str, str]] = []
    while len(fine) < len(asked):
        package = indexes[0].packages(chance.choice(names))[0]
        if (package.name, package.version) not in broken:
            fine.append((package.name, package.version))
    different, wrong = [], []
    for name, version in [*asked, *fine]:
        request = Request(relation=Relation(name, "=", version), text=name)
        try:
            resolve(DebVersions(), indexes, [request], architecture="amd64")
            is_solved = True
        except ResolveError:
            is_solved = False
        if is_solved == ((name, version) in broken):
            different.append((name, version))
            if apt.install(f"{name}={version}").is_solved != is_solved:
                wrong.append(f"{name} {version}")
    return Verdicts(len(asked), len(fine), tuple(different), tuple(wrong))


def _broken(packages: Path) -> set[tuple[str, str]]:
    command = ["dose-debcheck", "--failures", "--deb-native-arch=amd64", "--deb-ignore-essential"]
    # Its status is 1 when a package is broken.
    ended = subprocess.run([*command, str(packages)], capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    return set(_BROKEN.findall(ended.stdout))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--suite", default="sid")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("cache/apt-sweep"))
    options = parser.parse_args()
    verdicts = compare(options.folder.absolute(), options.suite, options.count, options.seed)
    print(f"{verdicts.broken} broken by dose and {verdicts.others} others asked")
    for name, version in verdicts.different:
        side = "dose" if f"{name} {version}" in verdicts.wrong else "us"
        print(f"different: {name} {version}; apt sides with {side}")
    return 1 if verdicts.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
