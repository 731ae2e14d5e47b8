"""Laws of merge and layers on random packages: what is unpacked is the tree, whatever the plan."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from builder.errors import ConflictError
from builder.layers.parts import Fragment
from builder.layers.plan import Plan
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, NewFile
from builder.tree.flatten import flatten
from builder.tree.merge import SPEC
from tests.layers.builds import EPOCH, Built, build, names
from tests.makers.trees import fragment

LINKS = (("bin", "usr/bin"),)
FOLDERS = ("usr", "usr/bin", "bin", "etc", "etc/d", "var/l")
FILES = ("x", "y", "z")
LINES = ("file 0644 a", "file 0644 a", "file 4755 1:2 b", "link x", "hard")
MODES = ("dir 0755", "dir 0755", "dir 1777", "dir 2750 0:5")


class Case(NamedTuple):
    packages: tuple[Fragment, ...]
    plan: Plan
    base_size: int
    generated: tuple[NewFile, ...]


@st.composite
def packages(draw: st.DrawFn) -> tuple[Fragment, ...]:
    made: list[Fragment] = []
    for name in names(draw(st.integers(1, 5))):
        lines = {
            folder: draw(st.sampled_from(MODES))
            for folder in draw(st.lists(st.sampled_from(FOLDERS), max_size=3, unique=True))
        }
        own: dict[str, str] = {}
        for _ in range(draw(st.integers(0, 5))):
            path = f"{draw(st.sampled_from(FOLDERS))}/{draw(st.sampled_from(FILES))}"
            line = draw(st.sampled_from(LINES))
            files = sorted(p for p, text in own.items() if text.startswith("file") and p != path)
            if line == "hard":
                line = f"hard {draw(st.sampled_from(files))}" if files else "file 0644 a"
            own.setdefault(path, line)
        if draw(st.integers(0, 4)) == 0:
            lines["link"] = "link usr"
        elif draw(st.integers(0, 4)) == 0:
            own["link/q"] = "file 0644 q"
        earlier = [other.identity.name for other in made]
        replaces = draw(st.one_of(st.just(earlier), st.lists(st.sampled_from(earlier or ["none"]))))
        made.append(fragment(name, {**lines, **own}, replaces=replaces))
    return tuple(made)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    some = draw(packages())
    cuts = [draw(st.integers(0, 3)) for _ in some]
    plan = tuple(
        tuple(f.identity.name for f, cut in zip(some, cuts, strict=True) if cut == layer)
        for layer in range(4)
    )
    generated = tuple(
        NewFile.regular(path, b"g", mode=0o600)
        for path in draw(st.lists(st.sampled_from(("etc/x", "bin/y", "new/g")), unique=True))
    )
    return Case(some, plan, draw(st.integers(0, len(some))), generated)


def built(case: Case) -> Built:
    """Build CASE, its first packages as the base of the others."""
    try:
        base = build(case.packages[: case.base_size], case.plan, links=LINKS) if case.base_size else None
        return build(
            case.packages[case.base_size :], case.plan, base=base, links=LINKS, generated=case.generated
        )
    except ConflictError:
        assume(False)
        raise


LAWS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
SWEEP = settings(LAWS, max_examples=1500, derandomize=False)


def check_layers(outcome: Built) -> None:
    """Assert that the layers are the tree, and that each is one that any client unpacks."""
    flat = flatten(parts.entries() for parts in outcome.layers)
    owners, entries = outcome.tree.owners, outcome.tree.entries
    made = {path: entry for path, entry in flat.items() if owners[path] == SPEC}
    assert all(entry.mtime in (0, EPOCH) for entry in made.values())
    flat |= {path: structs.replace(e, mtime=entries[path].mtime) for path, e in made.items()}
    assert flat == entries
    for parts in outcome.layers:
        seen: dict[str, str] = {}
        for entry in parts.entries():
            assert entry.path not in seen
            parent = entry.path.rpartition("/")[0]
            assert not parent or seen[parent] == DIRECTORY
            assert entry.kind != HARDLINK or seen[entry.target] == FILE
            seen[entry.path] = entry.kind


@LAWS
@given(cases())
def test_layers_laid_over_one_another_are_the_tree_each_in_good_order(case: Case) -> None:
    check_layers(built(case))


@pytest.mark.slow
@SWEEP
@given(cases())
def test_layers_are_the_tree_in_a_long_sweep(case: Case) -> None:
    check_layers(built(case))


@LAWS
@given(cases())
def test_every_path_of_a_tree_has_its_parents_and_an_owner(case: Case) -> None:
    tree = built(case).tree
    assert tree.owners.keys() == tree.entries.keys()
    for path, entry in tree.entries.items():
        parent = path.rpartition("/")[0]
        assert not parent or tree.entries[parent].kind == DIRECTORY
        assert entry.kind != HARDLINK or tree.entries[entry.target].kind == FILE


@LAWS
@given(packages(), st.randoms())
def test_packages_may_come_in_any_order(some: Sequence[Fragment], chance: random.Random) -> None:
    shuffled = list(some)
    chance.shuffle(shuffled)
    outcomes = []
    for order in (some, shuffled):
        try:
            plan = tuple((name,) for name in names(len(some)))
            outcomes.append(repr(build(order, plan, links=LINKS)[:2]))
        except ConflictError as error:
            outcomes.append(error.render())
    assert outcomes[0] == outcomes[1]
