"""Compare with apt on many random requests, and print a table by suite.

    python -m tests.oracle.apt_sweep --count 1000

asks COUNT requests in all, a third a suite. Lists are fetched below --folder once, so a second run
asks about the same state of the archive. The exit status is 1 if fewer than 99 % agree.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.oracle import apt as real
from tests.oracle import requests

_COLUMNS = ("same set", "both refuse", "other set", "apt refuses", "we refuse")


class Outcome(NamedTuple):
    """One request and both answers."""

    suite: str
    sample: requests.Sample
    theirs: real.Answer
    ours: requests.Ours

    @property
    def kind(self) -> str:
        """One of the table's columns."""
        if self.ours.strategy == "none":
            return "we refuse" if self.theirs.is_solved else "both refuse"
        if not self.theirs.is_solved:
            return "apt refuses"
        return "same set" if self.ours.versions == self.theirs.versions else "other set"

    @property
    def is_same(self) -> bool:
        """Whether both answer alike."""
        return self.kind in ("same set", "both refuse")

    def __str__(self) -> str:
        names = " ".join(self.sample.names)
        policy = "with" if self.sample.recommends else "without"
        ours, theirs = self.ours.versions.items(), self.theirs.versions.items()
        parts = [
            f"{self.suite}: {names} ({policy} recommends): {self.kind}, by our {self.ours.strategy}"
        ]
        if self.kind == "other set":
            parts.append(f"    only ours: {' '.join(sorted(f'{n}={v}' for n, v in ours - theirs))}")
            parts.append(f"    only apt's: {' '.join(sorted(f'{n}={v}' for n, v in theirs - ours))}")
        return "\n".join(parts)


def compare(folder: Path, suite: str, count: int, seed: int, jobs: int) -> Iterator[Outcome]:
    """Yield the outcome of each of COUNT requests on SUITE."""
    apt = real.suite(folder, suite)
    indexes = requests.open_lists(apt.lists(), folder / suite / "indexes")
    samples = requests.samples(indexes, count, seed)
    with ThreadPoolExecutor(jobs) as pool:
        asked = pool.map(lambda s: apt.install(*s.names, recommends=s.recommends), samples)
        for sample, theirs in zip(samples, asked, strict=True):
            yield Outcome(suite, sample, theirs, requests.ours(indexes, sample))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("cache/apt-sweep"))
    parser.add_argument("--suites", nargs="+", default=list(real.SUITES))
    options = parser.parse_args()
    tables: dict[tuple[str, bool], Counter[str]] = {}
    slowest = 0.0
    for number, suite in enumerate(options.suites):
        share = len(options.suites)
        count = options.count // share + (number < options.count % share)
        folder = options.folder.absolute()
        for done, outcome in enumerate(compare(folder, suite, count, options.seed, options.jobs), 1):
            if done % 50 == 0:
                print(f"{suite}: {done} of {count}", file=sys.stderr, flush=True)
            tables.setdefault((suite, outcome.sample.recommends), Counter())[outcome.kind] += 1
            slowest = max(slowest, outcome.ours.seconds)
            if not outcome.is_same:
                print(outcome, file=sys.stderr, flush=True)
    print(_row(["suite", "recommends", "requests", *_COLUMNS, "agreement"]))
    print(_row(["---"] * (len(_COLUMNS) + 4)))
    total: Counter[str] = Counter()
    for (suite, recommends), table in sorted(tables.items()):
        _print_row(suite, "yes" if recommends else "no", table)
        total += table
    _print_row("all", "", total)
    print(f"\nslowest of our answers: {slowest:.2f} s")
    return 0 if _agreement(total) >= 0.99 else 1


def _agreement(table: Counter[str]) -> float:
    return (table["same set"] + table["both refuse"]) / max(table.total(), 1)


def _print_row(suite: str, recommends: str, table: Counter[str]) -> None:
    counts = [str(table[column]) for column in _COLUMNS]
    print(_row([suite, recommends, str(table.total()), *counts, f"{_agreement(table):.1%}"]))


if __name__ == "__main__":
    sys.exit(main())
